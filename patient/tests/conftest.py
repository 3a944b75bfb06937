"""Fixtures for every test, and the rule that tests of the stack run only where the stack runs."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tidemark.allocator.models import Kind
from tidemark.allocator.pricing import FixedPrices
from tidemark.allocator.workflow import AllocationWorkflow, Stock
from tidemark.ingest.broker import MemoryBroker
from tidemark.runtime.clock import ManualClock
from tidemark.writer.graph import MemoryGraph
from tidemark.writer.warehouse import MemoryWarehouse

if TYPE_CHECKING:
    from test_tools.stack import StackSettings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="count every test as a resilience test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(reason="needs the running stack: set TIDEMARK_STACK=1")
    for item in items:
        if "integration" in item.keywords and not os.environ.get("TIDEMARK_STACK"):
            item.add_marker(absent)
        if config.getoption("--soak"):
            item.add_marker(pytest.mark.resilence)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    # websockets asks the environment for a proxy since 15.0, for the loopback as well.
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def warehouse() -> MemoryWarehouse:
    return MemoryWarehouse()


@pytest.fixture
def graph() -> MemoryGraph:
    return MemoryGraph()


@pytest.fixture
def workflow(broker: MemoryBroker, clock: ManualClock) -> AllocationWorkflow:
    prices = FixedPrices({Kind.DESK: Decimal(400), Kind.MACHINE: Decimal(1500)})
    return AllocationWorkflow(Stock({Kind.DESK: 40, Kind.MACHINE: 3}), prices, broker, clock=clock)


@pytest.fixture
def stack() -> StackSettings:
    from test_tools.stack import StackSettings

    return StackSettings()
