"""Decisions answer what they name, until their day, and errors say where."""

from __future__ import annotations

from datetime import date

import pytest

from regreen.decisions import Decisions, DecisionsError, read_decisions
from regreen.facts.source import MemoryTree
from regreen.model import Diagnosis, Finding, Severity, Span, Verdict
from regreen.suppress import BaselineError, baseline_text, read_baseline, set_aside

GOOD = """[[decision]]
check = "code.tests-*"
subject = "tests/test_a.py::*"
decision = "accept"
reason = "agreed"
who = "ann"
until = 2026-06-30

[[decision]]
check = "code.tests-can-fail"
subject = "tests/test_b.py::TestX::test_y"
decision = "product-defect"
reason = "the product is wrong"
who = "bob"
until = "2026-12-31"
"""
FINDING = Finding(
    "code.tests-can-fail", "tests/test_a.py::test_x", Span("tests/test_a.py", 3), "o", "e", Severity.ERROR
)


def on(day: date, text: str = GOOD) -> Decisions:
    return read_decisions(MemoryTree({"decisions.toml": text}), day)


def test_a_finding_is_answered_by_check_and_subject() -> None:
    answer = on(date(2026, 6, 30)).on(FINDING)

    assert answer is not None
    assert (answer.decision, answer.who, answer.line, answer.leaves) == ("accept", "ann", 1, True)


@pytest.mark.parametrize(
    ("check", "subject"),
    [("code.imports-resolve", "tests/test_a.py::test_x"), ("code.tests-can-fail", "tests/test_ab.py::test_x")],
)
def test_another_check_or_subject_is_not(check: str, subject: str) -> None:
    finding = Finding(check, subject, Span("x.py", 1), "o", "e", Severity.ERROR)

    assert on(date(2026, 1, 1)).on(finding) is None


def test_an_expired_one_answers_nothing() -> None:
    decisions = on(date(2026, 7, 1))

    assert decisions.on(FINDING) is None
    assert [entry.line for entry in decisions.expired] == [1]


def test_a_fingerprint_must_match_as_well() -> None:
    named = GOOD.replace('decision = "accept"', f'decision = "accept"\nfingerprint = "{FINDING.fingerprint}"')
    wrong = GOOD.replace('decision = "accept"', 'decision = "accept"\nfingerprint = "00"')

    assert on(date(2026, 1, 1), named).on(FINDING) is not None
    assert on(date(2026, 1, 1), wrong).on(FINDING) is None


@pytest.mark.parametrize(
    ("test", "line"),
    [
        ("tests/test_b.py::TestX::test_y", 9),
        ("tests/test_b.py::TestX::test_y[case-1]", 9),
        ("tests/test_b.py::TestX::test_yy", 0),
        ("tests/test_a.py::test_q[1]", 0),  # what is said of findings says nothing of red tests
    ],
)
def test_a_red_test_is_answered_with_or_without_its_case(test: str, line: int) -> None:
    answer = on(date(2026, 1, 1)).on_test(test)

    assert (answer.line if answer else 0) == line


def test_a_pattern_over_red_tests_must_say_so() -> None:
    text = GOOD.replace("code.tests-*", "run.tests-pass")
    defect = GOOD.replace('"accept"', '"product-defect"')

    assert on(date(2026, 1, 1), text).on_test("tests/test_a.py::test_q[1]") is not None
    assert on(date(2026, 1, 1), defect).on_test("tests/test_a.py::test_q[1]") is None
    assert on(date(2026, 1, 1), text.replace('"accept"', '"approve"')).on_test("tests/test_a.py::test_q") is None


def test_brackets_of_a_test_id_are_no_pattern() -> None:
    text = GOOD.replace("TestX::test_y", "test_y[a]")

    assert on(date(2026, 1, 1), text).on_test("tests/test_b.py::test_y[a]") is not None
    assert on(date(2026, 1, 1), text).on_test("tests/test_b.py::test_ya") is None


def test_a_target_without_the_file_has_none() -> None:
    assert read_decisions(MemoryTree({}), date(2026, 1, 1)).entries == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('reason = "agreed"\n', "", "decisions.toml:1: decision 1: the field 'reason' is missing"),
        ('who = "bob"', 'who = " "', "decisions.toml:14: decision 2: 'who' is empty"),
        ('"accept"', '"accepted"', "decisions.toml:4: decision 1: 'decision' must be one of accept, wont-fix, defer, product-defect, approve, not 'accepted'"),
        ("2026-06-30", "2026", "decisions.toml:7: decision 1: 'until' must be a date such as 2027-06-30"),
        ('"2026-12-31"', '"soon"', "decisions.toml:15: decision 2: 'until' is not a date such as 2027-06-30: 'soon'"),
        ("until = 2026-06-30\n", "", "decisions.toml:1: decision 1: the field 'until' is missing: a decision has a last day, such as 2027-06-30"),
        ('subject = "tests/test_a.py::*"\n', "", "decisions.toml:1: decision 1: names neither a 'subject' nor a 'fingerprint', so it would answer everything"),
        ('who = "ann"', 'by = "ann"', "decisions.toml:6: decision 1: unknown field 'by'"),
    ],
)  # fmt: skip
def test_an_error_names_file_and_line(old: str, new: str, message: str) -> None:
    with pytest.raises(DecisionsError) as error:
        on(date(2026, 1, 1), GOOD.replace(old, new, 1))

    assert str(error.value) == message


def test_what_is_set_aside_is_shown_with_its_reason() -> None:
    other = Finding(
        "code.tests-can-fail", "tests/test_c.py::test_z", Span("tests/test_c.py", 1), "o", "e", Severity.ERROR
    )
    last = Finding(
        "code.tests-can-fail", "tests/test_d.py::test_z", Span("tests/test_d.py", 1), "o", "e", Severity.ERROR
    )
    diagnosis = Diagnosis("t", (Verdict.of("code.tests-can-fail", 3, [FINDING, other, last]),), 1, 1, 0, 3, 1, 0.1)
    baseline = read_baseline(MemoryTree({"regreen-baseline.json": baseline_text([other], "old debt")}))

    verdict = set_aside(diagnosis, baseline, on(date(2026, 1, 1))).verdicts[0]

    assert [item.subject for item in verdict.findings] == ["tests/test_d.py::test_z"]
    assert [(item.finding.subject, item.by, item.reason) for item in verdict.suppressed] == [
        ("tests/test_a.py::test_x", "decision", "accept by ann until 2026-06-30: agreed"),
        ("tests/test_c.py::test_z", "baseline", "old debt"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "regreen-baseline.json:1: is not valid JSON: Expecting property name enclosed in double quotes"),
        ("[]", 'regreen-baseline.json:1: must be an object with "schema": 1 and a list "findings"'),
        ('{"schema": 1, "findings": [\n{"fingerprint": "ab", "reason": ""}]}',
         'regreen-baseline.json:2: finding 1 needs a "fingerprint" and a "reason"'),
    ],
)  # fmt: skip
def test_a_broken_baseline_names_its_line(text: str, message: str) -> None:
    with pytest.raises(BaselineError) as error:
        read_baseline(MemoryTree({"regreen-baseline.json": text}))

    assert str(error.value) == message
