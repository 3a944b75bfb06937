"""A trade goes from the feed to the api unchanged and once; an allocation is one trace."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import uuid
from typing import Any

import httpx
import pytest

from tests.staging.patient.collector import Collector
from tests.staging.patient.conftest import TRADES, Visitor, eventually, feed_socket
from twin.staging import Staging


def digest(trade: dict[str, Any]) -> str:
    """The patient's own: SHA-256 over canonical JSON."""
    return hashlib.sha256(json.dumps(trade, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def stored(visitor: Visitor) -> list[dict[str, Any]]:
    answer = visitor.get("/api/trades", params={"limit": 100_000})
    answer.raise_for_status()
    return list(answer.json())


def watermark(visitor: Visitor) -> dict[str, int]:
    return dict(visitor.get("/api/watermark").json())


def sent(staging: Staging, count: int) -> list[dict[str, Any]]:
    """The first trades as the feed itself sends them."""
    with feed_socket(staging) as socket:
        socket.send(json.dumps({"from": 1}))
        return [json.loads(socket.recv(timeout=10)) for _ in range(count)]


@pytest.fixture
def extent() -> list[int]:
    """How far the feed was told to go, so that each test can go on from there."""
    return _EXTENT


_EXTENT = [TRADES]


def test_every_trade_arrives_unchanged_and_once(staging: Staging, visitor: Visitor, extent: list[int]) -> None:
    count = extent[0]
    eventually(lambda: watermark(visitor)["warehouse"] >= count)

    found = stored(visitor)[:count]

    assert [trade["sequence"] for trade in found] == list(range(1, count + 1))
    assert [digest(trade) for trade in found] == [digest(trade) for trade in sent(staging, count)]
    assert watermark(visitor)["count"] == watermark(visitor)["warehouse"]


def test_graph_and_cache_agree_with_the_warehouse(visitor: Visitor, extent: list[int]) -> None:
    eventually(lambda: watermark(visitor)["graph"] == watermark(visitor)["warehouse"] >= extent[0])
    newest = {trade["symbol"]: trade for trade in stored(visitor)}

    for symbol, trade in newest.items():
        assert visitor.get(f"/api/trades/{symbol}/last").json() == trade
        assert visitor.get(f"/api/graph/{symbol}").json()[-1]["digest"] == digest(trade)


def test_killing_the_writer_loses_nothing_and_doubles_nothing(
    staging: Staging, visitor: Visitor, extent: list[int]
) -> None:
    extent[0] += 600
    visitor.pace(rate=60, count=extent[0])
    killed = set()
    for _ in range(3):
        goal = min(watermark(visitor)["warehouse"] + 20, extent[0])
        eventually(lambda goal=goal: watermark(visitor)["warehouse"] >= goal, within=60)  # type: ignore[misc]
        (instance,) = staging.instances("writer")
        os.kill(instance["pid"], signal.SIGKILL)
        killed.add(instance["pid"])
        eventually(lambda: any(each["pid"] not in killed for each in staging.instances("writer")), within=60)

    eventually(lambda: watermark(visitor)["warehouse"] >= extent[0], within=60)

    visitor.pace(rate=0)
    assert len(killed) == 3
    found = stored(visitor)
    assert [trade["sequence"] for trade in found] == list(range(1, extent[0] + 1))
    assert watermark(visitor)["count"] == extent[0]


def test_an_allocation_is_one_trace_over_three_services(
    staging: Staging, visitor: Visitor, collector: Collector
) -> None:
    request = f"trace-{uuid.uuid4().hex[:8]}"
    body = {"request_id": request, "kind": "desk", "count": 1, "limit": "5000"}

    answer = visitor.post("/api/allocations", body)

    assert answer.status_code == 201, answer.text
    assert answer.json()["outcome"] == "allocated"
    trace = answer.headers["traceparent"].split("-")[1]
    eventually(lambda: "allocation.recorded" in {span.name for span in collector.of(trace)})
    spans = collector.of(trace)
    steps = [span.name for span in spans if span.name.startswith("allocation.")]
    assert steps == [
        "allocation.availability",
        "allocation.cost",
        "allocation.council",
        "allocation.consensus",
        "allocation.allocation",
        "allocation.event",
        "allocation.recorded",
    ]
    assert {span.service for span in spans} == {"api", "allocator", "writer"}
    assert {span.attributes["request"] for span in spans if span.name.startswith("allocation.")} == {request}
    ids = {span.span for span in spans}
    assert all(span.parent in ids for span in spans if span.name != "POST /api/allocations")


def test_every_vote_tells_what_it_saw_and_how_sure_it_is(visitor: Visitor, collector: Collector) -> None:
    body = {"request_id": f"votes-{uuid.uuid4().hex[:8]}", "kind": "machine", "count": 1, "limit": "9000"}
    answer = visitor.post("/api/allocations", body)
    trace = answer.headers["traceparent"].split("-")[1]
    eventually(lambda: len([span for span in collector.of(trace) if span.name == "council.vote"]) == 4)

    votes = [span for span in collector.of(trace) if span.name == "council.vote"]

    assert {vote.attributes["agent"] for vote in votes} == {"thrift", "reserve", "fairness", "continuity"}
    for vote in votes:
        assert vote.events == ("input", "context", "inference", "submission")
        assert 0 < vote.attributes["confidence"] <= 1
        assert 0 < vote.attributes["inference.seconds"] <= vote.attributes["seconds"]
        assert vote.attributes["seconds"] <= (vote.end - vote.start) / 1e9
    cast = {vote["agent"]: vote for vote in answer.json()["votes"]}
    assert {vote.attributes["agent"]: vote.attributes["confidence"] for vote in votes} == {
        name: vote["confidence"] for name, vote in cast.items()
    }


def test_asking_twice_decides_once(staging: Staging, visitor: Visitor) -> None:
    body = {"request_id": f"twice-{uuid.uuid4().hex[:8]}", "kind": "desk", "count": 1, "limit": "5000"}

    first, second = visitor.post("/api/allocations", body), visitor.post("/api/allocations", body)

    assert first.json() == second.json()
    told = visitor.get(f"/api/allocations/{body['request_id']}").json()
    assert told["stage"] == "announced"


def test_a_killed_allocator_goes_on_where_it_was(staging: Staging, visitor: Visitor) -> None:
    request = f"killed-{uuid.uuid4().hex[:8]}"
    (instance,) = staging.instances("allocator")
    body = {"request_id": request, "kind": "desk", "count": 1, "limit": "5000", "team": "quants"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"http://127.0.0.1:{instance['port']}/decisions", params={"think": 30}, json=body, timeout=1.5,
            trust_env=False,
        )  # fmt: skip
    assert visitor.get(f"/api/allocations/{request}").json()["stage"] == "priced"

    os.kill(instance["pid"], signal.SIGKILL)

    eventually(lambda: visitor.get(f"/api/allocations/{request}").json()["stage"] == "announced", within=30)
    assert visitor.get(f"/api/allocations/{request}").json()["facts"]["outcome"] == "allocated"
