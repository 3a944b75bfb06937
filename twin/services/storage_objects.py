"""Objects: bytes in files of their own, metadata in the store; generations, preconditions, ranges, CMEK."""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import re
from urllib.parse import quote, unquote

from twin.kernel import standard
from twin.kernel.checksums import crc32c_base64
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.masks import merge_patch
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply
from twin.services import storage_access as access
from twin.services import storage_versions as versions
from twin.services.storage_blobs import Blobs
from twin.services.usage import agent_of

_BASE = "https://www.googleapis.com/storage/v1/b/"
_DOWNLOAD = "https://storage.googleapis.com/download/storage/v1/b/"


def object_name(bucket: str, key: str) -> str:
    """The canonical name: the key is one segment, however many slashes it has."""
    return f"storage/b/{bucket}/o/{quote(key, safe='')}"


def denied(call: Call, permission: str) -> ApiError:
    """Storage's own sentence about a missing permission; somebody without credentials is asked for them."""
    what = "object" if permission.startswith("storage.objects.") and "/o" in call.name else "bucket"
    kind, _, email = call.context.principal.partition(":")
    anonymous = not email or kind == "allUsers"
    return ApiError(
        "UNAUTHENTICATED" if anonymous else "PERMISSION_DENIED",
        f"{'Anonymous caller' if anonymous else email} does not have {permission} access to the Google Cloud Storage "
        f"{what}. Permission '{permission}' denied on resource (or it may not exist).",
        reason="required" if anonymous else "forbidden",
    )


def blobs(call: Call) -> Blobs:
    found: Blobs = call.engine.parts["blobs"]
    return found


def check_key(call: Call, key: str, location: str) -> None:
    match = re.fullmatch(r"projects/[^/]+/locations/([^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+", key)
    wanted = {"US": "us", "EU": "europe", "ASIA": "asia"}.get(location, location.lower())
    if match is None:
        raise invalid(f"Malformed Cloud KMS crypto key: {key}")
    if match[1] != wanted:
        raise invalid(f"The Cloud KMS key location {match[1]} does not match the bucket's location {wanted}.")


def _through_key(call: Call, key: str, method: str, body: Body) -> Body:
    """Ask Cloud KMS as the project's storage agent (https://cloud.google.com/storage/docs/encryption/customer-managed-keys)."""
    email = agent_of("storage.googleapis.com", call.number)
    try:
        return call.invoke(
            f"cloudkms.projects.locations.keyRings.cryptoKeys.{method}",
            f"cloudkms/{key}",
            body,
            f"serviceAccount:{email}",
        )
    except ApiError as error:
        if error.status == "PERMISSION_DENIED":
            message = "Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been authorized to use this key."
        else:
            message = f"Cloud KMS: {error.message}"
        raise ApiError(
            "PERMISSION_DENIED" if error.status == "PERMISSION_DENIED" else "INVALID_ARGUMENT",
            message,
            reason="forbidden" if error.status == "PERMISSION_DENIED" else "invalid",
        ) from error


def write_object(
    call: Call,
    bucket_name: str,
    key: str,
    content: bytes,
    media_type: str,
    metadata: Body | None = None,
    kms_key: str = "",
) -> Body:
    """Store a new generation of an object and return its resource."""
    bucket = call.need(f"storage/b/{bucket_name}")
    name = object_name(bucket_name, key)
    old = call.get(name)
    if old is not None:
        versions.require_removable(call, bucket, old)
    generation = str(max(int(call.now.timestamp() * 1e6), int(old["generation"]) + 1 if old else 0))
    digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    body: Body = {
        key_: value
        for key_, value in (metadata or {}).items()
        if key_ not in ("crc32c", "md5Hash", "acl", "name", "bucket")
    }
    given = metadata or {}
    checksum = crc32c_base64(content)
    if given.get("md5Hash") and given["md5Hash"] != digest:
        raise invalid(f'Provided MD5 hash "{given["md5Hash"]}" doesn\'t match calculated MD5 hash "{digest}".')
    if given.get("crc32c") and given["crc32c"] != checksum:
        raise invalid(f'Provided CRC32C "{given["crc32c"]}" doesn\'t match calculated CRC32C "{checksum}".')
    path = f"{bucket_name}/o/{quote(key, safe='')}"
    body.update(
        kind="storage#object",
        id=f"{bucket_name}/{key}/{generation}",
        selfLink=_BASE + path,
        mediaLink=f"{_DOWNLOAD}{path}?generation={generation}&alt=media",
        name=key,
        bucket=bucket_name,
        generation=generation,
        metageneration="1",
        storageClass=body.get("storageClass") or bucket["storageClass"],
        size=str(len(content)),
        md5Hash=digest,
        crc32c=checksum,
        timeCreated=call.stamp,
        updated=call.stamp,
        timeStorageClassUpdated=call.stamp,
        timeFinalized=call.stamp,
    )
    body["contentType"] = (
        body.get("contentType") or media_type or mimetypes.guess_type(key)[0] or "application/octet-stream"
    )
    kms_key = kms_key or bucket.get("encryption", {}).get("defaultKmsKeyName", "")
    if kms_key:
        check_key(call, kms_key, bucket["location"])
        reply = _through_key(call, kms_key, "encrypt", {"plaintext": base64.b64encode(os.urandom(32)).decode()})
        body["kmsKeyName"], body["~wrapped"] = reply["name"], reply["ciphertext"]
    if bucket.get("defaultEventBasedHold"):
        body.setdefault("eventBasedHold", True)
    if not access.uniform(bucket):
        body["~acl"] = access.object_list(call, bucket, given.get("acl"))
    body["~blob"] = blobs(call).write(content)
    body["etag"] = standard.fingerprint(body)
    if old is not None:
        versions.keep_overwritten(call, bucket, old)
    call.put(name, body)
    call.announce("object", name)
    return body


