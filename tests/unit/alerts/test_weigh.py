"""When something is said again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regreen.alerts.config import Policy
from regreen.alerts.event import Event, Level, Seen, of_run, of_status
from regreen.alerts.ledger import LedgerError, Open, opened, weigh
from regreen.facts.testrun.results import TestComparison, TestResult, TestRun
from regreen.run.record import RunRecord
from tests.unit.report.conftest import diagnosis, record

__all__ = ["diagnosis", "record"]
POLICY = Policy(escalate_after_repeats=5, escalate_after_minutes=30, remind_minutes=60)
EVENT = Event("s", "disk", Level.WARNING, "disk is slow")


def said(policy: Policy, *looks: tuple[float, Seen]) -> list[list[str]]:
    """What each of some looks, at these minutes, makes us say."""
    ledger: dict[str, Open] = {}
    found = []
    for minute, seen in looks:
        ledger, notices = weigh(ledger, seen, minute * 60, policy)
        found.append([f"{notice.why} {notice.level}" for notice in notices])
    return found


def test_time_escalates_as_repeats_do() -> None:
    seen = Seen("s", (EVENT,))
    assert said(POLICY, (0, seen), (29, seen), (30, seen), (31, seen)) == [
        ["new warning"],
        [],
        ["escalated critical"],
        [],
    ]


def test_what_stays_open_is_said_again_after_a_while() -> None:
    calm = Policy(0, 0, 60)
    seen = Seen("s", (EVENT,))
    assert said(calm, (0, seen), (59, seen), (60, seen), (61, seen)) == [["new warning"], [], ["reminder warning"], []]


def test_what_gets_worse_is_said_and_what_gets_better_is_not() -> None:
    worse = Seen("s", (replace(EVENT, level=Level.CRITICAL),))
    assert said(POLICY, (0, Seen("s", (EVENT,))), (1, worse), (2, Seen("s", (EVENT,)))) == [
        ["new warning"], ["worse critical"], []
    ]  # fmt: skip


def test_a_look_at_one_scope_resolves_nothing_elsewhere() -> None:
    other = Seen("t", (replace(EVENT, scope="t"),))
    assert said(POLICY, (0, Seen("s", (EVENT,))), (1, other), (2, Seen("t"))) == [
        ["new warning"], ["new warning"], ["resolved warning"]
    ]  # fmt: skip


def test_the_text_is_no_part_of_the_identity() -> None:
    assert replace(EVENT, text="42 ms", title="x").fingerprint == EVENT.fingerprint
    assert replace(EVENT, key="cpu").fingerprint != EVENT.fingerprint


def test_the_ledger_survives_and_says_when_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    with opened(path) as ledger:
        ledger.update(weigh({}, Seen("s", (EVENT,)), 5.0, POLICY)[0])
    with opened(path) as ledger:
        assert ledger == {EVENT.fingerprint: Open(EVENT, 5.0, 5.0, 5.0)}
    path.write_text('{"schema": 1, "open": [{"event": 3}]}')
    with pytest.raises(LedgerError, match="move it away"), opened(path):
        pass


def test_a_status_alerts_root_causes_and_names_cascades_in_them() -> None:
    def service(name: str, state: str, causes: list[str], error: str = "") -> dict[str, object]:
        return {"name": name, "state": state, "causes": causes, "error": error, "detail": "d", "next_step": "look"}

    form = {
        "services": [
            service("kafka", "down", [], "KafkaException"),
            service("writer", "down", ["kafka"]),
            service("redis", "degraded", []),
            service("graph", "unknown", []),
            service("api", "up", []),
        ],
        "cascades": {"writer": ["kafka"]},
    }
    events = of_status(form, "status/twin").events

    assert [(event.key, event.level.value) for event in events] == [
        ("kafka", "critical"), ("redis", "warning"), ("graph", "warning")
    ]  # fmt: skip
    assert events[0].text == "KafkaException: d\nnext: look\nbecause of it: writer"


def test_a_run_alerts_what_its_gate_does_not_pass(record: RunRecord) -> None:
    events = of_run(record, "report.html").events

    assert [event.key for event in events] == ["code.tests-assert-not-return", "code.imports-resolve", "code.x"]
    assert {event.level for event in events} == {Level.WARNING}
    assert events[0].link == "report.html"


def test_a_regression_is_critical_and_named(record: RunRecord) -> None:
    from regreen.run.record import GateItem, GateResult, GateState

    red = TestResult("tests/test_a.py::test_b", record.tests.after.results[0].outcome)  # type: ignore[union-attr]
    gate = GateResult(GateState.FAIL, (GateItem("tests", GateState.FAIL, "1 regression"),))
    worse = TestComparison(TestRun("a"), TestRun("b"), regressions=(red,))
    (event,) = of_run(replace(record, gate=gate, tests=worse)).events

    assert event.level is Level.CRITICAL
    assert "- tests/test_a.py::test_b\n" in event.text
