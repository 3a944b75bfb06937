"""Ingest: feed → outbox → broker. A crash anywhere repeats records, it never loses one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from tidemark.common.clock import Clock, SystemClock, age
from tidemark.feed.models import Trade
from tidemark.ingest.broker import Broker, BrokerUnavailable
from tidemark.ingest.outbox import Outbox
from tidemark.ingest.wire import encode


@dataclass(slots=True)
class Progress:
    """What ingest did since it started. `lag` is the age of the newest trade in seconds."""

    received: int = 0
    repeated: int = 0
    published: int = 0
    lag: float = 0.0


class Ingest:
    """Takes trades from a stream and publishes each once it is in the outbox."""

    def __init__(self, outbox: Outbox, broker: Broker, topic: str = "trades", clock: Clock | None = None) -> None:
        self._outbox = outbox
        self._broker = broker
        self._topic = topic
        self._clock = clock or SystemClock()
        self.progress = Progress()

    async def run(self, trades: AsyncIterator[Trade]) -> Progress:
        """Publish what an earlier run left behind, then follow the stream to its end."""
        self.recover()
        async for trade in trades:
            self.progress.received += 1
            self.progress.lag = age(self._clock, trade.traded_at)
            if self._outbox.append(trade):
                await self.recover()
            else:
                self.progress.repeated += 1
        return self.progress

    async def recover(self) -> int:
        """Publish the unpublished; stops quietly at an outage. Returns how many went out."""
        count = 0
        for trade in self._outbox.unpublished():
            try:
                await self._broker.publish(self._topic, trade.symbol, encode(trade))
            except BrokerUnavailable:
                break
            self._outbox.mark_published(trade.sequence)
            count += 1
        self.progress.published += count
        return count
