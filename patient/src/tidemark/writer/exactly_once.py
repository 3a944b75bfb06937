"""The writer: exactly once, by sequence and digest, whatever the broker repeats."""

from __future__ import annotations

from dataclasses import dataclass

from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade
from tidemark.ingest.broker import Broker
from tidemark.ingest.wire import decode
from tidemark.runtime.errors import DigestMismatch, SequenceGap
from tidemark.runtime.metrics import count
from tidemark.writer.cache import Cache
from tidemark.writer.graph import Graph
from tidemark.writer.warehouse import Warehouse


@dataclass(slots=True)
class Progress:
    """What the writer did since it started."""

    stored: int = 0
    repeated: int = 0


class ExactlyOnceWriter:
    """Reads a topic and stores each trade once. The warehouse is the truth; cache and graph follow it."""

    def __init__(self, broker: Broker, warehouse: Warehouse, cache: Cache, graph: Graph, topic: str = "trades") -> None:
        self._broker = broker
        self._warehouse = warehouse
        self._cache = cache
        self._graph = graph
        self._topic = topic
        self._offset = 0
        self.written = Progress()

    async def drain(self, batch: int = 100) -> Progress:
        """Write everything that the topic holds now.

        Raises SequenceGap or DigestMismatch, and then stores nothing of that batch.
        """
        while records := await self._broker.read(self._topic, self._offset, batch):
            fresh = self._fresh([decode(record.value) for record in records])
            self._warehouse.insert(fresh)
            for trade in fresh:
                await self._cache.put(trade)
                await self._graph.merge("Symbol", trade.symbol)
                await self._graph.merge("Trade", str(trade.sequence), digest=digest_of(trade))
                await self._graph.join(("Symbol", trade.symbol), "TRADED", ("Trade", str(trade.sequence)))
            self._offset = records[-1].offset + 1
            count("trades.stored", len(fresh))
            self.written.stored += len(fresh)
            self.written.repeated += len(records) - len(fresh)
        return self.written

    def _fresh(self, trades: list[Trade]) -> list[Trade]:
        """The trades that are new, checked against what is stored and against each other."""
        expected = self._warehouse.watermark() + 1
        fresh: list[Trade] = []
        known: dict[int, str] = {}
        for trade in trades:
            digest = digest_of(trade)
            earlier = known.get(trade.sequence) or self._warehouse.digest(trade.sequence)
            if earlier is not None:
                if earlier != digest:
                    raise DigestMismatch(trade.sequence)
                continue
            if trade.sequence != expected:
                raise SequenceGap(expected, trade.sequence)
            known[trade.sequence] = digest
            fresh.append(trade)
            expected += 1
        return fresh
