"""The staging checks on the running system: the healthy one passes them, and as found each fault fails its check."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.staging import CATALOGUE
from regreen.environment import load_environment
from regreen.facts.cloud import collect
from regreen.facts.cloud.experiments import Reach
from regreen.model import Status, Verdict
from tests.staging.patient.conftest import ROOT, Visitor, eventually
from twin import staging as stages
from twin.process import env
from twin.staging import Staging

#: Judged against the stack's file and a record of it, which these tests do not make.
ELSEWHERE = {"staging.drift"}
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    # google.auth.default silences itself, which does not hold where several threads call it.
    pytest.mark.filterwarnings("ignore:The load_credentials_from_file method:DeprecationWarning"),
]
CHECKS = [check for check in CATALOGUE if check.ID not in ELSEWHERE]


def judged(staging: Staging, patch: pytest.MonkeyPatch) -> dict[str, Verdict]:
    for name, value in env(staging.folder).items():
        patch.setenv(name, value)
    environment = load_environment(ROOT / "environments" / "twin.toml")
    reach = Reach(
        balancer=staging.balancer,
        database=staging.backing.endpoints["postgres"],
        cache=staging.backing.endpoints["redis"],
        token=staging.secret("feed-token"),
    )
    kinds = {kind for check in CHECKS for kind in check.READS}
    tries = {name for check in CHECKS for name in check.MEASURES}
    snapshot = collect(environment, kinds, tries, reach=reach)
    _let_go()
    return {check.ID: check.judge(snapshot, environment) for check in CHECKS}


def _let_go() -> None:
    """google-auth looks up regional access boundaries in a thread of its own and leaves that connection to the collector:
    let it happen here, where the warning is expected, and not in the middle of another test.
    """
    for thread in threading.enumerate():
        if type(thread).__name__ == "_RegionalAccessBoundaryRefreshThread":
            thread.join(30)
    gc.collect()


@pytest.fixture(scope="module")
def as_found(tmp_path_factory: pytest.TempPathFactory, code: Path) -> Iterator[Staging]:
    made = stages.up(tmp_path_factory.mktemp("found") / "state", code, "as-found")
    yield made
    made.close()


def test_the_healthy_system_passes_every_check(
    staging: Staging, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visitor.get("/api/health").status_code == 200
    series = f"https://monitoring.googleapis.com/v3/projects/{staging.twin.project}/timeSeries"
    asked = "?filter=metric.type%3D%22run.googleapis.com%2Frequest_count%22"
    window = "&interval.startTime=2020-01-01T00:00:00Z&interval.endTime=2100-01-01T00:00:00Z"
    eventually(lambda: "timeSeries" in staging.cloud.api.call("GET", series + asked + window))

    verdicts = judged(staging, monkeypatch)

    wrong = {name: _told(verdict) for name, verdict in verdicts.items() if verdict.status is not Status.PASS}
    assert wrong == {}


def test_as_found_every_fault_is_found_by_its_check_and_healed_by_its_undoing(
    as_found: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = judged(as_found, monkeypatch)
    as_found.repaired()
    as_found.wait_healthy()
    healed = judged(as_found, monkeypatch)

    missed = {
        fault: (row["check"], _told(found[row["check"]]))
        for fault, row in as_found.cloud.faults.table.items()
        if found[row["check"]].status is not Status.FAIL
    }
    assert missed == {}
    wrong = {name: _told(verdict) for name, verdict in healed.items() if verdict.status is not Status.PASS}
    assert wrong == {}


def _told(verdict: Verdict) -> Any:
    return verdict.error or [(item.subject, item.observed) for item in verdict.findings]
