"""The order of the phases: one that comes after another needs that one's gate to have passed on this very history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regreen.apply.git import run_git
from regreen.run.history import load_records, read_history
from regreen.run.options import OptionError, Options

if TYPE_CHECKING:
    from regreen.apply import Repository
    from regreen.journal import Journal
    from regreen.plan import Phase
    from regreen.run.record import RunRecord


def require_order(
    phase: Phase, repository: Repository, journal: Journal, tip: str, options: Options, source: str = "code"
) -> list[str]:
    """Remarks on phases that should have come first; raises OptionError where one has not passed.

    A phase has passed when a run of it ended with exit code 0 and its commits are part of what this run starts from.
    With `out_of_order` that is a remark; a dry run, which changes nothing, only remarks as well. Runs on code and runs on
    an environment have orders of their own (`source`).
    """
    if not phase.after:
        return []
    records = list(load_records(repository.state))
    starts = {start.run: start for start in read_history(journal).starts}
    where = (repository.prefix, source)
    here = [
        item for item in records if item.run in starts and (starts[item.run].prefix, starts[item.run].source) == where
    ]
    remarks: list[str] = []
    for number in phase.after:
        runs = [item for item in here if item.phase.number == number]
        if any(item.exit_code == 0 and _holds(repository, item, tip) for item in runs):
            continue
        what = f"phase {phase.number} comes after phase {number}, {_why(repository, runs, tip)}"
        if not options.out_of_order and not options.dry_run:
            raise OptionError(
                f"{what}: run `remediate --phase {number}` first, or add --out-of-order to go on without it"
            )
        remarks.append(what)
    return remarks


def _holds(repository: Repository, record: RunRecord, tip: str) -> bool:
    """Whether what a run left is part of a commit's history: not undone, not on a branch that was put aside."""
    if not record.head:
        return False
    done = run_git(repository.folder, "merge-base", "--is-ancestor", record.head, tip, ok=(0, 1, 128))
    return done.returncode == 0


def _why(repository: Repository, runs: list[RunRecord], tip: str) -> str:
    if not runs:
        return "which has not been run here"
    last = runs[-1]
    if not _holds(repository, last, tip):
        return f"whose run {last.run} is not part of this branch (undone, or not merged)"
    return f"whose gate did not pass in run {last.run} (something is left for a person)"
