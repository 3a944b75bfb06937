"""How a target fares from run to run: duration, findings, pass rate, memory, drawn small."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from regreen.facts.testrun.results import RED, Outcome, TestRun
from regreen.run.codec import RecordError
from regreen.run.record import RunRecord

#: Earlier runs that are read for the drawing.
RUNS: Final = 20
WIDTH: Final = 240
HEIGHT: Final = 48
_MARGIN: Final = 5


@dataclass(frozen=True, slots=True)
class Point:
    """One run. `findings` are those left at its end; `pass_rate` is a share from 0 to 1, if tests were run."""

    run: str
    started: str
    phase: int
    seconds: float
    findings: int
    pass_rate: float | None
    memory: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A line through one number of every run, with its places in a box of WIDTH by HEIGHT."""

    title: str
    first: str
    last: str
    summary: str
    places: tuple[tuple[float, float], ...]

    @property
    def line(self) -> str:
        """The `points` of an SVG polyline."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.places)


def pass_rate(run: TestRun) -> float | None:
    """Tests that ended well, of all that were run or could not be collected; None when none was run.

    Skipped tests count on neither side; an expected failure ended well.
    """
    ended = [r for r in run.results if r.outcome not in (Outcome.COLLECTED, Outcome.SKIPPED)]
    red = sum(result.outcome in RED for result in ended) + len(run.collection_errors)
    total = len(ended) + len(run.collection_errors)
    return (total - red) / total if ended else None


def point(record: RunRecord) -> Point:
    """What the drawing needs of a run."""
    rate = pass_rate(record.tests.after) if record.tests is not None and not record.tests.problem else None
    left = sum(len(verdict.findings) for verdict in record.after.verdicts)
    usage = record.usage
    return Point(record.run, record.started, record.phase.number, usage.seconds, left, rate, usage.max_memory)


def history(runs: Path, record: RunRecord) -> tuple[Point, ...]:
    """Earlier runs of the same target, oldest first, from `<runs>/<run>/record.json`.

    A record that cannot be read (another schema, cut off, removed meanwhile) is left out: history is
    decoration, and a report without it is still a report.
    """
    saved = []
    for path in runs.glob("*/record.json"):
        try:
            saved.append((path.stat().st_mtime_ns, path))
        except OSError:
            continue
    found: dict[str, Point] = {}
    for _, path in sorted(saved, reverse=True)[: RUNS + 1]:
        try:
            earlier = RunRecord.from_json(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, RecordError):
            continue
        if earlier.target == record.target and earlier.run != record.run and earlier.started <= record.started:
            found[earlier.run] = point(earlier)
    return tuple(sorted(found.values(), key=lambda one: (one.started, one.run))[-RUNS:])


def charts(points: Sequence[Point]) -> tuple[Chart, ...]:
    """The drawings, for two runs or more; a number that too few runs have is left out."""
    drawn = (
        _chart("Findings left", [(p.run, float(p.findings)) for p in points], lambda v: f"{v:,.0f}"),
        _chart("Duration", [(p.run, p.seconds) for p in points], lambda v: f"{v:,.1f} s"),
        _chart(
            "Pass rate",
            [(p.run, p.pass_rate) for p in points if p.pass_rate is not None],
            lambda v: f"{v:.1%}",
        ),
        _chart("Peak memory", [(p.run, p.memory / 1e6) for p in points if p.memory], lambda v: f"{v:,.0f} MB"),
    )
    return tuple(chart for chart in drawn if chart is not None)


def _chart(title: str, values: Sequence[tuple[str, float]], show: Callable[[float], str]) -> Chart | None:
    if len(values) < 2:
        return None
    numbers = [value for _, value in values]
    low, high = min(numbers), max(numbers)
    step = (WIDTH - 2 * _MARGIN) / (len(numbers) - 1)
    places = tuple(
        (
            round(_MARGIN + number * step, 1),
            # a number that never changes is a line through the middle
            round(_MARGIN + (HEIGHT - 2 * _MARGIN) * ((high - value) / (high - low) if high > low else 0.5), 1),
        )
        for number, value in enumerate(numbers)
    )
    moves = [after - before for before, after in pairwise(numbers)]
    course = "unchanged" if not any(moves) else f"between {show(low)} and {show(high)}"
    first, last = show(numbers[0]), show(numbers[-1])
    summary = f"{title} over {len(numbers)} runs: from {first} to {last}, {course}"
    return Chart(title, first, last, summary, places)
