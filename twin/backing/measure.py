"""`python -m twin.backing.measure`: how long all five take to start, to be reset and to end, and what each carries."""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twin import backing
from twin.process import TwinError

_RECORDS = 20_000


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        stack = backing.start(Path(place))
        try:
            print(f"all five, command to answering      {stack.seconds:.2f} s")
            for name, measure in _MEASURES.items():
                print(f"{name:<35} {measure(stack.endpoints)}")
            print(f"reset of all data                   {_timed(stack.reset):.2f} s")
            again = _timed(lambda: stack.restart("postgres"))
            print(f"restart of postgres                 {again:.2f} s")
        finally:
            ended = _timed(stack.close)
        print(f"end of all five                     {ended:.2f} s")
        print(f"second start, with data             {_again(Path(place)):.2f} s")


def _again(place: Path) -> float:
    stack = backing.start(place)
    stack.close()
    return stack.seconds


def _timed(work: Callable[[], Any]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _kafka(endpoints: dict[str, str]) -> str:
    from confluent_kafka import Consumer, Producer, TopicPartition

    producer = Producer({"bootstrap.servers": endpoints["kafka"], "enable.idempotence": True})

    def send() -> None:
        for number in range(_RECORDS):
            producer.produce("measure", b"%0100d" % number, partition=0)
            producer.poll(0)
        producer.flush(60)

    def receive() -> None:
        consumer = Consumer({"bootstrap.servers": endpoints["kafka"], "group.id": "m"})
        consumer.assign([TopicPartition("measure", 0, 0)])
        got, end = 0, time.monotonic() + 60
        while got < _RECORDS and time.monotonic() < end:
            got += sum(message.error() is None for message in consumer.consume(1000, 0.5))
        consumer.close()
        if got < _RECORDS:
            raise TwinError(f"only {got} of {_RECORDS} records came back")

    return f"{_RECORDS / _timed(send):,.0f} records/s in, {_RECORDS / _timed(receive):,.0f} out (100 bytes)"


def _postgres(endpoints: dict[str, str]) -> str:
    import psycopg

    with psycopg.connect(endpoints["postgres"], autocommit=True) as connection:
        connection.execute("CREATE TABLE m (n int)")
        writes = _timed(lambda: [connection.execute("INSERT INTO m VALUES (1)") for _ in range(1000)])
        reads = _timed(lambda: [connection.execute("SELECT 1") for _ in range(1000)])
    return f"{1000 / writes:,.0f} committed inserts/s, {1000 / reads:,.0f} selects/s (one connection)"


def _redis(endpoints: dict[str, str]) -> str:
    import redis

    with redis.Redis.from_url(endpoints["redis"]) as client:
        one = _timed(lambda: [client.set(f"k{number}", b"v") for number in range(1000)])
    return f"{1000 / one:,.0f} SETs/s, one by one"


def _graph(endpoints: dict[str, str]) -> str:
    import neo4j

    auth = ("neo4j", endpoints["graph_password"])
    with neo4j.GraphDatabase.driver(endpoints["graph"], auth=auth) as driver, driver.session() as session:
        text = "MERGE (n:M {key: $key}) SET n.value = 1"
        single = _timed(lambda: [session.run(text, key=number).consume() for number in range(500)])
        rows = "UNWIND $rows AS row MERGE (s:S {key: row % 10}) MERGE (t:T {key: row}) MERGE (s)-[:R]->(t)"
        batch = _timed(lambda: session.run(rows, rows=list(range(5000))).consume())
        reads = _timed(lambda: [session.run("RETURN 1").consume() for _ in range(500)])
    return (
        f"{500 / single:,.0f} committed MERGEs/s, {5000 / batch:,.0f} rows/s in a batch, {500 / reads:,.0f} RETURN 1/s"
    )


def _registry(endpoints: dict[str, str]) -> str:
    connection = http.client.HTTPConnection(urlsplit(endpoints["registry"]).netloc)

    def ask() -> bytes:
        connection.request("GET", "/subjects")
        return connection.getresponse().read()

    taken = _timed(lambda: [ask() for _ in range(500)])
    connection.close()
    return f"{500 / taken:,.0f} reads/s"


_MEASURES: dict[str, Callable[[dict[str, str]], str]] = {
    "kafka": _kafka,
    "postgres": _postgres,
    "redis": _redis,
    "graph": _graph,
    "registry": _registry,
}

if __name__ == "__main__":
    main()
