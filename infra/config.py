"""A stack's configuration: what is desired of each resource, in words that people change, and everything else as it was found.

A section holds resources of one type by name. In each, a few *settings* have names of their own (`minInstances`); `keep` holds
what else the live resource had when it was adopted, in the provider's own shape, so that nothing of it is lost. This module
needs no Pulumi; remedies import it to edit the file.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

PROJECT: Final = "regreen-staging"
Inputs = dict[str, Any]
Place = tuple[str | int, ...]


class ConfigError(ValueError):
    """The stack's configuration cannot be used: `Pulumi.twin.yaml: services/api/minInstances: …`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting and its place in the provider's inputs. `form`: `seconds` is written `300s` there, `not` is its opposite."""

    name: str
    path: Place
    form: str = ""

    def encode(self, value: Any) -> Any:
        """The provider's value."""
        if self.form == "seconds":
            return f"{value}s"
        return (not value) if self.form == "not" else value

    def decode(self, value: Any) -> Any:
        """The setting's value."""
        if self.form == "seconds":
            text = str(value).removesuffix("s")
            return int(float(text)) if float(text).is_integer() else float(text)
        return (not value) if self.form == "not" else value


@dataclass(frozen=True, slots=True)
class Section:
    """Resources of one type. `members` names a list of IAM members that are resources of their own, with one role."""

    token: str
    settings: tuple[Setting, ...] = ()
    import_id: str = ""
    members: str = ""
    role: str = ""
    members_token: str = ""


