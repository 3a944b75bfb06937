"""The CDN between the balancer and an origin: hits, misses, revalidation, ranges.

https://cloud.google.com/cdn/docs/caching
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict

from twin.kernel.engine import Engine
from twin.kernel.types import Body
from twin.runtime.cache import Cache, Stored, client_control, key_of, lifetime, vary_of
from twin.runtime.forward import Sink
from twin.runtime.invoke import Edit

Origin = Callable[[CIMultiDict[str], Edit], Awaitable[web.StreamResponse]]
"""Sends a request with these headers; the answer's headers go through the edit."""
_CONDITIONS = ("If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range")


@dataclass(slots=True)
class Passage:
    """One request through the CDN; `status` is what `{cdn_cache_status}` says."""

    backend: str
    policy: Body
    scheme: str
    host: str
    path: str
    query: str
    headers: CIMultiDict[str]
    status: str = "disabled"
    fill: int = 0


class _Copy:
    """Collects a body on its way to the client, and stores it once it is whole."""

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep, self._parts = keep, bytearray()

    def feed(self, data: bytes) -> None:
        self._parts += data

    def done(self) -> None:
        self._keep(bytes(self._parts))


@dataclass(slots=True, eq=False)
class Cdn:
    """All caches of a twin: one, as keys name their backend."""

    engine: Engine
    cache: Cache = field(default_factory=Cache)
    _refreshing: dict[tuple[str, ...], asyncio.Task[None]] = field(default_factory=dict)

    def _now(self) -> float:
        return self.engine.now().timestamp()

    async def answer(
        self, request: web.BaseRequest, passage: Passage, origin: Origin, edit: Edit
    ) -> web.StreamResponse:
        """Answer from the cache, or from the origin and keep what may be kept. `edit` sees every answer's headers last."""
        bypassed = any(
            item.get("headerName") in passage.headers for item in passage.policy.get("bypassCacheOnRequestHeaders", ())
        )
        if request.method not in ("GET", "HEAD") or bypassed or "Upgrade" in request.headers:
            passage.status = "uncacheable"
            return await origin(passage.headers, edit)
        key = key_of(
            passage.backend, passage.policy, passage.scheme, passage.host, passage.path, passage.query,
            passage.headers, request.cookies,
        )  # fmt: skip
        stored = self.cache.find(key, passage.headers)
        if stored is None:
            passage.status = "miss"
            return await origin(self._unconditional(request, passage), self._keeping(request, passage, key, edit))
        age = stored.age(self._now())
        if age <= stored.fresh:
            passage.status = "hit"
            return self._serve(passage, stored, edit)
        if age <= stored.fresh + stored.stale and stored.status in (200, 203):
            passage.status = "stale"
            self._refresh(request, passage, key, stored, origin)
            return self._serve(passage, stored, edit)
        return await self._revalidate(request, passage, key, stored, origin, edit)

    def _unconditional(self, request: web.BaseRequest, passage: Passage) -> CIMultiDict[str]:
        """A miss fetches the whole object, whatever the browser has; a range is left to the origin."""
        headers = passage.headers.copy()
        if request.method == "GET":
            for name in _CONDITIONS:
                headers.popall(name, None)
        return headers

    def _keeping(self, request: web.BaseRequest, passage: Passage, key: tuple[str, ...], edit: Edit) -> Edit:
        def on_head(status: int, headers: CIMultiDict[str]) -> Sink | None:
            kept = None
            if request.method == "GET" and "Range" not in request.headers:
                kept = lifetime(passage.policy, status, headers, "Authorization" in passage.headers)
            if not kept:
                passage.status = "uncacheable" if kept is None else passage.status
                edit(status, headers)
                return None
            original = headers.copy()
            control = client_control(passage.policy, headers, kept)
            if control is not None:
                headers["Cache-Control"] = control
            edit(status, headers)

            def keep(body: bytes) -> None:
                passage.fill = len(body)
                self.cache.put(key, self._stored(passage, status, original, body, kept))

            return _Copy(keep)

        return on_head

    def _stored(self, passage: Passage, status: int, headers: CIMultiDict[str], body: bytes, kept: float) -> Stored:
        headers.popall("Content-Length", None)
        for name in ("Set-Cookie",) if passage.policy.get("cacheMode") == "FORCE_CACHE_ALL" else ():
            headers.popall(name, None)
        given = headers.get("Age", "")
        at = self._now() - (int(given) if given.isdigit() else 0)
        stale = float(passage.policy.get("serveWhileStale", 0))
        vary = vary_of(headers, passage.headers)
        return Stored(status, headers, body, at, kept, stale, vary, passage.host, passage.path)

    # Serving what is stored

    def _serve(self, passage: Passage, stored: Stored, edit: Edit) -> web.Response:
        headers = stored.headers.copy()
        control = client_control(passage.policy, headers, stored.fresh)
        if control is not None:
            headers["Cache-Control"] = control
        headers["Age"] = str(int(stored.age(self._now())))
        if stored.status == 200 and _unchanged(passage.headers, headers):
            headers.popall("Content-Type", None)
            edit(304, headers)
            return web.Response(status=304, headers=headers)
        status, body = _part(passage.headers, stored, headers)
        edit(status, headers)
        return web.Response(status=status, headers=headers, body=body)

    # Fetching again

    async def _revalidate(
        self,
        request: web.BaseRequest,
        passage: Passage,
        key: tuple[str, ...],
        stored: Stored,
        origin: Origin,
        edit: Edit,
    ) -> web.StreamResponse:
        passage.status = "miss"
        headers = self._unconditional(request, passage)
        if request.method == "GET":
            _ask_if_changed(headers, stored)
        still: list[bool] = []
        keeping = self._keeping(request, passage, key, edit)

        def on_head(status: int, given: CIMultiDict[str]) -> Sink | None:
            if status == 304:
                still.append(True)
                return None
            return keeping(status, given)

        response = await origin(headers, on_head)
        if not still:
            return response
        passage.status = "revalidated"
        self._renew(passage, stored)
        return self._serve(passage, stored, edit)

    def _renew(self, passage: Passage, stored: Stored) -> None:
        kept = lifetime(passage.policy, stored.status, stored.headers, authorized=False)
        stored.at, stored.fresh = self._now(), kept or 0.0

    def _refresh(
        self, request: web.BaseRequest, passage: Passage, key: tuple[str, ...], stored: Stored, origin: Origin
    ) -> None:
        """Fetch on the side what was served stale: once at a time. Only origins that answer whole can be asked so."""
        if key in self._refreshing:
            return
        headers = self._unconditional(request, passage)
        _ask_if_changed(headers, stored)

        def on_head(status: int, given: CIMultiDict[str]) -> Sink | None:
            if status == 304:
                self._renew(passage, stored)
                return None
            kept = lifetime(passage.policy, status, given, authorized=False)
            if not kept or status >= 500:
                return None
            original = given.copy()
            return _Copy(lambda body: self.cache.put(key, self._stored(passage, status, original, body, kept)))

        async def run() -> None:
            await origin(headers, on_head)

        task = asyncio.create_task(run())
        self._refreshing[key] = task
        task.add_done_callback(lambda _: self._refreshing.pop(key, None))

    async def close(self) -> None:
        for task in self._refreshing.values():
            task.cancel()
        await asyncio.gather(*self._refreshing.values(), return_exceptions=True)


