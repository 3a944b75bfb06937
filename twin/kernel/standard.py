"""The standard verbs (https://google.aip.dev/130), served for any collection from its schema alone."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

from twin.kernel import operations, paging
from twin.kernel.documents import Method
from twin.kernel.errors import ApiError, invalid
from twin.kernel.filters import compile_filter
from twin.kernel.masks import merge_patch, overlay
from twin.kernel.names import (
    collection_of,
    last,
    letters,
    numeric_id,
    project_of,
    relative,
    segment_after,
    singular,
    title,
)
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply, rfc3339


def fingerprint(body: Body) -> str:
    """A digest of the visible content, as etags and fingerprints are: opaque, equal for equal content."""
    visible = {
        key: value for key, value in body.items() if not key.startswith("~") and key not in ("etag", "fingerprint")
    }
    raw = hashlib.sha256(json.dumps(visible, sort_keys=True).encode()).digest()[:8]
    return base64.b64encode(raw).decode()


def visible(call: Call, name: str, body: Body) -> Body:
    """A body as this caller sees it in this version of the API."""
    if "~done_at" in body:
        return operations.seen(body, call.stamp)
    view = call.engine.semantics(call.api).viewing.get(_key(name))
    if view is not None:
        body = view(call, name, body)
    return {key: value for key, value in body.items() if key[0] != "~"}


def _key(name: str) -> str:
    return name.rsplit("/", 2)[-2]


def resource_shape(method: Method) -> Body:
    """The schema of the resource that a method makes or returns."""
    found: Body = method.document.schemas.get(method.resource, {})
    return found


# Reading


def get(call: Call) -> Body:
    body = call.need()
    if _key(call.name) != "operations":
        require_parents(call, home_of(call))
    return visible(call, call.name, body)


def home_of(call: Call) -> str:
    """The collection that the addressed resource is in; its id may have slashes (a metric's type, a deny policy)."""
    method, parts = call.method, call.name.split("/")
    depth = method.item - method.skip
    return (
        "/".join(parts[:depth])
        if len(parts) > depth + 1 and method.item == len(method.flat)
        else collection_of(call.name)
    )


def list_(call: Call) -> Body:
    items_field, kind = _list_fields(call.method)
    require_parents(call, call.name)
    entries, token = _entries(call)
    reply: Body = {"kind": kind} if kind else {}
    if call.api == "compute":
        reply["id"] = relative(call.name)
        reply["selfLink"] = operations.COMPUTE_BASE + relative(call.name)
    found = [visible(call, name, body) for name, body in entries]
    if found or kind == "":
        reply[items_field] = found
    if not found:
        reply.pop(items_field, None)
    if token:
        reply["nextPageToken"] = token
    if call.api == "cloudkms" and found:
        reply["totalSize"] = sum(1 for _ in call.children(call.name))
    return reply


def _list_fields(method: Method) -> tuple[str, str]:
    known: tuple[str, str] | None = method.cached.get("list")
    if known is None:
        properties: Body = method.document.schemas.get(method.response, {}).get("properties", {})
        kind = str(properties.get("kind", {}).get("default", ""))
        repeated = [
            name
            for name, spec in properties.items()
            if spec.get("type") == "array"
            and spec.get("items", {}).get("type", "object") == "object"
            and name not in ("warnings", "unreachables")
        ]
        wanted = method.collection[-1] if method.collection else "items"
        field = "items" if "items" in properties else wanted if wanted in repeated else (repeated or ["items"])[0]
        known = method.cached["list"] = (field, kind)
    return known


def _entries(call: Call) -> tuple[list[tuple[str, Body]], str]:
    parameters = call.params
    text = str(parameters.get("filter", ""))
    keep = compile_filter(text) if text else None
    order = str(parameters.get("orderBy", ""))
    digest = hashlib.sha256(f"{call.name}|{text}|{order}".encode()).hexdigest()[:12]
    size = paging.size_of(parameters)
    after = paging.position_of(parameters, digest)
    shown = (lambda body: keep({key: value for key, value in body.items() if key[0] != "~"})) if keep else None
    if order and order not in ("name", "name asc"):
        everything = [entry for entry in _scan(call, call.name, "") if shown is None or shown(entry[1])]
        everything = paging.ordered(everything, order)
        start = next((place + 1 for place, (name, _) in enumerate(everything) if name == after), 0)
        chosen = everything[start : start + size]
        more = start + size < len(everything)
        return chosen, paging.token_for(chosen[-1][0], digest) if more else ""
    return paging.page(_scan(call, call.name, after), size, shown, digest)


def _scan(call: Call, collection: str, after: str) -> Iterator[tuple[str, Body]]:
    if "/-/" not in collection:
        yield from call.engine.store.children(collection, after)
        return
    # `-` stands for every parent: https://google.aip.dev/159
    pattern = re.compile(
        "^" + "/".join("[^/]+" if part == "-" else re.escape(part) for part in collection.split("/")) + "$"
    )
    for candidate in call.engine.store.collections(collection.split("/-/")[0], last(collection)):
        if pattern.match(candidate) and candidate + "\uffff" > after:
            yield from call.engine.store.children(candidate, after if after.startswith(candidate) else "")


def require_parents(call: Call, collection: str) -> None:
    """Every ancestor that the API can create must exist, and the project too."""
    engine = call.engine
    project = project_of(collection)
    if project and project != "-" and not engine.project_exists(project) and call.api != "cloudresourcemanager":
        raise engine.missing_project(call, project)
    creatable = engine.creatable(call.method.document)
    parts = collection.split("/")
    literals: list[str] = []
    for position in range(1, len(parts) - 1, 2):
        # Ancestors alternate word/id only in resource-name APIs; compute's `global` breaks the rhythm and has no parents.
        if parts[position] == "global" and call.api == "compute":
            break
        literals.append(parts[position])
        if position + 1 >= len(parts) - 0 or parts[position + 1] == "-":
            continue
        if tuple(literals) in creatable and literals[-1] != "projects":
            ancestor = "/".join(parts[: position + 2])
            if len(parts) > position + 2 and ancestor not in engine.store:
                raise engine.missing(ancestor)


# Writing


def create(call: Call) -> Body | Reply:
    engine, semantics = call.engine, call.engine.semantics(call.api)
    collection = call.name
    require_parents(call, collection)
    identifier = new_id(call)
    name = f"{collection}/{identifier}"
    if name in engine.store:
        raise semantics.existing(name)
    body = copy.deepcopy(call.body)
    call.name = name
    fill(call, body, identifier)
    hook = semantics.creating.get(last(collection))
    if hook is not None:
        hook(call, body)
    drop_empty_lists(body)
    refresh_marks(call, body)
    call.put(call.name, body)
    call.announce("created", call.name)
    return finish(call, "insert" if call.api == "compute" else "create", body)


def put_named(call: Call) -> Body | Reply:
    """Creation by PUT on the name (Pub/Sub): a name that is taken is refused."""
    name = call.name
    call.name = collection_of(name)
    call.params[f"{singular(last(call.name))}Id"] = last(name)
    return create(call)


def new_id(call: Call) -> str:
    """The id of the resource to make: from the query, from the body, or made up, as the API has it."""
    semantics = call.engine.semantics(call.api)
    word = last(call.name)
    rule = semantics.ids.get(word, "")
    if rule == "generate:uuid":
        return str(uuid.uuid4())
    if rule == "generate:number":
        return numeric_id(20)
    if rule:
        value: Any = call.body
        for part in rule.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not value:
            raise invalid(f"Required parameter is missing: {rule}", "required")
        return str(value)
    single = singular(word)
    names = [name for name, spec in call.method.parameters.items() if spec.location == "query" and name.endswith("Id")]
    names = [name for name in names if name not in ("requestId", "deploymentId", "clientOperationId")]
    wanted = f"{single}Id" if f"{single}Id" in names else names[0] if len(names) == 1 else ""
    wanted = wanted or next((name for name in (f"{single}Id",) if name in call.params), "")
    if wanted:
        given = str(call.params.get(wanted, ""))
        if given:
            return given
        return f"{single.lower()}-{letters(8)}" if call.api not in STRICT_IDS else _no_id(wanted)
    reference = f"{single}Reference"
    if isinstance(call.body.get(reference), dict) and call.body[reference].get(f"{single}Id"):
        return str(call.body[reference][f"{single}Id"])
    for field in ("name", "id", f"{single}Name"):
        if isinstance(call.body.get(field), str) and call.body[field]:
            return last(call.body[field])
    if semantics.short_names:
        raise invalid(f"Invalid value for field 'resource.name': ''. Name is required.", "required")  # noqa: F541
    return numeric_id(20)


STRICT_IDS = frozenset({"cloudkms", "secretmanager", "redis", "run"})


def _no_id(parameter: str) -> str:
    raise invalid(f"The request was invalid: {parameter} is required.", "required")


def fill(call: Call, body: Body, identifier: str) -> None:
    """What every server adds: names, times, ids, links, the first state."""
    semantics = call.engine.semantics(call.api)
    properties: Body = resource_shape(call.method).get("properties", {})
    stamp = call.stamp
    if "name" in properties:
        body["name"] = identifier if semantics.short_names else relative(call.name)
    for field in ("createTime", "updateTime"):
        if field in properties and properties[field].get("format") == "google-datetime":
            body[field] = stamp
    if call.api == "compute":
        _fill_compute(call, body, properties)
    elif "kind" in properties and properties["kind"].get("default"):
        body["kind"] = properties["kind"]["default"]
    if "uid" in properties:
        body.setdefault("uid", str(uuid.uuid4()))
    state = properties.get("state", {})
    if state.get("enum") and "state" not in body:
        for word in ("READY", "ACTIVE", "ENABLED", "RUNNABLE", "RUNNING", "SUCCEEDED"):
            if word in state["enum"]:
                body["state"] = word
                break


def _fill_compute(call: Call, body: Body, properties: Body) -> None:
    path = relative(call.name)
    if "kind" in properties and properties["kind"].get("default"):
        body["kind"] = properties["kind"]["default"]
    if "id" in properties:
        body["id"] = numeric_id()
    if "creationTimestamp" in properties:
        body["creationTimestamp"] = rfc3339(call.now, 3).replace("Z", "-00:00")
    if "selfLink" in properties:
        body["selfLink"] = operations.COMPUTE_BASE + path
    if "selfLinkWithId" in properties:
        body["selfLinkWithId"] = f"{operations.COMPUTE_BASE}{path.rpartition('/')[0]}/{body['id']}"
    for word in ("region", "zone"):
        place = segment_after(path, word + "s")
        if place and word in properties:
            body[word] = f"{operations.COMPUTE_BASE}projects/{call.project}/{word}s/{place}"


def refresh_marks(call: Call, body: Body) -> None:
    """New etag and fingerprints for new content."""
    properties: Body = resource_shape(call.method).get("properties", {})
    if "fingerprint" in properties:
        body["fingerprint"] = fingerprint(body)
    if "labelFingerprint" in properties:
        body["labelFingerprint"] = fingerprint(body.get("labels", {}))
    if "etag" in properties:
        quoted = f'"{fingerprint(body)}"' if call.api in ("cloudkms", "run", "secretmanager") else fingerprint(body)
        body["etag"] = quoted


def patch(call: Call) -> Body | Reply:
    if call.params.get("allowMissing") and call.get(call.name) is None:
        return put_named(call)
    old = call.need()
    semantics = call.engine.semantics(call.api)
    require_parents(call, home_of(call))
    check_marks(call, old)
    if semantics.merge_patch:
        new = merge_patch(old, call.body)
    elif call.mask:
        new = overlay(old, call.body, call.mask)
        if ("*",) in call.mask:
            keep_outputs(call, old, new)
    else:
        new = {**copy.deepcopy(old), **copy.deepcopy(call.body)}
    return store_update(call, old, new, "patch" if call.api == "compute" else "update")


def update(call: Call) -> Body | Reply:
    old = call.need()
    check_marks(call, old)
    if call.mask:
        new = overlay(old, call.body, call.mask)
    else:
        new = copy.deepcopy(call.body)
        keep_outputs(call, old, new)
    return store_update(call, old, new, "update")


def keep_outputs(call: Call, old: Body, new: Body) -> None:
    """A full replacement still keeps what only the server writes."""
    properties = call.engine.shape(call.method.document, call.method.resource).fields
    for key, value in old.items():
        if key.startswith("~") or (key in properties and properties[key].read_only) or key in _KEPT:
            new.setdefault(key, value) if key in _KEPT else new.__setitem__(key, value)


_KEPT = ("name", "kind", "id", "selfLink", "creationTimestamp", "region", "zone", "createTime", "timeCreated", "etag")


def store_update(call: Call, old: Body, new: Body, verb: str) -> Body | Reply:
    semantics = call.engine.semantics(call.api)
    if "name" in old:
        new["name"] = old["name"]
    if "updateTime" in old:
        new["updateTime"] = call.stamp
    hook = semantics.updating.get(_key(call.name))
    if hook is not None:
        hook(call, old, new)
    drop_empty_lists(new)
    refresh_marks(call, new)
    call.put(call.name, new)
    call.announce("updated", call.name)
    return finish(call, verb, new)


def drop_empty_lists(body: Body) -> None:
    """An empty list is no list: no API prints one (protobuf's JSON has no way to tell the two apart)."""
    for key in [key for key, value in body.items() if value == [] and type(value) is list and key[0] != "~"]:
        del body[key]
    for value in body.values():
        if isinstance(value, dict):
            drop_empty_lists(value)
        elif isinstance(value, list):
            for element in value:
                if isinstance(element, dict):
                    drop_empty_lists(element)


def check_marks(call: Call, old: Body) -> None:
    """Optimistic concurrency: https://google.aip.dev/154, https://cloud.google.com/compute/docs/api/how-tos/optimistic-concurrency"""
    given = call.body.get("fingerprint")
    if given and old.get("fingerprint") and given != old["fingerprint"]:
        raise ApiError("CONDITION_NOT_MET", "Invalid fingerprint.", reason="conditionNotMet")
    header = call.headers.get("if-match", "")
    if header and header != "*" and old.get("etag") and header.strip('"') != str(old["etag"]).strip('"'):
        raise ApiError("CONDITION_NOT_MET", "Precondition check failed.", reason="conditionNotMet")
    given = call.params.get("etag") or (call.body.get("etag") if call.api not in ("bigquery", "storage") else "")
    if given and old.get("etag") and str(given).strip('"') != str(old["etag"]).strip('"'):
        if call.api == "sqladmin":
            raise ApiError("CONDITION_NOT_MET", "Precondition check failed.", reason="staleData")
        raise ApiError(
            "ABORTED", "The provided etag does not match the current etag of the resource.", reason="conflict"
        )


def delete(call: Call) -> Body | Reply:
    old = call.need()
    require_parents(call, home_of(call))
    semantics = call.engine.semantics(call.api)
    check_marks(call, old)
    word = _key(call.name)
    if word in semantics.children_first and call.engine.store.below(call.name):
        raise semantics.children_first[word](call.name)
    hook = semantics.deleting.get(word)
    if hook is not None:
        hook(call, old)
    for child in call.engine.store.below(call.name):
        call.delete(child)
    call.delete(call.name)
    call.engine.policies.forget(call.name)
    call.announce("deleted", call.name)
    return finish(call, "delete", None, old)


def finish(call: Call, verb: str, body: Body | None, old: Body | None = None) -> Body | Reply:
    """The answer in the method's own style: the resource, an operation, or nothing."""
    style = operations.style_of(call)
    source = body or old or {}
    if style == "compute":
        return operations.compute_operation(call, verb, call.name, str(source.get("id", "0")))
    if style == "container":
        return operations.container_operation(call, verb, call.name)
    if style == "sql":
        return operations.sql_operation(call, verb.upper(), call.name)
    if style == "lro":
        seen = visible(call, call.name, body) if body is not None else None
        kind = (call.method.resource if body is not None else "") or title(singular(_key(call.name)))
        return operations.lro(call, verb, call.name, seen, kind)
    if body is None:
        return Reply(204) if not call.method.response else {}
    if not call.method.response:
        return Reply(204)
    return visible(call, call.name, body)


VERBS = {
    "get": get,
    "list": list_,
    "create": create,
    "put": put_named,
    "patch": patch,
    "update": update,
    "delete": delete,
}
