"""Counters for whoever watches. StatsD is an extra: without it, counting costs nothing."""

from __future__ import annotations

try:
    import statsd
except ImportError:
    statsd = None

_CLIENT = statsd.StatsClient(prefix="tidemark")


def count(name: str, by: int = 1) -> None:
    """Add to a counter. A datagram, so it neither waits nor fails."""
    if statsd is not None:
        _CLIENT.incr(name, by)
