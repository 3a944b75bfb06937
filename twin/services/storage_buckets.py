"""Buckets: their defaults, what may be changed, who may see them; and the listing of what they hold.

https://cloud.google.com/storage/docs/json_api/v1/buckets
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from fnmatch import fnmatchcase
from urllib.parse import unquote

from twin.kernel import paging, policy_verbs, standard
from twin.kernel.engine import Engine
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply, rfc3339
from twin.services import storage_access as access
from twin.services import storage_lifecycle as lifecycle
from twin.services import storage_objects as objects
from twin.services import storage_versions as versions
from twin.services.storage_blobs import Blobs

_BASE = "https://www.googleapis.com/storage/v1/b/"
_MULTI = {"US", "EU", "ASIA"}
_DUAL = {"NAM4", "EUR4", "EUR5", "EUR7", "EUR8", "ASIA1"}


def missing(name: str) -> ApiError:
    parts = name.split("/")
    if len(parts) > 4 and parts[3] == "o":
        return not_found(f"No such object: {parts[2]}/{unquote(parts[4])}")
    if len(parts) == 3:
        return not_found("The specified bucket does not exist.")
    return not_found("The specified key does not exist.")


def existing(name: str) -> ApiError:
    return ApiError(
        "ALREADY_EXISTS",
        "Your previous request to create the named bucket succeeded and you already own it.",
        reason="conflict",
    )


def _kind_of(location: str, body: Body) -> str:
    """https://cloud.google.com/storage/docs/locations: two regions chosen inside of a multi-region are a dual-region."""
    if location in _DUAL or body.get("customPlacementConfig", {}).get("dataLocations"):
        return "dual-region"
    return "multi-region" if location in _MULTI else "region"


def create_bucket(call: Call) -> Body:
    short = call.body.get("name", "")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", short) or "goog" in short[:4]:
        raise invalid(f"Invalid bucket name: '{short}'")
    name = f"storage/b/{short}"
    if call.get(name) is not None:
        raise existing(name)
    project = call.engine.id_of(str(call.params.get("project", "")))
    if not call.engine.project_exists(project):
        raise ApiError("INVALID_ARGUMENT", f"Unknown project id: {project}", reason="invalid")
    body = dict(call.body)
    acl, default_acl = body.pop("acl", None), body.pop("defaultObjectAcl", None)
    location = body.get("location", "US").upper()
    body.update(
        kind="storage#bucket",
        id=short,
        selfLink=_BASE + short,
        projectNumber=call.engine.number_of(project),
        metageneration="1",
        generation=str(int(call.now.timestamp() * 1e6)),
        location=location,
        locationType=_kind_of(location, body),
        timeCreated=call.stamp,
        updated=call.stamp,
    )
    body["~project"] = project
    body.setdefault("storageClass", "STANDARD")
    body.setdefault("rpo", "DEFAULT")
    if body["locationType"] == "region":
        body.pop("rpo")
        # Zone isolation holds for a bucket of one region (recorded: storagefolder, storagemanagedfolder).
        body["satisfiesPZI"] = True
    body.setdefault("softDeletePolicy", {"retentionDurationSeconds": "604800"}).setdefault("effectiveTime", call.stamp)
    _default_access(call, body)
    _check(call, body)
    _date_policies(call, {}, body)
    access.give_bucket_lists(call, body, acl, default_acl)
    body["etag"] = standard.fingerprint(body)
    call.put(name, body)
    call.announce("created", name)
    return shown(call, body, full=call.params.get("projection") == "full" or acl is not None)


def shown(call: Call, body: Body, full: bool) -> Body:
    """A bucket as answers hold it; `full` adds its access lists and its owner."""
    found = {field: value for field, value in body.items() if field[0] != "~"}
    return {**found, **access.shown_bucket(call, body)} if full else found


def get_bucket(call: Call) -> Body:
    if call.params.get("softDeleted"):
        return shown(call, _shelved(call)[1], full=False)
    body = call.need()
    objects.check_generation(call, body)
    return shown(call, body, full=call.params.get("projection") == "full")


