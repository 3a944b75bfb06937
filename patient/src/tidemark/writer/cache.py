"""The last trade of each symbol, for the api: in memory, or in Redis."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from tidemark.feed.models import Trade
from tidemark.runtime.clock import Clock, SystemClock


class Cache(Protocol):
    """What the writer fills and the api reads."""

    async def put(self, trade: Trade) -> None:
        """Remember the trade as its symbol's last."""
        ...

    async def last(self, symbol: str) -> Trade | None:
        """The last trade of a symbol, or None when there is none or it is too old."""
        ...


class MemoryCache:
    """For tests and for a laptop; counts hits and misses."""

    def __init__(self, ttl: float = 60.0, clock: Clock | None = None) -> None:
        self._ttl = timedelta(seconds=ttl)
        self._clock = clock or SystemClock()
        self._last: dict[str, tuple[datetime, Trade]] = {}
        self.hits = 0
        self.misses = 0

    async def put(self, trade: Trade) -> None:
        self._last[trade.symbol] = (self._clock.now() + self._ttl, trade)

    async def last(self, symbol: str) -> Trade | None:
        until, trade = self._last.get(symbol, (None, None))
        if until is None or until <= self._clock.now():
            self._last.pop(symbol, None)
            self.misses += 1
            return None
        self.hits += 1
        return trade

    @property
    def hit_rate(self) -> float:
        """Hits over lookups; 0.0 before the first."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0


class RedisCache:
    """The same in Redis; entries expire there."""

    def __init__(self, client: Any, ttl: int = 60) -> None:
        self.client = client
        self._ttl = ttl

    @classmethod
    def connect(cls, url: str, ttl: int = 60) -> RedisCache:
        """A cache with a pool of its own. Nothing is sent yet."""
        import aioredis

        return cls(aioredis.from_url(url), ttl)

    async def put(self, trade: Trade) -> None:
        await self.client.set(f"last:{trade.symbol}", trade.model_dump_json(), ex=self._ttl)

    async def last(self, symbol: str) -> Trade | None:
        text = await self.client.get(f"last:{symbol}")
        return None if text is None else Trade.model_validate_json(text)
