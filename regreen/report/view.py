"""What a report says, drawn from the record of a run; the templates only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from regreen.facts.testrun.results import RED, Outcome, TestComparison, TestRun
from regreen.model import Finding, Status, Suppressed, Verdict
from regreen.redact import redact
from regreen.report.diffs import LINES_SHOWN, FileDiff, split
from regreen.report.trend import Chart, Point, charts, pass_rate, point
from regreen.run.record import AppliedChange, GateState, Refused, RunRecord, Tick


@dataclass(frozen=True, slots=True)
class Row:
    """A number before and after. `reduction` is in percent; None when there was nothing to reduce."""

    name: str
    before: int
    after: int
    status_before: str = ""
    status_after: str = ""
    set_aside: int = 0

    @property
    def reduction(self) -> float | None:
        """How much of it is gone, in percent; negative when it grew."""
        return 100 * (self.before - self.after) / self.before if self.before else None

    @property
    def reduced(self) -> str:
        """The reduction in words."""
        share = self.reduction
        if share is None:
            return "–" if not self.after else "new"
        if share < 0:
            return f"+{-share:.0f} %"
        # 99.6 % must not read as all
        return f"−{min(share, 99.9) if self.after > 0 else share:.3g} %" if share else "0 %"


@dataclass(frozen=True, slots=True)
class TestsView:
    """The target's own tests before and after; `rows` are counts, `errors` go by category."""

    __test__ = False

    comparison: TestComparison
    rows: tuple[Row, ...]
    errors: tuple[Row, ...]
    rate_before: str
    rate_after: str


@dataclass(frozen=True, slots=True)
class CommitView:
    """One commit (or, in a dry run, one set of changes): what it repairs and its diff."""

    remedy: str
    commit: str
    changes: tuple[AppliedChange, ...]
    files: tuple[FileDiff, ...]

    @property
    def left_out(self) -> int:
        """Diff lines that are not shown."""
        return sum(piece.left_out for piece in self.files)


@dataclass(frozen=True, slots=True)
class Group:
    """What one check still finds."""

    check: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the page, ready to be laid out."""

    record: RunRecord
    ticks: tuple[tuple[bool, Tick], ...]
    checks: tuple[Row, ...]
    total: Row
    tests: TestsView | None
    commits: tuple[CommitView, ...]
    refusals: tuple[tuple[str, tuple[Refused, ...]], ...]
    remaining: tuple[Group, ...]
    left: int
    suppressed: tuple[Suppressed, ...]
    charts: tuple[Chart, ...]
    runs: int
    headline: tuple[str, ...]


def build(record: RunRecord, earlier: Sequence[Point] = ()) -> View:
    """The view of a run; `earlier` are runs of the same target, oldest first."""
    checks = _checks(record.before.verdicts, record.after.verdicts)
    total = Row("All checks", sum(row.before for row in checks), sum(row.after for row in checks))
    remaining = _remaining(record)
    return View(
        record,
        ticks=tuple(_box(tick) for tick in record.checklist),
        checks=checks,
        total=total,
        tests=suite_view(record.tests) if record.tests is not None else None,
        commits=_commits(record.changes),
        refusals=_refusals(record.refusals),
        remaining=remaining,
        left=sum(len(group.findings) for group in remaining),
        suppressed=_suppressed(record),
        charts=charts([*earlier, point(record)]),
        runs=len(earlier) + 1,
        headline=_headline(record, total),
    )


def _box(tick: Tick) -> tuple[bool, Tick]:
    """A box is ticked by evidence only: a pass that cannot say why it passed is not known to be one."""
    if tick.state is not GateState.PASS:
        return False, tick
    proven = bool(tick.evidence.strip())
    return proven, tick if proven else replace(tick, state=GateState.UNKNOWN)


def _checks(before: Iterable[Verdict], after: Iterable[Verdict]) -> tuple[Row, ...]:
    old = {verdict.check: verdict for verdict in before}
    new = {verdict.check: verdict for verdict in after}
    rows = []
    for check in dict.fromkeys((*old, *new)):
        was, now = old.get(check), new.get(check)
        rows.append(
            Row(
                check,
                len(was.findings) if was else 0,
                len(now.findings) if now else 0,
                was.status.value if was else "",
                # a check that gave no verdict afterwards knows nothing, whatever it said before
                now.status.value if now else Status.UNKNOWN.value,
                len(now.suppressed) if now else 0,
            )
        )
    return tuple(rows)


def suite_view(comparison: TestComparison) -> TestsView:
    """The target's tests, by what became of them and by what kind of error they met."""
    before, after = comparison.before, comparison.after
    rows = [
        Row("collected", before.collected, after.collected),
        Row("collection errors", len(before.collection_errors), len(after.collection_errors)),
        *(
            Row(
                "not run" if outcome is Outcome.COLLECTED else outcome.value,
                before.count(outcome),
                after.count(outcome),
            )
            for outcome in Outcome
        ),
    ]
    kinds = dict.fromkeys((*before.errors_by_category, *after.errors_by_category))
    errors = [
        Row(kind, before.errors_by_category.get(kind, 0), after.errors_by_category.get(kind, 0))
        for kind in sorted(kinds)
    ]
    return TestsView(
        comparison,
        tuple(row for number, row in enumerate(rows) if number < 2 or row.before or row.after),
        tuple(errors),
        _rate(before),
        _rate(after),
    )