def _shelved(call: Call) -> tuple[str, Body]:
    """A soft-deleted bucket by its generation. ApiError NOT_FOUND when there is none."""
    generation = str(call.params.get("generation", ""))
    name = f"storage/deleted-buckets/{call.params['bucket']}#{generation}"
    body = call.get(name)
    if body is None or body["hardDeleteTime"] <= call.stamp:
        raise not_found("The specified bucket does not exist.")
    return name, body


def restore_bucket(call: Call) -> Body:
    """https://cloud.google.com/storage/docs/use-soft-deleted-buckets"""
    shelved, body = _shelved(call)
    name = f"storage/b/{body['name']}"
    if call.get(name) is not None:
        raise existing(name)
    body = {field: value for field, value in body.items() if field not in ("softDeleteTime", "hardDeleteTime")}
    call.delete(shelved)
    call.put(name, {**body, "updated": call.stamp})
    return shown(call, call.need(name), full=False)


def lock_retention(call: Call) -> Body:
    """One-way: a locked policy is never shortened or removed. https://cloud.google.com/storage/docs/bucket-lock"""
    call.name = f"storage/b/{call.params['bucket']}"
    body = call.copy()
    if "ifMetagenerationMatch" not in call.params:
        raise invalid("Required parameter: ifMetagenerationMatch", "required")
    objects.check_generation(call, body)
    if not body.get("retentionPolicy"):
        raise invalid(f"Bucket '{body['name']}' does not have an unlocked retention policy.")
    body["retentionPolicy"]["isLocked"] = True
    body["metageneration"] = str(int(body["metageneration"]) + 1)
    body["updated"] = call.stamp
    body["etag"] = standard.fingerprint(body)
    call.put(call.name, body)
    return shown(call, body, full=False)


def change_bucket(call: Call) -> Body | Reply:
    """patch and update answer with the access lists, where the bucket has any."""
    function = standard.patch if call.method.kind == "patch" else standard.update
    function(call)
    return shown(call, call.need(), full=call.params.get("projection") != "noAcl")


def _default_access(call: Call, body: Body) -> None:
    configuration = body.setdefault("iamConfiguration", {})
    uniform = configuration.setdefault(
        "uniformBucketLevelAccess", configuration.get("bucketPolicyOnly", {"enabled": False})
    )
    uniform.setdefault("enabled", False)
    if uniform["enabled"]:
        uniform.setdefault("lockedTime", call.stamp)
    else:
        uniform.pop("lockedTime", None)
    configuration["bucketPolicyOnly"] = dict(uniform)
    configuration.setdefault("publicAccessPrevention", "inherited")


def _check(call: Call, body: Body) -> None:
    key = body.get("encryption", {}).get("defaultKmsKeyName")
    if key:
        objects.check_key(call, key, body["location"])
    for rule in body.get("lifecycle", {}).get("rule", []):
        if not rule.get("action", {}).get("type") or "condition" not in rule:
            raise invalid("A lifecycle rule needs an action and a condition.")
    if "lifecycle" in body and not body["lifecycle"].get("rule"):
        del body["lifecycle"]
    for rule in body.get("cors", []):
        if not rule.get("origin"):
            raise invalid("A CORS rule needs at least one origin.")
    if body.get("softDeletePolicy"):
        seconds = int(body["softDeletePolicy"].get("retentionDurationSeconds", 0))
        if seconds and not 604_800 <= seconds <= 7_776_000:
            raise invalid("Soft delete retention duration must be 0 or between 7 and 90 days.")


def _date_policies(call: Call, old: Body, body: Body) -> None:
    """Policies carry the moment from which they hold; a locked retention policy only grows."""
    policy, before = body.get("retentionPolicy"), old.get("retentionPolicy") or {}
    if before.get("isLocked") and (
        not policy or int(policy.get("retentionPeriod", 0)) < int(before.get("retentionPeriod", 0))
    ):
        raise ApiError(
            "PERMISSION_DENIED",
            f"Cannot reduce retention duration of a locked Retention Policy for bucket '{body['name']}'.",
            reason="forbidden",
        )
    if policy:
        policy.setdefault("effectiveTime", before.get("effectiveTime", call.stamp))
        if before.get("isLocked"):
            policy["isLocked"] = True
        elif not policy.get("isLocked"):
            policy.pop("isLocked", None)
    autoclass = body.get("autoclass")
    if autoclass and autoclass.get("enabled"):
        was = old.get("autoclass") or {}
        same = was.get("enabled") and was.get("terminalStorageClass") == autoclass.get("terminalStorageClass")
        autoclass.setdefault("terminalStorageClass", "NEARLINE")
        autoclass["toggleTime"] = was.get("toggleTime", call.stamp) if was.get("enabled") else call.stamp
        autoclass["terminalStorageClassUpdateTime"] = (
            was.get("terminalStorageClassUpdateTime", call.stamp) if same else call.stamp
        )
        body["storageClass"] = "STANDARD"