def _ask_if_changed(headers: CIMultiDict[str], stored: Stored) -> None:
    if "ETag" in stored.headers:
        headers["If-None-Match"] = stored.headers["ETag"]
    elif "Last-Modified" in stored.headers:
        headers["If-Modified-Since"] = stored.headers["Last-Modified"]


def _unchanged(asked: CIMultiDict[str], headers: CIMultiDict[str]) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in asked.get("If-None-Match", "").split(",")]
    if "If-None-Match" in asked:
        return "*" in tags or headers.get("ETag", "").removeprefix("W/") in tags
    return bool(headers.get("Last-Modified")) and asked.get("If-Modified-Since") == headers.get("Last-Modified")


def _part(asked: CIMultiDict[str], stored: Stored, headers: CIMultiDict[str]) -> tuple[int, bytes]:
    """The range that was asked for (one, by RFC 9110), or everything."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.get("Range", "").strip())
    size = len(stored.body)
    if match is None or stored.status != 200 or not (match[1] or match[2]):
        return stored.status, stored.body
    first = int(match[1]) if match[1] else max(0, size - int(match[2]))
    final = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
    if first >= size or first > final:
        headers["Content-Range"] = f"bytes */{size}"
        return 416, b""
    headers["Content-Range"] = f"bytes {first}-{final}/{size}"
    return 206, stored.body[first : final + 1]
