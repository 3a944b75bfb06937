"""The gate opens on evidence alone, and the checklist is ticked by nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from regreen.decisions import Decision, Decisions
from regreen.facts.testrun import Outcome, TestResult, TestRun, compare
from regreen.gates import Evidence, TestEvidence, judge_gate, judge_tests, tick
from regreen.model import Diagnosis, Finding, Risk, Severity, Span, Suppressed, Verdict
from regreen.plan import ChecklistItem, Entry, Phase
from regreen.run.record import GateState, TestGrade

FINDING = Finding("code.x", "a.py::f", Span("a.py", 1), "o", "e", Severity.ERROR)
PHASE = Phase(
    1, "t", "", Risk.LOW, "", 1, 1, gate=(Entry("code.x"), Entry("staging.y", built=False)),
    checklist=(
        ChecklistItem("1", "clean", "A1", ("code.x",)),
        ChecklistItem("2", "later", "A2", ("staging.y",)),
        ChecklistItem("3", "all", "A5", (), ("gate", "tests")),
        ChecklistItem("4", "back", "A6", (), ("undo",)),
    ),
)  # fmt: skip
BUILT = replace(PHASE, gate=(Entry("code.x"),))
NOTHING = TestEvidence(changed=False)
NOBODY = Decisions()


def decided(check: str, subject: str) -> Decisions:
    entry = Decision(check, subject, "", "product-defect", "known", "ann", date(2027, 1, 1), 1)
    return Decisions((entry,), date(2026, 1, 1))


def evidence(verdict: Verdict, tests: TestEvidence = NOTHING, decisions: Decisions = NOBODY) -> Evidence:
    return Evidence(Diagnosis("t", (verdict,), 1, 1, 0, 0, 0, 0.0), (), decisions, tests)


CLEAN = Verdict("code.x", 5)


@pytest.mark.parametrize(
    ("verdict", "decisions", "state", "text"),
    [
        (CLEAN, Decisions(), GateState.PASS, "clean, 5 examined"),
        (Verdict("code.x", 5, (FINDING,)), Decisions(), GateState.FAIL, "1 findings remain"),
        (Verdict("code.x", 0), Decisions(), GateState.UNKNOWN, "nothing was examined"),
        (Verdict.unknown("code.x", "boom"), Decisions(), GateState.UNKNOWN, "boom"),
        (Verdict.unknown("code.x", "boom"), decided("code.x", "*"), GateState.DECIDED, "boom; decided by ann: known"),
        (Verdict("code.x", 5, (FINDING,), error="boom"), Decisions(), GateState.FAIL, "1 findings remain"),
        (Verdict("code.x", 5, suppressed=(Suppressed(FINDING, "decision", "r"),)), Decisions(), GateState.DECIDED,
         "no finding is open; 1 set aside, 1 of them by decisions"),
        (Verdict("code.x", 5, suppressed=(Suppressed(FINDING, "comment", "r"),)), Decisions(), GateState.PASS,
         "no finding is open; 1 set aside, 0 of them by decisions"),
        (Verdict("code.other", 5), Decisions(), GateState.UNKNOWN, "this check did not run"),
    ],
)  # fmt: skip
def test_a_check_s_part_of_the_gate(verdict: Verdict, decisions: Decisions, state: GateState, text: str) -> None:
    gate = judge_gate(BUILT, evidence(verdict, decisions=decisions))

    assert (gate.items[0].state, gate.items[0].text) == (state, text)
    assert gate.state is state


def test_what_is_not_built_keeps_a_gate_shut_and_is_not_ticked() -> None:
    found = evidence(CLEAN)

    gate = judge_gate(PHASE, found)
    ticks = tick(PHASE, gate, found, undoable=True)

    assert gate.state is GateState.UNKNOWN
    assert [item.state for item in ticks] == [GateState.PASS, GateState.UNKNOWN, GateState.FAIL, GateState.PASS]
    assert ticks[1].evidence == "staging.y: planned, not built: nothing was verified"


def test_a_new_finding_shuts_it() -> None:
    found = replace(evidence(CLEAN), fresh=(FINDING,))

    assert judge_gate(BUILT, found).state is GateState.FAIL


@pytest.mark.parametrize(
    ("grade", "state"), [("stronger", GateState.PASS), ("weaker", GateState.FAIL), ("unknown", GateState.FAIL)]
)
def test_the_ratchet_s_part(grade: str, state: GateState) -> None:
    found = replace(evidence(CLEAN), grades=(TestGrade("t", grade, "r", "code.cure"),))

    assert judge_gate(BUILT, found).state is state


def test_a_commit_that_undo_could_not_take_back_is_not_ticked() -> None:
    found = evidence(CLEAN)
    gate = judge_gate(BUILT, found)

    assert tick(BUILT, gate, found, undoable=False)[3].state is GateState.FAIL


def run(**outcomes: Outcome) -> TestRun:
    return TestRun(
        "t", collected=len(outcomes), results=tuple(TestResult(f"t.py::{name}", end) for name, end in outcomes.items())
    )


GREEN, RED = Outcome.PASSED, Outcome.FAILED


@pytest.mark.parametrize(
    ("before", "after", "decisions", "state", "text"),
    [
        (run(a=GREEN), run(a=GREEN), Decisions(), GateState.PASS, "1 tests collected (1 before); none is red"),
        (run(a=GREEN), run(a=RED), decided("*", "*"), GateState.FAIL, "1 tests were green and are red, or are lost, first t.py::a"),
        (run(a=GREEN), run(), decided("*", "*"), GateState.FAIL, "1 tests were green and are red, or are lost, first t.py::a"),
        (run(a=RED), run(a=RED), Decisions(), GateState.FAIL, "1 tests collected (1 before); 1 red tests wait for a decision, first t.py::a"),
        (run(a=RED), run(a=RED), decided("code.x", "t.py::a"), GateState.DECIDED, "1 tests collected (1 before); 1 red tests are answered by decisions"),
        (run(), run(b=RED), Decisions(), GateState.FAIL, "1 tests collected (0 before); 1 red tests wait for a decision, first t.py::b"),
        (run(), replace(run(b=GREEN), problem="too slow"), Decisions(), GateState.UNKNOWN, "after: too slow"),
    ],
)  # fmt: skip
def test_the_tests_part(before: TestRun, after: TestRun, decisions: Decisions, state: GateState, text: str) -> None:
    item = judge_tests(evidence(CLEAN, TestEvidence(True, compare(before, after)), decisions))

    assert (item.state, item.text) == (state, text)


def test_tests_that_were_not_run() -> None:
    assert judge_tests(evidence(CLEAN, TestEvidence(changed=True))).state is GateState.UNKNOWN
    assert judge_tests(evidence(CLEAN, TestEvidence(changed=True, accepted=True))).state is GateState.DECIDED
    assert judge_tests(evidence(CLEAN, TestEvidence(changed=False))).state is GateState.PASS
