"""A diagnosis for people (a table), for programs (JSON) and for services (SARIF)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from regreen.model import Change, Diagnosis, Severity, Status, Verdict
from regreen.report.json_form import diagnosis_form, dumps
from regreen.report.regions import Reader
from regreen.report.sarif import Described, Tree, log
from regreen.report.visible import shown

_STATUS: Final = {Status.PASS: "green", Status.FAIL: "red", Status.UNKNOWN: "yellow"}
_SEVERITY: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
#: Findings shown of each check before the table says how many more there are.
SHOWN: Final = 10


def diagnosis_json(diagnosis: Diagnosis) -> str:
    """The diagnosis as one JSON document (ASCII; bytes of a path that are not UTF-8 show as `\\xff`)."""
    return dumps(diagnosis_form(diagnosis))


def diagnosis_sarif(
    diagnosis: Diagnosis,
    about: Sequence[Described] = (),
    changes: Sequence[Change] = (),
    read: Reader | None = None,
) -> str:
    """The diagnosis as a SARIF log.

    `about` is the catalogue, for the rules' texts; `changes` are known fixes; `read` reads files of the tree
    that was judged, without which regions keep to whole lines.
    """
    tree = Tree(diagnosis.verdicts, about, changes, read=read, category="regreen/diagnose/")
    return log([tree])


def diagnosis_table(diagnosis: Diagnosis, console: Console, limit: int | None = SHOWN) -> None:
    """Print one line for each check, then the findings, at most `limit` of each check (None: all)."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Check", no_wrap=True)
    table.add_column("Status")
    table.add_column("Examined", justify="right")
    table.add_column("Findings", justify="right")
    table.add_column("Set aside", justify="right")
    table.add_column("Note", overflow="fold")
    for verdict in diagnosis.verdicts:
        table.add_row(
            Text(shown(verdict.check)),
            Text(verdict.status.value, style=_STATUS[verdict.status]),
            f"{verdict.examined:,}",
            f"{len(verdict.findings):,}",
            f"{len(verdict.suppressed):,}" if verdict.suppressed else "",
            Text(shown(verdict.error or verdict.note or _silence(verdict))),
        )
    console.print(table)
    for verdict in diagnosis.verdicts:
        if verdict.findings:
            _print_findings(verdict, console, limit)
    console.print(Text(f"\n{_totals(diagnosis)}"), soft_wrap=True)


def _silence(verdict: Verdict) -> str:
    return "nothing was examined" if verdict.status is Status.UNKNOWN else ""


def _print_findings(verdict: Verdict, console: Console, limit: int | None) -> None:
    console.print(Text(f"\n{shown(verdict.check)}", style="bold"))
    listed = verdict.findings if limit is None else verdict.findings[:limit]
    for finding in listed:
        line = Text("  ")
        line.append(finding.severity.value, style=_SEVERITY[finding.severity])
        line.append(f" {shown(str(finding.where))}", style="cyan")
        line.append(f"  {shown(finding.observed)}")
        console.print(line, soft_wrap=True)
        console.print(Text(f"    expected: {shown(finding.expected)}"), soft_wrap=True)
    more = len(verdict.findings) - len(listed)
    if more:
        console.print(Text(f"  … and {more:,} more; --format json lists them all"))


def _totals(diagnosis: Diagnosis) -> str:
    findings = sum(len(verdict.findings) for verdict in diagnosis.verdicts)
    aside = sum(len(verdict.suppressed) for verdict in diagnosis.verdicts)
    unknown = sum(verdict.status is Status.UNKNOWN for verdict in diagnosis.verdicts)
    parts = [
        _count(findings, "finding"),
        *([f"{aside:,} set aside"] if aside else []),
        *([f"{_count(unknown, 'check')} without an answer"] if unknown else []),
        *(
            _of_code(diagnosis)
            if any(item.check.startswith("code.") for item in diagnosis.verdicts)
            else [diagnosis.tree]
        ),
        f"{diagnosis.seconds:.1f} s",
    ]
    return " · ".join(parts)


def _of_code(diagnosis: Diagnosis) -> list[str]:
    return [
        f"{_count(diagnosis.files, 'Python file')} ({diagnosis.parsed:,} parsed, {diagnosis.unreadable:,} unreadable)",
        f"{_count(diagnosis.functions, 'test')} in {_count(diagnosis.modules, 'module')}",
    ]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
