"""Fixtures of the tiers. Each tier's conftest imports them; the system behind them is one for the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.staging.patient.collector import Collector
from tests.staging.patient.conftest import Visitor
from tests.tiers import system
from tests.tiers.flow import Flow
from tests.tiers.tokens import Door
from twin.staging import Staging

__all__ = ["collector", "door", "flow", "judged", "staging", "visitor"]


@pytest.fixture(scope="session")
def judged() -> Iterator[system.Judged]:
    yield system.shared()
    system.end()


@pytest.fixture
def staging(judged: system.Judged) -> Iterator[Staging]:
    """The system that is judged; what a test broke is healed after it."""
    before = list(judged.staging.cloud.faults.planted)
    yield judged.staging
    if judged.staging.cloud.faults.planted != before:
        judged.staging.repaired()
        judged.staging.wait_healthy()


@pytest.fixture
def collector(judged: system.Judged) -> Collector:
    """Where the services send their traces."""
    return judged.collector


@pytest.fixture
def visitor(staging: Staging) -> Iterator[Visitor]:
    """Somebody who comes through the balancer."""
    made = Visitor(staging)
    yield made
    made.close()


@pytest.fixture
def flow(staging: Staging, visitor: Visitor) -> Flow:
    return Flow(staging, visitor)


@pytest.fixture
def door(staging: Staging) -> Door:
    return Door(staging.balancer, staging.host, staging.secret("e2e-bypass-key"))
