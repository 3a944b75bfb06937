"""The broker behind a thin interface: in memory for tests, Kafka where it runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic; offsets start at 0."""

    topic: str
    offset: int
    key: str
    value: bytes


class BrokerUnavailable(Exception):
    """The broker did not take the record; it is still in the outbox."""


class Broker(Protocol):
    """What ingest and the writer need of a broker."""

    async def publish(self, topic: str, key: str, value: bytes) -> int:
        """Append a record and return its offset. Raises BrokerUnavailable."""
        ...

    async def read(self, topic: str, offset: int, limit: int = 100) -> list[Record]:
        """Up to `limit` records from an offset on; empty when there are none."""
        ...


class MemoryBroker:
    """Topics as lists. `down` makes it refuse, as an outage would."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Record]] = {}
        self.down = False
        self.arrived = asyncio.Event()

    async def publish(self, topic: str, key: str, value: bytes) -> int:
        if self.down:
            raise BrokerUnavailable(f"{topic}: the broker is down")
        log = self.topics.setdefault(topic, [])
        log.append(Record(topic, len(log), key, value))
        self.arrived.set()
        return len(log) - 1

    async def read(self, topic: str, offset: int, limit: int = 100) -> list[Record]:
        if self.down:
            raise BrokerUnavailable(f"{topic}: the broker is down")
        return self.topics.get(topic, [])[offset : offset + limit]


class KafkaBroker:
    """The same over Kafka: one partition a topic, an idempotent producer, offsets as Kafka's own."""

    def __init__(self, bootstrap: str, timeout: float = 10.0) -> None:
        from confluent_kafka import Consumer, Producer

        self._timeout = timeout
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "tidemark", "enable.auto.commit": False}
        )

    async def publish(self, topic: str, key: str, value: bytes) -> int:
        return await asyncio.to_thread(self._publish, topic, key, value)

    async def read(self, topic: str, offset: int, limit: int = 100) -> list[Record]:
        return await asyncio.to_thread(self._read, topic, offset, limit)

    def _publish(self, topic: str, key: str, value: bytes) -> int:
        acknowledged: list[Any] = []
        self._producer.produce(
            topic, value, key, partition=0, on_delivery=lambda error, message: acknowledged.append((error, message))
        )
        self._producer.flush(self._timeout)
        if not acknowledged or acknowledged[0][0] is not None:
            raise BrokerUnavailable(f"{topic}: no acknowledgement within {self._timeout} s")
        return int(acknowledged[0][1].offset())

    def _read(self, topic: str, offset: int, limit: int) -> list[Record]:
        from confluent_kafka import TopicPartition

        self._consumer.assign([TopicPartition(topic, 0, offset)])
        messages = self._consumer.consume(limit, timeout=1.0)
        return [
            Record(topic, each.offset(), (each.key() or b"").decode(), each.value())
            for each in messages
            if each.error() is None
        ]
