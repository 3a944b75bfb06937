"""A Kafka topic as a log: batches out with one acknowledgement, reads from an offset, headers both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tidemark.ingest.broker import BrokerUnavailable
from tidemark.runtime.telemetry import KafkaHeaders

PARTITION = 0
_GONE = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC}
)


@dataclass(frozen=True, slots=True)
class Message:
    """One record. `timestamp` is the broker's, in seconds."""

    offset: int
    key: str
    value: bytes
    headers: KafkaHeaders
    timestamp: float


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish."""

    key: str
    value: bytes
    headers: KafkaHeaders


def make_topics(bootstrap: str, names: Sequence[str], timeout: float = 10.0) -> None:
    """Topics of one partition: order matters more than width here. Those that exist are left alone.

    A broker that makes topics when they are asked for has them then; only the others need an administrator.
    """
    settings = {"bootstrap.servers": bootstrap, "socket.timeout.ms": int(timeout * 1000)}
    asking = Producer(settings)
    missing = []
    try:
        for name in names:
            error = asking.list_topics(name, timeout=timeout).topics[name].error
            if error is not None:
                missing.append(name)
        wanted = [NewTopic(name, num_partitions=1) for name in missing]
        for future in AdminClient(settings).create_topics(wanted, request_timeout=timeout).values() if wanted else ():
            future.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise BrokerUnavailable(f"{', '.join(missing or names)}: {error}") from error


class TopicWriter:
    """Publishes in batches. A batch that is not acknowledged whole is published again by whoever owns the outbox."""

    def __init__(self, bootstrap: str, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": int(timeout * 1000),
                "reconnect.backoff.max.ms": 500,
            }
        )

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Append records in order. Raises BrokerUnavailable when one of them was not acknowledged."""
        await asyncio.to_thread(self._publish, topic, records)

    def _publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        failures: list[Any] = []
        done = 0

        def delivered(error: Any, _: Any) -> None:
            nonlocal done
            done += 1
            if error is not None:
                failures.append(error)

        try:
            for record in records:
                self._producer.produce(
                    topic,
                    record.value,
                    record.key,
                    partition=PARTITION,
                    headers=list(record.headers),
                    on_delivery=delivered,
                )
        except (BufferError, KafkaException) as error:
            failures.append(error)
        self._producer.flush(self._timeout)
        if failures or done < len(records):
            self._producer.purge()
            self._producer.flush(1)
            reason = failures[0] if failures else f"no acknowledgement within {self._timeout} s"
            raise BrokerUnavailable(f"{topic}: {reason}")


class TopicReader:
    """Reads one topic from an offset on. Who reads keeps the offset; the broker's own commits are not used."""

    def __init__(self, bootstrap: str, topic: str, group: str) -> None:
        self.topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "topic.metadata.refresh.interval.ms": 2000,
                "allow.auto.create.topics": False,
            }
        )
        self._at = -1

    async def read(self, offset: int, limit: int = 500, wait: float = 0.2) -> list[Message]:
        """Up to `limit` records from an offset on; the oldest that are left, when the broker has dropped it."""
        return await asyncio.to_thread(self._read, offset, limit, wait)

    async def bounds(self) -> tuple[int, int]:
        """The oldest offset that is kept, and the next one to be written. Raises BrokerUnavailable."""
        return await asyncio.to_thread(self._bounds)

    def _bounds(self) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, PARTITION), timeout=3.0)
        except KafkaException as error:
            if error.args[0].code() in _GONE:
                return 0, 0
            raise BrokerUnavailable(f"{self.topic}: {error}") from error
        return max(int(low), 0), max(int(high), 0)

    def _read(self, offset: int, limit: int, wait: float) -> list[Message]:
        if offset != self._at:
            self._consumer.assign([TopicPartition(self.topic, PARTITION, offset)])
            self._at = offset
        found: list[Message] = []
        for each in self._consumer.consume(limit, timeout=wait):
            if each.error() is not None:
                continue
            headers = [(name, value if isinstance(value, bytes) else b"") for name, value in each.headers() or ()]
            moment = each.timestamp()[1] / 1000
            found.append(Message(each.offset(), (each.key() or b"").decode(), each.value(), headers, moment))
        if found:
            self._at = found[-1].offset + 1
        return found

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