def _rate(run: TestRun) -> str:
    rate = pass_rate(run)
    if rate is None:
        return "not run"
    # one red test in ten thousand is not "100 %"
    red = any(result.outcome in RED for result in run.results) or run.collection_errors
    return f"{min(rate, 0.999) if red else rate:.1%}"


def _commits(changes: Sequence[AppliedChange]) -> tuple[CommitView, ...]:
    found: list[CommitView] = []
    budget = LINES_SHOWN
    for (remedy, commit, diff), group in groupby(changes, key=lambda one: (one.change.remedy, one.commit, one.diff)):
        files = split(redact(diff), budget)  # whole: a private key spans lines
        budget -= sum(len(piece.lines) for piece in files)
        found.append(CommitView(remedy, commit, tuple(group), files))
    return tuple(found)


def _refusals(refusals: Sequence[Refused]) -> tuple[tuple[str, tuple[Refused, ...]], ...]:
    """Open questions first."""
    groups = (
        ("For a person to decide", tuple(one for one in refusals if not one.decided)),
        ("Answered by a decision", tuple(one for one in refusals if one.decided)),
    )
    return tuple(group for group in groups if group[1])


def _remaining(record: RunRecord) -> tuple[Group, ...]:
    found: dict[str, list[Finding]] = {}
    for finding in record.remaining:
        found.setdefault(finding.check, []).append(finding)
    return tuple(Group(check, tuple(findings)) for check, findings in sorted(found.items()))


def _suppressed(record: RunRecord) -> tuple[Suppressed, ...]:
    """What the record lists, and what only a verdict lists: nothing that was set aside stays unsaid."""
    items = [*record.suppressed, *(item for verdict in record.after.verdicts for item in verdict.suppressed)]
    return tuple({(item.finding.fingerprint, item.by): item for item in items}.values())


def _headline(record: RunRecord, total: Row) -> tuple[str, ...]:
    """The run in a few short statements."""
    open_refusals = sum(not refused.decided for refused in record.refusals)
    parts = [f"{total.before:,} → {total.after:,} findings ({total.reduced})"]
    verb = "would be made" if record.dry_run else "made"
    parts.append(f"{count(len(record.changes), 'change')} {verb}")
    if record.tests is None or record.tests.problem:
        parts.append("the target's tests were not executed")
    else:
        before, after = record.tests.before, record.tests.after
        parts.append(f"{before.collected:,} → {after.collected:,} tests collected")
        if record.tests.unmasked:
            parts.append(f"{count(len(record.tests.unmasked), 'test')} unmasked")
        if record.tests.regressions or record.tests.lost:
            worse = len(record.tests.regressions) + len(record.tests.lost)
            parts.append(f"{count(worse, 'regression')}")
    if open_refusals:
        parts.append(f"{count(open_refusals, 'open question')} for a person")
    return tuple(parts)


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def sentence(text: str) -> str:
    """The text with a full stop, if it has no end of its own."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", ":")) or not text else f"{text}."


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(number: int) -> str:
    """Bytes in decimal units."""
    if not number:
        return "not measured"
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"
