"""Calls to services that are not ours: limited, broken off when the other side is down, tried again, read in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import httpx
import stamina
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from pyrate_limiter import Duration, Limiter, Rate

T = TypeVar("T")
TIMEOUT = httpx.Timeout(10.0, connect=5.0)


class TooManyRequests(Exception):
    """Our own limit: no permit came up in time, and nothing was sent."""


class CircuitOpen(Exception):
    """The other side has failed too often; nothing was sent."""


class Outbound:
    """One outside service, one limit, one breaker; safe for any number of tasks of one event loop.

    The limit counts for this process: with n instances the other side sees n times as much.
    """

    def __init__(
        self, name: str, per_second: int = 10, failures: int = 5, rest: float = 30.0, wait: float = 5.0
    ) -> None:
        self.name = name
        self._limiter = Limiter(Rate(per_second, Duration.SECOND))
        self._breakers = AsyncCircuitBreakerFactory(default_threshold=failures, default_ttl=rest)
        # purgatory lets everybody through who comes while it is half open; only one may try.
        self._probing = asyncio.Lock()
        self._wait = wait

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make one attempt. Raises TooManyRequests, CircuitOpen, or what the attempt raises."""
        if not await self._limiter.try_acquire_async(self.name, timeout=self._wait):
            raise TooManyRequests(f"{self.name}: no permit within {self._wait} s")
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

    async def request(self, client: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
        """One HTTP request, tried again where nothing can have happened: the connection failed."""

        @stamina.retry(on=httpx.ConnectError, attempts=3, timeout=10.0, wait_initial=0.1)
        async def attempt() -> httpx.Response:
            answer = await client.request(method, url, **options)
            if answer.status_code >= 500:
                answer.raise_for_status()
            return answer

        return await self.call(attempt)


def cached_client(folder: Path, **options: Any) -> httpx.AsyncClient:
    """A client that keeps what the other side allows to be kept, in a file of its own."""
    from hishel import AsyncSqliteStorage
    from hishel.httpx import AsyncCacheClient

    storage = AsyncSqliteStorage(database_path=folder / "http-cache.db")
    return AsyncCacheClient(storage=storage, timeout=TIMEOUT, **options)


def chunked(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Tuples of `size` items, the last one shorter. Nothing more than one chunk is held."""
    if size < 1:
        raise ValueError(f"a chunk of {size}")
    iterator = iter(items)
    while chunk := tuple(islice(iterator, size)):
        yield chunk


async def body_chunks(answer: httpx.Response, size: int = 65536) -> AsyncIterator[bytes]:
    """A streamed answer piece by piece, closed at the end whatever happens."""
    try:
        async for piece in answer.aiter_bytes(size):
            yield piece
    finally:
        await answer.aclose()
