"""Open, high, low and close of each symbol, hour by hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tidemark.feed.models import Trade


@dataclass(frozen=True, slots=True)
class Candle:
    """What happened to one symbol in one hour."""

    symbol: str
    start: datetime
    opened: Decimal
    high: Decimal
    low: Decimal
    closed: Decimal
    volume: int


def candles(trades: Iterable[Trade], width: timedelta = timedelta(hours=1)) -> list[Candle]:
    """Candles by symbol and start. They were daily until 3.0; since then a desk wants hours."""
    groups: dict[tuple[str, datetime], list[Trade]] = {}
    for trade in sorted(trades, key=lambda each: each.sequence):
        moment = trade.traded_at
        since_midnight = moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)
        start = moment - since_midnight % width
        groups.setdefault((trade.symbol, start), []).append(trade)
    return [_candle(symbol, start, group) for (symbol, start), group in sorted(groups.items())]


def _candle(symbol: str, start: datetime, group: list[Trade]) -> Candle:
    prices = [trade.price for trade in group]
    return Candle(
        symbol=symbol,
        start=start,
        opened=prices[0],
        high=max(prices),
        low=min(prices),
        closed=prices[-1],
        volume=sum(trade.quantity for trade in group),
    )
