"""Feed → Kafka → BigQuery, graph, cache → API: the same records at each stage, once, in order, by their schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import audit, stores
from tests.tiers.audit import Problems
from tests.tiers.flow import Flow
from twin.staging import Staging

BATCH = 200


def published(staging: Staging, wanted: range) -> list[dict[str, Any]]:
    """What the broker holds of a run, in the order it came; a record that was published again counts once."""
    found: dict[int, dict[str, Any]] = {}
    for message in stores.topic(staging.backing.endpoints["kafka"], "trades"):
        trade = message.value.get("trade") if isinstance(message.value, dict) else None
        if isinstance(trade, dict) and trade.get("sequence") in wanted:
            found.setdefault(trade["sequence"], message.value)
    return list(found.values())


@pytest.fixture
def batch(flow: Flow) -> range:
    """A run of trades that has just gone through."""
    wanted = flow.more(BATCH)
    flow.settled()
    return wanted


def test_counts_digests_and_schemas_agree_at_every_stage(staging: Staging, visitor: Visitor, batch: range) -> None:
    feed = stores.fed(staging, batch)
    truth = stores.rows(feed)
    broker = published(staging, batch)
    warehouse = stores.stored(staging, batch)
    graph = stores.graphed(staging, batch)
    api = stores.served(visitor, batch)

    assert [row.sequence for row in truth] == list(batch)
    found = {
        "broker": [audit.Row(each["trade"]["sequence"], each["digest"]) for each in broker],
        "broker's content": stores.rows([each["trade"] for each in broker]),
        "warehouse": stores.told(warehouse),
        "warehouse's content": stores.rows([row["trade"] for row in warehouse]),
        "graph": stores.told(graph),
        "api": stores.rows(api),
    }
    assert {stage: audit.problems(truth, rows) for stage, rows in found.items()} == dict.fromkeys(found, Problems())
    records = {"feed": feed, "broker": broker, "warehouse": warehouse, "graph": graph, "api": api}
    assert {stage: audit.violations(stage, held) for stage, held in records.items()} == {key: [] for key in records}


def test_the_cache_holds_the_newest_trade_of_each_symbol(staging: Staging, visitor: Visitor, batch: range) -> None:
    newest = {trade["symbol"]: trade for trade in stores.fed(staging, batch)}

    cached = stores.cached(staging)

    assert cached == newest
    assert audit.violations("cache", cached.values()) == []
    assert {symbol: visitor.get(f"/api/trades/{symbol}/last").json() for symbol in newest} == newest


def test_each_symbol_is_complete_in_the_graph(staging: Staging, batch: range) -> None:
    by_symbol: dict[str, list[int]] = {}
    for trade in stores.fed(staging, batch):
        by_symbol.setdefault(trade["symbol"], []).append(trade["sequence"])

    with stores.graph(staging) as session:
        for symbol, expected in by_symbol.items():
            answer = session.run(
                "MATCH (s:Symbol {key: $symbol})-[:TRADED]->(t:Trade) WHERE t.sequence >= $first "
                "RETURN t.sequence AS sequence ORDER BY t.sequence",
                symbol=symbol,
                first=batch.start,
            )
            assert [record["sequence"] for record in answer] == expected


def test_the_broker_keeps_the_order_of_the_feed(staging: Staging, batch: range) -> None:
    assert [each["trade"]["sequence"] for each in published(staging, batch)] == list(batch)


def test_the_writer_reads_everything_that_the_broker_has(staging: Staging, batch: range) -> None:
    kafka = staging.backing.endpoints["kafka"]

    def caught_up() -> bool:
        _, high = stores.bounds(kafka, "trades")
        said = stores_health(staging)
        return bool(said["offset"] == high and not said["trouble"])

    eventually(caught_up)


def stores_health(staging: Staging) -> dict[str, Any]:
    """What the writer says of itself."""
    import httpx

    return dict(httpx.get(f"{staging.direct('writer')}/health", timeout=10, trust_env=False).json())


def test_a_record_that_was_changed_on_its_way_is_refused_and_fetched_again(
    staging: Staging, visitor: Visitor, flow: Flow
) -> None:
    last = flow.settled()
    (honest,) = stores.fed(staging, range(last, last + 1))
    forged = honest | {"sequence": last + 1, "price": "0.01"}
    before = stores_health(staging)["rejected"]
    envelope = {"schema": "trade/3", "digest": audit.digest(honest), "trade": forged}

    send(staging, "trades", envelope)
    eventually(lambda: stores_health(staging)["rejected"] > before)
    (wanted,) = flow.more(1)
    flow.wait(wanted)

    run = range(wanted, wanted + 1)
    assert wanted == last + 1
    assert stores.rows(stores.served(visitor, run)) == stores.rows(stores.fed(staging, run))


def test_a_record_that_comes_twice_is_stored_once(staging: Staging, flow: Flow) -> None:
    batch = flow.more(5)
    flow.settled()
    again = published(staging, batch)
    before = stores_health(staging)["repeated"]

    for envelope in again:
        send(staging, "trades", envelope)

    eventually(lambda: stores_health(staging)["repeated"] >= before + len(again))
    assert [row["sequence"] for row in stores.stored(staging, batch)] == list(batch)
    assert flow.watermark()["count"] == flow.watermark()["warehouse"]


def test_a_record_of_another_schema_is_refused(staging: Staging, flow: Flow) -> None:
    last = flow.settled()
    (trade,) = stores.fed(staging, range(last, last + 1))
    before = stores_health(staging)["rejected"]

    send(staging, "trades", {"schema": "trade/2", "digest": audit.digest(trade), "trade": trade})

    eventually(lambda: stores_health(staging)["rejected"] > before)
    assert flow.watermark()["warehouse"] == last


def test_a_replay_gives_the_same_state(staging: Staging, flow: Flow) -> None:
    """All that the broker still has, told again from its start: every store is as it was."""
    flow.more(20)
    last = flow.settled()
    everything = range(1, last + 1)
    before = (stores.told(stores.stored(staging, everything)), stores.told(stores.graphed(staging, everything)))
    repeated = stores_health(staging)["repeated"]
    held = stores.topic(staging.backing.endpoints["kafka"], "trades")

    for message in held[-100:]:
        send(staging, "trades", message.value)
    eventually(lambda: stores_health(staging)["repeated"] >= repeated + 20)
    eventually(
        lambda: stores_health(staging)["offset"] == stores.bounds(staging.backing.endpoints["kafka"], "trades")[1]
    )

    assert (stores.told(stores.stored(staging, everything)), stores.told(stores.graphed(staging, everything))) == before


def send(staging: Staging, topic: str, value: Any) -> None:
    """Put a record on a topic, past ingest."""
    producer = Producer({"bootstrap.servers": staging.backing.endpoints["kafka"]})
    producer.produce(topic, json.dumps(value, sort_keys=True).encode(), b"BTC-USD", partition=0)
    assert producer.flush(10) == 0
