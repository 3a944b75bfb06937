"""`invoke ratchet --mutants`: exit 1 when a break of the product passes the new tests that the old ones noticed."""

from __future__ import annotations

import sys
from pathlib import Path

from regreen.apply import GitError
from regreen.facts.testrun import InterpreterError, interpreter
from regreen.ratchet import HistoryError

from .gate import MutantError, compare_mutants


def run(target: Path, base: str, head: str, python: Path) -> int:
    """Compare by mutants and print what was found."""
    try:
        found = compare_mutants(target, base, head, interpreter(python))
    except (MutantError, GitError, HistoryError, InterpreterError) as error:
        sys.stderr.write(f"ratchet: {error}\n")
        return 2
    for item in found.survivors:
        print(f"survives  {item.mutant}\n          noticed before by {', '.join(item.noticed_by[:3])}")
    if found.note:
        print(found.note)
    print(
        f"{found.tried} breaks on the lines of {len(found.tests)} changed tests: {found.noticed_before} noticed before, "
        f"{found.noticed_after} now, {len(found.survivors)} new survivors"
    )
    return 1 if found.survivors else 0
