"""Blindness is never health: what could not be read, or is not there, makes no staging check pass."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from checks.staging import CATALOGUE
from regreen.cloud.look import judge
from regreen.environment import load_environment
from regreen.facts.cloud import Collection, Snapshot
from regreen.model import Status

ENVIRONMENT = load_environment(Path(__file__).parents[3] / "environments" / "twin.toml")


@pytest.mark.parametrize(
    "collection", [Collection(), Collection(error="403 PERMISSION_DENIED")], ids=["empty", "refused"]
)
def test_no_check_passes_on_nothing(collection: Collection) -> None:
    kinds = {kind for check in CATALOGUE for kind in check.READS}
    snapshot = Snapshot("staging-twin", "1", "now", dict.fromkeys(kinds, collection))
    found = judge(snapshot, CATALOGUE, ENVIRONMENT, time.perf_counter())
    assert [verdict.check for verdict in found.verdicts if verdict.status is Status.PASS] == []