def update_bucket(call: Call, old: Body, new: Body) -> None:
    for field in ("location", "locationType", "id", "selfLink", "timeCreated", "projectNumber", "generation", "kind"):
        if field in old:
            new[field] = old[field]
    if call.method.kind == "update":
        for field in ("iamConfiguration", "softDeletePolicy", "storageClass"):
            new.setdefault(field, old.get(field))
    acl, default_acl = new.pop("acl", None), new.pop("defaultObjectAcl", None)
    for field in ("~project", "~acl", "~default"):
        if field in old:
            new[field] = old[field]
    if acl is not None or default_acl is not None:
        lists: Body = dict(new)
        access.give_bucket_lists(call, lists, acl, default_acl)
        new["~acl"] = lists["~acl"] if acl is not None else new["~acl"]
        new["~default"] = lists["~default"] if default_acl is not None else new["~default"]
    soft = new.get("softDeletePolicy")
    if soft and soft.get("retentionDurationSeconds") != old.get("softDeletePolicy", {}).get("retentionDurationSeconds"):
        soft["effectiveTime"] = call.stamp
    _default_access(call, new)
    _check(call, new)
    _date_policies(call, old, new)
    new["metageneration"] = str(int(old["metageneration"]) + 1)
    new["updated"] = call.stamp
    objects.check_generation(call, old)


def delete_bucket(call: Call, body: Body) -> None:
    objects.check_generation(call, body)
    if call.engine.store.has_children(f"{call.name}/o") or versions.has_noncurrent(call, body["name"]):
        raise ApiError("ALREADY_EXISTS", "The bucket you tried to delete is not empty.", reason="conflict")
    if versions.retention(body):
        until = rfc3339(call.now + timedelta(seconds=versions.retention(body)))
        shelf = f"storage/deleted-buckets/{body['name']}#{body['generation']}"
        call.put(shelf, {**body, "softDeleteTime": call.stamp, "hardDeleteTime": until})


def list_buckets(call: Call) -> Body:
    project = call.engine.id_of(str(call.params.get("project", "")))
    prefix = str(call.params.get("prefix", ""))
    collection = "storage/deleted-buckets" if call.params.get("softDeleted") else "storage/b"
    full = call.params.get("projection") == "full"
    entries = [
        (name, body)
        for name, body in call.children(collection)
        if body["~project"] == project
        and body["name"].startswith(prefix)
        and body.get("hardDeleteTime", "~") > call.stamp
    ]
    digest = hashlib.sha256(f"{project}|{prefix}".encode()).hexdigest()[:12]
    start = paging.position_of(call.params, digest)
    chosen, token = paging.page(
        [entry for entry in entries if entry[0] > start], paging.size_of(call.params), None, digest
    )
    reply: Body = {"kind": "storage#buckets"}
    if chosen:
        reply["items"] = [shown(call, body, full) for _, body in chosen]
    if token:
        reply["nextPageToken"] = token
    return reply


