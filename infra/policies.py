"""What no plan may hold, whoever wrote it: rules over the planned resources, pure, so that they can be tried without an engine.

Each rule gives one sentence for each resource that breaks it. A plan that breaks one is shown and never applied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from infra.config import SECTIONS, merge
from infra.live import LIVE
from regreen.environment import looks_like_production
from regreen.facts.cloud.reading import secret_like

#: What the engine shows in the place of a secret value, and of one that is not known before an update. A list that holds a
#: secret is hidden as a whole, and what stands beside it with it.
HIDDEN: Final = ("[secret]", "04da6b54-80e4-46f7-96ec-b56ff0331ba9")
_PUBLIC: Final = ("allUsers", "allAuthenticatedUsers")
#: Operations that put a resource where it was not, or make it something else.
_MAKES: Final = frozenset({"create", "update"})
_KEYS: Final = ("gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey")
_VERSION: Final = "gcp:secretmanager/secretVersion:SecretVersion"
#: Whoever fetches a page reads its assets, and may do nothing else: not even list them.
_READERS: Final = frozenset({"roles/storage.objectViewer", "roles/storage.legacyObjectReader", "READER"})
_OF_PROJECT: Final = re.compile(r"(?:^|/)projects/([^/]+)")


@dataclass(frozen=True, slots=True)
class Planned:
    """A resource as a plan leaves it. `inputs` and `outputs` are as the engine shows them, with secrets hidden; never printed."""

    kind: str
    type: str
    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    protect: bool = False

    def __str__(self) -> str:
        return f"{self.type.rpartition(':')[2]} {self.name}"


Rule = Callable[[Sequence[Planned]], Iterator[str]]


def broken(planned: Iterable[Planned]) -> tuple[str, ...]:
    """Every rule that a plan breaks, in words; empty for one that may be applied."""
    graph = tuple(planned)
    return tuple(dict.fromkeys(said for rule in RULES for said in rule(graph)))


def written(values: Mapping[str, Any]) -> tuple[Planned, ...]:
    """The services of a stack's file (`StackDocument.plain()`), with every value that stands there: nothing of a file is hidden."""
    services = values.get("services") or {}
    token = SECTIONS["services"].token
    return tuple(Planned("same", token, name, merge("services", name, settings)) for name, settings in services.items())


def not_production(graph: Sequence[Planned]) -> Iterator[str]:
    """Nothing is in a project, or carries a label, that looks like production."""
    for item in graph:
        paths = [str(item.inputs.get(key, "")) for key in ("keyRing", "cryptoKeyId", "secretId", "parent")]
        projects = [found for path in paths for found in _OF_PROJECT.findall(path)]
        if bad := looks_like_production(str(item.inputs.get("project", "")), *projects):
            yield f"{item} is in project {bad}, which looks like production"
        labels = item.inputs.get("labels")
        if isinstance(labels, Mapping) and (bad := looks_like_production(*map(str, labels.values()))):
            yield f"{item} carries the label {bad!r}, which looks like production"


def keys_are_kept(graph: Sequence[Planned]) -> Iterator[str]:
    """Keys and key rings are protected, and no key is given to the public."""
    for item in graph:
        if item.type in _KEYS and not item.protect:
            yield f"{item} is not protected: to destroy a key destroys the data under it"
        if item.type.startswith("gcp:kms/") and item.kind in _MAKES and (who := _public(item.inputs)):
            yield f"{item} would let {who} use a key"


def buckets_are_closed(graph: Sequence[Planned]) -> Iterator[str]:
    """No bucket is public but one that the CDN stands on, and that one for reading objects alone."""
    served = {item.inputs.get("bucketName") for item in graph if _is_cdn(item)}
    for item in graph:
        if not item.type.startswith("gcp:storage/") or item.kind not in _MAKES:
            continue
        bucket = str(item.inputs.get("bucket") or item.inputs.get("name") or item.name)
        who = _public(item.inputs)
        role = str(item.inputs.get("role", "")) or _granted(item.inputs)
        if who and (bucket not in served or role not in _READERS):
            why = "no CDN stands on it" if bucket not in served else f"the CDN does not need {role or 'that'}"
            yield f"{item} would open bucket {bucket} to {who}: {why}"


def secrets_stay_secret(graph: Sequence[Planned]) -> Iterator[str]:
    """No secret stands in plain text in a variable or an output, and no version of a secret is part of a stack."""
    for item in graph:
        if item.type == _VERSION and "secretData" in item.inputs:
            yield f"{item} would put a secret's value into the stack's state: add versions outside of it"
        # What an import shows is what is there, not what a program asks for: `written` shows that.
        for name, value in () if item.kind == "import" else _variables(item.inputs):
            if secret_like(name, value):
                yield f"{item}: {name} would hold a secret in plain text: refer to a secret"
        for name, value in item.outputs.items():
            if isinstance(value, str) and value and value not in HIDDEN and secret_like(name, value):
                yield f"{item}: the output {name} would show a secret"


RULES: Final[tuple[Rule, ...]] = (not_production, keys_are_kept, buckets_are_closed, secrets_stay_secret)


def _is_cdn(item: Planned) -> bool:
    return item.type == "gcp:compute/backendBucket:BackendBucket" and item.inputs.get("enableCdn") is True


def _public(inputs: Mapping[str, Any]) -> str:
    """Who of the public a grant names, in any of the forms that the provider has; empty where it names nobody."""
    named = [inputs.get("member"), inputs.get("entity"), inputs.get("policyData"), inputs.get("predefinedAcl")]
    named += [*_texts(inputs.get("members")), *_texts(inputs.get("roleEntities"))]
    for text in map(str, filter(None, named)):
        for who in _PUBLIC:
            if who in text:
                return who
        if text.startswith("public"):  # publicRead, publicReadWrite
            return _PUBLIC[0]
    return ""


def _granted(inputs: Mapping[str, Any]) -> str:
    """The role of an access list's public entry: `READER:allUsers`."""
    for text in _texts(inputs.get("roleEntities")):
        role, _, who = text.partition(":")
        if who in _PUBLIC:
            return role
    return ""


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


def _variables(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Plain variables of every container, of a service or a job."""
    template = inputs.get("template")
    for at in (template, template.get("template") if isinstance(template, Mapping) else None):
        for container in (at.get("containers") or ()) if isinstance(at, Mapping) else ():
            for entry in (container.get("envs") or ()) if isinstance(container, Mapping) else ():
                value = str(entry.get("value") or "") if isinstance(entry, Mapping) else ""
                if value and value not in (*HIDDEN, LIVE):
                    yield str(entry.get("name", "")), value
