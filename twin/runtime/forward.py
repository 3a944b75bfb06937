"""One hop of HTTP/1.1: a request goes to an upstream as it came, the answer comes back as it arrives; WebSockets are tunnelled.

Hop-by-hop headers end here (RFC 9110, 7.6.1); everything else passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_WHOLE = 64 * 1024
"""Answers up to this size are sent in one write."""
_HIGH = 256 * 1024
_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class UpstreamError(Exception):
    """No answer came: `kind` is `timeout`, `refused` or `broken`."""

    def __init__(self, kind: str, why: str = "") -> None:
        super().__init__(why or kind)
        self.kind = kind


class Sink(Protocol):
    """Gets a copy of an answer's body."""

    def feed(self, data: bytes) -> None: ...

    def done(self) -> None:
        """The body is complete; not called when it was cut."""


@dataclass(slots=True)
class Hop:
    """One request on its way. `edit` may change the answer's headers and return somebody who wants a copy of the body."""

    session: aiohttp.ClientSession
    host: str
    port: int
    path: str
    headers: CIMultiDict[str]
    until: float
    """The moment, by time.monotonic(), at which the request is cut; WebSockets too where `tunnel_until` says so."""
    tunnel_until: float
    edit: Callable[[int, CIMultiDict[str]], Sink | None]
    status: int = 0
    sent: int = 0


def end_to_end(headers: CIMultiDict[str] | object) -> CIMultiDict[str]:
    """A copy without hop-by-hop headers, those named by Connection included."""
    assert hasattr(headers, "items")
    assert hasattr(headers, "get")
    named = {word.strip().lower() for word in (headers.get("Connection") or "").split(",")}
    return CIMultiDict(
        (name, value) for name, value in headers.items() if (low := name.lower()) not in _HOP and low not in named
    )


def is_upgrade(request: web.BaseRequest) -> bool:
    return (
        request.headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in request.headers.get("Connection", "").lower()
    )


async def forward(request: web.BaseRequest, hop: Hop) -> web.StreamResponse:
    """Send the request on and answer it. UpstreamError while nothing has been answered yet; afterwards the client's
    connection is cut, as there is no other way to say that an answer is incomplete."""
    upgrade = is_upgrade(request)
    headers = hop.headers
    if upgrade:
        headers["Connection"], headers["Upgrade"] = "Upgrade", request.headers["Upgrade"]
    body = request.content if request.body_exists and not upgrade else None
    url = (
        URL.build(scheme="http", host=hop.host, port=hop.port, path=hop.path, encoded=True)
        if "?" not in hop.path
        else URL(f"http://{hop.host}:{hop.port}{hop.path}", encoded=True)
    )
    timer = asyncio.timeout_at(asyncio.get_running_loop().time() + hop.until - time.monotonic())
    answer: aiohttp.ClientResponse | None = None
    prepared: list[web.StreamResponse] = []
    try:
        async with timer:
            answer = await hop.session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False, skip_auto_headers=_SKIPPED
            )
            hop.status = answer.status
            if answer.status != 101:
                return await _relay(request, hop, answer, prepared)
        return await _tunnel(request, hop, answer)
    except TimeoutError:
        if not prepared:
            raise UpstreamError("timeout") from None
        return _cut(request, prepared[0])
    except aiohttp.ClientConnectorError as error:
        raise UpstreamError("refused", str(error)) from None
    except (aiohttp.ClientError, ConnectionError) as error:
        if not prepared:
            raise UpstreamError("broken", str(error) or type(error).__name__) from None
        return _cut(request, prepared[0])
    finally:
        if answer is not None and not answer.closed:
            answer.close()


async def _relay(
    request: web.BaseRequest, hop: Hop, answer: aiohttp.ClientResponse, prepared: list[web.StreamResponse]
) -> web.StreamResponse:
    headers = end_to_end(answer.headers)
    sink = hop.edit(answer.status, headers)
    if answer.status in (204, 304):
        headers.popall("Content-Length", None)
        return web.Response(status=answer.status, reason=answer.reason, headers=headers)
    length = answer.headers.get("Content-Length", "")
    bodiless = request.method == "HEAD"
    if length.isdigit() and int(length) <= _WHOLE and not bodiless:
        data = await answer.read()
        if sink is not None:
            sink.feed(data)
            sink.done()
        hop.sent = len(data)
        headers.popall("Content-Length", None)
        return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=data)
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    prepared.append(response)
    await response.prepare(request)
    if not bodiless:
        async for chunk in answer.content.iter_any():
            if sink is not None:
                sink.feed(chunk)
            hop.sent += len(chunk)
            await response.write(chunk)
    if sink is not None:
        sink.done()
    await response.write_eof()
    return response


def _cut(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response


# WebSockets


class _Pipe:
    """Bytes from one side of a tunnel to the other; takes the place of aiohttp's own frame reader on a connection."""

    def __init__(self, source: asyncio.Transport, sink: asyncio.Transport, over: asyncio.Event) -> None:
        self._source, self._sink, self._over = source, sink, over
        self._held = False
        self.passed = 0

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.passed += len(data)
        if not self._sink.is_closing():
            self._sink.write(data)
            if not self._held and self._sink.get_write_buffer_size() > _HIGH:
                self._held = True
                self._source.pause_reading()
                asyncio.get_running_loop().call_later(0.005, self._look)
        return False, b""

    def _look(self) -> None:
        """The other side is slow: read on once half of what waits has gone."""
        if self._source.is_closing() or self._sink.is_closing():
            return
        if self._sink.get_write_buffer_size() > _HIGH // 2:
            asyncio.get_running_loop().call_later(0.005, self._look)
            return
        self._held = False
        self._source.resume_reading()

    def feed_eof(self) -> None:
        self._over.set()

    def set_exception(self, *_: object) -> None:
        self._over.set()

    def is_eof(self) -> bool:
        return self._over.is_set()


class _Switched(web.StreamResponse):
    """101, after which the connection speaks something else."""

    @property
    def keep_alive(self) -> bool:
        return False


async def _tunnel(request: web.BaseRequest, hop: Hop, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = end_to_end(answer.headers)
    hop.edit(101, headers)
    headers["Connection"], headers["Upgrade"] = "Upgrade", answer.headers.get("Upgrade", "websocket")
    response = _Switched(status=101, headers=headers)
    await response.prepare(request)
    connection = answer.connection
    near = request.transport
    if connection is None or connection.transport is None or connection.protocol is None or near is None:
        return response
    far = connection.transport
    assert isinstance(near, asyncio.Transport)
    assert isinstance(far, asyncio.Transport)
    over = asyncio.Event()
    back, forth = _Pipe(far, near, over), _Pipe(near, far, over)
    connection.protocol.set_parser(back, back)
    request.protocol.set_parser(forth)  # type: ignore[arg-type] # anything that takes bytes will do
    left = hop.tunnel_until - time.monotonic()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if left < 10**9 else None):
                await over.wait()
    finally:
        hop.sent = back.passed
        # What one side said last shall still arrive; then both go.
        far.close()
        near.close()
    return response
