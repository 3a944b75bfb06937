"""Decisions: every scenario ends as its file says, in one trace, and is the same in every store."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.staging.patient.collector import Collector, Seen
from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import scenarios, stores
from tests.tiers.scenarios import AGENTS, Scenario, ScenarioError
from twin.staging import Staging

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
ALL = scenarios.load(FOLDER)
STEPS = ("availability", "cost", "council", "consensus", "allocation", "event", "recorded")


def restock(staging: Staging, stock: Mapping[str, int]) -> None:
    answer = httpx.put(f"{staging.direct('allocator')}/stock", json=stock, timeout=10, trust_env=False)
    answer.raise_for_status()


def free(staging: Staging, kind: str) -> int:
    """What the database says is left."""
    with stores.database(staging) as connection:
        row = connection.execute("SELECT free FROM stock WHERE kind = %s", (kind,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def stocked(staging: Staging) -> Iterator[Staging]:
    """The usual stock is back afterwards."""
    yield staging
    restock(staging, {"desk": 40, "machine": 12})


def ask(visitor: Visitor, scenario: Scenario) -> httpx.Response:
    request = f"{scenario.name}-{uuid.uuid4().hex[:8]}"
    body = {"request_id": request, **scenario.asked.model_dump(mode="json")}
    return visitor.post("/api/allocations", body)


def steps(spans: list[Seen]) -> list[str]:
    return [span.name.removeprefix("allocation.") for span in spans if span.name.startswith("allocation.")]


def taken(scenario: Scenario) -> list[str]:
    """The steps that this scenario goes through."""
    left = {"event", "recorded", "availability"}
    if scenario.expected.cost:
        left.add("cost")
    if scenario.expected.in_favour is not None:
        left |= {"council", "consensus"}
    if scenario.expected.outcome == "allocated":
        left.add("allocation")
    return [step for step in STEPS if step in left]


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.name)
def test_a_scenario_ends_as_it_says(
    scenario: Scenario, stocked: Staging, visitor: Visitor, collector: Collector
) -> None:
    restock(stocked, {str(kind): free for kind, free in scenario.stock.items()})

    answer = ask(visitor, scenario)

    assert answer.status_code == 201, answer.text
    said = answer.json()
    expected = scenario.expected
    assert (said["outcome"], Decimal(said["cost"]), said["reason"]) == (
        expected.outcome, expected.cost, expected.reason,
    )  # fmt: skip
    cast = {vote["agent"]: vote["in_favour"] for vote in said.get("votes", ())}
    if expected.in_favour is None:
        assert cast == {}
    else:
        assert cast == {agent: agent in expected.in_favour for agent in AGENTS}
    left = scenario.stock[scenario.asked.kind] - (scenario.asked.count if expected.outcome == "allocated" else 0)
    assert free(stocked, scenario.asked.kind) == left
    trace = answer.headers["traceparent"].split("-")[1]
    eventually(lambda: "recorded" in steps(collector.of(trace)))
    assert steps(collector.of(trace)) == taken(scenario)


def test_a_decision_is_the_same_in_every_store(stocked: Staging, visitor: Visitor) -> None:
    restock(stocked, {"desk": 40})
    answer = ask(visitor, next(each for each in ALL if each.name == "one-desk")).json()
    request = answer["request_id"]

    def recorded() -> list[dict[str, Any]]:
        return stores.query(stocked, f"SELECT * FROM market.allocations WHERE request_id = '{request}'")

    eventually(lambda: len(recorded()) == 1)

    (warehouse,) = recorded()
    with stores.database(stocked) as connection:
        row = connection.execute("SELECT stage, facts FROM allocations WHERE request_id = %s", (request,)).fetchone()
    assert row is not None
    stage, facts = row
    (event,) = [
        each.value
        for each in stores.topic(stocked.backing.endpoints["kafka"], "allocations")
        if each.value["request_id"] == request
    ]

    def graphed() -> list[dict[str, Any]]:
        with stores.graph(stocked) as session:
            found = session.run(
                "MATCH (t:Team)-[:ASKED]->(a:Allocation {key: $key}) RETURN t.key AS team, a.outcome AS outcome",
                key=request,
            )
            return [dict(record) for record in found]

    eventually(lambda: len(graphed()) == 1)
    assert stage == "announced"
    assert {warehouse["outcome"], facts["outcome"], event["outcome"], graphed()[0]["outcome"]} == {"allocated"}
    assert {warehouse["cost"], facts["cost"], event["cost"]} == {"400"}
    assert {warehouse["team"], event["team"], graphed()[0]["team"]} == {"e2e"}
    assert json.loads(warehouse["event"]) == event


def test_a_request_is_one_trace_over_three_services(stocked: Staging, visitor: Visitor, collector: Collector) -> None:
    restock(stocked, {"machine": 12})
    answer = ask(visitor, next(each for each in ALL if each.name == "five-machines"))
    trace = answer.headers["traceparent"].split("-")[1]
    eventually(lambda: "recorded" in steps(collector.of(trace)))

    spans = collector.of(trace)

    assert {span.service for span in spans} == {"api", "allocator", "writer"}
    known = {span.span for span in spans}
    roots = [span for span in spans if span.parent not in known]
    # The balancer began the trace; FastAPI adds a span of its own beside the service's.
    assert {span.name for span in roots} == {"POST /api/allocations"}
    assert len({span.parent for span in roots}) == 1
    request = answer.json()["request_id"]
    told = {span.attributes.get("request") for span in spans if span.name.startswith(("allocation", "council"))}
    assert told == {request}
    assert all(span.start <= span.end for span in spans)


def test_every_vote_is_told_with_its_timing_and_confidence(
    stocked: Staging, visitor: Visitor, collector: Collector
) -> None:
    restock(stocked, {"desk": 40})
    answer = ask(visitor, next(each for each in ALL if each.name == "one-desk"))
    trace = answer.headers["traceparent"].split("-")[1]

    def votes() -> list[Seen]:
        return [span for span in collector.of(trace) if span.name == "council.vote"]

    eventually(lambda: len(votes()) == len(AGENTS))

    assert sorted(str(vote.attributes["agent"]) for vote in votes()) == sorted(AGENTS)
    cast = {vote["agent"]: vote for vote in answer.json()["votes"]}
    for vote in votes():
        assert vote.events == ("input", "context", "inference", "submission")
        assert 0 < vote.attributes["inference.seconds"] <= vote.attributes["seconds"] <= (vote.end - vote.start) / 1e9
        same = cast[str(vote.attributes["agent"])]
        assert (vote.attributes["confidence"], vote.attributes["vote"], vote.attributes["reason"]) == (
            same["confidence"], same["in_favour"], same["reason"],
        )  # fmt: skip
        assert 0 < same["confidence"] <= 1


def test_two_requests_for_the_last_desks_share_nothing(stocked: Staging, visitor: Visitor) -> None:
    """Stock is never below nothing: what was allotted and what is left add up."""
    restock(stocked, {"desk": 10})
    many = Scenario.model_validate(
        {
            "name": "many",
            "stock": {"desk": 10},
            "asked": {"kind": "desk", "count": 2, "limit": 5000},
            "expected": {"outcome": "refused", "cost": 0},
        }
    )

    ends = [ask(visitor, many).json()["outcome"] for _ in range(8)]

    assert free(stocked, "desk") == 10 - 2 * ends.count("allocated")
    assert 1 <= ends.count("allocated") <= 5


BROKEN = {
    "name = 'Upper'": "name: String should match pattern",
    "name = 'x'\nasked = { kind = 'chair', count = 1, limit = 1 }": "asked.kind: Input should be 'desk' or 'machine'",
    "name = 'x'\nasked = { kind = 'desk', count = 0, limit = 1 }": "asked.count: Input should be greater than",
    "name = 'x'\nexpected = { outcome = 'allocated', cost = 1 }": "comes from a vote: say in_favour",
    "name = 'x'\nexpected = { outcome = 'allocated', cost = 1, in_favour = ['greed'] }": "no agent greed",
    "name = 'x'\nstock = { machine = 1 }": "the stock of desk is not said",
    "name = 'x'\ncolour = 'red'": "colour: Extra inputs are not permitted",
}


@pytest.mark.parametrize("lines", BROKEN)
def test_a_scenario_that_is_wrong_is_said_before_anything_runs(lines: str, tmp_path: Path) -> None:
    whole = {
        "name": "name = 'x'",
        "stock": "stock = { desk = 1 }",
        "asked": "asked = { kind = 'desk', count = 1, limit = 1 }",
        "expected": "expected = { outcome = 'refused', cost = 0 }",
    }
    given = {line.split(" = ")[0]: line for line in lines.splitlines()}
    (tmp_path / "wrong.toml").write_text("[[scenario]]\n" + "\n".join({**whole, **given}.values()) + "\n")

    with pytest.raises(ScenarioError) as said:
        scenarios.load(tmp_path)

    assert BROKEN[lines] in str(said.value)
    assert str(tmp_path / "wrong.toml") in str(said.value)


def test_no_scenario_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario"):
        scenarios.load(tmp_path)
