"""The feed: sends trades over a WebSocket, from the sequence that the reader asks for."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from types import TracebackType

from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve

from tidemark.feed.models import Trade

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")


def deterministic_trades(count: int, seed: int = 7) -> Iterator[Trade]:
    """The same trades for the same seed: one every twenty minutes, symbols in turn."""
    chance = random.Random(seed)
    start = datetime(2026, 1, 5, tzinfo=UTC)
    for sequence in range(1, count + 1):
        yield Trade(
            sequence=sequence,
            symbol=SYMBOLS[sequence % len(SYMBOLS)],
            price=Decimal(chance.randrange(10_00, 90_000_00)) / 100,
            quantity=chance.randrange(1, 500),
            traded_at=start + timedelta(minutes=20 * (sequence - 1)),
        )


class TradeFeed:
    """Serves a list of trades, at once or paced; then keeps the connection open."""

    def __init__(self, trades: Sequence[Trade], token: str = "", interval: float = 0.0) -> None:
        self.trades = trades
        self.token = token
        self.interval = interval
        self._server: Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and say on which port."""
        self._server = await serve(self._send, host, port, process_request=self._authorize, ping_interval=20)
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def __aenter__(self) -> TradeFeed:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _authorize(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the feed wants its token\n")
        return None

    async def _send(self, connection: ServerConnection) -> None:
        first = int(json.loads(await connection.recv())["from"])
        for trade in self.trades:
            if trade.sequence >= first:
                await connection.send(trade.model_dump_json())
                await asyncio.sleep(self.interval)
        await connection.wait_closed()