def shown(call: Call, body: Body, full: bool = False) -> Body:
    """An object as answers hold it; `full` adds its access list and its owner."""
    bucket = call.need(f"storage/b/{body['bucket']}")
    found = {field: value for field, value in body.items() if field[0] != "~"}
    until = versions.expiry(bucket, body)
    if until:
        found["retentionExpirationTime"] = until
    if full and call.params.get("projection") != "noAcl":
        found.update(access.shown_object(call, bucket, body))
    return found


def insert(call: Call) -> Body:
    bucket = call.params["bucket"]
    if call.get(f"storage/b/{bucket}") is None:
        raise not_found("The specified bucket does not exist.")
    key = str(call.params.get("name") or call.body.get("name", ""))
    if not key:
        raise invalid("Required parameter: name", "required")
    if len(key.encode()) > 1024:
        raise invalid(
            f"The maximum object length is 1024 characters, but got a name with {len(key.encode())} characters."
        )
    name = object_name(bucket, key)
    check_preconditions(call, call.get(name))
    content = call.media if call.media is not None else b""
    body = write_object(call, bucket, key, content, call.media_type, call.body, str(call.params.get("kmsKeyName", "")))
    return shown(call, body, full=call.params.get("projection") == "full" or bool(call.body.get("acl")))


def _key(call: Call) -> str:
    return object_name(call.params["bucket"], call.params["object"])


def need(call: Call, name: str, wanted: str = "") -> Body:
    """The live generation, or the one asked for. ApiError NOT_FOUND in storage's own words."""
    _, _, bucket, _, quoted = name.split("/", 4)
    if call.get(f"storage/b/{bucket}") is None:
        raise not_found("The specified bucket does not exist.")
    soft = bool(call.params.get("softDeleted"))
    wanted = wanted or str(call.params.get("generation", ""))
    body = call.get(name)
    if soft or (wanted and (body is None or body["generation"] != wanted)):
        body = versions.find(call, bucket, unquote(quoted), wanted, soft) if wanted else None
    if body is None:
        raise not_found(f"No such object: {bucket}/{unquote(quoted)}")
    return body


def check_preconditions(call: Call, body: Body | None) -> None:
    """https://cloud.google.com/storage/docs/request-preconditions"""
    parameters = call.params
    generation = body["generation"] if body else "0"
    failed = ApiError(
        "CONDITION_NOT_MET", "At least one of the pre-conditions you specified did not hold.", reason="conditionNotMet"
    )
    if "ifGenerationMatch" in parameters and str(parameters["ifGenerationMatch"]) != generation:
        raise failed
    if "ifGenerationNotMatch" in parameters and str(parameters["ifGenerationNotMatch"]) == generation:
        raise failed
    if body is not None:
        check_generation(call, body)


def check_generation(call: Call, body: Body) -> None:
    parameters = call.params
    failed = ApiError(
        "CONDITION_NOT_MET", "At least one of the pre-conditions you specified did not hold.", reason="conditionNotMet"
    )
    if "ifMetagenerationMatch" in parameters and str(parameters["ifMetagenerationMatch"]) != body["metageneration"]:
        raise failed
    if (
        "ifMetagenerationNotMatch" in parameters
        and str(parameters["ifMetagenerationNotMatch"]) == body["metageneration"]
    ):
        raise failed


