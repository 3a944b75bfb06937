"""The phase's gate and its checklist: opened and ticked by evidence, and by nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from regreen.decisions import Decisions
from regreen.facts.testrun import TestComparison, TestResult
from regreen.model import Diagnosis, Finding, Status
from regreen.plan import Entry, Phase
from regreen.run.record import ApiChange, GateItem, GateResult, GateState, TestGrade, Tick

TESTS: Final = "tests"
RATCHET: Final = "assertion-ratchet"
API: Final = "public-api"
NOTHING_NEW: Final = "no-new-findings"
_GREEN: Final = (GateState.PASS, GateState.DECIDED)


@dataclass(frozen=True, slots=True)
class TestEvidence:
    """What is known of the target's own tests. `accepted`: `--static-only` was given on purpose."""

    __test__ = False

    changed: bool
    comparison: TestComparison | None = None
    accepted: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the gate of a phase judges."""

    after: Diagnosis
    fresh: tuple[Finding, ...]
    decisions: Decisions
    tests: TestEvidence
    grades: tuple[TestGrade, ...] = ()
    ratchet: bool = True
    api: tuple[ApiChange, ...] = ()


def judge_gate(phase: Phase, evidence: Evidence, only_checks: Sequence[str] = ()) -> GateResult:
    """The gate. With `only_checks` (a run of some remedies) it asks for no other checks than these."""
    entries = [entry for entry in phase.gate if not only_checks or entry.id in only_checks]
    items = [_check(entry, evidence) for entry in entries]
    items += [_nothing_new(evidence), _ratchet(evidence), _api(evidence), judge_tests(evidence)]
    return GateResult(_worst(items), tuple(items))


def _worst(items: Sequence[GateItem]) -> GateState:
    states = {item.state for item in items}
    if GateState.FAIL in states:
        return GateState.FAIL
    if states & {GateState.UNKNOWN, GateState.NOT_BUILT}:
        return GateState.UNKNOWN
    return GateState.DECIDED if GateState.DECIDED in states else GateState.PASS


def _check(entry: Entry, evidence: Evidence) -> GateItem:
    if not entry.built:
        return GateItem(entry.id, GateState.NOT_BUILT, "planned, not built: nothing was verified")
    try:
        verdict = evidence.after.verdict(entry.id)
    except KeyError:
        return GateItem(entry.id, GateState.UNKNOWN, "this check did not run")
    decided = sum(1 for item in verdict.suppressed if item.by == "decision")
    aside = len(verdict.suppressed)
    count = len(verdict.findings)
    if verdict.status is Status.FAIL:
        return GateItem(entry.id, GateState.FAIL, f"{count} findings remain", count, decided)
    if verdict.status is Status.UNKNOWN:
        answer = evidence.decisions.on_check(entry.id)
        why = verdict.error or "nothing was examined"
        if answer is not None:
            return GateItem(entry.id, GateState.DECIDED, f"{why}; decided by {answer.who}: {answer.reason}", decided=1)
        return GateItem(entry.id, GateState.UNKNOWN, why)
    if aside:
        text = f"no finding is open; {aside} set aside, {decided} of them by decisions"
        return GateItem(entry.id, GateState.DECIDED if decided else GateState.PASS, text, 0, decided)
    return GateItem(entry.id, GateState.PASS, f"clean, {verdict.examined} examined")


def _nothing_new(evidence: Evidence) -> GateItem:
    if not evidence.fresh:
        return GateItem(NOTHING_NEW, GateState.PASS, "no check found anything that was not there before")
    first = evidence.fresh[0]
    text = f"{len(evidence.fresh)} new findings, first {first.check} at {first.where}"
    return GateItem(NOTHING_NEW, GateState.FAIL, text, len(evidence.fresh))


def _ratchet(evidence: Evidence) -> GateItem:
    if not evidence.grades:
        if evidence.ratchet or not evidence.tests.changed:
            return GateItem(RATCHET, GateState.PASS, "no test was changed")
        return GateItem(RATCHET, GateState.UNKNOWN, "the ratchet did not run")
    bad = [grade for grade in evidence.grades if grade.grade in ("weaker", "removed", "changed", "unknown")]
    if bad:
        return GateItem(RATCHET, GateState.FAIL, f"{bad[0].test}: {bad[0].reason}", len(bad))
    stronger = sum(1 for grade in evidence.grades if grade.grade == "stronger")
    return GateItem(RATCHET, GateState.PASS, f"{len(evidence.grades)} tests compared, {stronger} stronger, none weaker")


def _api(evidence: Evidence) -> GateItem:
    if not evidence.api:
        return GateItem(API, GateState.PASS, "unchanged")
    return GateItem(API, GateState.PASS, f"{len(evidence.api)} changes, each said in the report")


def open_tests(comparison: TestComparison, decisions: Decisions) -> tuple[TestResult, ...]:
    """Red tests that nobody has answered, regressions left out: those no decision can open a gate for."""
    red = (*comparison.unmasked, *comparison.revealed, *comparison.still_red)
    return tuple(result for result in red if decisions.on_test(result.test) is None)


def judge_tests(evidence: Evidence) -> GateItem:
    """The part of the gate that the target's own tests decide."""
    tests = evidence.tests
    if tests.comparison is None:
        if not tests.changed:
            return GateItem(TESTS, GateState.PASS, tests.note or "nothing was changed, so there was nothing to execute")
        if tests.accepted:
            return GateItem(TESTS, GateState.DECIDED, "changed, not executed: accepted with --static-only")
        why = (
            tests.note or "changed, not executed: give --python PATH to run the tests, or --static-only to accept that"
        )
        return GateItem(TESTS, GateState.UNKNOWN, why)
    found = tests.comparison
    worse = len(found.regressions) + len(found.lost)
    if worse:
        first = found.regressions[0].test if found.regressions else found.lost[0]
        return GateItem(
            TESTS, GateState.FAIL, f"{worse} tests were green and are red, or are lost, first {first}", worse
        )
    if found.problem:
        return GateItem(TESTS, GateState.UNKNOWN, found.problem)
    red = (*found.unmasked, *found.revealed, *found.still_red)
    waiting = open_tests(found, evidence.decisions)
    counts = f"{found.after.collected} tests collected ({found.before.collected} before)"
    if found.flaky:
        counts += f"; {len(found.flaky)} flaky, first {found.flaky[0].test}"
    if waiting:
        text = f"{counts}; {len(waiting)} red tests wait for a decision, first {waiting[0].test}"
        return GateItem(TESTS, GateState.FAIL, text, len(waiting), len(red) - len(waiting))
    if red:
        return GateItem(
            TESTS, GateState.DECIDED, f"{counts}; {len(red)} red tests are answered by decisions", 0, len(red)
        )
    return GateItem(TESTS, GateState.PASS, f"{counts}; none is red")


