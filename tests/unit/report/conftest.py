"""A diagnosis and a run to report on, with names and texts that do their best to break out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regreen.facts.testrun.results import Category, Outcome, TestComparison, TestResult, TestRun
from regreen.model import (
    Change,
    Diagnosis,
    Finding,
    Refusal,
    Resource,
    Safety,
    Severity,
    Span,
    Splice,
    Suppressed,
    Verdict,
)
from regreen.run.record import (
    ApiChange,
    AppliedChange,
    DecisionUsed,
    Dropped,
    GateItem,
    GateResult,
    GateState,
    PhaseExcerpt,
    PlannedRemedy,
    Refused,
    RunRecord,
    TestGrade,
    Tick,
    Timing,
    Usage,
)

#: A file name of bytes that are not UTF-8, markup, a terminal escape, a line break and a bidi override.
HOSTILE_PATH = "tests/</script><b>\udcff\x1b[31m\n`|a`\u202e.py"
HOSTILE_TEXT = (
    "<img src=x onerror=alert(1)> ]]> {0} [x](javascript:alert(1)) `|` \x00\x08\ufffe\ud800 @all https://x.example"
)


def finding(check: str, path: str, line: int, observed: str = "seen", *, snippet: str = "") -> Finding:
    where = Span(path, line, 4, line, 9) if line else Span(path)
    return Finding(check, f"{path}::test_{line}", where, observed, "wanted", Severity.ERROR, snippet or f"line {line}")


@pytest.fixture
def hostile() -> tuple[str, str]:
    return HOSTILE_PATH, HOSTILE_TEXT


@pytest.fixture
def diagnosis() -> Diagnosis:
    """One check that fails, one that passes, one that cannot say, one that set something aside."""
    aside = Suppressed(finding("code.waits-not-sleeps", "tests/test_b.py", 7), "inline comment", "needs the wall clock")
    return Diagnosis(
        tree="t0",
        verdicts=(
            Verdict.of(
                "code.tests-assert-not-return",
                12,
                [finding("code.tests-assert-not-return", "tests/test_a.py", n, f"returns {n}") for n in (3, 5)]
                + [finding("code.tests-assert-not-return", HOSTILE_PATH, 1, HOSTILE_TEXT)],
            ),
            Verdict("code.source-readable", 4),
            Verdict.unknown("code.imports-resolve", "the index could not be read"),
            Verdict("code.waits-not-sleeps", 2, suppressed=(aside,), note="one file has no tests"),
        ),
        files=4,
        parsed=3,
        unreadable=1,
        functions=12,
        modules=3,
        seconds=0.25,
    )


@pytest.fixture
def record(diagnosis: Diagnosis) -> RunRecord:
    """A run in which everything happened once."""
    first, second, odd = sorted(
        diagnosis.verdicts[0].findings,
        key=lambda one: (one.path != "tests/test_a.py", one.where.line if isinstance(one.where, Span) else 0),
    )
    after = replace(
        diagnosis,
        tree="t1",
        verdicts=(replace(diagnosis.verdicts[0], findings=(odd,)), *diagnosis.verdicts[1:]),
    )
    change = Change(
        remedy="code.return-to-assert",
        subject="tests/test_a.py::test_3",
        summary="assert what was returned",
        closes=(first.fingerprint,),
        splices=(Splice("tests/test_a.py", 20, 26, b"assert"),),
        safety=Safety.SAFE,
        evidence="the function is collected as a test",
        unmasks=("tests/test_a.py::test_3",),
    )
    diff = (
        "diff --git a/tests/test_a.py b/tests/test_a.py\n--- a/tests/test_a.py\n+++ b/tests/test_a.py\n"
        "@@ -1,3 +1,3 @@\n def test_3():\n-    return '</script><script>alert(1)</script>' == \u202ex\n+    assert '```' == x\n"
    )
    red = TestResult("tests/test_a.py::test_3[a::b]", Outcome.FAILED, Category.ASSERTION, HOSTILE_TEXT, 0.01)
    before_run = TestRun(
        "t0",
        collected=8,
        collection_errors=(
            TestResult("tests/test_c.py", Outcome.ERROR, Category.MISSING_MODULE, "No module named 'x'"),
        ),
        results=tuple(TestResult(f"tests/test_a.py::test_{n}", Outcome.PASSED) for n in range(8)),
    )
    after_run = TestRun(
        "t1",
        collected=12,
        results=(
            *(TestResult(f"tests/test_a.py::Suite::test_{n}", Outcome.PASSED, None, "", 0.5) for n in range(9)),
            red,
            TestResult("tests/test_c.py::test_skip", Outcome.SKIPPED, None, "no broker"),
            TestResult("tests/test_c.py::test_only_found", Outcome.COLLECTED),
        ),
        seconds=2.5,
    )
    return RunRecord(
        run="20260101-120000-abcd",
        target="patient",
        phase=PhaseExcerpt(
            1,
            "Critical: collection and test truth",
            "low",
            "",
            100,
            50,
            "plan.toml",
            remedies=(
                PlannedRemedy("code.return-to-assert", True, "applied", 1, 1, 0.5),
                PlannedRemedy("code.x", False, "not built"),
            ),
            checks=("code.tests-assert-not-return",),
        ),
        started="2026-01-01T12:00:00Z",
        finished="2026-01-01T12:00:05Z",
        base="a" * 40,
        fork="a" * 40,
        branch="regreen/20260101-120000-abcd",
        head="b" * 40,
        before=diagnosis,
        after=after,
        gate=GateResult(
            GateState.FAIL,
            (
                GateItem("code.tests-assert-not-return", GateState.FAIL, "", 1, 0),
                GateItem("code.source-readable", GateState.PASS),
                GateItem("code.imports-resolve", GateState.UNKNOWN, "the index could not be read"),
                GateItem("tests", GateState.DECIDED, "1 unmasked test is decided", 0, 1),
                GateItem("code.x", GateState.NOT_BUILT, "not built"),
            ),
        ),
        exit_code=1,
        checklist=(
            Tick("collects", "Every test is collected", "E1", GateState.PASS, "12 of 12 collected"),
            Tick("hollow", "A pass without evidence", "A8", GateState.PASS, " "),
            Tick("imports", "Imports resolve", "A1", GateState.UNKNOWN, HOSTILE_TEXT),
        ),
        changes=(AppliedChange(change, "t0", "c" * 40, diff, (first,), "the check is clean on the new tree"),),
        refusals=(
            Refused(
                Refusal(
                    "code.return-to-assert", odd.fingerprint, odd.subject, odd.where, "it returns a dict", HOSTILE_TEXT
                ),
                odd.check,
                odd.observed,
                Severity.ERROR,
            ),
            Refused(
                Refusal("code.return-to-assert", "f" * 20, "s", Resource("service", "api", "/env"), "known", "nothing"),
                "code.y",
                "seen",
                Severity.NOTE,
                "accepted by ops",
            ),
        ),
        dropped=(Dropped(replace(change, subject="tests/test_a.py::test_5"), "the ratchet says unknown", (second,)),),
        decisions=(
            DecisionUsed("code.y", "s*", "", "accept", "measured", "ops", "2027-01-01", 3, ("s",)),
            DecisionUsed("code.z", "", "0" * 20, "accept", "old", "ops", "2020-01-01", 9, (), True),
        ),
        suppressed=diagnosis.verdicts[3].suppressed,
        api=(ApiChange("src/app.py", "app.run", "parameter added", "run() takes a timeout", "code.bound-call"),),
        ratchet=(
            TestGrade("tests/test_a.py::test_3", "stronger", "a returned value is asserted", "code.return-to-assert"),
        ),
        tests=TestComparison(before_run, after_run, unmasked=(red,), fixed=("tests/test_c.py::test_skip",)),
        tests_note="suites: unit",
        not_built=("staging.x",),
        remaining=(odd,),
        timings=(Timing("detect", 1.25), Timing("gate", 75.0)),
        usage=Usage(5.0, 8.5, 123_000_000),
        messages=("The work tree has uncommitted changes; --include-uncommitted takes them in.",),
        next_step="invoke remediate --phase 2",
        version="0.1.0",
        python="3.11.7",
    )
