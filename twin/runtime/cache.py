"""What the CDN keeps, and for how long: a memory cache that follows the twin's clock.

https://cloud.google.com/cdn/docs/caching
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any

from multidict import CIMultiDict

from twin.kernel.types import Body

_ROOM = 128 * 2**20
_LARGEST = 10 * 2**20
_VARY = frozenset(
    (
        "accept",
        "accept-encoding",
        "origin",
        "x-origin",
        "access-control-request-headers",
        "access-control-request-method",
    )
)
_PLAIN = frozenset((200, 203, 206))
_NEGATIVE = {300: 600, 301: 600, 302: 0, 307: 0, 308: 600, 404: 120, 405: 60, 410: 120, 421: 60, 451: 120, 501: 60}
"""Seconds by default when negative caching is on; 302 and 307 only by a policy of their own."""
_STATIC = re.compile(
    r"^(text/(css|javascript|ecmascript)|application/(javascript|ecmascript|pdf|postscript|ogg|vnd\.ms-fontobject|"
    r"x-font-.*|font-.*|wasm)|font/.*|image/.*|audio/.*|video/.*)$"
)


@dataclass(slots=True)
class Stored:
    """One answer. Times in seconds of the twin's clock."""

    status: int
    headers: CIMultiDict[str]
    body: bytes
    at: float
    fresh: float
    stale: float
    """Seconds that it may be served after it is no longer fresh, while it is fetched again."""
    vary: tuple[tuple[str, str], ...]
    host: str
    path: str

    def age(self, now: float) -> float:
        return max(0.0, now - self.at)


@dataclass(slots=True)
class Cache:
    """Least recently used goes first."""

    _entries: OrderedDict[tuple[str, ...], list[Stored]] = field(default_factory=OrderedDict)
    _size: int = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: tuple[str, ...], headers: Mapping[str, str]) -> Stored | None:
        for stored in self._entries.get(key, ()):
            if all(headers.get(name, "") == value for name, value in stored.vary):
                self._entries.move_to_end(key)
                return stored
        return None

    def put(self, key: tuple[str, ...], stored: Stored) -> None:
        if len(stored.body) > _LARGEST:
            return
        kept = [other for other in self._entries.get(key, ()) if other.vary != stored.vary]
        self._drop(key)
        self._entries[key] = [*kept, stored]
        self._size += sum(len(other.body) for other in self._entries[key])
        while self._size > _ROOM:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: tuple[str, ...]) -> None:
        self._size -= sum(len(stored.body) for stored in self._entries.pop(key, ()))

    def invalidate(self, backends: set[str], host: str, path: str) -> int:
        """Forget what an invalidation names: a path, or a prefix with `*`. Returns how many keys went."""
        gone = [
            key
            for key, items in self._entries.items()
            if key[0] in backends
            and any((not host or item.host == host) and fnmatchcase(item.path, _literal(path)) for item in items)
        ]
        for key in gone:
            self._drop(key)
        return len(gone)

    def clear(self) -> None:
        self._entries.clear()
        self._size = 0


def _literal(path: str) -> str:
    return "".join(f"[{letter}]" if letter in "?[" else letter for letter in path)


def key_of(
    backend: str,
    policy: Body,
    scheme: str,
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    cookies: Mapping[str, str],
) -> tuple[str, ...]:
    """The cache key (https://cloud.google.com/cdn/docs/caching#cache-keys). Buckets ignore protocol, host and query unless listed."""
    rules = policy.get("cacheKeyPolicy", {})
    is_bucket = "/backendBuckets/" in backend
    parts = [backend, path]
    if not is_bucket:
        parts += [scheme if rules.get("includeProtocol", True) else "", host if rules.get("includeHost", True) else ""]
    wanted, unwanted = rules.get("queryStringWhitelist"), rules.get("queryStringBlacklist")
    pairs = [pair for pair in query.split("&") if pair]
    if wanted:
        parts.append("&".join(pair for pair in pairs if pair.partition("=")[0] in wanted))
    elif not is_bucket and rules.get("includeQueryString", True):
        parts.append("&".join(pair for pair in pairs if pair.partition("=")[0] not in (unwanted or ())))
    parts += [f"{name}:{headers.get(name, '')}" for name in rules.get("includeHttpHeaders", ())]
    parts += [f"{name}={cookies.get(name, '')}" for name in rules.get("includeNamedCookies", ())]
    return tuple(parts)


