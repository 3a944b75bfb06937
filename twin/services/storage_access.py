"""Access control lists of buckets and objects, as entries and as IAM bindings.

https://cloud.google.com/storage/docs/access-control/lists
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.kernel import standard
from twin.kernel.errors import invalid, not_found
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply

if TYPE_CHECKING:
    from twin.kernel.engine import Engine

_BASE = "https://www.googleapis.com/storage/v1/b/"
_BUCKET_ROLES = {
    "OWNER": "roles/storage.legacyBucketOwner",
    "WRITER": "roles/storage.legacyBucketWriter",
    "READER": "roles/storage.legacyBucketReader",
}
_OBJECT_ROLES = {"OWNER": "roles/storage.legacyObjectOwner", "READER": "roles/storage.legacyObjectReader"}
_TEAMS = {"owners": "roles/owner", "editors": "roles/editor", "viewers": "roles/viewer"}
_UNIFORM = "https://cloud.google.com/storage/docs/uniform-bucket-level-access"
# https://cloud.google.com/storage/docs/access-control/lists#predefined-acl, beside what the project's teams hold.
_PREDEFINED: dict[str, list[tuple[str, str]]] = {
    "private": [],
    "projectPrivate": [],
    "authenticatedRead": [("allAuthenticatedUsers", "READER")],
    "publicRead": [("allUsers", "READER")],
    "publicReadWrite": [("allUsers", "WRITER")],
    "bucketOwnerRead": [],
    "bucketOwnerFullControl": [],
}


def uniform(bucket: Body) -> bool:
    return bool(bucket.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {}).get("enabled"))


def _teams(number: str) -> list[tuple[str, str]]:
    return [
        (f"project-owners-{number}", "OWNER"),
        (f"project-editors-{number}", "OWNER"),
        (f"project-viewers-{number}", "READER"),
    ]


def give_bucket_lists(call: Call, body: Body, given: list[Body] | None, given_default: list[Body] | None) -> None:
    """The lists of a new bucket: as asked for, by a predefined name, or the project's teams."""
    number = str(body["projectNumber"])
    chosen = str(call.params.get("predefinedAcl", ""))
    pairs = _given(given) or [*(_teams(number) if chosen != "private" else _teams(number)[:1]), *_predefined(chosen)]
    body["~acl"] = [list(pair) for pair in pairs]
    chosen = str(call.params.get("predefinedDefaultObjectAcl", ""))
    pairs = _given(given_default) or [*_teams(number), *_predefined(chosen)]
    body["~default"] = [list(pair) for pair in pairs]


def object_list(call: Call, bucket: Body, given: list[Body] | None) -> list[list[str]]:
    """The list of a new object, with whoever made it as owner."""
    chosen = str(call.params.get("predefinedAcl") or call.params.get("destinationPredefinedAcl") or "")
    kind, _, email = call.context.principal.partition(":")
    owner = [(f"user-{email}", "OWNER")] if kind in ("user", "serviceAccount") else []
    if given:
        pairs = _given(given)
    elif chosen:
        teams = _teams(str(bucket["projectNumber"])) if chosen.startswith(("project", "bucketOwner")) else []
        pairs = [*teams, *_predefined(chosen)]
    else:
        pairs = [(entity, role) for entity, role in bucket.get("~default", [])]
    return [list(pair) for pair in [*pairs, *(pair for pair in owner if pair not in pairs)]]


def _predefined(name: str) -> list[tuple[str, str]]:
    if name and name not in _PREDEFINED:
        raise invalid(f"Invalid predefined ACL: {name}")
    return _PREDEFINED.get(name, [])


def _given(entries: list[Body] | None) -> list[tuple[str, str]]:
    return [(str(entry.get("entity", "")), str(entry.get("role", ""))) for entry in entries or []]


# As resources


def _entry(call: Call, entity: str, role: str, where: str, kind: str, extra: Body) -> Body:
    body: Body = {"kind": f"storage#{kind}", "entity": entity, "role": role, **extra}
    if where:
        body["id"] = f"{where}/{entity}"
    head, _, rest = entity.partition("-")
    if head == "project":
        team, _, number = rest.partition("-")
        body["projectTeam"] = {"projectNumber": number or call.number, "team": team}
    elif head in ("user", "group"):
        body["email"] = rest
    elif head == "domain":
        body["domain"] = rest
    body["etag"] = standard.fingerprint({"a": entity, "r": role})
    return body


def shown_bucket(call: Call, body: Body) -> Body:
    """The lists and the owner that `projection=full` adds."""
    if uniform(body):
        return {}
    short = body["name"]
    return {
        "acl": [_bucket_entry(call, short, entity, role) for entity, role in body.get("~acl", [])],
        "defaultObjectAcl": [
            _entry(call, entity, role, "", "objectAccessControl", {}) for entity, role in body.get("~default", [])
        ],
        "owner": {"entity": f"project-owners-{body['projectNumber']}"},
    }


def _bucket_entry(call: Call, bucket: str, entity: str, role: str) -> Body:
    extra = {"bucket": bucket, "selfLink": f"{_BASE}{bucket}/acl/{entity}"}
    return _entry(call, entity, role, bucket, "bucketAccessControl", extra)