def tick(phase: Phase, gate: GateResult, evidence: Evidence, undoable: bool | None) -> tuple[Tick, ...]:
    """The phase's checklist. `undoable`: every commit can be taken back; None when there was none to try."""
    known = {item.name: item for item in gate.items}
    others = _others(undoable, gate)
    ticks: list[Tick] = []
    for box in phase.checklist:
        items = []
        for check in box.checks:
            listed = next((entry for entry in phase.gate if entry.id == check), Entry(check))
            items.append(known.get(check) or _check(listed, evidence))
        items += [others[kind] for kind in box.evidence]
        text = "; ".join(f"{item.name}: {item.text}" for item in items)
        ticks.append(Tick(box.id, box.text, box.requirement, _worst(items), text))
    return tuple(ticks)


def _others(undoable: bool | None, gate: GateResult) -> Mapping[str, GateItem]:
    known = {item.name: item for item in gate.items}
    open_items = [item for item in gate.items if item.state not in _GREEN and item.name != TESTS]
    if undoable is None:
        undo = GateItem("undo", GateState.PASS, "no commit was made, so there is nothing to take back")
    elif undoable:
        undo = GateItem(
            "undo", GateState.PASS, "each commit's parent is what undo restores, and it is in the repository"
        )
    else:
        undo = GateItem("undo", GateState.FAIL, "a commit does not stand on the one that undo would restore")
    text = f"{len(gate.items)} conditions, {len(open_items)} not met"
    state = GateState.FAIL if open_items else GateState.PASS
    return {
        "gate": GateItem("gate", state, text, len(open_items)),
        TESTS: known[TESTS],
        RATCHET: known[RATCHET],
        API: known[API],
        "undo": undo,
        "record": GateItem("record", GateState.PASS, "durations, CPU, memory and counts stand in the run's record"),
    }
