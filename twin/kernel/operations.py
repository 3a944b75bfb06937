"""The three styles of long work: compute's Operation, google.longrunning, and Cloud SQL's.

An operation is stored with its final content and the moment from which it is done; how it looks is decided when it is read.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from twin.kernel.documents import Document
from twin.kernel.metadata import fill, find, package_of, type_of
from twin.kernel.names import collection_of, last, numeric_id, project_of, relative, singular
from twin.kernel.semantics import Call
from twin.kernel.types import Body, after, rfc3339

COMPUTE_BASE = "https://www.googleapis.com/compute/v1/"


def style_of(call: Call) -> str:
    """`compute`, `lro`, `sql`, `container` or '' (the method answers with the resource itself)."""
    method = call.method
    known: str | None = method.cached.get("style")
    if known is None:
        known = ""
        schema = method.document.schemas.get(method.response, {})
        properties = schema.get("properties", {})
        if "operationType" in properties:
            known = {"sqladmin": "sql", "container": "container"}.get(method.document.name, "compute")
        elif "done" in properties and "metadata" in properties:
            known = "lro"
        method.cached["style"] = known
    return known


def _done_at(call: Call) -> str:
    return rfc3339(after(call.now, call.engine.settings.operation_seconds))


def compute_operation(call: Call, verb: str, target: str, target_id: str) -> Body:
    """https://cloud.google.com/compute/docs/api/how-tos/api-requests-responses#handling_api_responses"""
    path = relative(target).split("/")
    if "zones" in path or "regions" in path:
        word = "zones" if "zones" in path else "regions"
        place = path[path.index(word) + 1]
        scope, link = f"{word}/{place}", {word.removesuffix("s"): f"{COMPUTE_BASE}projects/{path[1]}/{word}/{place}"}
    else:
        scope, link = "global", {}
    # Resources of an organization live beside projects, and so do their operations.
    home = "locations" if path[0] == "locations" else f"projects/{project_of(target) or call.engine.default_project}"
    token = f"operation-{int(call.now.timestamp() * 1000)}-{uuid.uuid4().hex[:13]}-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:8]}"
    name = f"compute/{home}/{scope}/operations/{token}"
    stamp = rfc3339(call.now, 3).replace("Z", "-00:00")
    body: Body = {
        "kind": "compute#operation",
        "id": numeric_id(),
        "name": token,
        "operationType": _spoken_verb(verb, path[-2]),
        "targetLink": COMPUTE_BASE + relative(target),
        "targetId": target_id,
        "status": "DONE",
        "user": call.context.principal.partition(":")[2],
        "progress": 100,
        "insertTime": stamp,
        "startTime": stamp,
        "endTime": stamp,
        "selfLink": COMPUTE_BASE + relative(name),
        **link,
        "~pending": {"status": "RUNNING", "progress": 0, "endTime": None},
        "~done_at": _done_at(call),
    }
    call.put(name, body)
    return pending(body)


#: Collections whose operations are called by the whole method (k8s-config-connector recordings); elsewhere the verb does.
_LONG_NAMES = {
    "externalVpnGateways": ("insert", "delete"),
    "firewalls": ("patch",),
    "instanceTemplates": ("insert",),
    "networkAttachments": ("insert", "patch", "delete"),
    "networks": ("patch",),
    "nodeTemplates": ("insert", "delete"),
    "sslPolicies": ("patch",),
    "targetGrpcProxies": ("insert", "delete"),
    "targetHttpsProxies": ("setQuicOverride",),
}


def _spoken_verb(verb: str, collection: str) -> str:
    return f"compute.{collection}.{verb}" if verb in _LONG_NAMES.get(collection, ()) else verb


def failed_compute_operation(call: Call, verb: str, target_id: str, code: str, message: str) -> Body:
    """An operation that was accepted and fails; `code` is compute's word, such as RESOURCE_IN_USE_BY_ANOTHER_RESOURCE."""
    running = compute_operation(call, verb, call.name, target_id)
    name = f"compute/{running['selfLink'].removeprefix(COMPUTE_BASE)}"
    failure: Body = {
        "error": {"errors": [{"code": code, "message": message}]},
        "httpErrorStatusCode": 400,
        "httpErrorMessage": "BAD REQUEST",
    }
    body = call.copy(name)
    body["~pending"].update(dict.fromkeys(failure))
    call.put(name, {**body, **failure})
    return running


def lro(
    call: Call,
    verb: str,
    target: str,
    response: Body | None,
    response_type: str,
    metadata: Body | None = None,
    *,
    quiet: bool = False,
    done: bool = False,
) -> Body:
    """https://google.aip.dev/151. `response` None means that the result is empty, `metadata` {} that there is none;
    `quiet`: it shows no metadata while it runs; `done`: the answer itself says that it is done."""
    engine = call.engine
    document = call.method.document
    semantics = engine.semantics(call.api)
    known = semantics.packages
    package = known.get(f"{document.version}/{last(collection_of(target))}") or known.get(document.version, "")
    package = package_of(call.api, document.version, package)
    token = f"operation-{int(call.now.timestamp() * 1000)}-{uuid.uuid4().hex[:13]}-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:8]}"
    parent = _home(document, relative(target))
    path = f"{parent}/operations/{token}" if parent else f"operations/{token}"
    if metadata is None:
        metadata = _metadata(call, verb, target, response, package)
    result: Body
    if response is None:
        result = {"@type": "type.googleapis.com/google.protobuf.Empty"}
        if not response_type:
            result["value"] = {}
    else:
        result = {
            "@type": f"type.googleapis.com/{response_type if '.' in response_type else type_of(package, response_type)}",
            **response,
        }
    running: Body = {"done": None, "response": None}
    if "requestedCancellation" in metadata:
        running["done"] = False
    if quiet:
        running["metadata"] = None
    body: Body = {
        "name": path,
        "metadata": metadata or None,
        "done": True,
        "response": result,
        "~pending": running,
        "~done_at": rfc3339(call.now) if done else _done_at(call),
    }
    call.put(f"{call.api}/{path}", body)
    return _clean(body, done=True) if done else pending(body)


