"""Cloud Storage: buckets and objects, uploads and downloads, generations, CMEK, lifecycle, CORS.

https://cloud.google.com/storage/docs/json_api/v1
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import hashlib
import re
from fnmatch import fnmatchcase

from twin.kernel import paging, policy_verbs, standard
from twin.kernel.engine import Engine
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply
from twin.services import storage_objects as objects
from twin.services.storage_objects import write_object

DOCS = "https://cloud.google.com/storage/docs/"
_BASE = "https://www.googleapis.com/storage/v1/b/"
_MULTI = {"US", "EU", "ASIA"}
_DUAL = {"NAM4", "EUR4", "ASIA1"}


def missing(name: str) -> ApiError:
    parts = name.split("/")
    if len(parts) > 4 and parts[3] == "o":
        return not_found(f"No such object: {parts[2]}/{'/'.join(parts[4:])}")
    if len(parts) == 3:
        return not_found("The specified bucket does not exist.")
    return not_found("The specified key does not exist.")


def existing(name: str) -> ApiError:
    return ApiError(
        "ALREADY_EXISTS",
        "Your previous request to create the named bucket succeeded and you already own it.",
        reason="conflict",
    )


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
    body.pop("acl", None)
    location = body.get("location", "US").upper()
    body.update(
        kind="storage#bucket",
        id=short,
        selfLink=_BASE + short,
        projectNumber=call.engine.number_of(project),
        metageneration="1",
        generation=str(int(call.now.timestamp() * 1e6)),
        location=location,
        locationType="multi-region" if location in _MULTI else "dual-region" if location in _DUAL else "region",
        timeCreated=call.stamp,
        updated=call.stamp,
    )
    body["~project"] = project
    body.setdefault("storageClass", "STANDARD")
    body.setdefault("rpo", "DEFAULT")
    if body["locationType"] == "region":
        body.pop("rpo")
    body.setdefault("softDeletePolicy", {"retentionDurationSeconds": "604800"}).setdefault("effectiveTime", call.stamp)
    _default_access(call, body)
    _check(call, body)
    body["etag"] = standard.fingerprint(body)
    call.put(name, body)
    call.announce("created", name)
    return standard.visible(call, name, body)


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


def update_bucket(call: Call, old: Body, new: Body) -> None:
    for field in ("location", "locationType", "id", "selfLink", "timeCreated", "projectNumber", "generation", "kind"):
        if field in old:
            new[field] = old[field]
    if call.method.kind == "update":
        for field in ("iamConfiguration", "softDeletePolicy", "storageClass"):
            new.setdefault(field, old.get(field))
    _default_access(call, new)
    _check(call, new)
    new["metageneration"] = str(int(old["metageneration"]) + 1)
    new["updated"] = call.stamp
    objects.check_generation(call, old)


def delete_bucket(call: Call, body: Body) -> None:
    objects.check_generation(call, body)
    if call.engine.store.has_children(f"{call.name}/o"):
        raise ApiError("ALREADY_EXISTS", "The bucket you tried to delete is not empty.", reason="conflict")


def list_buckets(call: Call) -> Body:
    project = call.engine.id_of(str(call.params.get("project", "")))
    prefix = str(call.params.get("prefix", ""))
    entries = [
        (name, body)
        for name, body in call.children("storage/b")
        if body["~project"] == project and body["name"].startswith(prefix)
    ]
    digest = hashlib.sha256(f"{project}|{prefix}".encode()).hexdigest()[:12]
    start = paging.position_of(call.params, digest)
    chosen, token = paging.page(
        [entry for entry in entries if entry[0] > start], paging.size_of(call.params), None, digest
    )
    reply: Body = {"kind": "storage#buckets"}
    if chosen:
        reply["items"] = [standard.visible(call, name, body) for name, body in chosen]
    if token:
        reply["nextPageToken"] = token
    return reply


def list_objects(call: Call) -> Body:
    """Prefixes and delimiters make folders out of flat names: https://cloud.google.com/storage/docs/samples/storage-list-files-with-prefix"""
    bucket = call.name.removesuffix("/o")
    call.need(bucket)
    parameters = call.params
    prefix, delimiter = str(parameters.get("prefix", "")), str(parameters.get("delimiter", ""))
    glob = str(parameters.get("matchGlob", ""))
    digest = hashlib.sha256(f"{bucket}|{prefix}|{delimiter}|{glob}".encode()).hexdigest()[:12]
    after, size = paging.position_of(parameters, digest), paging.size_of(parameters, 1000)
    items: list[Body] = []
    prefixes: list[str] = []
    shown, token = "", ""
    for name, body in call.children(f"{bucket}/o"):
        key = body["name"]
        if not key.startswith(prefix) or (glob and not fnmatchcase(key, glob.replace("**", "*"))):
            continue
        if parameters.get("startOffset", "") > key or (parameters.get("endOffset") and key >= parameters["endOffset"]):
            continue
        rest = key[len(prefix) :]
        folder = prefix + rest.split(delimiter, 1)[0] + delimiter if delimiter and delimiter in rest else ""
        mark = folder or key
        if mark <= after or folder in prefixes:
            continue
        if len(items) + len(prefixes) == size:
            token = paging.token_for(shown, digest)
            break
        shown = mark
        if folder:
            prefixes.append(folder)
        else:
            items.append(standard.visible(call, name, body))
    reply: Body = {"kind": "storage#objects"}
    if items:
        reply["items"] = items
    if prefixes:
        reply["prefixes"] = prefixes
    if token:
        reply["nextPageToken"] = token
    return reply


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


