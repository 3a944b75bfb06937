"""The HTTP/1.1 face: from bytes to kernel requests and back; batch, tokens, and the metadata server on the side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from twin.frontdoor import signatures, xml
from twin.frontdoor.mint import Mint
from twin.frontdoor.uploads import Uploads, split_parts
from twin.kernel.engine import Engine
from twin.kernel.errors import ApiError, envelope
from twin.kernel.types import Reply, Request
from twin.services.fresh import RUNNER

_MAX_BODY = 512 * 2**20
_BATCH_LIMIT = 1000
Foreign = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Face:
    """Answers everything that comes in as HTTP/1.1."""

    def __init__(self, engine: Engine, mint: Mint, admin: Foreign) -> None:
        self._engine = engine
        self._mint = mint
        self._admin = admin
        self._uploads = Uploads()
        self.hosts: dict[str, Foreign] = {}
        """Other hosts behind the front door (the Aura API, run.app, the environment's own), set by the runtime."""
        self.finished = asyncio.Condition()
        self.answered = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        host = request.headers.get("Host", "").partition(":")[0].lower()
        self.answered += 1
        foreign = self._foreign(host)
        if foreign is not None:
            return await foreign(request)
        if host in ("127.0.0.1", "localhost", "") or request.path.startswith("/-/"):
            if request.path.startswith("/computeMetadata/"):
                return self._metadata(request)
            return await self._admin(request)
        if host == "metadata.google.internal":
            return self._metadata(request)
        if (request.content_length or 0) > _MAX_BODY:
            return _json(413, {"error": {"code": 413, "message": "Request too large.", "status": "INVALID_ARGUMENT"}})
        content = await request.content.read(-1) if request.body_exists else b""
        target = urlsplit(request.raw_path)
        path = target.path
        if path in ("/token", "/oauth2/v4/token", "/oauth2/v3/token") and host in (
            "oauth2.googleapis.com",
            "www.googleapis.com",
            "accounts.google.com",
        ):
            status, body = self._mint.exchange(dict(parse_qsl(content.decode("utf-8", "replace"))))
            return _json(status, body)
        if host in ("oauth2.googleapis.com", "www.googleapis.com") and path in (
            "/tokeninfo",
            "/oauth2/v3/tokeninfo",
            "/oauth2/v1/tokeninfo",
        ):
            return self._tokeninfo(request, dict(parse_qsl(target.query)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        kernel_request = Request(
            headers.get("x-http-method-override", request.method),
            host,
            path,
            tuple(parse_qsl(target.query, keep_blank_values=True)),
            headers,
            content,
        )
        if path.startswith(("/batch", "/v1/batch", "/compute/v1/batch")) and headers.get("content-type", "").startswith(
            "multipart/mixed"
        ):
            return await self._batch(kernel_request)
        if xml.is_xml(host, path) and host.endswith("storage.googleapis.com"):
            return _response(await self._xml(kernel_request), {}, request.method)
        if request.method == "OPTIONS" and host in ("storage.googleapis.com", "www.googleapis.com"):
            return _response(xml.json_preflight(kernel_request), {}, request.method)
        principal = self._principal(kernel_request)
        reply = await self.answer(kernel_request, principal)
        return _response(reply, dict(kernel_request.query), request.method)

    async def _xml(self, request: Request) -> Reply:
        """Storage's XML API: by token, by signature, or as anybody."""
        try:
            if signatures.is_signed(request):
                principal = signatures.signer(request, self._engine, self._mint.public_keys)
            else:
                principal = self._principal(request)
                if not principal:
                    raise ApiError("UNAUTHENTICATED", "Authentication required.", reason="AuthenticationRequired")
        except ApiError as error:
            return xml.refused(error)
        return await xml.answer(request, principal, self.answer, self._engine)

    def _foreign(self, host: str) -> Foreign | None:
        found = self.hosts.get(host)
        if found is None and "." in host:
            found = self.hosts.get("*." + host.partition(".")[2])
        return found

    def _principal(self, request: Request) -> str:
        authorization = request.headers.get("authorization", "")
        query = dict(request.query)
        if not authorization and query.get("access_token"):
            authorization = "Bearer " + query["access_token"]
        principal = self._mint.principal(authorization) if authorization else ""
        if not principal and not authorization:
            principal = self._uploads.principal_of(request) or (
                "allUsers" if request.host.endswith("storage.googleapis.com") else ""
            )
        return principal

    async def answer(self, request: Request, principal: str) -> Reply:
        """Uploads, then the engine, then whatever the answer still waits for."""
        is_upload = "/upload/" in request.path or dict(request.query).get("upload_id")
        if is_upload:
            try:
                taken = self._uploads.take(request, principal)
            except ApiError as error:
                return Reply(error.http, envelope(error, "legacy"))
            if isinstance(taken, Reply):
                return taken
            request = taken
        reply = self._engine.handle(request, principal)
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.wait is not None:
            wait = reply.wait
            async with self.finished:
                try:
                    async with asyncio.timeout(wait.seconds):
                        await self.finished.wait_for(lambda: not self._engine.running(wait.key))
                except TimeoutError:
                    pass
            reply = self._engine.resumed(request, wait)
        return reply

    async def wake(self) -> None:
        """Background work has ended: look again."""
        async with self.finished:
            self.finished.notify_all()

    async def _batch(self, request: Request) -> web.Response:
        """https://cloud.google.com/storage/docs/batch: many calls in one, each answered in its own part."""
        try:
            parts = split_parts(request.content, request.headers.get("content-type", ""))
        except ApiError as error:
            return _json(400, envelope(error, "rpc"))
        if len(parts) > _BATCH_LIMIT:
            return _json(
                400,
                envelope(ApiError("INVALID_ARGUMENT", f"Batch size too large: the limit is {_BATCH_LIMIT}."), "rpc"),
            )
        boundary = "batch_twin"
        chunks = []
        for headers, content in parts:
            reply = await self._batch_part(request, content)
            payload = (
                reply.content
                if reply.content is not None
                else json.dumps(reply.body).encode()
                if reply.body is not None
                else b""
            )
            reference = headers.get("content-id", "").strip("<>")
            lines = [f"--{boundary}", "Content-Type: application/http"]
            if reference:
                lines.append(f"Content-ID: <response-{reference}>")
            lines += [
                "",
                f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'OK')}",
                "Content-Type: application/json; charset=UTF-8",
            ]
            lines += [f"Content-Length: {len(payload)}", "", ""]
            chunks.append("\r\n".join(lines).encode() + payload + b"\r\n")
        chunks.append(f"--{boundary}--\r\n".encode())
        return web.Response(body=b"".join(chunks), headers={"Content-Type": f"multipart/mixed; boundary={boundary}"})

    async def _batch_part(self, outer: Request, content: bytes) -> Reply:
        head, _, body = content.partition(b"\r\n\r\n") if b"\r\n\r\n" in content else content.partition(b"\n\n")
        lines = head.decode("utf-8", "replace").splitlines()
        words = lines[0].split(" ") if lines else []
        if len(words) < 2:
            return Reply(400, envelope(ApiError("INVALID_ARGUMENT", "Failed to parse batch part."), "rpc"))
        headers = {**{key: outer.headers[key] for key in ("authorization",) if key in outer.headers}}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        target = urlsplit(words[1])
        request = Request(
            words[0],
            target.hostname or outer.host,
            target.path,
            tuple(parse_qsl(target.query, keep_blank_values=True)),
            headers,
            body.strip(b"\r\n"),
        )
        return await self.answer(request, self._principal(request))

    def _tokeninfo(self, request: web.BaseRequest, query: dict[str, str]) -> web.Response:
        token = query.get("access_token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        principal = self._mint.principal("Bearer " + token)
        if not principal:
            return _json(400, {"error": "invalid_token", "error_description": "Invalid Value"})
        scope = "https://www.googleapis.com/auth/cloud-platform"
        return _json(
            200, {"email": principal.partition(":")[2], "email_verified": "true", "scope": scope, "expires_in": "3599"}
        )

    def _metadata(self, request: web.BaseRequest) -> web.Response:
        """https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys, for processes of the runtime."""
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403, text="Missing required header: Metadata-Flavor")
        settings = self._engine.settings
        account = request.headers.get("X-Twin-Account", f"{RUNNER}@{settings.project}.iam.gserviceaccount.com")
        path = request.path.removeprefix("/computeMetadata/v1").rstrip("/")
        prefix = "/instance/service-accounts/default"
        now = self._engine.now()
        answers: dict[str, Callable[[], str]] = {
            "": lambda: "instance/\nproject/",
            "/project/project-id": lambda: settings.project,
            "/project/numeric-project-id": lambda: settings.number,
            "/instance/service-accounts": lambda: "default/",
            f"{prefix}/email": lambda: account,
            f"{prefix}/scopes": lambda: "https://www.googleapis.com/auth/cloud-platform",
            "/universe/universe-domain": lambda: "googleapis.com",
            "/instance/region": lambda: f"projects/{settings.number}/regions/us-central1",
        }
        headers = {"Metadata-Flavor": "Google"}
        if path == prefix and request.query.get("recursive") == "true":
            body = {
                "email": account,
                "aliases": ["default"],
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            }
            return web.json_response(body, headers=headers)
        if path == f"{prefix}/token":
            token = self._mint.token(f"serviceAccount:{account}", now + timedelta(hours=1))
            return web.json_response(
                {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}, headers=headers
            )
        if path == f"{prefix}/identity":
            return web.Response(
                text=self._mint.id_token(account, request.query.get("audience", ""), now), headers=headers
            )
        if path in answers:
            return web.Response(text=answers[path](), headers=headers)
        return web.Response(status=404, text="Not Found", headers=headers)


_PHRASES = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


def _response(reply: Reply, query: dict[str, str], verb: str) -> web.StreamResponse:
    if reply.drop:
        return _Dropped()
    if reply.content is not None:
        headers = {"Content-Type": "application/octet-stream", **reply.headers}
        return web.Response(status=reply.status, body=reply.content if verb != "HEAD" else b"", headers=headers)
    if reply.body is None:
        return web.Response(status=reply.status, headers=reply.headers)
    return _json(reply.status, reply.body, reply.headers, pretty=query.get("prettyPrint") == "true")


class _Dropped(web.Response):
    """An injected fault: the connection is closed before anything is said."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("dropped by an injected fault")


def _json(status: int, body: Any, headers: dict[str, str] | None = None, pretty: bool = False) -> web.Response:
    text = json.dumps(body, indent=2) if pretty else json.dumps(body, separators=(",", ":"))
    base = {
        "Content-Type": "application/json; charset=UTF-8",
        "Vary": "X-Origin, Referer, Origin,Accept-Encoding",
        "Server": "ESF",
    }
    return web.Response(status=status, body=text.encode(), headers={**base, **(headers or {})})
