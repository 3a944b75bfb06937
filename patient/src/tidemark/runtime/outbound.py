"""Calls to services that are not ours: limited, broken off when the other side is down, tried again, read in chunks."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import httpx
import stamina
from pyrate_limiter import Duration, Limiter, Rate

from tidemark.runtime.breaking import Breaker, CircuitOpen

__all__ = ("TIMEOUT", "CircuitOpen", "Outbound", "TooManyRequests", "body_chunks", "cached_client", "chunked")

T = TypeVar("T")
TIMEOUT = httpx.Timeout(10.0, connect=5.0)


class TooManyRequests(Exception):
    """Our own limit: no permit came up in time, and nothing was sent."""


class Outbound:
    """One outside service, one limit, one breaker; safe for any number of tasks of one event loop.

    The limit counts for this process: with n instances the other side sees n times as much.
    """

    def __init__(
        self, name: str, per_second: int = 10, failures: int = 5, rest: float = 30.0, wait: float = 5.0
    ) -> None:
        self.name = name
        self._limiter = Limiter(Rate(per_second, Duration.SECOND))
        self._breaker = Breaker(name, failures, rest)
        self._wait = wait

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make one attempt. Raises TooManyRequests, CircuitOpen, or what the attempt raises."""
        if not await self._limiter.try_acquire_async(self.name, timeout=self._wait):
            raise TooManyRequests(f"{self.name}: no permit within {self._wait} s")
        return await self._breaker.call(attempt)

    async def request(self, client: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
        """One HTTP request, tried again where nothing can have happened: the connection failed."""

        @stamina.retry(on=httpx.ConnectError, attempts=3, timeout=10.0, wait_initial=0.1)
        async def attempt() -> httpx.Response:
            answer = await client.request(method, url, **options)
            if answer.status_code >= 500:
                answer.raise_for_status()
            return answer

        return await self.call(attempt)


def cached_client(folder: Path | None = None, **options: Any) -> httpx.AsyncClient:
    """A client that keeps what the other side allows to be kept, in a file of its own (by default a temporary one)."""
    from hishel import AsyncSqliteStorage
    from hishel.httpx import AsyncCacheClient

    place = folder or Path(tempfile.mkdtemp(prefix="tidemark-http-"))
    storage = AsyncSqliteStorage(database_path=place / "http-cache.db")
    # Without rfc=True hishel 2 keeps every answer for ever, whatever the other side says.
    return AsyncCacheClient(**{"storage": storage, "timeout": TIMEOUT, **options}, rfc=True)


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
