"""Google's discovery documents, read from the installed google-api-python-client wheel, one service on first use.

The document format: https://developers.google.com/discovery/v1/reference/apis
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from twin.kernel.names import singular

# Where a document's name is not its host's first label.
NAME_OF_HOST = {
    "bigquerydatatransfer": "bigquerydatatransfer",
    "www": "",
    "content-bigquery": "bigquery",
    "content-storage": "storage",
}
# Documents of the same host that are consulted when a path names no version of its own.
_VERSION = re.compile(r"^v\d+((alpha|beta|p\d+beta|p\d+alpha)\d*)?$|^v1b3$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One path or query parameter of a method."""

    name: str
    location: str
    type: str
    format: str = ""
    enum: tuple[str, ...] = ()
    repeated: bool = False
    required: bool = False
    pattern: str = ""


@dataclass(slots=True, eq=False)
class Method:
    """One method of one API, with its path taken apart."""

    id: str
    document: Document
    verb: str
    path: str
    """Full path template, service path included, no leading slash."""
    flat: tuple[str, ...]
    """Segments of the flat path: a literal, or a name in braces."""
    custom: str
    """The verb after a colon, if any."""
    parameters: dict[str, Parameter]
    request: str
    response: str
    uploads: tuple[str, ...] = ()
    downloads: bool = False
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Which flat segments make up each path parameter."""
    kind: str = "custom"
    collection: tuple[str, ...] = ()
    """Literal segments of the resource's path, without service path and version."""
    skip: int = 0
    """How many leading flat segments are service path and version."""
    item: int = 0
    """Where the flat segments of the resource (or collection) end."""
    wrapped: str = ""
    """The request's field that holds the resource, where a request is an envelope (`CreateInstanceRequest.instance`)."""
    resource: str = ""
    """The schema of the resource that is sent, or that is answered when nothing is sent."""
    cached: dict[str, Any] = field(default_factory=dict)

    @property
    def tail(self) -> str:
        return self.id.rsplit(".", 1)[1]

    @property
    def local(self) -> str:
        """The id without the API's name: `projects.locations.keyRings.create`."""
        return self.id.split(".", 1)[1]


class Document:
    """One API version: its methods, and its schemas for twin.kernel.shapes."""

    def __init__(self, source: dict[str, Any]) -> None:
        self.name: str = source["name"]
        self.version: str = source["version"]
        self.service_path: str = source.get("servicePath", "")
        self.base: str = source["rootUrl"].rstrip("/")
        self.batch_path: str = source.get("batchPath", "batch")
        self.schemas: dict[str, dict[str, Any]] = source.get("schemas", {})
        self.shapes: dict[str, Any] = {}
        self.parameters = {name: _parameter(name, spec) for name, spec in source.get("parameters", {}).items()}
        self.methods: dict[str, Method] = {}
        for spec in _specs(source):
            method = _method(self, spec)
            self.methods[method.id] = method
        for method in self.methods.values():
            _unwrap(method)
        _mark_singletons(list(self.methods.values()))

    def __repr__(self) -> str:
        return f"<Document {self.name}.{self.version}>"


