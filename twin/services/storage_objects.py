"""Objects: bytes in files of their own, metadata in the store; generations, preconditions, ranges, CMEK."""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import re
import shutil
import threading
import uuid
from pathlib import Path
from urllib.parse import quote, unquote

from twin.kernel import standard
from twin.kernel.checksums import crc32c_base64
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.masks import merge_patch
from twin.kernel.policies import denial
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply
from twin.services.usage import agent_of

_BASE = "https://www.googleapis.com/storage/v1/b/"
_DOWNLOAD = "https://storage.googleapis.com/download/storage/v1/b/"


class Blobs:
    """Immutable files, one per generation of an object; written whole before the store mentions them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "blobs"

    def path(self, identifier: str) -> Path:
        return self._folder / identifier[:2] / identifier

    def write(self, content: bytes) -> str:
        identifier = uuid.uuid4().hex
        target = self.path(identifier)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_bytes(content)
        os.replace(partial, target)  # noqa: PTH105
        return identifier

    def read(self, identifier: str) -> bytes:
        return self.path(identifier).read_bytes()

    def keep(self, identifiers: set[str]) -> None:
        """Remove every file that is not named."""
        for file in self._folder.glob("*/*"):
            if file.name not in identifiers:
                file.unlink(missing_ok=True)

    def reset(self) -> None:
        """Move the files out of the way at once, and delete them on the side."""
        if self._folder.exists():
            doomed = self._folder.with_name(f"blobs-{uuid.uuid4().hex}")
            self._folder.rename(doomed)
            threading.Thread(target=shutil.rmtree, args=(doomed,), kwargs={"ignore_errors": True}, daemon=True).start()


def object_name(bucket: str, key: str) -> str:
    """The canonical name: the key is one segment, however many slashes it has."""
    return f"storage/b/{bucket}/o/{quote(key, safe='')}"


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
    body["~blob"] = blobs(call).write(content)
    body["etag"] = standard.fingerprint(body)
    call.put(name, body)
    call.announce("object", name)
    return body


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
    _check_preconditions(call, call.get(name))
    content = call.media if call.media is not None else b""
    body = write_object(call, bucket, key, content, call.media_type, call.body, str(call.params.get("kmsKeyName", "")))
    return standard.visible(call, name, body)


def _key(call: Call) -> str:
    return object_name(call.params["bucket"], call.params["object"])


def _need(call: Call, name: str) -> Body:
    bucket = "/".join(name.split("/")[:3])
    if call.get(bucket) is None:
        raise not_found("The specified bucket does not exist.")
    body = call.get(name)
    wanted = call.params.get("generation")
    if body is None or (wanted and str(wanted) != body["generation"]):
        raise not_found(f"No such object: {name.split('/')[2]}/{unquote(name.split('/')[4])}")
    return body


def _check_preconditions(call: Call, body: Body | None) -> None:
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
    body = _need(call, name)
    _check_preconditions(call, body)
    if str(call.params.get("alt", "json")).partition(";")[0] != "media":
        return standard.visible(call, name, body)
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
    old = _need(call, name)
    _check_preconditions(call, old)
    new = merge_patch(old, {key: value for key, value in call.body.items() if key not in ("name", "bucket", "acl")})
    new["metageneration"] = str(int(old["metageneration"]) + 1)
    new["updated"] = call.stamp
    new["etag"] = standard.fingerprint(new)
    call.put(name, new)
    call.announce("object", name)
    return standard.visible(call, name, new)


def delete(call: Call) -> Reply:
    name = _key(call)
    body = _need(call, name)
    _check_preconditions(call, body)
    call.delete(name)
    call.announce("object", name)
    return Reply(204)


def _copied(call: Call) -> Body:
    source = object_name(call.params["sourceBucket"], call.params["sourceObject"])
    if not call.context.internal and not call.engine.policies.allowed(
        call.context.principal, "storage.objects.get", source, call.now
    ):
        raise denial("storage.objects.get", source)
    body = _need(call, source)
    bucket, key = str(call.params["destinationBucket"]), str(call.params["destinationObject"])
    target = object_name(bucket, key)
    if not call.context.internal and not call.engine.policies.allowed(
        call.context.principal, "storage.objects.create", target, call.now
    ):
        raise denial("storage.objects.create", target)
    _check_preconditions(call, call.get(target))
    kept = (
        "contentType",
        "cacheControl",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "metadata",
        "storageClass",
    )
    metadata = {field: body[field] for field in kept if field in body}
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
    made = _copied(call)
    return standard.visible(call, object_name(made["bucket"], made["name"]), made)


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
    pieces = [
        read_object(call, _need(call, object_name(bucket, source["name"])))
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
    return standard.visible(call, object_name(bucket, key), made)
