"""Kafka: metadata, then records to a topic of the probe's own and back."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import Any, Final

from regreen.facts.services.spec import Missing, Refused, Seen, ServiceSpec

TOPIC: Final = "regreen-status"
_RECORDS: Final = 100


def probe(spec: ServiceSpec, limit: float) -> Seen:
    """Refused when records do not come back in `limit` seconds; KafkaException from the library."""
    try:
        from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic
    except ImportError:
        raise Missing("confluent-kafka") from None
    milliseconds = int(limit * 1000)
    common: dict[str, Any] = {
        "bootstrap.servers": spec.address, "log_level": 0, "socket.timeout.ms": milliseconds,
        "error_cb": lambda _: None, "broker.address.family": "v4",
    }  # fmt: skip
    producer = Producer({**common, "message.timeout.ms": milliseconds, "linger.ms": 0})
    begun = time.monotonic()
    metadata = producer.list_topics(timeout=limit)
    connected = time.monotonic()
    # Brokers that allow it make the topic when a producer asks for it by name; others have to be told.
    if TOPIC not in metadata.topics and producer.list_topics(TOPIC, timeout=limit).topics[TOPIC].error is not None:
        for future in AdminClient(common).create_topics([NewTopic(TOPIC, 1, 1)], operation_timeout=limit).values():
            with contextlib.suppress(KafkaException, TimeoutError):  # somebody was quicker
                future.result(limit)
    consumer = Consumer(
        {
            **common,
            "group.id": "regreen-status",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            "fetch.error.backoff.ms": 20,
        }
    )
    try:
        sent: list[Any] = []
        mark = uuid.uuid4().hex.encode()
        start = time.monotonic()
        producer.produce(
            TOPIC, mark, partition=0, on_delivery=lambda error, message: sent.append((error, message.offset()))
        )
        producer.flush(limit)
        if not sent or sent[0][0] is not None:
            raise Refused(f"a record was not taken: {sent[0][0] if sent else 'no answer'}")
        consumer.assign([TopicPartition(TOPIC, 0, sent[0][1])])
        got = consumer.poll(max(limit - (time.monotonic() - start), 0.1))
        if got is None or got.error() or got.value() != mark:
            raise Refused("a record that was taken did not come back")
        round_trip = time.monotonic() - start
        start = time.monotonic()
        for _ in range(_RECORDS):
            producer.produce(TOPIC, mark, partition=0)
        left = producer.flush(limit)
        rate = (_RECORDS - left) / max(time.monotonic() - start, 1e-9)
    finally:
        consumer.close()
        producer.purge()
    lost = [name for name, topic in metadata.topics.items() for each in topic.partitions.values() if each.leader < 0]
    poor = f"partitions without a leader: {', '.join(sorted(set(lost)))}" if lost else ""
    return Seen(connected - begun, round_trip, f"{len(metadata.brokers)} brokers", rate, "records/s", poor)