def _metadata(call: Call, verb: str, target: str, response: Body | None, package: str) -> Body:
    document = call.method.document
    single = singular(target.rsplit("/", 2)[-2])
    schema = find(document, verb, single)
    if not schema:
        return {
            "@type": f"type.googleapis.com/{package}.OperationMetadata",
            "createTime": call.stamp,
            "target": relative(target),
            "verb": verb,
            "apiVersion": document.version,
            "~endTime": call.stamp,
        }
    facts = {
        "stamp": call.stamp, "target": target, "verb": verb, "single": single, "resource": response, "request": None
    }  # fmt: skip
    return {"@type": f"type.googleapis.com/{type_of(package, schema)}", **fill(document, schema, facts)}


def _home(document: Document, path: str) -> str:
    """The nearest ancestor (or the resource itself) that keeps operations in this API; '' when they have no parent."""
    homes: set[tuple[str, ...]] = document.shapes.setdefault(
        "~homes",
        {
            method.collection[:-1]
            for method in document.methods.values()
            if method.kind == "get" and method.collection[-1:] == ("operations",)
        },
    )
    parts = path.split("/")
    for length in range(len(parts), 1, -1):
        if length % 2 == 0 and tuple(parts[0:length:2]) in homes:
            return "/".join(parts[:length])
    return ""


def container_operation(call: Call, verb: str, target: str) -> Body:
    """GKE's own form. https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.operations"""
    path = relative(target).split("/")
    single = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", singular(path[-2])).upper()
    token = f"operation-{int(call.now.timestamp() * 1000)}-{uuid.uuid4()}"
    place = path[3] if len(path) > 3 else "-"
    word = "zones" if place.count("-") > 1 else "locations"
    base = f"{call.method.document.base}/{call.method.document.version}/projects/{call.number}/{word}/{place}"
    body: Body = {
        "name": token,
        "zone": place,
        "operationType": f"{verb.upper()}_{single}",
        "status": "DONE",
        "selfLink": f"{base}/operations/{token}",
        "targetLink": f"{base}/{'/'.join(path[4:])}",
        "startTime": rfc3339(call.now, 9),
        "endTime": rfc3339(call.now, 9),
        "~pending": {"status": "RUNNING", "endTime": None},
        "~done_at": _done_at(call),
    }
    for scope in ("locations", "zones"):
        call.put(f"container/projects/{path[1]}/{scope}/{place}/operations/{token}", body)
    return pending(body)


def sql_operation(call: Call, verb: str, target: str, done: bool = False, whole_link: bool = False) -> Body:
    """`done`: the answer itself says so (changes of users and databases take no time); `whole_link`: the link goes to
    `target` itself, not to its instance. https://cloud.google.com/sql/docs/mysql/admin-api/rest/v1/operations"""
    project, instance = project_of(target), relative(target).split("/")[3]
    token = str(uuid.uuid4())
    base = f"https://sqladmin.googleapis.com/{call.method.document.service_path}"
    base += "sql/v1beta4/" if call.method.document.version == "v1beta4" else "v1/"
    stamp = rfc3339(call.now, 3)
    body: Body = {
        "kind": "sql#operation",
        "name": token,
        "operationType": verb,
        "status": "DONE",
        "user": call.context.principal.partition(":")[2],
        "insertTime": stamp,
        "startTime": stamp,
        "endTime": stamp,
        "targetId": instance,
        "targetLink": base + relative(target) if whole_link else f"{base}projects/{project}/instances/{instance}",
        "targetProject": project,
        "selfLink": f"{base}projects/{project}/operations/{token}",
        "~pending": {"status": "PENDING", "endTime": None, "startTime": None},
        "~done_at": _done_at(call),
    }
    call.put(f"sqladmin/projects/{project}/operations/{token}", body)
    return _clean(body, done=True) if done else pending(body)


def pending(body: Body) -> Body:
    """How an operation looks while it runs."""
    return _clean({**body, **body.get("~pending", {})}, done=False)


def seen(body: Body, stamp: str) -> Body:
    """How an operation looks at `stamp`."""
    if stamp < body.get("~done_at", ""):
        return pending(body)
    return _clean(body, done=True)


def _clean(body: Body, done: bool) -> Body:
    result: Body = {key: value for key, value in body.items() if not key.startswith("~") and value is not None}
    metadata: Any = result.get("metadata")
    if isinstance(metadata, dict) and "~endTime" in metadata:
        metadata = dict(metadata)
        end = metadata.pop("~endTime")
        if done:
            metadata["endTime"] = end
        result["metadata"] = metadata
    return result
