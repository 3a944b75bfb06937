"""Ingest as a service: feed → outbox → Kafka. What the broker loses is published again, from the outbox."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace

from tidemark.feed.client import FeedClient
from tidemark.feed.models import Trade
from tidemark.ingest.broker import BrokerUnavailable
from tidemark.ingest.kafka import Outgoing, TopicReader, TopicWriter, make_topics
from tidemark.ingest.outbox import Outbox
from tidemark.ingest.wire import encode
from tidemark.runtime.counters import TRADES, WATERMARK
from tidemark.runtime.serving import server, worker_app
from tidemark.runtime.settings import Settings
from tidemark.runtime.telemetry import outgoing_record

BATCH = 500
_LOG = logging.getLogger("tidemark.ingest")


class IngestWorker:
    """Three loops: follow the feed, publish what is not published, watch that the broker still has it."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen
        self._topic = chosen.trades_topic
        self.outbox = Outbox(chosen.outbox_path)
        self._writer = TopicWriter(chosen.kafka_bootstrap)
        self._control = TopicReader(chosen.kafka_bootstrap, chosen.control_topic, "tidemark-ingest")
        self._trades = TopicReader(chosen.kafka_bootstrap, self._topic, "tidemark-ingest-watch")
        self._arrived = asyncio.Event()
        self._received: dict[int, float] = {}
        self._published = self.outbox.last_published
        self._control_offset = 0
        self.feed_connected = False
        self.broker_error = "not asked yet"

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._follow())
            loops.create_task(self._publish())
            loops.create_task(self._watch())

    async def _follow(self) -> None:
        pause = 0.1
        while True:
            token = self._settings.feed_token.get_secret_value()
            client = FeedClient(self._settings.feed_url, token, self.outbox.last_sequence + 1, idle=3600.0)
            try:
                async for trade in client.trades():
                    self.feed_connected, pause = True, 0.1
                    self._take(trade)
            except Exception as error:
                _LOG.warning("the feed is away", extra={"reason": f"{type(error).__name__}: {error}"})
            self.feed_connected = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _take(self, trade: Trade) -> None:
        if self.outbox.append(trade):
            self._received[trade.sequence] = time.time()
            TRADES.labels("received").inc()
            WATERMARK.labels("received").set(trade.sequence)
            self._arrived.set()
        else:
            TRADES.labels("repeated").inc()

    async def _publish(self) -> None:
        while True:
            self._arrived.clear()
            waiting = sorted(self.outbox.unpublished(), key=lambda trade: trade.sequence)
            for start in range(0, len(waiting), BATCH):
                if not await self._send(waiting[start : start + BATCH]):
                    break
            else:
                await self._arrived.wait()

    async def _send(self, trades: Sequence[Trade]) -> bool:
        """Publish a batch and mark it; False when the broker did not take it."""
        try:
            await self._writer.publish(self._topic, [self._record(trade) for trade in trades])
        except BrokerUnavailable as error:
            self.broker_error = str(error)
            _LOG.warning("the broker is away", extra={"reason": str(error)})
            await asyncio.sleep(0.5)
            return False
        self.broker_error = ""
        self.outbox.mark_all_published(trade.sequence for trade in trades)
        for trade in trades:
            self._received.pop(trade.sequence, None)
        self._published = max(self._published, trades[-1].sequence)
        TRADES.labels("published").inc(len(trades))
        WATERMARK.labels("published").set(self._published)
        return True

    def _record(self, trade: Trade) -> Outgoing:
        with trace.get_tracer("tidemark").start_as_current_span("trade.publish", kind=trace.SpanKind.PRODUCER) as span:
            span.set_attributes({"trade.sequence": trade.sequence, "trade.symbol": trade.symbol})
            received = f"{self._received.get(trade.sequence, time.time()):.6f}".encode()
            return Outgoing(trade.symbol, encode(trade), [("received-at", received), *outgoing_record()])

    async def _watch(self) -> None:
        """Answer the writer's wishes, and notice a broker that came back empty."""
        highest = 0
        watermark = 0
        while True:
            try:
                _, end = await self._trades.bounds()
                wishes, watermark = await self._wishes(watermark)
                if end < highest:
                    _LOG.warning("the broker lost records", extra={"had": highest, "has": end})
                    make_topics(self._settings.kafka_bootstrap, [self._topic, self._settings.control_topic])
                    self._control_offset = 0
                    wishes.append(watermark + 1)
                highest = end
                self.broker_error = ""
                if wishes:
                    await self._again(min(wishes))
            except BrokerUnavailable as error:
                self.broker_error = str(error)
            await asyncio.sleep(0.3)

    async def _wishes(self, watermark: int) -> tuple[list[int], int]:
        """What the writer asked to see again since the last look, and how far it says that it is."""
        wishes = []
        low, end = await self._control.bounds()
        if not low <= self._control_offset <= end:
            self._control_offset = low
        while self._control_offset < end:
            messages = await self._control.read(self._control_offset)
            if not messages:
                break
            self._control_offset = messages[-1].offset + 1
            for message in messages:
                said = json.loads(message.value)
                watermark = max(watermark, int(said.get("watermark", 0)))
                if "again" in said:
                    wishes.append(int(said["again"]))
        return wishes, watermark

    async def _again(self, first: int) -> None:
        """Publish what is in the outbox from a sequence on, once more; the writer stores each trade once."""
        last = self._published or self.outbox.last_sequence
        _LOG.info("publishing again", extra={"first": first, "last": last})
        for start in range(first, last + 1, BATCH):
            if not await self._send(self.outbox.between(start, min(start + BATCH - 1, last))):
                return
        TRADES.labels("published again").inc(max(last - first + 1, 0))

    async def health(self) -> Mapping[str, Any]:
        """What ingest did."""
        return {
            "feed": self.feed_connected,
            "received": self.outbox.last_sequence,
            "published": self._published,
            "broker": self.broker_error or "ok",
        }

    async def ready(self) -> Mapping[str, Any]:
        """Ready is: the broker answers. The feed may come later; the outbox waits for it."""
        if self.broker_error:
            raise BrokerUnavailable(self.broker_error)
        return await self.health()


async def run(chosen: Settings) -> None:
    """Serve health and ingest until SIGTERM."""
    worker = IngestWorker(chosen)
    made = asyncio.create_task(_prepared(chosen, worker))
    http = server(worker_app(worker.health, worker.ready), chosen)
    try:
        await http.serve()
    finally:
        made.cancel()
        await asyncio.gather(made, return_exceptions=True)
        worker.outbox.close()


async def _prepared(chosen: Settings, worker: IngestWorker) -> None:
    """Make the topics, however long the broker takes to come; then work."""
    while True:
        try:
            await asyncio.to_thread(
                make_topics,
                chosen.kafka_bootstrap,
                [chosen.trades_topic, chosen.allocations_topic, chosen.control_topic],
            )
            break
        except Exception as error:
            worker.broker_error = f"{type(error).__name__}: {error}"
            await asyncio.sleep(0.5)
    await worker.run()
