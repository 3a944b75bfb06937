"""The feed as a service: an endless, repeatable stream over WebSockets, at a pace that can be changed while it runs."""

from __future__ import annotations

import asyncio
import json
import signal
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed

from tidemark.feed.models import Trade
from tidemark.feed.server import SYMBOLS, deterministic_trades
from tidemark.runtime.counters import CONNECTIONS, TRADES, exposition
from tidemark.runtime.settings import Settings

POLICY_VIOLATION = 1008


class Stream:
    """Trade n is the same in every run. `rate` is in trades a second, 0 for all at once; `count` 0 never ends."""

    def __init__(self, rate: float, count: int) -> None:
        self.rate = rate
        self.count = count
        self.changed = asyncio.Event()
        self._source = deterministic_trades(10**9)
        self._made: list[Trade] = []

    def trade(self, sequence: int) -> Trade:
        """The trade of a sequence, which starts at 1."""
        while len(self._made) < sequence:
            self._made.append(next(self._source))
        return self._made[sequence - 1]

    def has(self, sequence: int) -> bool:
        """Whether the stream goes that far now."""
        return not self.count or sequence <= self.count

    def set_pace(self, rate: float | None, count: int | None) -> None:
        """Change the pace or the end; every reader notices at once."""
        self.rate = self.rate if rate is None else rate
        self.count = self.count if count is None else count
        self.changed.set()
        self.changed = asyncio.Event()


class FeedService:
    """Speaks to readers that bring the token: `{"from": n}`, then a trade a message."""

    def __init__(self, stream: Stream, token: str) -> None:
        if not token:
            raise ValueError("no feed token: set TIDEMARK_FEED_TOKEN")
        self.stream = stream
        self._token = token

    def authorized(self, request: Request) -> bool:
        """The token comes as a bearer, or as `?token=` from browsers, which cannot set headers."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        asked = parse_qs(urlsplit(request.path).query).get("token", [""])[0]
        return self._token in (given, asked)

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Plain requests, and handshakes without the token. None lets the handshake go on."""
        path = urlsplit(request.path)
        if path.path in ("/health", "/ready"):
            return _plain(HTTPStatus.OK, json.dumps({"status": "ok", "symbols": len(SYMBOLS)}), "application/json")
        if path.path == "/metrics":
            text, kind = exposition()
            return _plain(HTTPStatus.OK, text.decode(), kind)
        if not self.authorized(request):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the feed wants its token\n")
        if path.path == "/pace":
            wanted = {name: values[0] for name, values in parse_qs(path.query).items()}
            self.stream.set_pace(
                float(wanted["rate"]) if "rate" in wanted else None, int(wanted["count"]) if "count" in wanted else None
            )
            body = json.dumps({"rate": self.stream.rate, "count": self.stream.count})
            return _plain(HTTPStatus.OK, body, "application/json")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _plain(HTTPStatus.NOT_FOUND, "only WebSockets live here\n")
        return None

    async def send(self, connection: ServerConnection) -> None:
        """Serve one reader until it goes away."""
        CONNECTIONS.inc()
        try:
            async with asyncio.timeout(30):
                first = int(json.loads(await connection.recv())["from"])
            await self._stream_from(connection, max(first, 1))
        except ConnectionClosed:
            pass
        except (TimeoutError, ValueError, KeyError, TypeError):
            await connection.close(POLICY_VIOLATION, 'say {"from": sequence} first')
        finally:
            CONNECTIONS.dec()

    async def _stream_from(self, connection: ServerConnection, sequence: int) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            changed = self.stream.changed
            rate = self.stream.rate
            if not self.stream.has(sequence):
                await _either(changed.wait(), connection.wait_closed())
                if not changed.is_set():
                    return
                due = loop.time()
                continue
            await connection.send(self.stream.trade(sequence).model_dump_json())
            TRADES.labels("sent").inc()
            sequence += 1
            if rate:
                due += 1 / rate
                ahead = due - loop.time()
                if ahead > 0.005:
                    await asyncio.sleep(ahead)


async def _either(*waits: object) -> None:
    tasks = [asyncio.ensure_future(each) for each in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _plain(status: HTTPStatus, text: str, kind: str = "text/plain; charset=utf-8") -> Response:
    body = text.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)


async def run(chosen: Settings) -> None:
    """Serve until SIGTERM."""
    service = FeedService(Stream(chosen.feed_rate, chosen.feed_count), chosen.feed_token.get_secret_value())
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    port = chosen.port or chosen.feed_port
    async with serve(service.send, chosen.feed_host, port, process_request=service.answer, ping_interval=20):
        await ended.wait()