def directives(value: str) -> dict[str, str]:
    """`public, max-age=60` → {"public": "", "max-age": "60"}"""
    found: dict[str, str] = {}
    for part in value.split(","):
        name, _, given = part.strip().partition("=")
        if name:
            found[name.lower()] = given.strip('"')
    return found


def _seconds(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def lifetime(policy: Body, status: int, headers: Mapping[str, str], authorized: bool) -> float | None:
    """Seconds that an answer may be kept; None when it may not be kept at all."""
    mode = policy.get("cacheMode", "CACHE_ALL_STATIC")
    given = directives(headers.get("Cache-Control", ""))
    shared = _seconds(given.get("s-maxage"))
    stated = shared if shared is not None else _seconds(given.get("max-age"))
    if stated is None and headers.get("Expires"):
        stated = _until(headers)
    if status not in _PLAIN:
        return _negative(policy, status, given, stated, mode)
    if status == 206:
        return None
    vary = {word.strip().lower() for word in headers.get("Vary", "").split(",") if word.strip()}
    if vary - _VARY:
        return None
    if mode == "FORCE_CACHE_ALL":
        return float(policy.get("defaultTtl", 3600))
    if "no-store" in given or "private" in given or "no-cache" in given or "Set-Cookie" in headers:
        return None
    if authorized and not (given.keys() & {"public", "must-revalidate", "s-maxage"}):
        return None
    if mode == "USE_ORIGIN_HEADERS":
        return float(stated) if stated is not None else None
    limit = float(policy.get("maxTtl", 86_400))
    if stated is not None:
        return min(float(stated), limit)
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return min(float(policy.get("defaultTtl", 3600)), limit) if _STATIC.match(kind) or "public" in given else None


def _negative(policy: Body, status: int, given: dict[str, str], stated: int | None, mode: str) -> float | None:
    if not policy.get("negativeCaching"):
        return (
            float(stated)
            if stated and status in _NEGATIVE and "no-store" not in given and "private" not in given
            else None
        )
    if mode != "FORCE_CACHE_ALL" and ("no-store" in given or "private" in given):
        return None
    own = {int(item["code"]): int(item.get("ttl", 0)) for item in policy.get("negativeCachingPolicy", ())}
    if own:
        return float(own[status]) if own.get(status) else None
    if stated is not None and status in _NEGATIVE and mode != "FORCE_CACHE_ALL":
        return float(stated)
    return float(_NEGATIVE[status]) if _NEGATIVE.get(status) else None


def _until(headers: Mapping[str, str]) -> int | None:
    try:
        expires, date = parsedate_to_datetime(headers["Expires"]), headers.get("Date")
        return max(0, int((expires - parsedate_to_datetime(date)).total_seconds())) if date else None
    except (ValueError, TypeError):
        return None


def client_control(policy: Body, headers: Mapping[str, str], kept: float) -> str | None:
    """The Cache-Control that the browser sees for a cached answer; None leaves the origin's alone.

    `clientTtl` is the reason why an immutable asset loses its year under CACHE_ALL_STATIC
    (https://cloud.google.com/cdn/docs/using-ttl-overrides#client-ttl).
    """
    mode = policy.get("cacheMode", "CACHE_ALL_STATIC")
    limit = policy.get("clientTtl")
    if mode == "USE_ORIGIN_HEADERS":
        return None
    if mode == "FORCE_CACHE_ALL":
        return f"public, max-age={int(min(kept, float(limit if limit is not None else kept)))}"
    given = directives(headers.get("Cache-Control", ""))
    stated: Any = _seconds(given.get("max-age"))
    if stated is None:
        shown = kept if limit is None else min(kept, float(limit))
        return f"public, max-age={int(shown)}"
    if limit is None or stated <= int(limit):
        return None
    given["max-age"] = str(int(limit))
    return ", ".join(f"{name}={value}" if value else name for name, value in given.items())


def vary_of(headers: Mapping[str, str], request: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    names = sorted({word.strip().lower() for word in headers.get("Vary", "").split(",") if word.strip()})
    return tuple((name, request.get(name, "")) for name in names)
