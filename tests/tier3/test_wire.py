"""The wires themselves: late, cut, silent, narrow."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import stores, system
from tests.tiers.audit import Problems
from tests.tiers.flow import Flow
from tests.tiers.recovery import LIMIT, Report
from tests.tiers.system import some
from tests.tiers.wire import Wires, wired
from twin.staging import Staging


@pytest.fixture(scope="module")
def wires(judged: system.Judged) -> Iterator[Wires]:
    with wired(judged.staging) as made:
        yield made


BAD = (("feed", {"latency": 0.2}), ("feed", {"bandwidth": 20_000}), ("redis", {"latency": 0.2}))


@pytest.mark.parametrize(("name", "toxics"), some(BAD, 1), ids=str)
def test_a_bad_wire_only_delays(
    name: str, toxics: dict[str, float], wires: Wires, staging: Staging, flow: Flow, report: Report
) -> None:
    flow.settled()
    since = time.monotonic()

    with wires.spoiled(name, **toxics) as proxy:
        passed = proxy.passed
        wanted = flow.more(60)
        found = report.take(f"{name}: {toxics}", staging, flow, wanted, since)

    assert found == Problems()
    assert proxy.passed > passed, "nothing went over this wire"


@pytest.mark.parametrize("name", some(["feed", "redis", "database"], 1))
def test_connections_are_reset(name: str, wires: Wires, staging: Staging, flow: Flow, report: Report) -> None:
    flow.settled()
    wanted = flow.more(60, rate=60)
    cut = 0
    for part in (10, 30, 50):
        flow.wait(wanted[part])
        cut += wires.reset(name)
    since = time.monotonic()

    assert report.take(f"{name}: reset", staging, flow, wanted, since) == Problems()
    flow.pace(rate=0)
    assert cut >= (3 if name == "feed" else 1)


def test_the_feed_is_partitioned(wires: Wires, staging: Staging, flow: Flow, report: Report) -> None:
    """The connection is open, and nothing comes: what was said meanwhile comes afterwards."""
    before = flow.settled()

    with wires.spoiled("feed", partition=True):
        wanted = flow.more_after(before, 40)
        stored = stores.query(staging, "SELECT COUNT(*) AS number FROM market.trades")
        since = time.monotonic()

    assert stored[0]["number"] == before
    assert report.take("feed: partition", staging, flow, wanted, since) == Problems()


def test_the_cache_is_partitioned(wires: Wires, staging: Staging, flow: Flow, visitor: Visitor, report: Report) -> None:
    """The connection is open, and nobody answers: the warehouse does."""
    flow.settled()

    with wires.spoiled("redis", partition=True):
        wanted = flow.more(20)
        flow.wait(wanted[-1], within=LIMIT)
        assert visitor.get("/api/trades/BTC-USD/last").status_code == 200
        since = time.monotonic()

    assert report.take("redis: partition", staging, flow, wanted, since) == Problems()


def test_the_database_answers_nothing(wires: Wires, staging: Staging, visitor: Visitor, report: Report) -> None:
    """What was asked for is decided afterwards, once."""
    request = f"silent-{uuid.uuid4().hex[:8]}"
    body = {"request_id": request, "kind": "desk", "count": 1, "limit": "5000"}
    with stores.database(staging) as connection:
        before = connection.execute("SELECT free FROM stock WHERE kind = 'desk'").fetchone()
    assert before is not None

    with wires.spoiled("database", half_open=True), pytest.raises(httpx.TimeoutException):
        visitor.post("/api/allocations", body, timeout=2)
    since = time.monotonic()

    def announced() -> bool:
        answer = visitor.post("/api/allocations", body)
        return answer.status_code == 201 and answer.json()["outcome"] == "allocated"

    eventually(announced, within=LIMIT)
    report.note("database: half open", since)
    with stores.database(staging) as connection:
        after = connection.execute("SELECT free FROM stock WHERE kind = 'desk'").fetchone()
        held = connection.execute("SELECT count(*) FROM allocations WHERE request_id = %s", (request,)).fetchone()
    assert after == (before[0] - 1,)
    assert held == (1,)
