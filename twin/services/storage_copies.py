"""Objects made from other objects: copies, rewrites, compositions, renames.

https://cloud.google.com/storage/docs/copying-renaming-moving-objects
"""

from __future__ import annotations

from twin.kernel.errors import invalid
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services import storage_versions as versions
from twin.services.storage_objects import (
    check_preconditions,
    denied,
    need,
    object_name,
    read_object,
    shown,
    write_object,
)

_CARRIED = (
    "contentType",
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "customTime",
    "metadata",
    "storageClass",
)


def move(call: Call) -> Body:
    """Rename within a bucket, in one step: https://cloud.google.com/storage/docs/copying-renaming-moving-objects"""
    bucket_name = str(call.params["bucket"])
    source = object_name(bucket_name, str(call.params["sourceObject"]))
    body = need(call, source)
    bucket = call.need(f"storage/b/{bucket_name}")
    versions.require_removable(call, bucket, body)
    metadata = {field: body[field] for field in _CARRIED if field in body}
    made = write_object(
        call,
        bucket_name,
        str(call.params["destinationObject"]),
        read_object(call, body),
        body["contentType"],
        metadata,
        "",
    )
    call.delete(source)
    versions.keep_overwritten(call, bucket, body)
    call.announce("object", source)
    return shown(call, made)


def _copied(call: Call) -> Body:
    source = object_name(call.params["sourceBucket"], call.params["sourceObject"])
    if not call.context.internal and not call.engine.policies.allowed(
        call.context.principal, "storage.objects.get", source, call.now
    ):
        raise denied(call, "storage.objects.get")
    body = need(call, source, str(call.params.get("sourceGeneration", "")))
    bucket, key = str(call.params["destinationBucket"]), str(call.params["destinationObject"])
    target = object_name(bucket, key)
    if not call.context.internal and not call.engine.policies.allowed(
        call.context.principal, "storage.objects.create", target, call.now
    ):
        raise denied(call, "storage.objects.create")
    check_preconditions(call, call.get(target))
    metadata = {field: body[field] for field in _CARRIED if field in body}
    metadata.update(call.body)
    return write_object(
        call,
        bucket,
        key,
        read_object(call, body),
        body["contentType"],
        metadata,
        str(call.params.get("destinationKmsKeyName", "")),
    )


def copy(call: Call) -> Body:
    return shown(call, _copied(call), full=bool(call.body.get("acl")))


def rewrite(call: Call) -> Body:
    made = copy(call)
    return {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": made["size"],
        "objectSize": made["size"],
        "done": True,
        "resource": made,
    }


def compose(call: Call) -> Body:
    bucket, key = str(call.params["destinationBucket"]), str(call.params["destinationObject"])
    if not call.body.get("sourceObjects"):
        raise invalid("You must provide at least one source component.", "required")
    check_preconditions(call, call.get(object_name(bucket, key)))
    pieces = [
        read_object(call, need(call, object_name(bucket, source["name"])))
        for source in call.body.get("sourceObjects", [])
    ]
    metadata = call.body.get("destination", {})
    made = write_object(
        call,
        bucket,
        key,
        b"".join(pieces),
        metadata.get("contentType", ""),
        metadata,
        str(call.params.get("kmsKeyName", "")),
    )
    made = {key_: value for key_, value in made.items() if key_ != "md5Hash"}
    made["componentCount"] = len(pieces)
    call.put(object_name(bucket, key), made)
    return shown(call, made)
