"""The CONNECT proxy: every client comes in here, and nothing gets out.

The first bytes of a connection are only looked at (MSG_PEEK), then the socket itself is handed to whoever speaks its
language: HTTP/1.1 over TLS to aiohttp, HTTP/2-only clients to the gRPC server, plain requests to the admin endpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

log = logging.getLogger("twin.frontdoor")

_KNOWN = re.compile(
    r"^([a-z0-9-]+\.)*googleapis\.com$|^accounts\.google\.com$|^metadata\.google\.internal$|^api\.neo4j\.io$|^([a-z0-9-]+\.)+run\.app$"
)
_HEAD_LIMIT = 16_384


class Proxy:
    """Listens on loopback only."""

    def __init__(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        grpc_port: Callable[[], Awaitable[int]],
        extra_hosts: Sequence[str] = (),
    ) -> None:
        self._factory = protocol_factory
        self._context = context
        self._grpc_port = grpc_port
        self._extra = tuple(extra_hosts)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self.port = 0

    def open(self, port: int) -> None:
        """Bind and listen; connections are queued by the system until `serve` runs. OSError when the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
        listener.setblocking(False)
        self._listener = listener
        self.port = listener.getsockname()[1]

    async def serve(self) -> None:
        assert self._listener is not None
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:
                if self._listener.fileno() < 0:
                    return
                await asyncio.sleep(0.05)
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._first_bytes(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()

    async def _first_bytes(self, client: socket.socket) -> None:
        handed_over = False
        try:
            async with asyncio.timeout(30):
                head = await _peek(client, lambda data: b"\r\n\r\n" in data)
            line = head.split(b"\r\n", 1)[0].decode("latin-1")
            verb, _, rest = line.partition(" ")
            target = rest.partition(" ")[0]
            if verb == "CONNECT":
                handed_over = await self._connect(client, head, target)
            elif "://" in target and not self._allowed(urlsplit(target).hostname or ""):
                await _refuse(client, urlsplit(target).hostname or "")
            else:
                await asyncio.get_running_loop().connect_accepted_socket(self._factory, client)
                handed_over = True
        except (OSError, TimeoutError, ValueError, ssl.SSLError) as error:
            log.debug("connection dropped: %s", error)
        finally:
            if not handed_over:
                client.close()

    def _allowed(self, host: str) -> bool:
        return bool(_KNOWN.match(host)) or host in self._extra

    async def _connect(self, client: socket.socket, head: bytes, target: str) -> bool:
        loop = asyncio.get_running_loop()
        await loop.sock_recv(client, head.index(b"\r\n\r\n") + 4)
        host, _, port = target.rpartition(":")
        if not self._allowed(host) or not port.isdigit():
            await _refuse(client, host)
            return False
        await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.timeout(30):
            hello = await _peek(client, _complete_hello)
        if hello[:1] != b"\x16":
            await loop.connect_accepted_socket(self._factory, client)
            return True
        if wants_h2_only(hello):
            await self._splice(client, await self._grpc_port())
            return True
        await loop.connect_accepted_socket(self._factory, client, ssl=self._context)
        return True

    async def _splice(self, client: socket.socket, port: int) -> None:
        loop = asyncio.get_running_loop()
        upstream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        upstream.setblocking(False)
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.closing(upstream), contextlib.closing(client):
            await loop.sock_connect(upstream, ("127.0.0.1", port))

            async def copy(source: socket.socket, sink: socket.socket) -> None:
                while data := await loop.sock_recv(source, 65_536):
                    await loop.sock_sendall(sink, data)
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)

            await asyncio.gather(copy(client, upstream), copy(upstream, client))


async def _refuse(client: socket.socket, host: str) -> None:
    body = (
        f"The twin answers for Google Cloud only; {host} is not behind it, and nothing leaves this machine.\n".encode()
    )
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    await asyncio.get_running_loop().sock_sendall(client, head.encode() + body)


async def _peek(client: socket.socket, enough: Callable[[bytes], bool]) -> bytes:
    """The bytes that wait on a socket, left there, once there are enough. ValueError when there never will be."""
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    seen = -1
    while True:
        try:
            data = client.recv(_HEAD_LIMIT, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            data = b""
            await _readable(loop, client)
            continue
        if not data:
            raise ValueError("closed before a request came")
        if enough(data):
            return data
        if len(data) >= _HEAD_LIMIT:
            raise ValueError("the request's head is too long")
        if len(data) == seen:
            # A peeked socket stays readable: let more bytes arrive instead of spinning.
            await asyncio.sleep(0.002)
        seen = len(data)


async def _readable(loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(client.fileno(), wake)
    try:
        await ready
    finally:
        loop.remove_reader(client.fileno())


def _complete_hello(data: bytes) -> bool:
    if data[:1] != b"\x16":
        return True
    return len(data) >= 5 and len(data) >= min(5 + int.from_bytes(data[3:5], "big"), _HEAD_LIMIT)


def alpn_of(hello: bytes) -> list[bytes]:
    """The protocols that a TLS ClientHello offers (RFC 7301); [] when it offers none or is no ClientHello."""
    try:
        at = 5 + 4 + 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 1 + hello[at]
        end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 2
        while at + 4 <= end:
            kind, size = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
            at += 4
            if kind == 16:
                names, inner = [], at + 2
                while inner < at + size:
                    names.append(hello[inner + 1 : inner + 1 + hello[inner]])
                    inner += 1 + hello[inner]
                return names
            at += size
    except IndexError:
        pass
    return []


def wants_h2_only(hello: bytes) -> bool:
    """gRPC clients offer `h2` (and perhaps `grpc-exp`) and no HTTP/1.1."""
    offered = alpn_of(hello)
    return b"h2" in offered and b"http/1.1" not in offered