_MAIN: Final[Place] = ("template", "containers", 0)
SECTIONS: Final[Mapping[str, Section]] = {
    "services": Section(
        "gcp:cloudrunv2/service:Service",
        (
            Setting("image", (*_MAIN, "image")),
            Setting("account", ("template", "serviceAccount")),
            Setting("minInstances", ("scaling", "minInstanceCount")),
            Setting("maxInstances", ("template", "scaling", "maxInstanceCount")),
            Setting("requestTimeout", ("template", "timeout"), "seconds"),
            Setting("concurrency", ("template", "maxInstanceRequestConcurrency")),
            Setting("sessionAffinity", ("template", "sessionAffinity")),
            Setting("cpuAlways", (*_MAIN, "resources", "cpuIdle"), "not"),
            Setting("startupBoost", (*_MAIN, "resources", "startupCpuBoost")),
            Setting("limits", (*_MAIN, "resources", "limits")),
            Setting("startupProbe", (*_MAIN, "startupProbe")),
            Setting("livenessProbe", (*_MAIN, "livenessProbe")),
        ),
        "projects/{project}/locations/{region}/services/{name}",
        "invokers",
        "roles/run.invoker",
        "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    ),
    "endpointGroups": Section(
        "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup",
        (),
        "projects/{project}/regions/{region}/networkEndpointGroups/{name}",
    ),
    "backends": Section(
        "gcp:compute/backendService:BackendService",
        (
            Setting("timeout", ("timeoutSec",)),
            Setting("draining", ("connectionDrainingTimeoutSec",)),
            Setting("cdn", ("enableCdn",)),
        ),
        "projects/{project}/global/backendServices/{name}",
    ),
    "buckets": Section("gcp:storage/bucket:Bucket", (), "{project}/{name}"),
    "backendBuckets": Section(
        "gcp:compute/backendBucket:BackendBucket",
        (
            Setting("bucket", ("bucketName",)),
            Setting("cdn", ("enableCdn",)),
            Setting("cacheMode", ("cdnPolicy", "cacheMode")),
            Setting("clientTtl", ("cdnPolicy", "clientTtl")),
            Setting("defaultTtl", ("cdnPolicy", "defaultTtl")),
            Setting("maxTtl", ("cdnPolicy", "maxTtl")),
        ),
        "projects/{project}/global/backendBuckets/{name}",
    ),
    "urlMaps": Section(
        "gcp:compute/uRLMap:URLMap",
        (Setting("pathMatchers", ("pathMatchers",)), Setting("hostRules", ("hostRules",))),
        "projects/{project}/global/urlMaps/{name}",
    ),
    "keyRings": Section(
        "gcp:kms/keyRing:KeyRing",
        (Setting("location", ("location",)),),
        "projects/{project}/locations/{location}/keyRings/{name}",
    ),
    "keys": Section(
        "gcp:kms/cryptoKey:CryptoKey",
        (Setting("ring", ("keyRing",)), Setting("rotation", ("rotationPeriod",), "seconds")),
        "{ring}/cryptoKeys/{name}",
        "users",
        "roles/cloudkms.cryptoKeyEncrypterDecrypter",
        "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    ),
    "datasets": Section(
        "gcp:bigquery/dataset:Dataset",
        (Setting("location", ("location",)), Setting("key", ("defaultEncryptionConfiguration", "kmsKeyName"))),
        "projects/{project}/datasets/{name}",
    ),
    "secrets": Section(
        "gcp:secretmanager/secret:Secret",
        (Setting("replication", ("replication",)),),
        "projects/{project}/secrets/{name}",
        "accessors",
        "roles/secretmanager.secretAccessor",
        "gcp:secretmanager/secretIamMember:SecretIamMember",
    ),
    "databases": Section(
        "gcp:sql/databaseInstance:DatabaseInstance",
        (
            Setting("activationPolicy", ("settings", "activationPolicy")),
            Setting("tier", ("settings", "tier")),
            Setting("flags", ("settings", "databaseFlags")),
        ),
        "projects/{project}/instances/{name}",
    ),
    "caches": Section(
        "gcp:redis/instance:Instance",
        (Setting("tier", ("tier",)), Setting("memory", ("memorySizeGb",))),
        "projects/{project}/locations/{region}/instances/{name}",
    ),
}
#: What the provider calls a resource's own name, where that is not `name`.
NAMED_BY: Final[Mapping[str, str]] = {"datasets": "datasetId", "secrets": "secretId"}


def split(section: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Settings and `keep` of a resource, from its inputs in the provider's shape. `merge` is the way back."""
    rest: Inputs = copy.deepcopy(dict(inputs))
    found: dict[str, Any] = {}
    rest.pop(NAMED_BY.get(section, "name"), None)
    for setting in SECTIONS[section].settings:
        value = _take(rest, setting.path)
        if value is not None:
            found[setting.name] = setting.decode(value)
    if section == "services":
        found |= _variables(rest)
    if rest:
        found["keep"] = rest
    return found


def merge(section: str, name: str, settings: Mapping[str, Any]) -> Inputs:
    """A resource's inputs in the provider's shape. Raises ConfigError for a setting that the section does not have."""
    known = SECTIONS[section]
    inputs: Inputs = copy.deepcopy(dict(settings.get("keep") or {}))
    inputs[NAMED_BY.get(section, "name")] = name
    by_name = {item.name: item for item in known.settings}
    for key, value in settings.items():
        if key in ("keep", known.members, "env", "secrets") or value is None:
            continue
        if key not in by_name:
            raise ConfigError(f"{section}/{name}: unknown setting {key!r}; known are {', '.join(sorted(by_name))}")
        _put(inputs, by_name[key].path, by_name[key].encode(value))
    if section == "services":
        _restore(inputs, settings, f"{section}/{name}")
    return inputs


def _variables(rest: Inputs) -> dict[str, Any]:
    """The first container's variables, as `env` and `secrets`."""
    listed = _take(rest, (*_MAIN, "envs")) or []
    env = {item["name"]: item.get("value") or "" for item in listed if not item.get("valueSource")}
    secrets = {
        item["name"]: {
            "secret": item["valueSource"]["secretKeyRef"]["secret"],
            "version": str(item["valueSource"]["secretKeyRef"].get("version") or "latest"),
        }
        for item in listed
        if item.get("valueSource")
    }
    return ({"env": env} if env else {}) | ({"secrets": secrets} if secrets else {})


def _restore(inputs: Inputs, settings: Mapping[str, Any], where: str) -> None:
    listed = [
        {"name": key, "value": str(value)} for key, value in (settings.get("env") or {}).items() if value is not None
    ]
    for key, value in (settings.get("secrets") or {}).items():
        if not isinstance(value, Mapping) or "secret" not in value:
            raise ConfigError(f"{where}/secrets/{key}: give the secret and its version: {{secret: NAME, version: '1'}}")
        reference = {"secret": value["secret"], "version": str(value.get("version", "latest"))}
        listed.append({"name": key, "valueSource": {"secretKeyRef": reference}})
    if listed:
        _put(inputs, (*_MAIN, "envs"), sorted(listed, key=lambda item: item["name"]))


def _take(inputs: Any, path: Place) -> Any:
    """Remove and return the value at a path; None where there is none. Emptied maps on the way go as well."""
    at = inputs
    for part in path[:-1]:
        if isinstance(part, int):
            if not isinstance(at, list) or len(at) <= part:
                return None
            at = at[part]
        else:
            at = at.get(part) if isinstance(at, dict) else None
        if at is None:
            return None
    value = at.pop(path[-1], None) if isinstance(at, dict) else None
    for end in range(len(path) - 1, 0, -1):
        above = _at(inputs, path[: end - 1])
        if isinstance(above, dict) and above.get(path[end - 1]) == {}:
            del above[path[end - 1]]
    return value


def _at(inputs: Any, path: Place) -> Any:
    for part in path:
        inputs = inputs[part]
    return inputs


def _put(inputs: Any, path: Place, value: Any) -> None:
    at = inputs
    for part, following in pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            while len(at) <= part:
                at.append({})
            at = at[part]
        else:
            at = at.setdefault(part, empty)
    if isinstance(path[-1], int):
        while len(at) <= path[-1]:
            at.append({})
    at[path[-1]] = value


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


@dataclass(frozen=True, slots=True)
class StackDocument:
    """A `Pulumi.STACK.yaml`, read and edited with its comments. `path` is relative to the target."""

    path: str
    content: bytes = b""
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, path: str, content: bytes) -> StackDocument:
        """The file's values. Raises ConfigError with the line of a syntax error."""
        try:
            found = _yaml().load(content.decode("utf-8")) if content.strip() else {}
        except (YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is not valid YAML: {error}") from None
        if not isinstance(found, Mapping) or not isinstance(found.get("config", {}), Mapping):
            raise ConfigError(f"{path}: must be a map with 'config'")
        document = cls(path, content, found.get("config", {}) or {})
        document._check()
        return document

    def _check(self) -> None:
        for key in self.values:
            space, _, name = str(key).partition(":")
            if (
                space == PROJECT
                and name not in SECTIONS
                and name not in ("imports", "aura", "assets", "project", "region")
            ):
                raise ConfigError(f"{self.path}: {key}: unknown section; known are {', '.join(SECTIONS)}")
        for section in SECTIONS:
            for name in self.names(section):
                merge(section, name, self.get(section, name, default={}))

    @property
    def adopted(self) -> bool:
        """Whether any live resource was taken over."""
        return any(self.names(section) for section in SECTIONS)

    def get(self, *place: str | int, default: Any = None) -> Any:
        """A value by path; the first part is a section (`services`) or another key of this program."""
        at: Any = self.values.get(f"{PROJECT}:{place[0]}")
        for part in place[1:]:
            if isinstance(at, Mapping):
                at = at.get(part)
            elif isinstance(at, Sequence) and isinstance(part, int) and len(at) > part:
                at = at[part]
            else:
                return default
        return default if at is None else at

    def names(self, section: str) -> Sequence[str]:
        """The resources of a section."""
        return tuple(self.get(section, default={}))

    def plain(self) -> dict[str, Any]:
        """All values as plain Python, keys without the program's prefix."""
        return {str(key).removeprefix(f"{PROJECT}:"): _plain(value) for key, value in self.values.items()}

    def edited(self, values: Iterable[tuple[Place, Any]]) -> bytes:
        """The file with these values set, None removing; comments, order and everything else stay."""
        yaml = _yaml()
        document = yaml.load(self.content.decode("utf-8")) if self.content.strip() else CommentedMap()
        config = document.setdefault("config", CommentedMap())
        for place, value in values:
            key = str(place[0]) if ":" in str(place[0]) else f"{PROJECT}:{place[0]}"
            path: Place = (key, *place[1:])
            if value is None:
                _take(config, path)
            else:
                _put(config, path, value)
        out = io.BytesIO()
        yaml.dump(document, out)
        return out.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
