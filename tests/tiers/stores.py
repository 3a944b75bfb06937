"""Each stage of the pipeline, read with its own client: what it holds of a run of trades."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import neo4j
import psycopg
import redis
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.staging.patient.conftest import Visitor, feed_socket
from tests.tiers.audit import Row, digest
from twin.staging import Staging

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")


@dataclass(frozen=True, slots=True)
class Message:
    """A record of a topic; the timestamp is the broker's, in seconds."""

    offset: int
    value: Any
    headers: dict[str, str]
    timestamp: float


def fed(staging: Staging, wanted: range) -> list[dict[str, Any]]:
    """Trades as the feed itself sends them."""
    with feed_socket(staging, max_queue=None) as opened:
        opened.send(json.dumps({"from": wanted.start}))
        return [json.loads(opened.recv(timeout=20)) for _ in wanted]


def bounds(bootstrap: str, topic: str) -> tuple[int, int]:
    """The oldest offset that the broker keeps, and the next to be written."""
    with _consumer(bootstrap) as consumer:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        return int(low), int(high)


def topic(bootstrap: str, name: str, first: int = 0) -> list[Message]:
    """All that a topic still holds, from an offset on."""
    with _consumer(bootstrap) as consumer:
        low, high = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10)
        at = max(low, first)
        consumer.assign([TopicPartition(name, 0, at)])
        found: list[Message] = []
        end = time.monotonic() + 30
        while at < high and time.monotonic() < end:
            for each in consumer.consume(1000, timeout=1.0):
                error = each.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    continue
                headers: Any = each.headers() or ()
                told = {key: bytes(content or b"").decode() for key, content in headers}
                offset, content = each.offset(), each.value()
                assert offset is not None
                assert content is not None
                at = offset + 1
                found.append(Message(offset, json.loads(content), told, each.timestamp()[1] / 1000))
        assert at >= high, f"{name}: read {at} of {high} within 30 s"
        return found


@contextmanager
def _consumer(bootstrap: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "regreen-tiers",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def query(staging: Staging, sql: str) -> list[dict[str, Any]]:
    """Rows of a BigQuery query, as the project's owner; none of a statement that changes rows."""
    url = f"https://bigquery.googleapis.com/bigquery/v2/projects/{staging.twin.project}/queries"
    body = {"query": sql, "useLegacySql": False, "maxResults": 100_000, "timeoutMs": 30_000}
    answer = staging.cloud.api.call("POST", url, body)
    assert answer["jobComplete"], answer
    fields = [(field["name"], field["type"]) for field in answer.get("schema", {}).get("fields", ())]
    kinds = {"INTEGER": int, "INT64": int, "FLOAT": float, "FLOAT64": float}
    return [
        {
            name: None if cell["v"] is None else kinds.get(kind, str)(cell["v"])
            for (name, kind), cell in zip(fields, row["f"], strict=True)
        }
        for row in answer.get("rows", ())
    ]


def stored(staging: Staging, wanted: range) -> list[dict[str, Any]]:
    """Rows of the warehouse, as they lie there; `trade` decoded."""
    rows = query(
        staging, f"SELECT * FROM market.trades WHERE sequence BETWEEN {wanted.start} AND {wanted.stop - 1} ORDER BY sequence"
    )  # fmt: skip
    return [row | {"trade": json.loads(row["trade"])} for row in rows]


def graphed(staging: Staging, wanted: range) -> list[dict[str, Any]]:
    """The graph's trades over all symbols, by Bolt, in order of sequence."""
    with graph(staging) as session:
        found = session.run(
            "MATCH (s:Symbol)-[:TRADED]->(t:Trade) WHERE t.sequence >= $first AND t.sequence <= $last "
            "RETURN t.key AS key, t.sequence AS sequence, t.digest AS digest ORDER BY t.sequence",
            first=wanted.start,
            last=wanted.stop - 1,
        )
        return [dict(record) for record in found]


@contextmanager
def graph(staging: Staging) -> Iterator[neo4j.Session]:
    """A session of the graph that the services use: their secrets say where it is."""
    address, password = secret(staging, "graph-uri"), secret(staging, "graph-password")
    options: dict[str, Any] = {}
    if "+s" in address:  # the twin's own authority; with +s the driver takes no authority of ours
        authority = neo4j.TrustCustomCAs(str(staging.folder / "ca-bundle.pem"))
        options = {"encrypted": True, "trusted_certificates": authority}
    plain = address.replace("+s://", "://")
    with neo4j.GraphDatabase.driver(plain, auth=("neo4j", password), **options) as driver, driver.session() as session:
        yield session


def secret(staging: Staging, name: str) -> str:
    """The newest value of a secret, as the services read it."""
    url = (
        f"https://secretmanager.googleapis.com/v1/projects/{staging.twin.project}/secrets/{name}/versions/latest:access"
    )
    return base64.b64decode(staging.cloud.api.call("GET", url)["payload"]["data"]).decode()


def cache(staging: Staging) -> redis.Redis:
    """A client of the cache; close it."""
    return redis.Redis.from_url(staging.backing.endpoints["redis"], decode_responses=True, socket_timeout=5)


def cached(staging: Staging) -> dict[str, dict[str, Any]]:
    """The last trade of each symbol, as the cache has it."""
    with cache(staging) as client:
        texts = {symbol: client.get(f"last:{symbol}") for symbol in SYMBOLS}
    return {symbol: json.loads(str(text)) for symbol, text in texts.items() if text is not None}


def served(visitor: Visitor, wanted: range) -> list[dict[str, Any]]:
    """Trades as the api serves them."""
    answer = visitor.get("/api/trades", params={"from": wanted.start, "limit": len(wanted)})
    answer.raise_for_status()
    return list(answer.json())


@contextmanager
def database(staging: Staging) -> Iterator[psycopg.Connection[Any]]:
    """A connection to PostgreSQL."""
    with psycopg.connect(staging.backing.endpoints["postgres"], autocommit=True) as connection:
        yield connection


def rows(trades: list[dict[str, Any]]) -> list[Row]:
    """Whole trades, as the audit compares them."""
    return [Row(trade["sequence"], digest(trade)) for trade in trades]


def told(records: list[dict[str, Any]]) -> list[Row]:
    """Records that carry a digest of their own."""
    return [Row(record["sequence"], record["digest"]) for record in records]


def text(trade: dict[str, Any]) -> str:
    """A trade as the services write it."""
    return json.dumps(trade, separators=(",", ":"))


def mend_graph(staging: Staging, warehouse: list[dict[str, Any]]) -> None:
    """Write into the graph what the warehouse says: the repair of a graph that went astray."""
    held = [
        {"key": str(row["sequence"]), "sequence": row["sequence"], "symbol": row["symbol"], "digest": row["digest"]}
        for row in warehouse
    ]
    with graph(staging) as session:
        session.run(
            "UNWIND $rows AS row MERGE (s:Symbol {key: row.symbol}) MERGE (t:Trade {key: row.key}) "
            "SET t.digest = row.digest, t.sequence = row.sequence MERGE (s)-[:TRADED]->(t)",
            rows=held,
        ).consume()