def list_objects(call: Call) -> Body:
    """Prefixes and delimiters make folders out of flat names: https://cloud.google.com/storage/docs/samples/storage-list-files-with-prefix"""
    bucket = "/".join(call.name.split("/")[:3])
    lifecycle.apply(call, call.need(bucket))
    parameters = call.params
    prefix, delimiter = str(parameters.get("prefix", "")), str(parameters.get("delimiter", ""))
    glob = str(parameters.get("matchGlob", ""))
    kinds = f"{parameters.get('versions')}|{parameters.get('softDeleted')}"
    digest = hashlib.sha256(f"{bucket}|{prefix}|{delimiter}|{glob}|{kinds}".encode()).hexdigest()[:12]
    after, size = paging.position_of(parameters, digest), paging.size_of(parameters, 1000)
    full = parameters.get("projection") == "full"
    items: list[Body] = []
    prefixes: list[str] = []
    last_mark, token = "", ""
    for body in _candidates(call, bucket):
        key = body["name"]
        if not key.startswith(prefix) or (glob and not fnmatchcase(key, glob.replace("**", "*"))):
            continue
        if parameters.get("startOffset", "") > key or (parameters.get("endOffset") and key >= parameters["endOffset"]):
            continue
        rest = key[len(prefix) :]
        folder = prefix + rest.split(delimiter, 1)[0] + delimiter if delimiter and delimiter in rest else ""
        mark = folder or f"{key}#{int(body['generation']):020d}"
        if mark <= after or folder in prefixes:
            continue
        if len(items) + len(prefixes) == size:
            token = paging.token_for(last_mark, digest)
            break
        last_mark = mark
        if folder:
            prefixes.append(folder)
        if not folder or (parameters.get("includeTrailingDelimiter") and key == folder):
            items.append(objects.shown(call, body, full))
    reply: Body = {"kind": "storage#objects"}
    if items:
        reply["items"] = items
    if prefixes:
        reply["prefixes"] = prefixes
    if token:
        reply["nextPageToken"] = token
    return reply


def _candidates(call: Call, bucket: str) -> list[Body]:
    """Live objects, with noncurrent ones when `versions` is asked for; or soft-deleted ones alone. Sorted as listings are."""
    short = last(bucket)
    if call.params.get("softDeleted"):
        found = list(versions.listed(call, short, soft_deleted=True))
    else:
        found = [body for _, body in call.children(f"{bucket}/o")]
        if call.params.get("versions"):
            found += versions.listed(call, short, soft_deleted=False)
    return sorted(found, key=lambda body: (body["name"].encode(), int(body["generation"])))


def get_policy(call: Call) -> Body:
    bucket = call.need()
    policy = call.engine.policies.read(call.name)
    project = bucket["~project"]
    if "bindings" not in policy and policy["etag"] == "ACAB":
        policy = {
            **policy,
            "bindings": [
                {
                    "role": "roles/storage.legacyBucketOwner",
                    "members": [f"projectEditor:{project}", f"projectOwner:{project}"],
                },
                {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{project}"]},
            ],
        }
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{last(call.name)}",
        **policy,
        "version": policy.get("version", 1),
    }


def set_policy(call: Call) -> Body:
    bucket = call.need()
    bindings = call.body.get("bindings", [])
    if bucket["iamConfiguration"]["publicAccessPrevention"] == "enforced" and any(
        member in ("allUsers", "allAuthenticatedUsers") for binding in bindings for member in binding.get("members", [])
    ):
        raise ApiError(
            "CONDITION_NOT_MET",
            "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is enforced.",
            reason="conditionNotMet",
        )
    call.engine.policies.write(
        call.name, {key: call.body[key] for key in ("bindings", "etag", "version") if key in call.body}, call.now
    )
    return get_policy(call)


def service_account(call: Call) -> Body:
    from twin.services.usage import ensure_agent

    return {"kind": "storage#serviceAccount", "email_address": ensure_agent(call, "storage.googleapis.com")}


def layout(call: Call) -> Body:
    body = call.need(call.name.removesuffix("/storageLayout"))
    return {
        "kind": "storage#storageLayout",
        "bucket": body["name"],
        "location": body["location"],
        "locationType": body["locationType"],
        "hierarchicalNamespace": body.get("hierarchicalNamespace", {"enabled": False}),
    }


def test_permissions(call: Call) -> Body | Reply:
    return {"kind": "storage#testIamPermissionsResponse", **policy_verbs.test_permissions(call)}


def sweep(engine: Engine) -> None:
    """At start: files that no object mentions any more (overwritten, deleted, never committed) go, unless a snapshot may."""
    if engine.store.snapshots():
        return
    used = {
        body["~blob"]
        for word in ("o", versions.WORD)
        for collection in engine.store.collections("storage/b/", word)
        for _, body in engine.store.children(collection)
    }
    blobs: Blobs = engine.parts["blobs"]
    blobs.keep(used)
