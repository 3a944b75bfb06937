import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from unittest import mock

import pytest

from test_tools.trades import TestOrder, TestOutcome
from tidemark.allocator.models import Decision, Kind, Outcome
from tidemark.allocator.workflow import AllocationWorkflow, Stage

SOURCE = Path(__file__).parents[2] / "src"


async def test_a_request_is_allocated(workflow, broker):
    decision = await workflow.decide(TestOrder("quants", 5).request())
    assert decision.outcome == TestOutcome.GRANTED
    assert decision.cost == Decimal(2000)
    assert workflow.stock.available(Kind.DESK) == 35
    assert len(broker.topics["allocations"]) == 1


async def test_no_stock_is_refused(workflow):
    decision = await workflow.decide(TestOrder("quants", 4, Kind.MACHINE).request())
    assert decision.outcome == TestOutcome.DENIED
    assert decision.reason == "3 machine free"
    assert workflow.stock.available(Kind.MACHINE) == 3


async def test_a_dear_request_is_refused(workflow):
    decision = await workflow.decide(TestOrder("quants", 5, limit=Decimal(1999)).request())
    assert (decision.outcome, decision.reason) == (Outcome.REFUSED, "costs 2000, the limit is 1999")


async def test_ten_pieces_are_cheaper(workflow):
    decision = await workflow.decide(TestOrder("quants", 10).request())
    assert decision.cost == Decimal("3600.0")


async def test_the_council_may_be_against_it(workflow):
    decision = await workflow.decide(TestOrder("quants", 36).request())
    assert decision.outcome is Outcome.REFUSED
    assert [vote.in_favour for vote in decision.votes] == [True, False, False]


async def test_asking_twice_decides_once(workflow, broker):
    request = TestOrder("quants", 5).request()
    assert await workflow.decide(request) is await workflow.decide(request)
    assert len(broker.topics["allocations"]) == 1


async def test_the_event_tells_the_stages(workflow, broker):
    await workflow.decide(TestOrder("quants", 5).request())
    event = json.loads(broker.topics["allocations"][0].value)
    checks = {
        "outcome": event["outcome"] == "allocated",
        "stages": event["stages"] == [stage.value for stage in Stage],
    }
    for name, passed in checks.items():
        assert passed, name


def test_an_event_survives_the_wire(clock):
    from tidemark.allocator.events import AllocationEvent

    event = AllocationEvent("r-1", "quants", "allocated", "800", clock.now(), tuple(Stage))
    assert AllocationEvent.decode(event.encode()) == event


def test_a_foreign_event_is_refused():
    from tidemark.allocator.events import AllocationEvent

    with pytest.raises(ValueError, match="not an allocation event"):
        AllocationEvent.decode(b'{"schema": "trade/3"}')


def test_the_events_import_alone():
    """Accounting reads events and nothing else."""
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import tidemark.allocator.events"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


@pytest.mark.mock
async def test_a_decision_is_announced(workflow):
    with mock.patch.object(AllocationWorkflow, "decide", return_value=Decision("r-1", Outcome.ALLOCATED)) as decide:
        decision = await workflow.decide(TestOrder("quants", 1).request())
    decide.assert_called_once()
    assert decision.outcome is Outcome.ALLOCATED
