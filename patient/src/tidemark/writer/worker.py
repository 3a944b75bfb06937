"""The writer as a service: Kafka → BigQuery, then graph and cache. The warehouse is the truth; the others catch up."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio as redis
from opentelemetry import trace

from tidemark.allocator.events import AllocationEvent
from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade
from tidemark.ingest.broker import BrokerUnavailable
from tidemark.ingest.kafka import Message, Outgoing, TopicReader, TopicWriter
from tidemark.ingest.wire import decode
from tidemark.runtime.counters import BATCH_SECONDS, LAG, TRADES, WATERMARK
from tidemark.runtime.errors import DigestMismatch
from tidemark.runtime.serving import server, worker_app
from tidemark.runtime.settings import Settings
from tidemark.runtime.telemetry import from_record, incoming
from tidemark.writer.bigquery import BigQueryWarehouse, Superseded
from tidemark.writer.neo4j_graph import Neo4jGraph

BATCH = 500
_LOG = logging.getLogger("tidemark.writer")


class WriterWorker:
    """One loop a topic, and one that brings the graph up to the warehouse when it has fallen behind."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen
        bootstrap = chosen.kafka_bootstrap
        self.warehouse = BigQueryWarehouse(chosen.project, chosen.dataset)
        self.graph = Neo4jGraph(chosen.graph_url, chosen.graph_user, chosen.graph_password.get_secret_value())
        self.cache = redis.from_url(
            chosen.redis_url, max_connections=20, socket_timeout=5, socket_connect_timeout=10, decode_responses=True
        )
        self._trades = TopicReader(bootstrap, chosen.trades_topic, "tidemark-writer")
        self._allocations = TopicReader(bootstrap, chosen.allocations_topic, "tidemark-writer-allocations")
        self._control = TopicWriter(bootstrap, timeout=5.0)
        self._offset = 0
        self._said = 0.0
        self._asked = 0.0
        self._graph_lacks = True
        self.stored = self.repeated = self.rejected = 0
        self.trouble: dict[str, str] = {"warehouse": "not asked yet"}

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._forever("trades", self._drain))
            loops.create_task(self._forever("allocations", self._decisions()))
            loops.create_task(self._forever("graph", self._follow))

    async def _forever(self, name: str, step: Any) -> None:
        """Run a step again and again; a failure is said and waited out, it never ends the loop."""
        pause = 0.2
        while True:
            try:
                await step()
                self.trouble.pop(name, None)
                pause = 0.2
            except Exception as error:
                self.trouble[name] = f"{type(error).__name__}: {error}"
                _LOG.warning("waiting", extra={"step": name, "reason": self.trouble[name]})
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def _drain(self) -> None:
        """Store what the topic holds beyond the watermark; ask ingest for what it should hold and does not."""
        watermark = await asyncio.to_thread(self.warehouse.watermark)
        self.trouble.pop("warehouse", None)
        low, end = await self._trades.bounds()
        LAG.set(max(end - self._offset, 0))
        if not low <= self._offset <= end:
            self._offset = low
        records = await self._trades.read(self._offset, BATCH) if self._offset < end else []
        if not records:
            await self._announce(watermark)
            await asyncio.sleep(0.05)
            return
        trades = self._decoded(records)
        fresh = await asyncio.to_thread(self._fresh, trades, watermark)
        try:
            await asyncio.to_thread(self.warehouse.insert, fresh)
        except Superseded:
            self._unsure()
            return
        except Exception:
            self._unsure()
            raise
        self._offset = records[-1].offset + 1
        self.stored += len(fresh)
        if fresh:
            TRADES.labels("stored").inc(len(fresh))
            WATERMARK.labels("stored").set(fresh[-1].sequence)
            await self._follow_with(fresh)
        watermark = fresh[-1].sequence if fresh else watermark
        beyond = any(trade.sequence > watermark for trade in trades)
        await self._announce(watermark, again=beyond or len(trades) < len(records))

    def _unsure(self) -> None:
        """A batch may be stored that was not seen to be: ask the warehouse again, and give the graph what it lacks."""
        self.warehouse.forget()
        self._graph_lacks = True

    def _decoded(self, records: Sequence[Message]) -> list[Trade]:
        """The trades of records; one that was changed on its way is left out, and asked for again."""
        found = []
        for record in records:
            try:
                trade = decode(record.value)
            except ValueError as error:
                self.rejected += 1
                TRADES.labels("rejected").inc()
                _LOG.error("a record was refused", extra={"offset": record.offset, "reason": str(error)})
                continue
            headers = dict(record.headers)
            self.warehouse.received[trade.sequence] = float(headers.get("received-at", b"0")) or record.timestamp
            found.append(trade)
        return found

    def _fresh(self, trades: Sequence[Trade], watermark: int) -> list[Trade]:
        """The unbroken run after the watermark. Raises DigestMismatch for a sequence that has two contents."""
        fresh: list[Trade] = []
        for trade in sorted(trades, key=lambda each: each.sequence):
            expected = watermark + len(fresh) + 1
            if trade.sequence > expected:
                break
            if trade.sequence == expected:
                fresh.append(trade)
                continue
            earlier = (
                digest_of(fresh[trade.sequence - watermark - 1])
                if trade.sequence > watermark
                else self.warehouse.digest(trade.sequence)
            )
            if earlier != digest_of(trade):
                raise DigestMismatch(trade.sequence)
            self.repeated += 1
            self.warehouse.received.pop(trade.sequence, None)
            TRADES.labels("repeated").inc()
        return fresh

    async def _follow_with(self, trades: Sequence[Trade]) -> None:
        """Graph and cache after the warehouse: their loss is said, and does not stop the stream."""
        if "graph" in self.trouble or self._graph_lacks:
            self._graph_lacks = True
        else:
            try:
                # The stream does not wait for a graph that hangs: it catches up later.
                with BATCH_SECONDS.labels("graph").time():
                    async with asyncio.timeout(3):
                        await self.graph.store(trades)
            except Exception as error:
                self.trouble["graph"] = f"{type(error).__name__}: {error}"
                self._graph_lacks = True
        newest = {trade.symbol: trade for trade in trades}
        try:
            async with self.cache.pipeline(transaction=False) as pipe:
                for symbol, trade in newest.items():
                    pipe.set(f"last:{symbol}", trade.model_dump_json(), ex=self._settings.cache_ttl)
                await pipe.execute()
            self.trouble.pop("cache", None)
        except (redis.RedisError, OSError) as error:
            self.trouble["cache"] = f"{type(error).__name__}: {error}"

    async def _follow(self) -> None:
        """Bring the graph to the warehouse's watermark."""
        lacks = self._graph_lacks or "graph" in self.trouble
        behind = await self.graph.watermark() + 1
        # Not earlier: a newer batch in the graph would hide from its watermark what it lacks. What is passed over from
        # here on is for the next round.
        self._graph_lacks = False
        target = await asyncio.to_thread(self.warehouse.watermark)
        if lacks or behind + BATCH < target:
            while behind <= target:
                texts = await asyncio.to_thread(lambda: list(self.warehouse.texts(behind, BATCH)))
                if not texts:
                    break
                trades = [Trade.model_validate_json(text) for text in texts]
                await self.graph.store(trades)
                behind = trades[-1].sequence + 1
        await asyncio.sleep(1.0)

    async def _announce(self, watermark: int, again: bool = False) -> None:
        """Tell ingest how far this is, and what is wanted again."""
        now = time.monotonic()
        said: dict[str, int] = {"watermark": watermark}
        if again and now - self._asked > 1.0:
            said["again"] = watermark + 1
            self._asked = now
        elif now - self._said < 1.0:
            return
        self._said = now
        await self._control.publish(self._settings.control_topic, [Outgoing("writer", json.dumps(said).encode(), [])])

    def _decisions(self) -> Any:
        offset = 0

        async def step() -> None:
            nonlocal offset
            low, end = await self._allocations.bounds()
            offset = offset if low <= offset <= end else low
            messages = await self._allocations.read(offset) if offset < end else []
            for message in messages:
                await self._decision(message)
                offset = message.offset + 1
            if not messages:
                await asyncio.sleep(0.1)

        return step

    async def _decision(self, message: Message) -> None:
        """Record one decision, in the trace of whoever asked for it."""
        with incoming(from_record(message.headers)):
            with trace.get_tracer("tidemark").start_as_current_span("allocation.recorded") as span:
                event = AllocationEvent.decode(message.value)
                span.set_attributes({"request": event.request_id, "outcome": event.outcome})
                content = json.loads(message.value)
                await asyncio.to_thread(self.warehouse.insert_allocations, [content])
                await self.graph.allot(event.request_id, event.team, event.outcome)

    async def health(self) -> Mapping[str, Any]:
        """What the writer did, and what it waits for."""
        facts = {"stored": self.stored, "repeated": self.repeated, "rejected": self.rejected, "offset": self._offset}
        return {**facts, "trouble": dict(self.trouble)}

    async def ready(self) -> Mapping[str, Any]:
        """Ready is: broker and warehouse answer. Graph and cache may be away; they catch up."""
        for name in ("warehouse", "trades"):
            if name in self.trouble:
                raise BrokerUnavailable(self.trouble[name])
        return await self.health()

    async def close(self) -> None:
        """Close every connection."""
        await self.graph.close()
        await self.cache.aclose()
        self._trades.close()
        self._allocations.close()
        self.warehouse.close()


async def run(chosen: Settings) -> None:
    """Serve health and write until SIGTERM."""
    worker = WriterWorker(chosen)
    http = server(worker_app(worker.health, worker.ready), chosen)
    work = asyncio.create_task(worker.run())
    try:
        await http.serve()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await worker.close()
