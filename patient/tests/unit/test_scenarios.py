from __future__ import annotations

from types import ModuleType

import pytest
from pydantic import ValidationError

GOOD = {"name": "two-desks", "team": "quants", "count": 2, "expected": "allocated"}


@pytest.fixture
def scenarios() -> ModuleType:
    from test_tools import scenarios

    return scenarios


def test_a_scenario_needs_no_note(scenarios):
    assert scenarios.TestScenario(**GOOD).note is None


@pytest.mark.parametrize("fault", [{"name": "Two Desks"}, {"count": 0}, {"type": "trade"}, {"colour": "red"}])
def test_a_faulty_scenario_is_refused(scenarios, fault):
    with pytest.raises(ValidationError):
        scenarios.TestScenario(**(GOOD | fault))


def test_names_differ(scenarios):
    with pytest.raises(ValidationError, match="two scenarios have one name"):
        scenarios.ScenarioFile(scenarios=[GOOD, GOOD])


async def test_a_scenario_ends_as_expected(scenarios, workflow):
    scenario = scenarios.TestScenario(**GOOD)
    decision = await workflow.decide(scenario.request())
    assert decision.outcome == scenario.expected


def test_the_stack_is_local_unless_told(stack):
    assert stack.api_url == "http://127.0.0.1:8000"


def test_the_environment_moves_the_stack(monkeypatch):
    from test_tools.stack import StackSettings

    monkeypatch.setenv("STACK_API_URL", "https://api.staging.tidemark.example")
    assert StackSettings().api_url == "https://api.staging.tidemark.example"
