"""Signed URLs of Cloud Storage: who signed, and may the request still be made.

https://cloud.google.com/storage/docs/authentication/signatures (V4), …/access-control/signed-urls-v2
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from twin.kernel.engine import Engine
from twin.kernel.errors import ApiError
from twin.kernel.types import Request

_LONGEST = 604_800
_STAMP = "%Y%m%dT%H%M%SZ"


def is_signed(request: Request) -> bool:
    names = {name.lower() for name, _ in request.query}
    return "x-goog-signature" in names or {"googleaccessid", "signature"} <= names


def signer(request: Request, engine: Engine, public_keys: Callable[[str], list[Any]]) -> str:
    """The principal whose signature the URL carries. ApiError when it is wrong, too old, or nobody's."""
    query = {name.lower(): value for name, value in request.query}
    if "x-goog-signature" in query:
        return _fourth(request, query, engine, public_keys)
    return _second(request, query, engine, public_keys)


def _refuse(code: str, message: str, status: str = "PERMISSION_DENIED") -> ApiError:
    return ApiError(status, message, reason=code)


def _fourth(request: Request, query: dict[str, str], engine: Engine, public_keys: Callable[[str], list[Any]]) -> str:
    algorithm, date = query.get("x-goog-algorithm", ""), query.get("x-goog-date", "")
    credential = query.get("x-goog-credential", "").split("/")
    try:
        signed_at = datetime.strptime(date, _STAMP).replace(tzinfo=engine.now().tzinfo)
        seconds = int(query.get("x-goog-expires", ""))
        given = bytes.fromhex(query["x-goog-signature"])
    except ValueError:
        raise _refuse("AuthenticationRequired", "Invalid argument.", "INVALID_ARGUMENT") from None
    if seconds > _LONGEST:
        raise _refuse("InvalidArgument", "X-Goog-Expires must be at most 604800 seconds.", "INVALID_ARGUMENT")
    if engine.now() > signed_at + timedelta(seconds=seconds):
        raise _refuse("ExpiredToken", "Invalid argument.", "INVALID_ARGUMENT")
    scope = "/".join(credential[1:])
    text = f"{algorithm}\n{date}\n{scope}\n{hashlib.sha256(_canonical(request).encode()).hexdigest()}".encode()
    if algorithm == "GOOG4-RSA-SHA256":
        email = credential[0]
        if not _signed_by(public_keys(email), given, text):
            raise _mismatch()
        return f"serviceAccount:{email}"
    if algorithm == "GOOG4-HMAC-SHA256":
        return _by_hmac(engine, credential, given, text)
    raise _refuse("InvalidArgument", f"Unknown signing algorithm: {algorithm}", "INVALID_ARGUMENT")


def _by_hmac(engine: Engine, credential: list[str], given: bytes, text: bytes) -> str:
    access = credential[0]
    owner = engine.store.get(f"storage-hmac/{access}")
    body = engine.store.get(f"storage/projects/{owner['project']}/hmacKeys/{access}") if owner else None
    if body is None or body["state"] != "ACTIVE" or len(credential) != 5:
        raise _refuse("InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
    key = ("GOOG4" + body["~secret"]).encode()
    for part in credential[1:]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(hmac.new(key, text, hashlib.sha256).digest(), given):
        raise _mismatch()
    return f"serviceAccount:{body['serviceAccountEmail']}"


def _mismatch() -> ApiError:
    return _refuse(
        "SignatureDoesNotMatch",
        "Access denied. The request signature we calculated does not match the signature you provided. Check your Google "
        "secret key and signing method.",
    )


def _canonical(request: Request) -> str:
    """https://cloud.google.com/storage/docs/authentication/canonical-requests"""
    query = {name.lower(): value for name, value in request.query}
    pairs = sorted(
        f"{quote(name, safe='~')}={quote(value, safe='~')}"
        for name, value in request.query
        if name.lower() != "x-goog-signature"
    )
    names = query.get("x-goog-signedheaders", "host").split(";")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
    digest = request.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
    path = quote(unquote(request.path), safe="/~")
    return "\n".join([request.verb, path, "&".join(pairs), headers, ";".join(names), digest])


def _second(request: Request, query: dict[str, str], engine: Engine, public_keys: Callable[[str], list[Any]]) -> str:
    email, expires = query["googleaccessid"], query.get("expires", "")
    if not expires.isdigit() or engine.now().timestamp() > int(expires):
        raise _refuse("ExpiredToken", "The provided token has expired.", "INVALID_ARGUMENT")
    extension = "".join(
        f"{name}:{value}\n" for name, value in sorted(request.headers.items()) if name.startswith("x-goog-")
    )
    head = [request.verb, request.headers.get("content-md5", ""), request.headers.get("content-type", ""), expires]
    text = "\n".join(head) + f"\n{extension}{request.path}"
    try:
        given = base64.b64decode(query["signature"])
    except binascii.Error:
        raise _mismatch() from None
    if not _signed_by(public_keys(email), given, text.encode()):
        raise _mismatch()
    return f"serviceAccount:{email}"


def _signed_by(keys: list[Any], signature: bytes, text: bytes) -> bool:
    for key in keys:
        try:
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            continue
        return True
    return False
