"""Media uploads: simple, multipart and resumable (https://cloud.google.com/storage/docs/uploads-downloads)."""

from __future__ import annotations

import email.parser
import email.policy
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace

from twin.kernel.errors import ApiError, invalid
from twin.kernel.types import Reply, Request

_SESSIONS = 200


@dataclass(slots=True)
class _Session:
    request: Request
    principal: str
    media_type: str
    received: bytearray


class Uploads:
    """Turns upload requests into calls with media; keeps resumable sessions in memory until they finish."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def take(self, request: Request, principal: str) -> Request | Reply:
        """The call to make, or an answer of its own (a session's address, progress)."""
        query = dict(request.query)
        session = query.get("upload_id")
        if session:
            return self._continue(request, session)
        kind = query.get("uploadType") or request.headers.get("x-goog-upload-protocol", "media")
        content_type = request.headers.get("content-type", "")
        if kind == "multipart" or content_type.startswith("multipart/related"):
            return _multipart(request, content_type)
        if kind == "resumable":
            return self._begin(request, principal)
        return replace(request, media=request.content, media_type=content_type, content=b"")

    def principal_of(self, request: Request) -> str:
        """Chunks of a session carry no credentials of their own."""
        found = self._sessions.get(dict(request.query).get("upload_id", ""))
        return found.principal if found else ""

    def _begin(self, request: Request, principal: str) -> Reply:
        token = secrets.token_urlsafe(24)
        media_type = request.headers.get("x-upload-content-type", "application/octet-stream")
        self._sessions[token] = _Session(request, principal, media_type, bytearray())
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        pairs = [f"{name}={value}" for name, value in request.query if name != "upload_id"]
        location = f"https://{request.host}{request.path}?{'&'.join([*pairs, f'upload_id={token}'])}"
        return Reply(200, content=b"", headers={"Location": location, "X-GUploader-UploadID": token})

    def _continue(self, request: Request, token: str) -> Request | Reply:
        session = self._sessions.get(token)
        if session is None:
            raise ApiError("NOT_FOUND", "Upload session not found.", http=404)
        if request.verb == "DELETE":
            del self._sessions[token]
            return Reply(499, content=b"")
        span = request.headers.get("content-range", "")
        match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", span)
        if span and match is None:
            raise invalid(f"Failed to parse Content-Range header: {span}")
        given = match is not None and match[1] is not None
        start = int(match[1]) if match and given else len(session.received) if match else 0
        if start > len(session.received):
            raise invalid("Invalid request. There were bytes missing before this chunk.")
        session.received[start:] = request.content if match is None or match[1] is not None else b""
        total = match[3] if match else str(len(session.received))
        if total == "*" or len(session.received) < int(total):
            headers = {"Range": f"bytes=0-{len(session.received) - 1}"} if session.received else {}
            return Reply(308, content=b"", headers=headers)
        del self._sessions[token]
        return replace(session.request, media=bytes(session.received), media_type=session.media_type)


def _multipart(request: Request, content_type: str) -> Request:
    parts = split_parts(request.content, content_type)
    if len(parts) != 2:
        raise invalid(f"A multipart upload has two parts, this one has {len(parts)}.")
    (_, meta), (headers, media) = parts
    return replace(
        request, content=meta, media=media, media_type=headers.get("content-type", "application/octet-stream")
    )


def split_parts(content: bytes, content_type: str) -> list[tuple[dict[str, str], bytes]]:
    """Headers (names in lower case) and bytes of each part of a multipart body; the bytes are exact."""
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if match is None:
        raise invalid("A multipart body needs a boundary.")
    marker = b"--" + match[1].strip("'").encode()
    found = []
    for chunk in content.split(marker)[1:]:
        if chunk.startswith(b"--"):
            break
        chunk = chunk.removeprefix(b"\r\n").removeprefix(b"\n")
        separator = b"\r\n\r\n" if b"\r\n\r\n" in chunk[:4096] else b"\n\n"
        head, _, body = chunk.partition(separator)
        body = body[:-2] if body.endswith(b"\r\n") else body.removesuffix(b"\n")
        parsed = email.parser.BytesHeaderParser(policy=email.policy.HTTP).parsebytes(head + b"\r\n\r\n")
        found.append(({name.lower(): str(value) for name, value in parsed.items()}, body))
    return found
