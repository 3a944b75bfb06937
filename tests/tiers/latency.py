"""How long a trade takes from hop to hop, from the times that the stages themselves write down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LIMITS: Final = {"end to end": 30.0}
"""Seconds at the 99th percentile that the platform's plan allows."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds at three percentiles, of so many trades."""

    p50: float
    p95: float
    p99: float
    count: int


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed. ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * int(share * 1000) // 1000))
    return ordered[rank - 1]


def spread(values: Sequence[float]) -> Spread:
    """The three percentiles of some seconds."""
    return Spread(percentile(values, 0.50), percentile(values, 0.95), percentile(values, 0.99), len(values))


def table(hops: Mapping[str, Spread]) -> str:
    """Hops in milliseconds, one a line."""
    head = f"{'hop':26} {'p50':>8} {'p95':>8} {'p99':>8}  trades"
    lines = [
        f"{name:26} {hop.p50 * 1000:8.0f} {hop.p95 * 1000:8.0f} {hop.p99 * 1000:8.0f}  {hop.count}"
        for name, hop in hops.items()
    ]
    return "\n".join([head + "  (ms)", *lines])
