"""Processes die, hang, are replaced and are deployed wrongly; connections run out. The system comes back by itself."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.staging.patient.collector import Collector
from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import cloud, stores
from tests.tiers.audit import Problems
from tests.tiers.cloud import Project
from tests.tiers.flow import Flow
from tests.tiers.recovery import LIMIT, Report
from tests.tiers.system import some, thorough
from twin.staging import Staging

ALL = ("ingest", "writer", "websocket-service", "allocator", "api")


@pytest.mark.parametrize("service", some(ALL, 2))
def test_a_killed_process_is_replaced(
    service: str, staging: Staging, flow: Flow, visitor: Visitor, report: Report
) -> None:
    flow.settled()
    (before,) = staging.instances(service)
    wanted = flow.more(40, rate=40)

    os.kill(before["pid"], signal.SIGKILL)
    since = time.monotonic()

    eventually(lambda: {each["pid"] for each in staging.instances(service)} - {before["pid"]} != set(), within=LIMIT)
    staging.wait_healthy([service], within=LIMIT)
    if service == "websocket-service":  # a new feed knows its pace from its settings alone
        flow.pace(rate=0, count=wanted[-1])
    assert report.take(f"{service}: killed", staging, flow, wanted, since) == Problems()
    flow.pace(rate=0)
    assert visitor.get("/api/health").status_code == 200


@pytest.fixture
def impatient(staging: Staging) -> Iterator[Staging]:
    """The api's liveness probe asks every second, and twice in vain is enough."""
    before = cloud.services(staging)["api"]["template"]
    (container,) = before["containers"]
    probe = {**container["livenessProbe"], "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 2}
    change(staging, {**before, "containers": [{**container, "livenessProbe": probe}]})
    yield staging
    change(staging, before)


def change(staging: Staging, template: dict[str, object]) -> None:
    """Deploy the api with another template."""
    body = {name: value for name, value in template.items() if name != "revision"}
    staging.cloud.api.call("PATCH", f"{Project(staging).run}/api?updateMask=template", {"template": body})
    assert cloud.settled(staging, "api") == ""


@pytest.mark.skipif(not thorough(), reason="half a minute of deployments: nox -s tier3 -- --seeds N")
def test_a_process_that_hangs_is_replaced(impatient: Staging, visitor: Visitor, report: Report) -> None:
    (before,) = impatient.instances("api")

    os.kill(before["pid"], signal.SIGSTOP)
    since = time.monotonic()
    try:
        eventually(lambda: before["pid"] not in {each["pid"] for each in impatient.instances("api")}, within=LIMIT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(before["pid"], signal.SIGCONT)
    impatient.wait_healthy(["api"], within=LIMIT)
    report.note("api: hanging", since)

    assert visitor.get("/api/health").status_code == 200


def test_a_failed_deployment_changes_nothing_for_a_visitor(staging: Staging, visitor: Visitor, report: Report) -> None:
    """The new revision never becomes ready; the old one serves; rolling back is deploying what was there."""
    since = time.monotonic()
    staging.break_("image-missing")
    assert cloud.settled(staging, "web") != ""

    assert {visitor.get("/").status_code for _ in range(10)} == {200}

    staging.repaired()
    assert cloud.settled(staging, "web") == ""
    report.note("web: a failed deployment rolled back", since)
    assert visitor.get("/").status_code == 200


def test_an_interrupted_decision_goes_on_in_its_own_trace(
    staging: Staging, visitor: Visitor, collector: Collector, report: Report
) -> None:
    request = f"resumed-{uuid.uuid4().hex[:8]}"
    body = {"request_id": request, "team": "t", "kind": "machine", "count": 1, "limit": "9000"}
    (before,) = staging.instances("allocator")
    address = f"http://127.0.0.1:{before['port']}/decisions"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(address, params={"think": 60}, json=body, timeout=1, trust_env=False)
    assert visitor.get(f"/api/allocations/{request}").json()["stage"] == "priced"

    os.kill(before["pid"], signal.SIGKILL)
    since = time.monotonic()

    eventually(lambda: visitor.get(f"/api/allocations/{request}").json()["stage"] == "announced", within=LIMIT)
    report.note("allocator: killed while it decides", since)
    eventually(
        lambda: any(
            span.attributes["request"] == request for span in collector.spans if span.name == "allocation.resumed"
        )
    )
    told = [
        each
        for each in stores.topic(staging.backing.endpoints["kafka"], "allocations")
        if each.value["request_id"] == request
    ]
    assert len(told) == 1


def taken(staging: Staging, held: contextlib.ExitStack, count: int) -> None:
    """So many connections to the database, until the stack is closed."""
    for _ in range(count):
        held.enter_context(psycopg.connect(staging.backing.endpoints["postgres"]))


def test_the_database_has_no_connection_left(staging: Staging, visitor: Visitor, report: Report) -> None:
    """Who has a pool goes on; whoever comes new is refused; and what a test took is given back."""
    with contextlib.ExitStack() as held:
        with pytest.raises(psycopg.OperationalError, match=r"too many|remaining connection"):
            taken(staging, held, 500)
        assert visitor.get("/api/trades", params={"limit": 1}).status_code == 200
        since = time.monotonic()

    def answered() -> bool:
        body = {"request_id": f"after-{uuid.uuid4().hex[:8]}", "kind": "desk", "count": 100_000, "limit": "1"}
        return visitor.post("/api/allocations", body).status_code == 201

    eventually(answered, within=LIMIT)
    report.note("database: no connection left", since)
    with stores.database(staging) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()
    assert row is not None
    assert row[0] <= 45
