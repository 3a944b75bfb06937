"""Tier 3 breaks things: it has a system of its own, and leaves a report of what each fault cost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiers import system
from tests.tiers.fixtures import collector, door, flow, staging, visitor
from tests.tiers.recovery import Report

__all__ = ["collector", "door", "flow", "staging", "visitor"]


@pytest.fixture(scope="session")
def judged() -> Iterator[system.Judged]:
    # Not pytest's own folder: the database's account of another name must be able to walk down to its data.
    with tempfile.TemporaryDirectory(prefix="regreen-tier3-") as folder:
        made = system.staging(system.source(), Path(folder))
        yield made
        made.close()


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """What every fault cost: printed at the end, and in `build/gates/recovery.json`."""
    made = Report(system.ROOT / "build" / "gates" / "recovery.json")
    yield made
    print(f"\n{made.write()}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a seed: `nox -s tier3 -- --seeds 100`."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(int(os.environ.get(system.SEEDS) or 3)))
