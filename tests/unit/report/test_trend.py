"""Earlier runs of the same target, and their drawing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regreen.facts.testrun.results import Category, Outcome, TestResult, TestRun
from regreen.report.trend import Point, charts, history, pass_rate, point
from regreen.run.record import RunRecord, Usage


def run(*outcomes: Outcome, errors: int = 0) -> TestRun:
    broken = tuple(TestResult(f"m{n}.py", Outcome.ERROR, Category.SYNTAX) for n in range(errors))
    return TestRun(
        "t", collection_errors=broken, results=tuple(TestResult(f"m.py::t{n}", o) for n, o in enumerate(outcomes))
    )


@pytest.mark.parametrize(
    ("tests", "rate"),
    [
        (run(Outcome.PASSED, Outcome.FAILED), 0.5),
        (run(Outcome.PASSED, Outcome.PASSED, Outcome.SKIPPED, Outcome.COLLECTED), 1.0),
        (run(Outcome.PASSED, errors=3), 0.25),
        (run(Outcome.XFAILED, Outcome.ERROR), 0.5),
        (run(Outcome.COLLECTED, errors=1), None),
        (run(), None),
    ],
)
def test_the_pass_rate_counts_what_was_run_and_what_could_not_be(tests: TestRun, rate: float | None) -> None:
    assert pass_rate(tests) == rate


def test_a_point_is_what_a_run_came_to(record: RunRecord) -> None:
    assert point(record) == Point("20260101-120000-abcd", "2026-01-01T12:00:00Z", 1, 5.0, 1, 0.9, 123_000_000)
    assert point(replace(record, tests=None)).pass_rate is None


def save(runs: Path, record: RunRecord) -> None:
    (runs / record.run).mkdir()
    (runs / record.run / "record.json").write_text(record.dumps(), "ascii")


def test_history_is_of_this_target_before_this_run_oldest_first(record: RunRecord, tmp_path: Path) -> None:
    for name, started, target in (
        ("second", "2025-12-02T00:00:00Z", "patient"),
        ("first", "2025-12-01T00:00:00Z", "patient"),
        ("later", "2026-02-01T00:00:00Z", "patient"),
        ("stranger", "2025-12-01T00:00:00Z", "other"),
    ):
        save(tmp_path, replace(record, run=name, started=started, target=target))
    save(tmp_path, record)
    for name, text in (
        ("cut", '{"schema": 1, "run"'),
        ("newer", '{"schema": 99}'),
        ("list", "[]"),
        ("odd", '{"schema": 1}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(text)

    assert [earlier.run for earlier in history(tmp_path, record)] == ["first", "second"]
    assert history(tmp_path / "nowhere", record) == ()


def test_a_chart_goes_from_the_first_run_to_the_last(record: RunRecord) -> None:
    points = [point(replace(record, usage=Usage(seconds))) for seconds in (8.0, 2.0, 5.0)]

    left, duration, rate = charts(points)  # nobody measured memory

    assert duration.places == ((5.0, 5.0), (120.0, 43.0), (235.0, 24.0))
    assert duration.line == "5,5 120,43 235,24"
    assert duration.summary == "Duration over 3 runs: from 8.0 s to 5.0 s, between 2.0 s and 8.0 s"
    assert left.places == ((5.0, 24.0), (120.0, 24.0), (235.0, 24.0))
    assert left.summary == "Findings left over 3 runs: from 1 to 1, unchanged"
    assert rate.title == "Pass rate"


def test_one_run_draws_nothing(record: RunRecord) -> None:
    assert charts([point(record)]) == ()
