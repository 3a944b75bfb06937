"""Reads the feed, from where it left off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import websockets
from websockets.client import WebSocketClientProtocol

from tidemark.feed.models import Trade


class FeedClient:
    """One reader of the feed. `next_sequence` is where a new connection goes on."""

    def __init__(self, url: str, token: str = "", next_sequence: int = 1, idle: float = 30.0) -> None:
        self.url = url
        self.token = token
        self.next_sequence = next_sequence
        self.idle = idle
        self._connection: WebSocketClientProtocol | None = None

    @property
    def connected(self) -> bool:
        """Whether the connection is open right now."""
        return self._connection is not None and self._connection.open

    async def trades(self, limit: int | None = None) -> AsyncIterator[Trade]:
        """Trades in order of arrival; ends after `limit`. Raises TimeoutError when the feed falls silent."""
        async with websockets.connect(
            self.url,
            timeout=10,
            extra_headers={"Authorization": f"Bearer {self.token}"},
        ) as connection:
            self._connection = connection
            await connection.send(json.dumps({"from": self.next_sequence}))
            seen = 0
            while limit is None or seen < limit:
                trade = Trade.model_validate_json(await connection.recv(timeout=self.idle))
                self.next_sequence = trade.sequence + 1
                seen += 1
                yield trade


async def probe(url: str, token: str = "") -> bool:
    """Whether the feed accepts a connection within five seconds."""
    try:
        connection = await asyncio.wait_for(
            websockets.connect(url, extra_headers={"Authorization": f"Bearer {token}"}), timeout=5
        )
    except (OSError, TimeoutError, websockets.InvalidStatusCode):
        return False
    await connection.close()
    return True
