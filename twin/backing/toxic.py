"""A TCP proxy that spoils connections: latency, bandwidth, resets, black holes, half-open connections.

It sits in front of one address and is told by method calls what to do; faults apply to connections that are open, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, replace
from typing import Final

_PIECE: Final = 16_384


@dataclass(frozen=True, slots=True)
class Toxics:
    """What is wrong with the wire. Nothing, by default."""

    latency: float = 0.0
    """Seconds that each piece of data waits, each way."""
    bandwidth: int = 0
    """Bytes a second each way, for each connection; 0 for no limit."""
    partition: bool = False
    """Connections are taken and stay open, and no byte passes: what a dropped route looks like."""
    half_open: bool = False
    """What the client sends arrives; what the server answers does not."""
    refuse: bool = False
    """New connections are reset at once."""

    def __post_init__(self) -> None:
        if self.latency < 0 or self.bandwidth < 0:
            raise ValueError("latency and bandwidth are 0 or more")


class Proxy:
    """`async with Proxy(host, port) as proxy:` listens on `proxy.port`."""

    def __init__(self, host: str, port: int, listen: int = 0) -> None:
        self._target, self._listen = (host, port), listen
        self.toxics = Toxics()
        self.port = 0
        self.passed = 0
        """Bytes that got through, both ways."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._listen)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """Connections of clients that are open."""
        return len(self._tasks)

    def set(self, **changes: float | bool) -> None:
        """Change some of the toxics at once. ValueError or TypeError for what there is not."""
        self.toxics = replace(self.toxics, **changes)  # type: ignore[arg-type]  # checked by the record itself
        self._changed.set()
        self._changed = asyncio.Event()

    def heal(self) -> None:
        """A clean wire again; what waited in a partition arrives now, as TCP would send it again."""
        self.toxics = Toxics()
        self._changed.set()
        self._changed = asyncio.Event()

    def reset(self) -> int:
        """Cut every open connection with a TCP reset; returns how many."""
        tasks = list(self._tasks)
        for writer in self._writers:
            _abort(writer)
        for task in tasks:
            task.cancel()
        return len(tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.toxics.refuse:
            _abort(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._carry(reader, writer)
        self._tasks.discard(task)
        self._writers.discard(writer)
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, inner_writer, back=False))
                group.create_task(self._pump(inner_reader, writer, back=True))
        except* OSError:
            _abort(writer)
        finally:
            inner_writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back: bool) -> None:
        loop = asyncio.get_running_loop()
        while data := await source.read(_PIECE):
            arrived = loop.time()
            await self._clear(back)
            toxics = self.toxics
            wait = arrived + toxics.latency - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            if toxics.bandwidth:
                await asyncio.sleep(len(data) / toxics.bandwidth)
            await self._clear(back)  # it may have been cut meanwhile
            self.passed += len(data)
            sink.write(data)
            await sink.drain()
        await self._clear(back)
        if sink.can_write_eof():
            sink.write_eof()

    async def _clear(self, back: bool) -> None:
        """Wait until the wire carries something this way."""
        while self.toxics.partition or (back and self.toxics.half_open):
            await self._changed.wait()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end: linger on, for no time."""
    wire: socket.socket | None = writer.get_extra_info("socket")
    if wire is not None:
        with contextlib.suppress(OSError):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
