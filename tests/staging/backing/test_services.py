"""The real clients on each service, and what a reset, a kill and a pause do to them."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

import psycopg
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.staging.backing.conftest import until
from twin.backing import Backing
from twin.process import TwinError


def _send(address: str, topic: str, values: list[bytes]) -> list[int]:
    offsets: list[int] = []
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 0})
    for value in values:
        producer.produce(
            topic, value, partition=0, on_delivery=lambda _, message: offsets.append(message.offset() or 0)
        )
    assert producer.flush(10) == 0
    return offsets


def _receive(address: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "t", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    end = time.monotonic() + 10
    while len(found) < count and time.monotonic() < end:
        found += [message.value() or b"" for message in consumer.consume(count, 0.2) if message.error() is None]
    consumer.close()
    return found


def test_kafka_carries_records_and_names_only_its_fixed_ports(stack: Backing) -> None:
    address = stack.endpoints["kafka"]
    values = [f"record {number}".encode() for number in range(500)]
    assert _send(address, "orders", values) == list(range(500))
    assert _receive(address, "orders", 500) == values
    brokers = Producer({"bootstrap.servers": address}).list_topics(timeout=5).brokers
    assert ",".join(f"{each.host}:{each.port}" for _, each in sorted(brokers.items())) == address


def test_kafka_is_at_the_same_ports_after_a_kill(stack: Backing) -> None:
    address = stack.endpoints["kafka"]
    stack.kill("kafka")
    assert stack.state()["kafka"]["state"] == "killed"
    stack.start("kafka")
    assert _send(address, "again", [b"one"]) == [0]


def test_postgres_wants_its_password_and_keeps_what_was_committed(stack: Backing) -> None:
    address = stack.endpoints["postgres"]
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address.replace("postgres:", "postgres:wrong", 1))
    stack.kill("postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address, connect_timeout=2)
    stack.start("postgres")
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_postgres_comes_back_although_somebody_has_closed_the_way_to_its_data(stack: Backing) -> None:
    """As root it runs as `nobody`; a pytest that starts beside this one takes the way to all of pytest's folders away."""
    stack.kill("postgres")
    stack.folder.parent.chmod(0o700)
    stack.start("postgres")
    with psycopg.connect(stack.endpoints["postgres"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_paused_redis_is_silent_and_goes_on_where_it_was(stack: Backing) -> None:
    with redis.Redis.from_url(stack.endpoints["redis"], socket_timeout=0.3) as client:
        client.set("k", "v")
        stack.pause("redis")
        with pytest.raises(redis.TimeoutError):
            client.get("k")
        stack.resume("redis")
        assert client.get("k") == b"v"


def test_what_dies_unasked_is_started_again_and_said(stack: Backing) -> None:
    before = stack.state()["redis"]
    os.kill(before["pid"], 9)
    after = until(lambda: (now := stack.state()["redis"])["restarts"] == before["restarts"] + 1 and now)
    assert after["state"] == "running"
    assert after["pid"] != before["pid"]
    assert after["died"].startswith("ended with -9 at ")


def _registry(stack: Backing, verb: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(stack.endpoints["registry"] + path, data, method=verb)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _record(*fields: dict[str, Any]) -> dict[str, str]:
    return {"schema": json.dumps({"type": "record", "name": "Trade", "fields": list(fields)})}


def test_the_registry_numbers_versions_and_refuses_what_breaks_readers(stack: Backing) -> None:
    first = _record({"name": "id", "type": "string"})
    assert _registry(stack, "POST", "/subjects/trades-value/versions", first) == (200, {"id": 1})
    assert _registry(stack, "POST", "/subjects/trades-value/versions", first) == (200, {"id": 1})
    bare = _record({"name": "id", "type": "string"}, {"name": "price", "type": "double"})
    status, said = _registry(stack, "POST", "/subjects/trades-value/versions", bare)
    assert (status, said["error_code"]) == (409, 409)
    assert "READER_FIELD_MISSING_DEFAULT_VALUE: price" in said["message"]
    filled = _record({"name": "id", "type": "string"}, {"name": "price", "type": "double", "default": 0})
    check = "/compatibility/subjects/trades-value/versions/latest"
    assert _registry(stack, "POST", check, filled) == (200, {"is_compatible": True})
    assert _registry(stack, "POST", "/subjects/trades-value/versions", filled) == (200, {"id": 2})
    stack.kill("registry")
    stack.start("registry")
    assert _registry(stack, "GET", "/subjects/trades-value/versions") == (200, [1, 2])
    assert _registry(stack, "GET", "/schemas/ids/9") == (404, {"error_code": 40403, "message": "Schema 9 not found"})
    assert _registry(stack, "GET", "/subjects/no/versions")[1]["error_code"] == 40401


def test_unknown_names_and_wrong_moments_are_said(stack: Backing) -> None:
    with pytest.raises(TwinError, match="no service 'mysql' runs here: kafka"):
        stack.stop("mysql")
    stack.stop("registry")
    with pytest.raises(TwinError, match="registry does not run"):
        stack.pause("registry")
    stack.start("registry")
