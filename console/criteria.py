"""`invoke criteria`: the plan's success criteria beside what was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console import catalogues
from regreen.commands import FINDINGS, OK, UsageError
from regreen.criteria import Measured, form, judge
from regreen.export.command import form_of, read, status_form
from regreen.report.visible import shown

_WORDS: Final = {True: ("met", "green"), False: ("missed", "red"), None: ("not measured", "magenta")}


def run(diagnoses: Sequence[str], status: str, history: str, label: str, format: str) -> int:  # noqa: A002
    """Exit code 0 when every criterion is met, 1 when one is missed or nothing measured it."""
    if format not in ("table", "json"):
        raise UsageError(f"--format {format}: choose table or json")
    found = judge(
        catalogues.plan().criteria,
        [form_of("--diagnosis", name, "verdicts") for name in diagnoses],
        status_form(status) if status else None,
        read(Path(history), label) if history else None,
    )
    if format == "json":
        print(json.dumps(form(found), indent=2))
    else:
        Console().print(_table(found))
    return OK if all(one.met for one in found) else FINDINGS


def _table(found: Sequence[Measured]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("criterion", "", "value", "limit", "evidence"):
        table.add_column(column, overflow="fold")
    for one in found:
        word, colour = _WORDS[one.met]
        value = "" if one.value is None else f"{one.value:.3g} {one.unit}"
        table.add_row(Text(one.text), Text(word, style=colour), value, Text(one.limit), Text(shown(one.evidence)))
    return table
