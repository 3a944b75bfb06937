"""Cloud Storage's XML API: buckets and objects by plain paths, signed URLs, CORS.

https://cloud.google.com/storage/docs/xml-api/overview. Every request becomes a call of the JSON API, so that there is
one implementation; multipart uploads and policy documents are not there and say so.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from twin.kernel.engine import Engine
from twin.kernel.errors import ApiError
from twin.kernel.types import Body, Reply, Request

Answer = Callable[[Request, str], Awaitable[Reply]]
_HOST = "storage.googleapis.com"
_JSON_PATHS = re.compile(
    r"^/((upload|download|resumable)/)?(storage/v1/|batch/storage|batch\b|storage/v1$)|^/\$discovery"
)
_CODES = {
    400: "InvalidArgument",
    401: "AuthenticationRequired",
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "BucketAlreadyOwnedByYou",
    411: "MissingContentLength",
    412: "PreconditionFailed",
    416: "InvalidRange",
    429: "SlowDown",
    501: "NotImplemented",
}
_SPOKEN = {"NoSuchBucket", "BucketNotEmpty", "SignatureDoesNotMatch", "ExpiredToken", "InvalidAccessKeyId"}
_KEPT = ("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type")
_CONDITIONS = {
    "x-goog-if-generation-match": "ifGenerationMatch",
    "x-goog-if-metageneration-match": "ifMetagenerationMatch",
}


def is_xml(host: str, path: str) -> bool:
    """Whether a request is for the XML API: a bucket's own host, or a path that is not the JSON API's."""
    if host.endswith("." + _HOST):
        return True
    return host == _HOST and not _JSON_PATHS.match(path)


def _target(request: Request) -> tuple[str, str]:
    """Bucket and key of a request; a key of '' means the bucket."""
    path = unquote(request.path)
    if request.host.endswith("." + _HOST):
        return request.host.removesuffix("." + _HOST), path.lstrip("/")
    bucket, _, key = path.lstrip("/").partition("/")
    return bucket, key


async def answer(request: Request, principal: str, call: Answer, engine: Engine) -> Reply:
    """One XML request, carried out through the JSON API as `principal`."""
    bucket, key = _target(request)
    if request.verb == "OPTIONS":
        return _preflight(request, engine, bucket)
    query = dict(request.query)
    unknown = next((word for word in ("uploads", "uploadId", "acl", "compose", "policy") if word in query), "")
    if unknown or (request.verb == "POST" and "x-goog-resumable" not in request.headers):
        reply = _error(
            501, "NotImplemented", f"The twin does not implement {unknown or 'form uploads'} of the XML API."
        )
    elif not bucket:
        reply = _error(501, "NotImplemented", "The twin does not list buckets by the XML API.")
    elif key:
        reply = await _object(request, principal, call, bucket, key)
    else:
        reply = await _bucket(request, principal, call, bucket)
    return _with_cors(request, reply, engine, bucket)


def _json(request: Request, verb: str, path: str, pairs: Mapping[str, str], body: Body | None = None) -> Request:
    headers = {name: value for name, value in request.headers.items() if name in ("range", "authorization")}
    content = json.dumps(body).encode() if body is not None else b""
    return replace(
        request, verb=verb, host=_HOST, path=path, query=tuple(pairs.items()), headers=headers, content=content
    )


async def _object(request: Request, principal: str, call: Answer, bucket: str, key: str) -> Reply:
    path = f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"
    pairs = {_CONDITIONS[name]: value for name, value in request.headers.items() if name in _CONDITIONS}
    generation = dict(request.query).get("generation")
    if generation:
        pairs["generation"] = generation
    if request.verb in ("GET", "HEAD"):
        reply = await call(_json(request, "GET", path, {**pairs, "alt": "media"}), principal)
        if reply.status < 300:
            return await _dressed(request, reply, call, principal, path, pairs)
    elif request.verb == "DELETE":
        reply = await call(_json(request, "DELETE", path, pairs), principal)
    elif request.verb == "PUT" and "x-goog-copy-source" in request.headers:
        source = unquote(request.headers["x-goog-copy-source"]).lstrip("/")
        origin, _, name = source.partition("/")
        copying = f"/storage/v1/b/{origin}/o/{quote(name, safe='')}/copyTo/b/{bucket}/o/{quote(key, safe='')}"
        reply = await call(_json(request, "POST", copying, pairs), principal)
        if reply.status < 300 and reply.body is not None:
            text = f"<CopyObjectResult><LastModified>{reply.body['updated']}</LastModified><ETag>{_etag(reply.body)}</ETag></CopyObjectResult>"
            return _xml(200, text)
    elif request.verb == "PUT":
        return await _put(request, principal, call, bucket, key, pairs)
    elif request.verb == "POST":
        return await _begin(request, principal, call, bucket, key)
    else:
        return _error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    return _translated(reply, key)


async def _put(request: Request, principal: str, call: Answer, bucket: str, key: str, pairs: dict[str, str]) -> Reply:
    resource = _resource(request, key)
    digest = request.headers.get("content-md5")
    if digest:
        resource["md5Hash"] = digest
    pairs = {**pairs, "uploadType": "media", "name": key, **_predefined(request)}
    made = _json(request, "POST", f"/storage/v1/b/{quote(bucket, safe='')}/o", pairs, resource)
    made = replace(made, media=request.content, media_type=request.headers.get("content-type", ""))
    reply = await call(made, principal)
    if reply.status < 300 and reply.body is not None:
        return Reply(200, content=b"", headers={**_marks(reply.body), "Content-Type": "text/html; charset=UTF-8"})
    return _translated(reply, key)


async def _begin(request: Request, principal: str, call: Answer, bucket: str, key: str) -> Reply:
    """`x-goog-resumable: start`: a session of the JSON API, whose address the client then uses."""
    headers = {**request.headers, "x-upload-content-type": request.headers.get("content-type", "")}
    headers.pop("content-type", None)
    path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o"
    pairs = {"uploadType": "resumable", "name": key, **_predefined(request)}
    content = json.dumps(_resource(request, key)).encode()
    begun = replace(
        request, verb="POST", host=_HOST, path=path, query=tuple(pairs.items()), headers=headers, content=content
    )
    reply = await call(begun, principal)
    return replace(reply, status=201) if reply.status == 200 else _translated(reply, key)


def _predefined(request: Request) -> dict[str, str]:
    given = request.headers.get("x-goog-acl", "")
    return {"predefinedAcl": re.sub(r"-(\w)", lambda match: match[1].upper(), given)} if given else {}


def _resource(request: Request, key: str) -> Body:
    resource: Body = {"name": key}
    for header in _KEPT:
        value = request.headers.get(header.lower())
        if value:
            word = header.replace("-", "")
            resource[word[0].lower() + word[1:]] = value
    custom = {
        name.removeprefix("x-goog-meta-"): value
        for name, value in request.headers.items()
        if name.startswith("x-goog-meta-")
    }
    if custom:
        resource["metadata"] = custom
    if "x-goog-storage-class" in request.headers:
        resource["storageClass"] = request.headers["x-goog-storage-class"]
    return resource


async def _dressed(
    request: Request, reply: Reply, call: Answer, principal: str, path: str, pairs: dict[str, str]
) -> Reply:
    """A download with the headers that the XML API adds; for HEAD the length without the bytes."""
    found = (
        await call(_json(request, "GET", path, {k: v for k, v in pairs.items() if k == "generation"}), principal)
    ).body
    headers = {**reply.headers, **(_marks(found) if found else {})}
    if found:
        headers.update({f"x-goog-meta-{name}": value for name, value in found.get("metadata", {}).items()})
    return replace(reply, headers=headers)


def _etag(body: Body) -> str:
    digest = body.get("md5Hash")
    return f'"{base64.b64decode(digest).hex()}"' if digest else f'"{body["etag"]}"'


def _marks(body: Body) -> dict[str, str]:
    hashes = [f"crc32c={body['crc32c']}"] + ([f"md5={body['md5Hash']}"] if "md5Hash" in body else [])
    return {
        "ETag": _etag(body),
        "X-Goog-Generation": body["generation"],
        "X-Goog-Metageneration": body["metageneration"],
        "X-Goog-Hash": ",".join(hashes),
        "X-Goog-Stored-Content-Length": body["size"],
        "X-Goog-Storage-Class": body["storageClass"],
    }


async def _bucket(request: Request, principal: str, call: Answer, bucket: str) -> Reply:
    path = f"/storage/v1/b/{quote(bucket, safe='')}"
    query = dict(request.query)
    if request.verb == "HEAD":
        reply = await call(_json(request, "GET", path, {}), principal)
        return Reply(200, content=b"") if reply.status < 300 else _translated(reply, "")
    if request.verb == "DELETE":
        return _translated(await call(_json(request, "DELETE", path, {}), principal), "")
    if request.verb == "PUT":
        project = request.headers.get("x-goog-project-id", "")
        reply = await call(_json(request, "POST", "/storage/v1/b", {"project": project}, {"name": bucket}), principal)
        return Reply(200, content=b"") if reply.status < 300 else _translated(reply, "")
    if request.verb != "GET":
        return _error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    if "location" in query:
        reply = await call(_json(request, "GET", path, {}), principal)
        if reply.body is not None and reply.status < 300:
            return _xml(200, f"<LocationConstraint>{reply.body['location']}</LocationConstraint>")
        return _translated(reply, "")
    names = {"prefix": "prefix", "delimiter": "delimiter", "max-keys": "maxResults", "continuation-token": "pageToken"}
    pairs = {names[name]: value for name, value in query.items() if name in names}
    reply = await call(_json(request, "GET", path + "/o", pairs), principal)
    if reply.status >= 300 or reply.body is None:
        return _translated(reply, "")
    return _xml(200, _listing(bucket, query, reply.body))


def _listing(bucket: str, query: dict[str, str], body: Body) -> str:
    parts = [f"<Name>{escape(bucket)}</Name>", f"<Prefix>{escape(query.get('prefix', ''))}</Prefix>"]
    token = body.get("nextPageToken", "")
    parts.append(f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>")
    if token:
        parts.append(f"<NextContinuationToken>{token}</NextContinuationToken>")
    parts += [
        f"<Contents><Key>{escape(item['name'])}</Key><Generation>{item['generation']}</Generation>"
        f"<MetaGeneration>{item['metageneration']}</MetaGeneration><LastModified>{item['updated']}</LastModified>"
        f"<ETag>{escape(_etag(item))}</ETag><Size>{item['size']}</Size></Contents>"
        for item in body.get("items", [])
    ]
    parts += [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in body.get("prefixes", [])]
    return f"<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>{''.join(parts)}</ListBucketResult>"


# Answers


def _xml(status: int, text: str) -> Reply:
    content = f"<?xml version='1.0' encoding='UTF-8'?>{text}".encode()
    return Reply(status, content=content, headers={"Content-Type": "application/xml; charset=UTF-8"})


def _error(status: int, code: str, message: str, details: str = "") -> Reply:
    more = f"<Details>{escape(details)}</Details>" if details else ""
    return _xml(status, f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>{more}</Error>")


def refused(error: ApiError) -> Reply:
    """A refusal from before the call: a signature that is wrong or too old."""
    code = (
        error.reason
        if error.reason in _SPOKEN or error.reason[:1].isupper()
        else _CODES.get(error.http, "InternalError")
    )
    return _error(error.http, code, error.message)


def _translated(reply: Reply, key: str) -> Reply:
    """The JSON API's refusal in the XML API's words; success without a body as it is."""
    if reply.status < 300:
        return Reply(reply.status, content=b"", headers=reply.headers)
    inner: Any = (reply.body or {}).get("error", {})
    message = str(inner.get("message", ""))
    code = _CODES.get(reply.status, "InternalError")
    if "bucket does not exist" in message:
        code = "NoSuchBucket"
    elif "not empty" in message:
        code = "BucketNotEmpty"
    elif reply.status == 404 and key:
        return _error(404, "NoSuchKey", "The specified key does not exist.", message)
    elif reply.status in (401, 403):
        return _error(reply.status if reply.status == 401 else 403, code, "Access denied.", message)
    return _error(reply.status, code, message)


# CORS: https://cloud.google.com/storage/docs/cross-origin


def _rule(request: Request, engine: Engine, bucket: str, verb: str) -> Body | None:
    origin = request.headers.get("origin", "")
    body = engine.store.get(f"storage/b/{bucket}")
    if not origin or body is None:
        return None
    for rule in body.get("cors", []):
        if {origin, "*"} & set(rule.get("origin", [])) and {verb, "*"} & set(rule.get("method", [])):
            return rule  # type: ignore[no-any-return]
    return None


def _preflight(request: Request, engine: Engine, bucket: str) -> Reply:
    """An origin without a rule gets 200 and no permission: the browser refuses by itself."""
    rule = _rule(request, engine, bucket, request.headers.get("access-control-request-method", ""))
    if rule is None:
        return Reply(200, content=b"", headers={"Vary": "Origin"})
    allowed = [name.lower() for name in rule.get("responseHeader", [])]
    asked = [name.strip() for name in request.headers.get("access-control-request-headers", "").split(",") if name]
    headers = {
        "Access-Control-Allow-Origin": "*" if "*" in rule["origin"] else request.headers["origin"],
        "Access-Control-Allow-Methods": ",".join(rule["method"]),
        "Access-Control-Max-Age": str(rule.get("maxAgeSeconds", 3600)),
        "Vary": "Origin",
    }
    granted = [name for name in asked if name.lower() in allowed or "*" in allowed]
    if granted:
        headers["Access-Control-Allow-Headers"] = ",".join(granted)
    return Reply(200, content=b"", headers=headers)


def _with_cors(request: Request, reply: Reply, engine: Engine, bucket: str) -> Reply:
    rule = _rule(request, engine, bucket, request.verb)
    if rule is None:
        return reply
    more = {
        "Access-Control-Allow-Origin": "*" if "*" in rule["origin"] else request.headers["origin"],
        "Vary": "Origin",
    }
    if rule.get("responseHeader"):
        more["Access-Control-Expose-Headers"] = ", ".join(rule["responseHeader"])
    return replace(reply, headers={**reply.headers, **more})


def json_preflight(request: Request) -> Reply:
    """The JSON API lets every origin in, whatever the bucket says."""
    headers = {
        "Access-Control-Allow-Origin": request.headers.get("origin", "*"),
        "Access-Control-Allow-Methods": "DELETE,GET,HEAD,PATCH,POST,PUT",
        "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", "authorization"),
        "Access-Control-Max-Age": "3600",
        "Vary": "Origin",
    }
    return Reply(200, content=b"", headers=headers)