def no_acl(call: Call) -> Body:
    """ACL entries: none but what IAM says (uniform access is how the twin's buckets behave)."""
    parts = call.name.split("/")
    call.need("/".join(parts[:3]))
    if call.method.kind == "get":
        raise not_found("The specified key does not exist.")
    return {"kind": call.method.document.schemas[call.method.response]["properties"]["kind"]["default"]}


def layout(call: Call) -> Body:
    body = call.need(call.name.removesuffix("/storageLayout"))
    return {
        "kind": "storage#storageLayout",
        "bucket": body["name"],
        "location": body["location"],
        "locationType": body["locationType"],
        "hierarchicalNamespace": {"enabled": False},
    }


def test_permissions(call: Call) -> Body | Reply:
    return {"kind": "storage#testIamPermissionsResponse", **policy_verbs.test_permissions(call)}


def sweep(engine: Engine) -> None:
    """At start: files that no object mentions any more (overwritten, deleted, never committed) go, unless a snapshot may."""
    if engine.store.snapshots():
        return
    used = {
        body["~blob"]
        for collection in engine.store.collections("storage/b/", "o")
        for _, body in engine.store.children(collection)
    }
    blobs: objects.Blobs = engine.parts["blobs"]
    blobs.keep(used)


SEMANTICS = Semantics(
    api="storage",
    dialect="legacy",
    missing=missing,
    existing=existing,
    merge_patch=True,
    short_names=True,
    methods={
        "buckets.insert": create_bucket,
        "buckets.list": list_buckets,
        "buckets.getIamPolicy": get_policy,
        "buckets.setIamPolicy": set_policy,
        "buckets.testIamPermissions": test_permissions,
        "buckets.getStorageLayout": layout,
        "objects.list": list_objects,
        "objects.insert": objects.insert,
        "objects.get": objects.get,
        "objects.patch": objects.patch,
        "objects.update": objects.patch,
        "objects.delete": objects.delete,
        "objects.copy": objects.copy,
        "objects.rewrite": objects.rewrite,
        "objects.compose": objects.compose,
        "serviceAccount.get": service_account,
        "bucketAccessControls.list": no_acl,
        "bucketAccessControls.get": no_acl,
        "defaultObjectAccessControls.list": no_acl,
        "objectAccessControls.list": no_acl,
    },
    updating={"b": update_bucket},
    deleting={"b": delete_bucket},
    permissions={
        "buckets.insert": "",
        "buckets.list": "",
        "objects.copy": "storage.objects.create",
        "objects.rewrite": "storage.objects.create",
        "objects.compose": "storage.objects.create",
        "serviceAccount.get": "",
        "buckets.getStorageLayout": "storage.objects.list",
    },
    rules=(
        Rule("storage.not-empty", "a bucket with objects is not deleted (409)", DOCS + "deleting-buckets"),
        Rule(
            "storage.generations",
            "ifGenerationMatch 0 means: only if it does not exist",
            DOCS + "request-preconditions",
        ),
        Rule(
            "storage.default-key",
            "a bucket's default key covers new objects, through the storage agent's grant",
            DOCS + "encryption/customer-managed-keys",
        ),
        Rule(
            "storage.key-location",
            "the key's location matches the bucket's",
            DOCS + "encryption/customer-managed-keys#restrictions",
        ),
        Rule(
            "storage.soft-delete",
            "buckets keep deleted objects for 7 days by default (the twin shows the policy, and deletes)",
            DOCS + "soft-delete",
            "assumed",
        ),
        Rule(
            "storage.public-prevention",
            "allUsers is refused where public access prevention is enforced",
            DOCS + "public-access-prevention",
        ),
        Rule(
            "storage.checksums",
            "crc32c and md5Hash of every object; a wrong one in an upload is refused",
            DOCS + "data-validation",
        ),
        Rule("storage.location-is-fixed", "a bucket's location cannot be changed", DOCS + "locations"),
    ),
)

__all__ = ["SEMANTICS", "write_object"]