def get(call: Call) -> Body | Reply:
    name = _key(call)
    body = need(call, name)
    check_preconditions(call, body)
    if str(call.params.get("alt", "json")).partition(";")[0] != "media":
        return shown(call, body, full=call.params.get("projection") == "full")
    content = read_object(call, body)
    headers = {
        "Content-Type": body["contentType"],
        "ETag": body["etag"],
        "X-Goog-Generation": body["generation"],
        "X-Goog-Metageneration": body["metageneration"],
        "X-Goog-Hash": f"crc32c={body['crc32c']}" + (f",md5={body['md5Hash']}" if "md5Hash" in body else ""),
        "X-Goog-Stored-Content-Length": body["size"],
        "X-Goog-Stored-Content-Encoding": body.get("contentEncoding", "identity"),
        "X-Goog-Storage-Class": body["storageClass"],
        "Accept-Ranges": "bytes",
    }
    for field, header in (
        ("cacheControl", "Cache-Control"),
        ("contentDisposition", "Content-Disposition"),
        ("contentEncoding", "Content-Encoding"),
    ):
        if body.get(field):
            headers[header] = body[field]
    return _ranged(call, content, headers)


def read_object(call: Call, body: Body) -> bytes:
    """An object's bytes, once its key allows it."""
    if "~wrapped" in body:
        key = body["kmsKeyName"].partition("/cryptoKeyVersions/")[0]
        _through_key(call, key, "decrypt", {"ciphertext": body["~wrapped"]})
    return blobs(call).read(body["~blob"])


def _ranged(call: Call, content: bytes, headers: dict[str, str]) -> Reply:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
    if match is None or not (match[1] or match[2]):
        return Reply(200, content=content, headers=headers)
    size = len(content)
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    else:
        start, end = max(0, size - int(match[2])), size - 1
    if start >= size and size:
        raise ApiError("OUT_OF_RANGE", "Request range not satisfiable", reason="requestedRangeNotSatisfiable", http=416)
    return Reply(
        206, content=content[start : end + 1], headers={**headers, "Content-Range": f"bytes {start}-{end}/{size}"}
    )


def patch(call: Call) -> Body:
    name = _key(call)
    old = need(call, name)
    check_preconditions(call, old)
    changes = {key: value for key, value in call.body.items() if key not in ("name", "bucket", "acl")}
    new = merge_patch(old, changes)
    if old.get("eventBasedHold") and not new.get("eventBasedHold"):
        # The retention period starts anew when the hold goes: https://cloud.google.com/storage/docs/object-holds
        new["~released"] = call.stamp
    if "acl" in call.body:
        bucket = call.need(f"storage/b/{old['bucket']}")
        new["~acl"] = access.object_list(call, bucket, call.body["acl"])
    new["metageneration"] = str(int(old["metageneration"]) + 1)
    new["updated"] = call.stamp
    new["etag"] = standard.fingerprint(new)
    if "timeDeleted" in old:
        name = versions.kept_name(old["bucket"], old["name"], old["generation"])
    call.put(name, new)
    call.announce("object", name)
    return shown(call, new, full=True)


def delete(call: Call) -> Reply:
    name = _key(call)
    body = need(call, name)
    check_preconditions(call, body)
    bucket = call.need(f"storage/b/{body['bucket']}")
    versions.require_removable(call, bucket, body)
    live = "timeDeleted" not in body
    if live:
        call.delete(name)
    if live and not call.params.get("generation"):
        versions.keep_overwritten(call, bucket, body)
    else:
        versions.keep_deleted(call, bucket, body)
    call.announce("object", name)
    return Reply(204)


def restore(call: Call) -> Body:
    """A soft-deleted generation becomes live again, as a new one: https://cloud.google.com/storage/docs/soft-delete"""
    bucket_name, key = str(call.params["bucket"]), str(call.params["object"])
    bucket = call.need(f"storage/b/{bucket_name}")
    name = object_name(bucket_name, key)
    live = call.get(name)
    check_preconditions(call, live)
    body = versions.take_back(call, bucket_name, key, str(call.params.get("generation", "")))
    if live is not None:
        versions.require_removable(call, bucket, live)
        versions.keep_overwritten(call, bucket, live)
    generation = str(int(call.now.timestamp() * 1e6))
    body = {field: value for field, value in body.items() if field != "timeDeleted"}
    body.update(
        generation=generation,
        metageneration="1",
        id=f"{bucket_name}/{key}/{generation}",
        mediaLink=body["mediaLink"].replace(body["generation"], generation),
        updated=call.stamp,
        restoreToken=body.get("restoreToken", ""),
    )
    body.pop("restoreToken")
    body["etag"] = standard.fingerprint(body)
    call.put(name, body)
    call.announce("object", name)
    return shown(call, body)
