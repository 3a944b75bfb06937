"""Put the report of a run, or of a fleet, into a folder."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from regreen.report.json_form import dumps, fleet_form, run_form
from regreen.report.junit import junit
from regreen.report.rebase import onto_base
from regreen.report.regions import Reader
from regreen.report.sarif import Described, Tree, log
from regreen.report.trend import history
from regreen.report.view import Row, View, build, count
from regreen.run.record import GateState, RunRecord


def write(
    record: RunRecord,
    folder: Path,
    *,
    runs: Path | None = None,
    about: Sequence[Described] = (),
    read_base: Reader | None = None,
    read_head: Reader | None = None,
) -> dict[str, Path]:
    """Write `report.md`, `.html`, `.sarif`, `.xml` (JUnit) and `.json` into a folder; their paths by format.

    `runs` is the folder in which every run of the target has a folder with its `record.json` (by default the
    parent of `folder`): the trend is drawn from them. `about` is the catalogue of checks, for SARIF's rules.
    With readers of the trees before and after the run, SARIF knows columns too.
    Each file is replaced in one step: a reader sees the old report or the new one. Raises OSError.
    """
    from regreen.report import pages  # jinja2 takes 80 ms to import: `diagnose` does not pay for it

    view = build(record, history(folder.parent if runs is None else runs, record))
    tree = _tree(view, about, read_base, read_head)
    return _save(
        folder,
        {
            "md": pages.markdown(view).encode("utf-8"),
            "html": pages.html(view).encode("utf-8"),
            "sarif": log([tree]).encode("ascii"),
            "junit": junit([view]),
            "json": dumps(run_form(view)).encode("ascii"),
        },
    )


def merge(records: Sequence[RunRecord], folder: Path, *, about: Sequence[Described] = ()) -> dict[str, Path]:
    """Write one report for the runs of a fleet, in the same five formats; their paths by format.

    Of several runs of one phase on one target the last one started counts.
    """
    from regreen.report import pages

    latest: dict[tuple[str, int], RunRecord] = {}
    for record in sorted(records, key=lambda one: one.started):
        latest[record.target, record.phase.number] = record
    views = [build(record) for _, record in sorted(latest.items())]
    checks = _together(views)
    total = Row("All checks", sum(row.before for row in checks), sum(row.after for row in checks))
    headline = _headline(views, total)
    return _save(
        folder,
        {
            "md": pages.fleet_markdown(views, headline, checks, total).encode("utf-8"),
            "html": pages.fleet_html(views, headline, checks, total).encode("utf-8"),
            "sarif": log(_tree(view, about, None, None) for view in views).encode("ascii"),
            "junit": junit(views),
            "json": dumps(fleet_form(views)).encode("ascii"),
        },
    )


def _tree(view: View, about: Sequence[Described], base: Reader | None, head: Reader | None) -> Tree:
    record = view.record
    left = record.after.findings
    return Tree(
        verdicts=record.after.verdicts,
        about=about,
        changes=onto_base([(applied.tree, applied.change) for applied in record.changes]),
        fixed=[finding for key, finding in record.before.findings.items() if key not in left],
        known=frozenset(record.before.findings),
        read=head,
        read_before=base,
        category=f"regreen/{record.target}/phase-{record.phase.number}/",
        properties={"run": record.run, "base": record.base, "head": record.head, "gate": record.gate.state.value},
    )


def _together(views: Sequence[View]) -> tuple[Row, ...]:
    """Findings of each check over all targets, before a target's first run and after its last one.

    Its phases build on one another: to add them up would count what is left several times.
    """
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    by_start = sorted(views, key=lambda view: (view.record.target, view.record.started))
    for _, group in groupby(by_start, key=lambda view: view.record.target):
        runs = list(group)
        before.update({row.name: row.before for row in runs[0].checks})
        after.update({row.name: row.after for row in runs[-1].checks})
    return tuple(Row(name, before[name], after[name]) for name in sorted({*before, *after}))


def _headline(views: Sequence[View], total: Row) -> tuple[str, ...]:
    targets = len({view.record.target for view in views})
    through = sum(view.record.gate.state in (GateState.PASS, GateState.DECIDED) for view in views)
    changes = sum(len(view.record.changes) for view in views)
    return (
        f"{count(targets, 'target')}, {count(len(views), 'run')}",
        f"{count(through, 'gate')} open",
        f"{total.before:,} → {total.after:,} findings ({total.reduced})",
        count(changes, "change"),
    )


def _save(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    names = {"junit": "report.xml"}
    paths = {}
    for kind, content in contents.items():
        paths[kind] = folder / names.get(kind, f"report.{kind}")
        _replace(paths[kind], content)
    return paths


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file, then rename over it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.chmod(0o644)  # mkstemp's own mode would lock a team out of a shared folder
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
