"""A backend bucket's origin: objects of the twin's storage, as anybody may read them.

https://cloud.google.com/load-balancing/docs/https/ext-load-balancer-backend-buckets
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote, unquote

from multidict import CIMultiDict

from twin.kernel.engine import Engine
from twin.kernel.types import Body, Request, parse_rfc3339

Answer = tuple[int, CIMultiDict[str], bytes]

_HOST = "storage.googleapis.com"


def fetch(engine: Engine, bucket: str, path: str) -> Answer:
    """The object that a path names; the bucket's pages for folders and for what is not there."""
    website = (engine.store.get(f"storage/b/{bucket}") or {}).get("website", {})
    key = unquote(path).lstrip("/")
    if (not key or key.endswith("/")) and website.get("mainPageSuffix"):
        key += website["mainPageSuffix"]
    status, headers, body = _object(engine, bucket, key)
    if status == 404 and website.get("notFoundPage"):
        found = _object(engine, bucket, website["notFoundPage"])
        if found[0] == 200:
            return 404, found[1], found[2]
    return status, headers, body


def _object(engine: Engine, bucket: str, key: str) -> Answer:
    if not key:
        return _refusal(404, "NoSuchKey", "The specified key does not exist.", engine.now())
    path = f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}"
    content = engine.handle(Request("GET", _HOST, path, (("alt", "media"),)), "allUsers")
    if content.status == 404:
        # Whether the key exists is told only to those who may list (https://cloud.google.com/storage/docs/access-control).
        return _refusal(404, "NoSuchKey", "The specified key does not exist.", engine.now())
    if content.status != 200 or content.content is None:
        return _refusal(403, "AccessDenied", "Access denied.", engine.now())
    record = engine.store.get(f"storage/b/{bucket}/o/{quote(key, safe='')}") or {}
    return 200, _headers(record, content.content, engine.now()), content.content


def _headers(record: Body, body: bytes, now: datetime) -> CIMultiDict[str]:
    headers = CIMultiDict(
        {
            "Content-Type": record.get("contentType", "application/octet-stream"),
            "ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"',
            "Cache-Control": record.get("cacheControl", "public, max-age=3600"),
            "Date": format_datetime(now, usegmt=True),
            "Accept-Ranges": "bytes",
            "x-goog-generation": str(record.get("generation", "")),
            "x-goog-storage-class": record.get("storageClass", "STANDARD"),
            "Server": "UploadServer",
        }
    )
    if record.get("updated"):
        headers["Last-Modified"] = format_datetime(parse_rfc3339(record["updated"]), usegmt=True)
    for field, name in (("contentEncoding", "Content-Encoding"), ("contentLanguage", "Content-Language")):
        if record.get(field):
            headers[name] = record[field]
    if record.get("contentEncoding"):
        headers["Vary"] = "Accept-Encoding"
    return headers


def _refusal(status: int, code: str, message: str, now: datetime) -> Answer:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    kept = "private, max-age=0"
    headers = {
        "Content-Type": "application/xml; charset=UTF-8",
        "Cache-Control": kept,
        "Date": format_datetime(now, usegmt=True),
    }
    return status, CIMultiDict(headers), body.encode()
