"""Loopback listeners: one per forwarding rule and per service, each on a port of its own that it keeps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from twin.runtime.ports import Ports

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class _Face:
    server: asyncio.Server
    handlers: web.Server
    port: int


class Faces:
    """Opens and closes listeners as they are wanted."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._open: dict[str, _Face] = {}

    def url(self, name: str) -> str:
        face = self._open.get(name)
        return f"http://127.0.0.1:{face.port}" if face is not None else ""

    async def follow(self, wanted: dict[str, Answer]) -> None:
        """Open what is missing, close what is not wanted any more."""
        for name in self._open.keys() - wanted.keys():
            await self._shut(self._open.pop(name))
        for name, answer in wanted.items():
            if name not in self._open:
                self._open[name] = await self._listen(name, answer)

    async def _listen(self, name: str, answer: Answer) -> _Face:
        listener: socket.socket = self._ports.face(name)
        handlers = web.Server(
            answer,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=610,
            max_line_size=16_384,
            max_field_size=65_536,
        )
        server = await asyncio.get_running_loop().create_server(handlers, sock=listener, backlog=1024)
        return _Face(server, handlers, listener.getsockname()[1])

    async def _shut(self, face: _Face) -> None:
        face.server.close()
        face.handlers.pre_shutdown()
        await face.handlers.shutdown(1)

    async def close(self) -> None:
        for face in self._open.values():
            await self._shut(face)
        self._open.clear()
