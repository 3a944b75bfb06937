"""Tags (keys, values, what they are bound to) and folders. https://cloud.google.com/resource-manager/docs/tags/tags-creating-and-managing"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, unquote

from twin.kernel import operations, standard
from twin.kernel.errors import ApiError, failed_precondition, invalid
from twin.kernel.filters import compile_filter
from twin.kernel.names import last, relative
from twin.kernel.semantics import Call, CreateFunction, MethodFunction, Rule
from twin.kernel.types import Body, Reply

_API = "cloudresourcemanager"


def _denied(what: str) -> ApiError:
    return ApiError("PERMISSION_DENIED", f"Permission denied on resource '{what}' (or it may not exist).")


def create_key(call: Call, body: Body) -> None:
    parent = str(body.get("parent", ""))
    kind, _, owner = parent.partition("/")
    if kind not in ("projects", "organizations") or not body.get("shortName"):
        raise invalid("A tag key needs a parent (organizations/… or projects/…) and a shortName.")
    if kind == "projects":
        owner = call.engine.id_of(owner)
        if not call.engine.project_exists(owner):
            raise _denied(parent)
        body["parent"] = f"projects/{call.engine.number_of(owner)}"
    body["namespacedName"] = f"{owner}/{body['shortName']}"
    _refuse_twin(call, "tagKeys", body)
    body["name"] = relative(call.name)


def create_value(call: Call, body: Body) -> None:
    key = call.get(f"{_API}/{body.get('parent', '')}")
    if key is None or not body.get("shortName"):
        raise _denied(str(body.get("parent", "")))
    body["namespacedName"] = f"{key['namespacedName']}/{body['shortName']}"
    _refuse_twin(call, "tagValues", body)
    body["name"] = relative(call.name)


def _refuse_twin(call: Call, collection: str, body: Body) -> None:
    if any(other["namespacedName"] == body["namespacedName"] for _, other in call.children(f"{_API}/{collection}")):
        word = "TagKey" if collection == "tagKeys" else "TagValue"
        raise ApiError(
            "ALREADY_EXISTS", f"A {word} with shortName {body['shortName']} already exists under the parent."
        )


def create_folder(call: Call, body: Body) -> None:
    if not body.get("parent") or not body.get("displayName"):
        raise invalid("A folder needs a parent and a displayName.")
    body["name"] = relative(call.name)
    body["state"] = "ACTIVE"


def delete_key(call: Call, body: Body) -> None:
    if any(value.get("parent") == relative(call.name) for _, value in call.children(f"{_API}/tagValues")):
        raise failed_precondition(f"Cannot delete tag key still attached to tag values: {relative(call.name)}")


def delete_value(call: Call, body: Body) -> None:
    if any(binding["tagValue"] == relative(call.name) for _, binding in _bindings(call)):
        raise failed_precondition(f"Cannot delete tag value still attached to resources: {relative(call.name)}")


def delete_tag(call: Call) -> Body | Reply:
    """The result of a deletion is what was deleted (recorded), not an empty message."""
    body = call.need()
    single = "TagKey" if "/tagKeys/" in call.name else "TagValue"
    standard.check_marks(call, body)
    (delete_key if single == "TagKey" else delete_value)(call, body)
    call.delete(call.name)
    return operations.lro(call, "delete", call.name, standard.visible(call, call.name, body), single)


def by_name(call: Call) -> Body:
    """tagKeys.getNamespaced and tagValues.getNamespaced."""
    collection, wanted = call.method.id.split(".")[-2], str(call.params.get("name", ""))
    for name, body in call.children(f"{_API}/{collection}"):
        if body["namespacedName"] == wanted:
            return standard.visible(call, name, body)
    raise _denied(wanted)


def list_tags(call: Call) -> Body:
    """Keys of a project or an organization, values of a key: the parent is a parameter."""
    parent = str(call.params.get("parent", ""))
    if parent.startswith("projects/") and not parent.rpartition("/")[2].isdigit():
        parent = f"projects/{call.engine.number_of(last(parent))}"
    collection = call.method.id.split(".")[-2]
    found = [
        standard.visible(call, name, body)
        for name, body in call.children(f"{_API}/{collection}")
        if body.get("parent") == parent
    ]
    return {collection: found} if found else {}


def search_folders(call: Call) -> Body:
    """`query` is a conjunction such as `state=ACTIVE AND parent=folders/1 AND displayName="x"`."""
    query = str(call.params.get("query", ""))
    keep = compile_filter(query) if query else None
    folders = [standard.visible(call, name, body) for name, body in call.children(f"{_API}/folders")]
    found = [body for body in folders if keep is None or keep(body)]
    return {"folders": found} if found else {}


def _folder(call: Call, verb: str, **changes: str) -> Body | Reply:
    new = {**call.need(), "updateTime": call.stamp, **changes}
    call.put(call.name, new)
    return operations.lro(call, verb, call.name, standard.visible(call, call.name, new), "Folder")


def delete_folder(call: Call) -> Body | Reply:
    if any(body.get("parent") == relative(call.name) for _, body in call.children(f"{_API}/folders")):
        raise failed_precondition("The folder is not empty.")
    new = {**call.need(), "updateTime": call.stamp, "state": "DELETE_REQUESTED", "deleteTime": call.stamp}
    call.put(call.name, new)
    shown = standard.visible(call, call.name, new)
    return {"done": True, "response": {"@type": "type.googleapis.com/google.cloud.resourcemanager.v3.Folder", **shown}}


def move_folder(call: Call) -> Body | Reply:
    return _folder(call, "move", parent=str(call.body.get("destinationParent", "")))


# Bindings


def _bindings(call: Call) -> Iterator[tuple[str, Body]]:
    for name in call.engine.store.below(f"{_API}/tagBindings"):
        body = call.get(name)
        if body is not None:
            yield name, body


def _value(call: Call) -> Body:
    short, value = call.body.get("tagValueNamespacedName"), call.body.get("tagValue", "")
    for name, body in call.children(f"{_API}/tagValues"):
        if body["namespacedName"] == short or relative(name) == value:
            return body
    raise _denied(str(short or value))


_PROJECT = "//cloudresourcemanager.googleapis.com/projects/"


def _numbered(call: Call, parent: str) -> str:
    """A project in a full resource name is its number."""
    if parent.startswith(_PROJECT) and not parent.removeprefix(_PROJECT).isdigit():
        return _PROJECT + call.engine.number_of(parent.removeprefix(_PROJECT))
    return parent


def bind(call: Call) -> Body:
    value, parent = _value(call), _numbered(call, str(call.body.get("parent", "")))
    if not parent.startswith("//"):
        raise invalid(
            "The parent of a tag binding is a full resource name, such as //cloudresourcemanager.googleapis.com/projects/123."
        )
    key = value["parent"]
    if any(body["parent"] == parent and body["~key"] == key for _, body in _bindings(call)):
        raise ApiError("ALREADY_EXISTS", f"A binding between {parent} and a value of {key} already exists.")
    name = f"tagBindings/{quote(parent, safe='')}/{value['name']}"
    shown: Body = {
        "name": name,
        "parent": parent,
        "tagValue": value["name"],
        "tagValueNamespacedName": value["namespacedName"],
    }
    call.put(f"{_API}/{name}", {**shown, "~key": key})
    return {
        "done": True,
        "response": {"@type": "type.googleapis.com/google.cloud.resourcemanager.v3.TagBinding", **shown},
    }


def unbind(call: Call) -> Body:
    # The parent inside of the name arrives encoded once or twice.
    path = unquote(unquote(relative(call.name))).removeprefix("tagBindings/")
    parent, _, value = path.rpartition("/tagValues/")
    name = f"{_API}/tagBindings/{quote(_numbered(call, parent), safe='')}/tagValues/{value}"
    if call.get(name) is None:
        raise _denied(f"tagBindings/{path}")
    call.delete(name)
    return {"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}}


def list_bindings(call: Call) -> Body:
    parent = _numbered(call, str(call.params.get("parent", "")))
    found = [standard.visible(call, name, body) for name, body in _bindings(call) if body["parent"] == parent]
    return {"tagBindings": found} if found else {}


METHODS: dict[str, MethodFunction] = {
    "tagKeys.delete": delete_tag,
    "tagValues.delete": delete_tag,
    "tagKeys.getNamespaced": by_name,
    "tagValues.getNamespaced": by_name,
    "tagKeys.list": list_tags,
    "tagValues.list": list_tags,
    "tagBindings.create": bind,
    "tagBindings.delete": unbind,
    "tagBindings.list": list_bindings,
    "folders.search": search_folders,
    "folders.delete": delete_folder,
    "folders.move": move_folder,
}
CREATING: dict[str, CreateFunction] = {"tagKeys": create_key, "tagValues": create_value, "folders": create_folder}
RULES = (
    Rule(
        "tags.values-first",
        "a tag key with values, or a tag value that is bound, is not deleted",
        "https://cloud.google.com/resource-manager/docs/tags/tags-creating-and-managing#deleting",
    ),
    Rule(
        "tags.deleted-in-the-result",
        "the operation of a deletion holds what was deleted",
        "k8s-config-connector recordings, tagkey _http.log",
    ),
    Rule(
        "tags.bindings-at-once",
        "binding and unbinding answer with an operation that is done and has no name",
        "k8s-config-connector recordings, tagbinding _http.log",
    ),
)
