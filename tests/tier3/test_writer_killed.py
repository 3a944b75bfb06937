"""The writer dies between reading, writing and going on, again and again: each trade is stored once, with every seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.staging.patient.conftest import eventually
from tests.tiers import stores
from tests.tiers.audit import Problems
from tests.tiers.flow import Flow
from tests.tiers.recovery import Report
from twin.staging import Staging

BOUNDARIES = ("read, not written", "written, not told", "anywhere")


@pytest.fixture
def healed(staging: Staging) -> Iterator[Staging]:
    """No trouble is left behind."""
    yield staging
    staging.admin("DELETE", "faults")


def test_the_writer_dies_and_nothing_is_lost_or_doubled(seed: int, healed: Staging, flow: Flow, report: Report) -> None:
    chance = random.Random(seed)
    boundary = BOUNDARIES[seed % len(BOUNDARIES)]
    before = flow.settled()
    (writer,) = healed.instances("writer")
    if boundary == "read, not written":
        healed.admin("POST", "faults", {"method": "bigquery.jobs.insert", "latency": 20, "count": 1})
    elif boundary == "written, not told":
        healed.admin("POST", "faults", {"method": "bigquery.jobs.insert", "drop": True, "count": 1})

    told = published(healed)
    wanted = flow.more_after(before, chance.randint(1, 120))
    if boundary == "anywhere":
        goal = told + chance.randint(0, len(wanted))
        eventually(lambda: published(healed) >= goal)
    else:
        eventually(lambda: healed.admin("GET", "faults")["faults"][0]["remaining"] == 0)
    os.kill(writer["pid"], signal.SIGKILL)
    since = time.monotonic()
    healed.admin("DELETE", "faults")

    eventually(lambda: any(each["pid"] != writer["pid"] for each in healed.instances("writer")), within=60)
    found = report.take(f"the writer dies: {boundary} (seed {seed})", healed, flow, wanted, since)
    assert found == Problems()
    assert flow.watermark()["count"] == wanted[-1]


def published(staging: Staging) -> int:
    """How many records were ever put on the topic of trades."""
    return stores.bounds(staging.backing.endpoints["kafka"], "trades")[1]
