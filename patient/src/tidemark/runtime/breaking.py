"""A breaker for coroutines: a service that keeps failing is left alone for a while, then one call tries whether it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

T = TypeVar("T")


class CircuitOpen(Exception):
    """The other side has failed too often; nothing was sent."""


class Breaker:
    """One outside service; safe for any number of tasks of one event loop.

    After `failures` in a row it rests for `rest` seconds. Counted is what an attempt raises.
    """

    def __init__(self, name: str, failures: int = 5, rest: float = 30.0) -> None:
        self.name = name
        self._breakers = AsyncCircuitBreakerFactory(default_threshold=failures, default_ttl=rest)
        # purgatory lets everybody through who comes while it is half open; only one may try.
        self._probing = asyncio.Lock()

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make one attempt. Raises CircuitOpen, or what the attempt raises."""
        breaker = await self._breakers.get_breaker(self.name)
        if breaker.context.state == "closed":
            return await self._guarded(breaker, attempt)
        if self._probing.locked():
            raise CircuitOpen(f"{self.name}: somebody else is trying whether it is back")
        async with self._probing:
            return await self._guarded(breaker, attempt)

    async def _guarded(self, breaker: Any, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            async with breaker:
                return await attempt()
        except OpenedState as opened:
            raise CircuitOpen(f"{self.name}: {opened}") from None