def shown_object(call: Call, bucket: Body, body: Body) -> Body:
    if uniform(bucket):
        return {}
    found: Body = {"acl": [_object_entry(call, body, entity, role) for entity, role in body.get("~acl", [])]}
    owners = [entity for entity, role in body.get("~acl", []) if role == "OWNER" and entity.startswith("user-")]
    if owners:
        found["owner"] = {"entity": owners[-1]}
    return found


def _object_entry(call: Call, body: Body, entity: str, role: str) -> Body:
    extra = {
        "bucket": body["bucket"],
        "object": body["name"],
        "generation": body["generation"],
        "selfLink": f"{body['selfLink']}/acl/{entity}",
    }
    return _entry(call, entity, role, body["id"], "objectAccessControl", extra)


# The methods of the three collections


def access_method(call: Call) -> Body | Reply:
    """get, list, insert, update, patch and delete of bucket, default and object entries."""
    holder, field, name = _holder(call)
    bucket = call.need("/".join(name.split("/")[:3]))
    if uniform(bucket):
        if call.method.kind in ("get", "list"):
            what = "an object" if "object" in call.params else "a bucket"
            raise invalid(
                f"Cannot get legacy ACL for {what} that has uniform bucket-level access. Read more at {_UNIFORM}"
            )
        what = "an object" if "object" in call.params else "a bucket"
        raise invalid(
            f"Cannot update access control for {what} when uniform bucket-level access is enabled. Read more at {_UNIFORM}"
        )
    pairs = [list(pair) for pair in holder.get(field, [])]

    def show(entity: str, role: str) -> Body:
        if "object" in call.params:
            return _object_entry(call, holder, entity, role)
        if field == "~acl":
            return _bucket_entry(call, bucket["name"], entity, role)
        return _entry(call, entity, role, "", "objectAccessControl", {})

    kind = call.method.kind
    if kind == "list":
        word = "bucketAccessControls" if field == "~acl" and "object" not in call.params else "objectAccessControls"
        return {"kind": f"storage#{word}", "items": [show(entity, role) for entity, role in pairs]}
    entity = str(call.params.get("entity") or call.body.get("entity", ""))
    known = next((pair for pair in pairs if pair[0] == entity), None)
    if kind == "get":
        if known is None:
            raise not_found("The specified key does not exist.")
        return show(*known)
    if kind == "delete":
        if known is None:
            raise not_found("The specified key does not exist.")
        _write(call, name, holder, field, [pair for pair in pairs if pair != known])
        return Reply(204)
    role = str(call.body.get("role", known[1] if known else ""))
    roles = _BUCKET_ROLES if field == "~acl" and "object" not in call.params else _OBJECT_ROLES
    if not entity or role not in roles:
        raise invalid("Required" if not entity or not role else f"Invalid argument: role {role}", "required")
    if kind != "create" and known is None:
        raise not_found("The specified key does not exist.")
    pairs = [pair for pair in pairs if pair[0] != entity] if known is None else pairs
    if known is None:
        pairs.append([entity, role])
    else:
        known[1] = role
    _write(call, name, holder, field, pairs)
    return show(entity, role)


def _holder(call: Call) -> tuple[Body, str, str]:
    from twin.services.storage_objects import object_name

    bucket = str(call.params["bucket"])
    if "object" in call.params:
        name = object_name(bucket, str(call.params["object"]))
        call.need(f"storage/b/{bucket}")
        if call.get(name) is None:
            raise not_found(f"No such object: {bucket}/{call.params['object']}")
        return call.need(name), "~acl", name
    name = f"storage/b/{bucket}"
    return call.need(name), "~default" if "defaultObject" in call.method.id else "~acl", name


def _write(call: Call, name: str, holder: Body, field: str, pairs: list[list[str]]) -> None:
    changed = {**holder, field: pairs}
    changed["metageneration"] = str(int(holder["metageneration"]) + 1)
    changed["updated"] = call.stamp
    changed["etag"] = standard.fingerprint(changed)
    call.put(name, changed)


def bindings(engine: Engine, name: str, body: Body) -> list[Body]:
    """A bucket's or an object's list as IAM bindings; none where access is uniform."""
    parts = name.split("/")
    bucket = engine.store.get("/".join(parts[:3]))
    if bucket is None or uniform(bucket):
        return []
    roles = _BUCKET_ROLES if len(parts) == 3 else _OBJECT_ROLES
    found = []
    for entity, role in body.get("~acl", ()):
        members = _members(engine, entity, str(bucket.get("~project", "")))
        if members and role in roles:
            found.append({"role": roles[role], "members": members})
    return found


def _members(engine: Engine, entity: str, project: str) -> list[str]:
    if entity in ("allUsers", "allAuthenticatedUsers"):
        return [entity]
    head, _, rest = entity.partition("-")
    if head == "user":
        return [f"user:{rest}", f"serviceAccount:{rest}"]
    if head in ("group", "domain"):
        return [f"{head}:{rest}"]
    if head == "project":
        role = _TEAMS.get(rest.partition("-")[0], "")
        policy = engine.policies.read(f"cloudresourcemanager/projects/{project}")
        return [member for item in policy.get("bindings", []) if item["role"] == role for member in item["members"]]
    return []