def _specs(node: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(node.get("methods", {}).values())
    for child in node.get("resources", {}).values():
        found += _specs(child)
    return found


def _parameter(name: str, spec: dict[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        location=spec.get("location", "query"),
        type=spec.get("type", "string"),
        format=spec.get("format", ""),
        enum=tuple(spec.get("enum", ())),
        repeated=bool(spec.get("repeated")),
        required=bool(spec.get("required")),
        pattern=spec.get("pattern", ""),
    )


def _method(document: Document, spec: dict[str, Any]) -> Method:
    path = document.service_path + spec["path"]
    flat_path = document.service_path + spec.get("flatPath", spec["path"])
    custom = ""
    if match := re.search(r":([A-Za-z]+)$", flat_path):
        custom, flat_path = match[1], flat_path[: match.start()]
        path = path[: path.rindex(":")]
    media = spec.get("mediaUpload", {}).get("protocols", {})
    method = Method(
        id=spec["id"],
        document=document,
        verb=spec["httpMethod"],
        path=path,
        flat=tuple(flat_path.split("/")),
        custom=custom,
        parameters={name: _parameter(name, value) for name, value in spec.get("parameters", {}).items()},
        request=spec.get("request", {}).get("$ref", ""),
        response=spec.get("response", {}).get("$ref", ""),
        uploads=tuple(protocol["path"].lstrip("/") for protocol in media.values()),
        downloads=bool(spec.get("supportsMediaDownload")),
    )
    method.spans = _spans(path.split("/"), method.flat)
    _classify(method)
    return method


def _spans(template: list[str], flat: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Map each path parameter to flat segments. `{+name}` takes what the others leave."""
    spare = len(flat) - len(template)
    spans: dict[str, tuple[int, int]] = {}
    at = 0
    for segment in template:
        width = 1
        if segment.startswith("{+") and spare:
            width, spare = 1 + spare, 0
        if segment.startswith("{"):
            spans[segment.strip("{+}")] = (at, at + width)
        at += width
    return spans


def _unwrap(method: Method) -> None:
    """Find the resource inside of an envelope such as `UpdateTopicRequest {topic, updateMask}`."""
    method.resource = method.request or method.response
    if method.kind not in ("create", "put", "patch", "update") or not method.request.endswith("Request"):
        return
    schemas = method.document.schemas
    fields = {
        name: spec["$ref"] for name, spec in schemas[method.request].get("properties", {}).items() if "$ref" in spec
    }
    single = singular(method.collection[-1]) if method.collection else ""
    known = {getter.response for getter in _getters(method)}
    found = [name for name, ref in fields.items() if name == single or ref in known]
    if found:
        method.wrapped, method.resource = found[0], fields[found[0]]
    elif method.kind == "create" and known:
        # The request only says how to make it (Spanner's CreateDatabaseRequest holds a statement).
        method.resource = next(iter(known))


def _mark_singletons(methods: list[Method]) -> None:
    """Settings that exist without having been made: one path that is read with GET and changed with PATCH
    (https://google.aip.dev/156). A path that is only read is no such thing: what it says would be invented."""
    plain = [
        method for method in methods if method.kind == "custom" and not method.custom and method.flat[-1][0] != "{"
    ]
    read = {method.flat: method for method in plain if method.verb == "GET" and method.tail.startswith("get")}
    for method in plain:
        getter = read.get(method.flat)
        if getter is None or method.verb != "PATCH" or not method.tail.startswith("update"):
            continue
        if method.request == method.response == getter.response:
            for kind, one in (("get_single", getter), ("update_single", method)):
                one.kind, one.item = kind, len(one.flat)
                one.collection = tuple(part for part in one.flat[one.skip :] if not part.startswith("{"))


def _getters(method: Method) -> list[Method]:
    return [
        other
        for other in method.document.methods.values()
        if other.kind == "get" and other.collection == method.collection
    ]


_STANDARD = {
    "get": "get",
    "list": "list",
    "aggregatedList": "aggregated",
    "create": "create",
    "insert": "create",
    "patch": "patch",
    "update": "update",
    "delete": "delete",
    "getIamPolicy": "get_policy",
    "setIamPolicy": "set_policy",
    "testIamPermissions": "test_permissions",
}


def _classify(method: Method) -> None:
    flat = method.flat
    # `compute/v1/…`, `sql/v1beta4/…`, `apis/serving.knative.dev/v1/…`: everything up to the version, but never an id.
    skip = len([part for part in method.document.service_path.split("/") if part])
    for position, part in enumerate(flat[:3]):
        if part.startswith("{"):
            break
        if _VERSION.match(part):
            skip = max(skip, position + 1)
    method.skip = skip
    end = len(flat)
    kind = _STANDARD.get(method.tail, "custom")
    is_item = flat[-1].startswith("{")
    if method.custom and kind not in ("get_policy", "set_policy", "test_permissions"):
        kind = "custom"
    elif kind == "custom" and not method.custom:
        if method.tail.startswith("replace") and method.verb == "PUT":
            kind = "update"
        elif method.verb == "GET" and is_item and method.tail.startswith("get"):
            kind = "get"
        elif method.verb == "GET" and method.tail.startswith("list") and not is_item:
            kind = "list"
    if kind == "create" and (method.verb != "POST" or is_item):
        # Pub/Sub creates with PUT on the name itself.
        kind = "put" if method.verb == "PUT" and is_item else "custom"
    if kind in ("patch", "update"):
        kind = {"PATCH": "patch", "PUT": "update"}.get(method.verb, "custom")
    if method.flat[-1].startswith("{") and method.custom in ("wait", "cancel") and "operations" in flat[-2:]:
        kind = f"{method.custom}_operation"
    trailing = {
        "get_policy": ("iam", "getIamPolicy"),
        "set_policy": ("iam", "setIamPolicy"),
        "test_permissions": ("testPermissions", "testIamPermissions"),
    }
    if kind in trailing or (kind == "custom" and not method.custom):
        # Older APIs put the verb behind a slash: .../backendServices/{name}/getIamPolicy, .../b/{bucket}/iam/testPermissions
        while end > skip and not flat[end - 1].startswith("{") and end > 1 and _is_verb(method, flat[end - 1], kind):
            end -= 1
    method.kind, method.item = kind, end
    method.collection = tuple(part for part in flat[skip:end] if not part.startswith("{"))


def _is_verb(method: Method, segment: str, kind: str) -> bool:
    if kind == "test_permissions" and segment in ("iam", "testPermissions", "testIamPermissions"):
        return True
    return segment.lower() in {method.tail.lower(), "iam"} or segment.lower() == method.custom.lower() != ""


@cache
def folder() -> Path:
    """Where the wheel keeps its documents. LookupError when the wheel is missing."""
    spec = importlib.util.find_spec("googleapiclient")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("google-api-python-client is not installed: pip install 'regreen[twin]'")
    return Path(spec.submodule_search_locations[0]) / "discovery_cache" / "documents"


@cache
def versions(name: str) -> tuple[str, ...]:
    """All shipped versions of an API, stable ones first, newest first: `("v2", "v1", "v1beta1")`."""
    found = [path.name[len(name) + 1 : -len(".json")] for path in folder().glob(f"{name}.*.json")]
    return tuple(
        sorted(sorted(found, reverse=True), key=lambda version: ("alpha" in version) * 2 + ("beta" in version))
    )


@cache
def load(name: str, version: str) -> Document:
    """The document of one API version. FileNotFoundError when the wheel does not ship it."""
    path = folder() / f"{name}.{version}.json"
    return Document(json.loads(path.read_bytes()))


_REGION_PREFIX = re.compile(r"^[a-z]+-[a-z]+\d+-|^(us|eu|global)-(?=[a-z])")


def api_of_host(host: str, path: str) -> tuple[str, str]:
    """(API name, region from the host) for a googleapis.com host; ("", "") when no API is known there.

    `us-central1-run.googleapis.com` is the regional face of `run` (https://cloud.google.com/run/docs/reference/rest/v1).
    """
    label = host.split(".", 1)[0].lower()
    if label == "www":
        parts = [part for part in path.split("/") if part]
        if parts and parts[0] in ("upload", "download", "resumable", "batch"):
            parts = parts[1:]
        name = parts[0] if parts else ""
        return (name if name and versions(name) else "", "")
    label = NAME_OF_HOST.get(label, label)
    if versions(label):
        return label, ""
    region = ""
    if match := _REGION_PREFIX.match(label):
        region, label = match[0].rstrip("-"), label[match.end() :]
    elif ".rep.googleapis.com" in host:
        region = host.split(".")[1]
    elif versions(label.partition("-")[2]):
        # Multi-regions: eur5-cloudresourcemanager, asia-aiplatform.
        region, _, label = label.partition("-")
    return (label, region) if versions(label) else ("", "")


def candidates(name: str, path: str) -> list[Document]:
    """The documents that may hold `path`: the version that the path names, else all stable ones."""
    shipped = versions(name)
    named = [part for part in path.split("/") if part in shipped]
    if named and name != "run":
        return [load(name, named[0])]
    # Cloud Run v1 has paths without a version in front (apis/serving.knative.dev/v1/…) and shares names with v2.
    if name == "run" and "apis/" not in path and named:
        return [load(name, named[0])]
    stable = [version for version in shipped if "alpha" not in version and "beta" not in version]
    return [load(name, version) for version in (stable or shipped)]
