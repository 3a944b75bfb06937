"""What the services stand on is stopped, killed, paused: what still works meanwhile, and that nothing is lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import cloud, stores
from tests.tiers.audit import Problems
from tests.tiers.flow import Flow
from tests.tiers.recovery import LIMIT, Report
from tests.tiers.system import some
from twin.staging import Staging

BATCH = 25


@contextmanager
def away(staging: Staging, service: str, how: str) -> Iterator[None]:
    """A backing service is away meanwhile, and started again."""
    getattr(staging.backing, how)(service)
    try:
        yield
    finally:
        (staging.backing.resume if how == "pause" else staging.backing.start)(service)


@pytest.mark.parametrize("how", some(["kill", "pause", "stop"], 1))
def test_the_broker_is_away(how: str, staging: Staging, flow: Flow, visitor: Visitor, report: Report) -> None:
    """A broker that is killed has forgotten everything: the outbox tells it again."""
    before = flow.settled()

    with away(staging, "kafka", how):
        wanted = flow.more_after(before, BATCH)
        eventually(lambda: outbox(staging) == wanted[-1])
        assert visitor.get("/api/trades", params={"from": 1, "limit": 5}).status_code == 200
        since = time.monotonic()

    assert report.take(f"the broker: {how}", staging, flow, wanted, since) == Problems()


def outbox(staging: Staging) -> int:
    """The last trade that ingest has, published or not."""
    answer = httpx.get(f"{staging.direct('ingest')}/health", timeout=10, trust_env=False)
    return int(answer.json()["received"])


@pytest.mark.parametrize("how", some(["pause", "kill", "stop"], 1))
def test_the_cache_is_away(how: str, staging: Staging, flow: Flow, visitor: Visitor, report: Report) -> None:
    """The warehouse answers instead, and the stream goes on."""
    flow.settled()

    with away(staging, "redis", how):
        wanted = flow.more(BATCH)
        flow.wait(wanted[-1], within=LIMIT)
        last = visitor.get("/api/trades/BTC-USD/last")
        assert last.status_code == 200
        assert last.json()["sequence"] > wanted[-1] - 3
        since = time.monotonic()

    assert report.take(f"the cache: {how}", staging, flow, wanted, since) == Problems()


@pytest.mark.parametrize("how", some(["kill", "pause"], 1))
def test_the_database_is_away(how: str, staging: Staging, flow: Flow, visitor: Visitor, report: Report) -> None:
    """No decision, and none that is half made; trades go on."""
    flow.settled()
    request = f"away-{uuid.uuid4().hex[:8]}"

    with away(staging, "postgres", how):
        wanted = flow.more(BATCH)
        flow.wait(wanted[-1], within=LIMIT)
        assert not decided(visitor, request, within=4)
        since = time.monotonic()

    eventually(lambda: decided(visitor, request, within=20), within=LIMIT)
    assert visitor.get(f"/api/allocations/{request}").json()["stage"] == "announced"
    assert report.take(f"the database: {how}", staging, flow, wanted, since) == Problems()


def decided(visitor: Visitor, request: str, within: float) -> bool:
    """Whether a decision is made in time."""
    body = {"request_id": request, "kind": "desk", "count": 1, "limit": "5000"}
    try:
        return visitor.post("/api/allocations", body, timeout=within).status_code == 201
    except httpx.TimeoutException:
        return False


def test_the_graph_is_away(staging: Staging, flow: Flow, visitor: Visitor, report: Report) -> None:
    """Aura pauses the instance: trades go on, the graph catches up, and its own path says that it is away."""
    before = flow.settled()
    instances = "https://api.neo4j.io/v1/instances"
    (instance,) = cloud.read(staging, instances)["data"]
    url = f"{instances}/{instance['id']}"
    staging.cloud.api.call("POST", f"{url}/pause", {})
    eventually(lambda: cloud.read(staging, url)["data"]["status"] == "paused", within=60)
    try:
        wanted = flow.more_after(before, BATCH)
        eventually(lambda: len(stores.stored(staging, wanted)) == BATCH, within=LIMIT)
        assert visitor.get("/api/graph/BTC-USD").status_code == 503
    finally:
        staging.cloud.api.call("POST", f"{url}/resume", {})
    eventually(lambda: cloud.read(staging, url)["data"]["status"] == "running", within=60)
    since = time.monotonic()

    assert report.take("the graph: paused by Aura", staging, flow, wanted, since) == Problems()


@pytest.fixture
def trouble(staging: Staging) -> Iterator[Callable[..., None]]:
    """Trouble with a method of an API; gone afterwards."""

    def make(method: str, **what: float | bool) -> None:
        staging.admin("POST", "faults", {"method": method, **what})

    yield make
    staging.admin("DELETE", "faults")


def test_the_warehouse_is_unavailable_for_a_while(
    staging: Staging, flow: Flow, report: Report, trouble: Callable[..., None]
) -> None:
    before = flow.settled()
    trouble("bigquery.jobs.insert", status=503, count=3)

    wanted = flow.more_after(before, BATCH)
    eventually(lambda: spent(staging), within=LIMIT)
    since = time.monotonic()

    assert report.take("BigQuery: 503", staging, flow, wanted, since) == Problems()


def test_the_warehouse_is_slow(staging: Staging, flow: Flow, report: Report, trouble: Callable[..., None]) -> None:
    before = flow.settled()
    trouble("bigquery.jobs.insert", latency=1.0, count=1)
    since = time.monotonic()

    wanted = flow.more_after(before, BATCH)
    eventually(lambda: spent(staging), within=LIMIT)

    assert report.take("BigQuery: a second late", staging, flow, wanted, since) == Problems()


def spent(staging: Staging) -> bool:
    """Whether the trouble has struck as often as it was told to."""
    return all(each["remaining"] == 0 for each in staging.admin("GET", "faults")["faults"])
