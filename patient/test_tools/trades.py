"""Trades and orders for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tidemark.allocator.models import Kind, Request
from tidemark.feed.models import Trade
from tidemark.feed.server import deterministic_trades


class TestOutcome(StrEnum):
    """How testers name the ends of an order."""

    GRANTED = "allocated"
    DENIED = "refused"


@dataclass(frozen=True)
class TestOrder:
    """An order in the words of a tester: `TestOrder("quants", 2)`."""

    team: str
    count: int
    kind: Kind = Kind.DESK
    limit: Decimal = Decimal(100_000)

    def request(self, request_id: str = "r-1") -> Request:
        """The order as the allocator wants it."""
        return Request(request_id, self.team, self.kind, self.count, self.limit)


def make_trades(count):
    return list(deterministic_trades(count))


def changed(trade, **changes):
    return trade.model_copy(update=changes)


async def stream(trades: Iterable[Trade]) -> AsyncIterator[Trade]:
    for trade in trades:
        yield trade


def banner():
    return "tidemark test run"


def announce(line):
    print(f"[{banner()}] {line}")
