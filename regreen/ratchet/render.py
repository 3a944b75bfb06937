"""A comparison as a plain table and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .verdict import Comparison, Grade, TestVerdict

_ORDER = (Grade.REMOVED, Grade.WEAKER, Grade.UNKNOWN, Grade.CHANGED, Grade.STRONGER, Grade.ADDED, Grade.EQUAL)


def table(comparison: Comparison) -> str:
    """The verdicts that somebody should look at, worst first, and a line of counts. Equal tests are counted only."""
    lines: list[str] = []
    for grade in _ORDER[:-1]:
        for verdict in comparison.of(grade):
            lines += [f"{grade.value:<9} {verdict.test}{_line(verdict)}", f"          {verdict.reason}"]
    lines += [f"skipped   {skipped.path}: {skipped.reason}" for skipped in comparison.skipped]
    if lines:
        lines.append("")
    counts = Counter(verdict.grade for verdict in comparison.tests)
    parts = [f"{counts[grade]} {grade.value}" for grade in _ORDER if counts[grade]]
    lines.append(", ".join(parts) if parts else "no test changed")
    return "\n".join(lines)


def as_json(comparison: Comparison) -> dict[str, object]:
    """The same as plain data: overall grade, counts, every verdict, what was skipped."""
    counts = Counter(verdict.grade.value for verdict in comparison.tests)
    return {
        "grade": comparison.grade.value,
        "counts": {grade.value: counts[grade.value] for grade in Grade},
        "tests": [_record(verdict) for verdict in comparison.tests],
        "skipped": [{"path": skipped.path, "reason": skipped.reason} for skipped in comparison.skipped],
    }


def _record(verdict: TestVerdict) -> dict[str, object]:
    return {
        "test": verdict.test,
        "grade": verdict.grade.value,
        "reason": verdict.reason,
        "line_before": verdict.line_before,
        "line_after": verdict.line_after,
    }


def _line(verdict: TestVerdict) -> str:
    before, after = verdict.line_before, verdict.line_after
    places: Sequence[str] = [f"{before} before" * bool(before), f"{after} after" * bool(after)]
    text = ", ".join(place for place in places if place)
    return f" (line {text})" if text else ""
