"""Words that every part of the kernel uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

# JSON as it arrives and leaves; the only place where values are not typed further.
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """Who is calling, and when (in the twin's own time)."""

    principal: str
    now: datetime
    internal: bool = False
    """True only for calls of the twin itself (seeding, the runtime): no IAM, no faults, no quota."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, decoded as far as bytes go."""

    verb: str
    host: str
    path: str
    """Still percent-encoded: an object's name may contain an encoded slash."""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header names in lower case."""
    content: bytes = b""
    media: bytes | None = None
    """The uploaded bytes, when the request came through an upload path; `content` is then its JSON part."""
    media_type: str = ""


@dataclass(slots=True)
class Reply:
    """What goes back: JSON in `body`, or bytes in `content` (then `body` is None)."""

    status: int = 200
    body: Body | None = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds to wait before answering, from an injected fault."""
    wait: Wait | None = None
    drop: bool = False
    """Close the connection without an answer, from an injected fault."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The answer depends on background work: wait for `key` at most `seconds`, then ask `resume` in a new transaction."""

    key: str
    seconds: float
    resume: Callable[[Context], Body]


def rfc3339(moment: datetime, digits: int = 6) -> str:
    """Google's timestamp, in UTC with `digits` decimals and a Z; no decimals at all for 0."""
    base = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if digits == 0:
        return base + "Z"
    return f"{base}.{moment.microsecond:06d}"[: len(base) + 1 + digits] + "Z"


def parse_rfc3339(text: str) -> datetime:
    """The moment that Google's (or a client's) timestamp names. ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"timestamp without a time zone: {text!r}")
    return moment.astimezone(UTC)


def seconds_of(duration: str) -> float:
    """Seconds in a protobuf JSON duration such as `7776000s` or `3.5s`. ValueError when it is none."""
    if not duration.endswith("s"):
        raise ValueError(f"duration without the unit 's': {duration!r}")
    return float(duration[:-1])


def after(moment: datetime, seconds: float) -> datetime:
    """`moment` plus `seconds`, never beyond the last moment that a timestamp can say."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
