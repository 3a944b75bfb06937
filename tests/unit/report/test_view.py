"""What a report says of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regreen.facts.testrun.results import Outcome, TestComparison, TestResult, TestRun
from regreen.model import Verdict
from regreen.report.view import Row, build, duration, sentence, size, suite_view
from regreen.run.record import GateState, RunRecord


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (4, 1, "−75 %"),
        (3, 1, "−66.7 %"),
        (2000, 1, "−99.9 %"),
        (7, 0, "−100 %"),
        (4, 4, "0 %"),
        (4, 6, "+50 %"),
        (0, 0, "–"),
        (0, 2, "new"),
    ],
)
def test_a_reduction_never_flatters(before: int, after: int, words: str) -> None:
    assert Row("x", before, after).reduced == words


def test_a_box_is_ticked_by_evidence_only(record: RunRecord) -> None:
    boxes = build(record).ticks

    assert [(done, tick.id, tick.state) for done, tick in boxes] == [
        (True, "collects", GateState.PASS),
        (False, "hollow", GateState.UNKNOWN),
        (False, "imports", GateState.UNKNOWN),
    ]


def test_a_decision_does_not_tick_a_box(record: RunRecord) -> None:
    decided = replace(record.checklist[0], state=GateState.DECIDED)

    assert build(replace(record, checklist=(decided,))).ticks == ((False, decided),)


def test_checks_stand_side_by_side_with_their_total(record: RunRecord) -> None:
    view = build(record)

    assert [(row.name, row.before, row.after, row.status_after, row.set_aside) for row in view.checks] == [
        ("code.tests-assert-not-return", 3, 1, "FAIL", 0),
        ("code.source-readable", 0, 0, "PASS", 0),
        ("code.imports-resolve", 0, 0, "UNKNOWN", 0),
        ("code.waits-not-sleeps", 0, 0, "PASS", 1),
    ]
    assert (view.total.before, view.total.after) == (3, 1)


def test_a_check_that_fell_silent_is_unknown_and_a_new_one_is_listed(record: RunRecord) -> None:
    after = replace(record.after, verdicts=(Verdict("code.new", 2),))

    rows = build(replace(record, after=after)).checks

    assert [(row.name, row.status_before, row.status_after) for row in rows][0::4] == [
        ("code.tests-assert-not-return", "FAIL", "UNKNOWN"),
        ("code.new", "", "PASS"),
    ]


def test_changes_of_one_commit_share_its_diff(record: RunRecord) -> None:
    one = record.changes[0]
    other = replace(one, commit="d" * 40, change=replace(one.change, remedy="code.other"))

    commits = build(replace(record, changes=(one, one, other))).commits

    assert [(commit.remedy, len(commit.changes), len(commit.files)) for commit in commits] == [
        ("code.return-to-assert", 2, 1),
        ("code.other", 1, 1),
    ]


def test_a_private_key_that_spans_lines_leaves_the_diff(record: RunRecord) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n-MIIEvQIBADANBg\n------END PRIVATE KEY-----"
    diff = f"diff --git a/k b/k\n--- a/k\n+++ b/k\n@@ -1,3 +1 @@\n-{key}\n+x\n"

    text = build(replace(record, changes=(replace(record.changes[0], diff=diff),))).commits[0].files[0].text

    assert "MIIEvQIBADANBg" not in text
    assert text.endswith("[redacted]\n+x")


def test_open_questions_come_first_and_count(record: RunRecord) -> None:
    view = build(record)

    assert [(title, len(group)) for title, group in view.refusals] == [
        ("For a person to decide", 1),
        ("Answered by a decision", 1),
    ]
    assert view.headline == (
        "3 → 1 findings (−66.7 %)",
        "1 change made",
        "8 → 12 tests collected",
        "1 test unmasked",
        "1 open question for a person",
    )


def test_tests_that_were_not_executed_prove_nothing(record: RunRecord) -> None:
    unread = replace(record, tests=TestComparison(TestRun("t", problem="no pytest there"), TestRun("t")))

    assert "the target's tests were not executed" in build(replace(record, tests=None)).headline
    assert "the target's tests were not executed" in build(unread).headline


def test_what_only_a_verdict_sets_aside_is_listed_too(record: RunRecord) -> None:
    assert build(replace(record, suppressed=())).suppressed == build(record).suppressed != ()


def test_a_red_test_in_ten_thousand_is_not_all_green() -> None:
    green = tuple(TestResult(f"m.py::t{n}", Outcome.PASSED) for n in range(9999))
    red = TestResult("m.py::red", Outcome.FAILED)
    view = suite_view(TestComparison(TestRun("t", results=green), TestRun("t", results=(*green, red))))

    assert (view.rate_before, view.rate_after) == ("100.0%", "99.9%")
    assert [row.name for row in view.rows] == ["collected", "collection errors", "passed", "failed"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.25, "0.25 s"), (12.4, "12 s"), (75.0, "1 min 15 s"), (3720.0, "1 h 2 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sizes_and_sentences() -> None:
    assert [size(n) for n in (0, 123_400_000, 2_500_000_000)] == ["not measured", "123 MB", "2.5 GB"]
    assert [sentence(text) for text in ("a", "a.", "a?", "a ", "")] == ["a.", "a.", "a?", "a.", ""]
