"""Bolt 5 in front of the graph, so that Neo4j's own drivers connect: https://neo4j.com/docs/bolt/current/bolt/message/"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from twin.backing.cypher import errors
from twin.backing.cypher.errors import CypherError
from twin.backing.cypher.graph import Graph
from twin.backing.cypher.parse import parse
from twin.backing.cypher.procedures import VERSION
from twin.backing.cypher.run import Result, run
from twin.backing.packstream import Reader, Structure, pack

log = logging.getLogger("twin.backing.bolt")
_MAGIC: Final = b"\x60\x60\xb0\x17"
_MINORS: Final = (4, 3, 2, 1, 0)
_LARGEST: Final = 64 * 2**20
_LOCK_LIMIT: Final = 10.0
_IDS: Final = itertools.count(1)
_NAMES: Final = {
    0x01: "hello", 0x02: "goodbye", 0x0F: "reset", 0x10: "run", 0x2F: "discard", 0x3F: "pull", 0x11: "begin",
    0x12: "commit", 0x13: "rollback", 0x54: "telemetry", 0x66: "route", 0x6A: "logon", 0x6B: "logoff",
}  # fmt: skip


class Bolt:
    """A Bolt server on one graph. One transaction at a time may be open: the others wait for it."""

    def __init__(
        self, graph: Graph, password: str, address: str, user: str = "neo4j", open_: Callable[[], bool] = lambda: True
    ) -> None:
        """`address` is what a routing table names; while `open_` says no, as a paused instance does, nobody gets in."""
        self.graph, self.password, self.user, self.address = graph, password, user, address
        self._open = open_
        self._turn = asyncio.Lock()
        self._bookmarks = itertools.count(1)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def serve(self, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen on the loopback; returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, ssl=context)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, end every connection, roll back what was open."""
        self.drop()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def drop(self) -> None:
        """As `close`, without waiting for the connections to end."""
        if self._server is not None:
            self._server.close()
        self.end_connections()

    def end_connections(self) -> None:
        """Cut off every client; what they had open is rolled back."""
        for task in list(self._connections):
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        connection = Connection(self, reader, writer)
        try:
            if self._open():
                await connection.talk()
        except (OSError, EOFError, ssl.SSLError, asyncio.CancelledError) as error:
            log.debug("connection ended: %r", error)
        except Exception:
            log.exception("connection ended by a fault of this server")
        finally:
            connection.abandon()
            self._connections.discard(task)
            writer.close()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The graph for this transaction alone."""
        await self.take()
        try:
            yield
        finally:
            self._turn.release()

    async def take(self) -> None:
        """CypherError (transient: drivers try again) when another transaction stays open for too long."""
        try:
            async with asyncio.timeout(_LOCK_LIMIT):
                await self._turn.acquire()
        except TimeoutError:
            raise CypherError(
                errors.LOCKED, f"another transaction has been open for more than {_LOCK_LIMIT:.0f} s"
            ) from None

    def give(self) -> None:
        self._turn.release()

    def bookmark(self) -> str:
        return f"twin:{next(self._bookmarks)}"


class Connection:
    """One client: handshake, then messages until goodbye."""

    def __init__(self, bolt: Bolt, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._bolt, self._reader, self._writer = bolt, reader, writer
        self._results: deque[tuple[Result, Any]] = deque()
        self._known = False
        self._failed = False
        self._begun = False
        self._read_only = False
        self._id = next(_IDS)

    async def talk(self) -> None:
        head = await self._reader.readexactly(20)
        chosen = _version(head[4:]) if head[:4] == _MAGIC else b"\0\0\0\0"
        self._writer.write(chosen)
        await self._writer.drain()
        if chosen == b"\0\0\0\0":
            return
        while True:
            message = await self._message()
            name = _NAMES.get(message.tag, "")
            if name == "goodbye":
                return
            try:
                if name == "reset":
                    self.abandon()
                    self._failed = False
                    self._success({})
                elif self._failed:
                    self._send(0x7E, [])
                else:
                    await self._do(name, message)
            except CypherError as error:
                self._failed = True
                # A transaction that failed is over, whatever the client does next.
                self.abandon()
                self._send(0x7F, [{"code": error.code, "message": error.message}])
                if error.code == errors.UNAUTHORIZED:
                    await self._writer.drain()
                    return
            await self._writer.drain()

    async def _message(self) -> Structure:
        parts: list[bytes] = []
        total = 0
        while True:
            size = int.from_bytes(await self._reader.readexactly(2), "big")
            if not size:
                if parts:
                    break
                continue  # a keep-alive
            total += size
            if total > _LARGEST:
                raise EOFError("a message is too large")
            parts.append(await self._reader.readexactly(size))
        try:
            found = Reader(b"".join(parts)).value()
        except (CypherError, ValueError, OverflowError, IndexError, TypeError) as error:
            raise EOFError(f"not a message: {error}") from None
        if not isinstance(found, Structure):
            raise EOFError("not a message")
        return found

    async def _do(self, name: str, message: Structure) -> None:
        if not name:
            raise CypherError(errors.REQUEST, f"unknown message {message.tag:#x}")
        fields = message.fields
        extra = fields[-1] if fields and isinstance(fields[-1], dict) else {}
        if name == "hello":
            if "scheme" in extra:
                self._logon(extra)
            facts = {"server": f"Neo4j/{VERSION}", "connection_id": f"bolt-{self._id}", "hints": {}}
            self._success(facts)
            return
        if name == "logon":
            self._logon(extra)
            self._success({})
            return
        if not self._known:
            raise CypherError(errors.UNAUTHORIZED, "log on first")
        if name in ("logoff", "telemetry"):
            self._known = name == "telemetry"
            self._success({})
        elif name == "route":
            self._route()
        elif name == "run":
            await self._run(str(fields[0]), fields[1] if len(fields) > 1 else {}, extra)
        elif name in ("pull", "discard"):
            self._pull(int(extra.get("n", -1)), extra.get("qid", -1), send=name == "pull")
        else:
            await self._transaction(name, extra)

    def _logon(self, facts: dict[str, Any]) -> None:
        right = (
            facts.get("scheme") == "basic"
            and facts.get("principal") == self._bolt.user
            and hmac.compare_digest(str(facts.get("credentials", "")).encode(), self._bolt.password.encode())
        )
        if not right:
            raise CypherError(errors.UNAUTHORIZED, "The client is unauthorized due to authentication failure.")
        self._known = True

    def _route(self) -> None:
        servers = [{"addresses": [self._bolt.address], "role": role} for role in ("WRITE", "READ", "ROUTE")]
        self._success({"rt": {"ttl": 300, "db": "neo4j", "servers": servers}})

    async def _transaction(self, name: str, extra: dict[str, Any]) -> None:
        if name == "begin":
            if self._begun:
                raise CypherError(errors.REQUEST, "a transaction is already open on this connection")
            _check_database(extra)
            await self._bolt.take()
            self._begun, self._read_only = True, extra.get("mode") == "r"
            self._success({})
            return
        if not self._begun:
            raise CypherError(errors.REQUEST, f"{name.upper()} without a transaction")
        self._results.clear()
        if name == "rollback":
            self.abandon()
            self._success({})
            return
        self._bolt.graph.commit()
        self._begun = False
        self._bolt.give()
        self._success({"bookmark": self._bolt.bookmark()})

    async def _run(self, text: str, parameters: dict[str, Any], extra: dict[str, Any]) -> None:
        graph = self._bolt.graph
        meta: dict[str, Any] = {}
        if self._begun:
            self._allowed(text, self._read_only)
            result = _frozen(run(graph, text, parameters))
            meta["qid"] = len(self._results)
        else:
            _check_database(extra)
            self._allowed(text, extra.get("mode") == "r")
            async with self._bolt.turn():
                try:
                    result = _frozen(run(graph, text, parameters))
                    graph.commit()
                except BaseException:
                    graph.rollback()
                    raise
            self._results.clear()
        self._results.append((result, iter(result.rows)))
        self._success({"fields": result.columns, "t_first": 0, **meta})

    def _allowed(self, text: str, read_only: bool) -> None:
        if read_only and parse(text).writes:
            raise CypherError(errors.READ_ONLY, "Writing in read access mode not allowed.")

    def _pull(self, count: int, query: Any, *, send: bool) -> None:
        if not self._results:
            raise CypherError(errors.REQUEST, "there is no result to pull")
        at = int(query) if isinstance(query, int) and 0 <= query < len(self._results) else -1
        result, rows = self._results[at]
        for row in itertools.islice(rows, None if count < 0 else count):
            if send:
                self._send(0x71, [row])
        following = next(rows, None) if send and count >= 0 else None
        if following is not None:
            self._results[at] = (result, itertools.chain([following], rows))
            self._success({"has_more": True})
            return
        facts: dict[str, Any] = {"type": result.kind, "t_last": 0, "db": "neo4j"}
        if result.counters:
            facts["stats"] = {**result.counters, "contains-updates": True}
        if not self._begun:
            facts["bookmark"] = self._bolt.bookmark()
        self._success(facts)

    def abandon(self) -> None:
        """Roll back what is open, forget every result."""
        self._results.clear()
        if self._begun:
            self._begun = False
            self._bolt.graph.rollback()
            self._bolt.give()

    def _success(self, facts: dict[str, Any]) -> None:
        self._send(0x70, [facts])

    def _send(self, tag: int, fields: list[Any]) -> None:
        if tag == 0x71 and fields[0] and isinstance(fields[0][0], _Packed):
            inner = fields[0]
            data = bytes((0xB1, tag)) + pack([None] * len(inner))[: -len(inner)] + b"".join(each.data for each in inner)
        else:
            data = pack(Structure(tag, fields))
        for start in range(0, len(data), 0xFFFF):
            piece = data[start : start + 0xFFFF]
            self._writer.write(len(piece).to_bytes(2, "big") + piece)
        self._writer.write(b"\0\0")


class _Packed:
    """A value in the form in which it is sent."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def _frozen(result: Result) -> Result:
    """Packed at once, before a later statement changes the nodes that the rows show."""
    result.rows = [[_Packed(pack(value)) for value in row] for row in result.rows]
    return result


def _check_database(extra: dict[str, Any]) -> None:
    name = extra.get("db") or "neo4j"
    if name not in ("neo4j", "system"):
        raise CypherError(errors.DATABASE, f"Database does not exist. Database name: '{name}'.")


def _version(offered: bytes) -> bytes:
    """The best of four offers `[0, range, minor, major]`, https://neo4j.com/docs/bolt/current/bolt/handshake/"""
    for at in range(0, 16, 4):
        _, span, minor, major = offered[at : at + 4]
        for each in _MINORS if major == 5 else ():
            if minor - span <= each <= minor:
                return bytes((0, 0, each, 5))
    return b"\0\0\0\0"
