"""The staging checks on the running system, one test each: what the configuration says."""

from __future__ import annotations

import pytest

from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import system
from tests.tiers.verdicts import CHECKS, Said, verdicts
from twin.staging import Staging

SILENT = {"staging.scaling-within-30s": "no service went from no traffic to traffic"}
"""What a system that has just come up cannot show yet."""


@pytest.fixture(scope="module")
def said(judged: system.Judged) -> dict[str, Said]:
    staging = judged.staging
    _visited(staging)
    return verdicts(staging)


def _visited(staging: Staging) -> None:
    """One request, and its count in Cloud Monitoring: a log of nothing proves nothing."""
    visitor = Visitor(staging)
    visitor.get("/api/health")
    visitor.close()
    series = f"https://monitoring.googleapis.com/v3/projects/{staging.twin.project}/timeSeries"
    asked = "?filter=metric.type%3D%22run.googleapis.com%2Frequest_count%22"
    window = "&interval.startTime=2020-01-01T00:00:00Z&interval.endTime=2100-01-01T00:00:00Z"
    eventually(lambda: "timeSeries" in staging.cloud.api.call("GET", series + asked + window))


@pytest.mark.parametrize("check", [check.ID for check in CHECKS])
def test_a_check_passes(check: str, said: dict[str, Said]) -> None:
    found = said[check]

    if check in SILENT and found.status == "UNKNOWN":
        assert found.why.startswith(SILENT[check])
    else:
        assert (found.status, found.why) == ("PASS", "")
