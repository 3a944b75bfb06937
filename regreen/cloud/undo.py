"""Take back what a run did to an environment: its steps, its commits, and then the environment itself, back to the older file.

What cannot be taken back is said before anything is done. A resource that a run made outlives its undo, outside the stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regreen.apply import Commits, Repository, copy_folder, open_repository
from regreen.cloud.cure import ADOPTION
from regreen.cloud.drift import stack_at
from regreen.cloud.executor import Executor, ExecutorError, Outcome, refusal
from regreen.journal import Entry, Journal, Step
from regreen.lock import locked
from regreen.run.history import Effect, History, read_history, settle
from regreen.run.options import OptionError, Options
from regreen.undo import UndoResult, doomed, undo_held

if TYPE_CHECKING:
    from regreen.environment import Environment


@dataclass(frozen=True, slots=True)
class CloudUndo:
    """What was undone in git, and one line for each effect on the environment."""

    git: UndoResult
    evidence: tuple[str, ...]


def environment_named(target: Path, run: str, options: Options) -> str:
    """The environment that a run was made on; empty for a run on code."""
    repository = open_repository(target) or copy_folder(target, options.copies)
    entries = Journal(repository.state / "journal.jsonl").of(run)
    return next((str(entry.data["environment"]) for entry in entries if "environment" in entry.data), "")


def undo_cloud(
    target: Path,
    run: str,
    environment: Environment,
    executor: Executor,
    options: Options,
    remedy: str = "",
    *,
    cascade: bool = False,
) -> CloudUndo:
    """Take back a run, or one remedy of it, newest first. Raises OptionError, ExecutorError and what `undo` raises.

    A run that is undone already is compared with the environment once more, so that an undo that was interrupted ends well.
    """
    repository = open_repository(target) or copy_folder(target, options.copies)
    with (
        locked(repository.state, f"undo of {run} on environment {environment.name}") as left,
        Commits(repository, checkpoint=options.checkpoint) as commits,
    ):
        journal = Journal(repository.state / "journal.jsonl", options.checkpoint)
        messages = [left] if left else []
        messages += settle(journal, repository)
        history = read_history(journal)
        gone = doomed(history, run, remedy, cascade=cascade)
        steps = _steps(journal, gone)
        stuck = [f"{step} ({name})" for name, step in steps if executor.one_way(step)]
        if stuck:
            raise OptionError(
                f"run {run} took steps that cannot be taken back: {', '.join(stuck)}; nothing was undone. "
                "Undo its other remedies by --remedy, newest first"
            )
        why = refusal(executor.identify(), environment)
        if why:
            raise ExecutorError(f"nothing was undone in {environment.name}: {why}")
        evidence = [executor.unstep(step) for _, step in reversed(steps)]
        result = undo_held(repository, commits, journal, run, messages, remedy, cascade=cascade)
        start = history.start(run)
        assert start is not None, "the undo of an unknown run is refused"
        content = stack_at(repository, environment.stack.file, result.head) if result.head else b""
        found = b"" if content else _as_found(repository, environment, history, start.branch)
        if found and (gone or _holds(executor, found)):
            # Adoption goes as well: first every setting as it was found, then the stack forgets what it held.
            evidence += _told(executor.restore(found))
        evidence += _told(executor.restore(content))
        data = {"restored": environment.name, "evidence": evidence}
        journal.write(Entry(run, start.phase, Step.UNDONE, remedy, data=data, source=start.source))
        return CloudUndo(result, tuple(evidence))


def _told(done: Outcome) -> list[str]:
    return [*map(str, done.operations), *done.evidence]


def _steps(journal: Journal, effects: Sequence[Effect]) -> list[tuple[str, str]]:
    """The steps of some commits as (remedy, step), oldest first."""
    known = {entry.sequence: entry for entry in journal.entries()}
    return [(item.remedy, str(step)) for item in effects for step in known[item.sequence].data.get("steps", ())]


def _as_found(repository: Repository, environment: Environment, history: History, branch: str) -> bytes:
    """The stack's file of the newest adoption on a branch: the environment as it was found; empty where there is none."""
    commits = [item.new for item in history.effects if item.branch == branch and item.remedy == ADOPTION]
    return stack_at(repository, environment.stack.file, commits[-1]) if commits else b""


def _holds(executor: Executor, content: bytes) -> bool:
    """Whether the stack still holds anything of a file: an undo that was interrupted may have let go of it already."""
    return any(item.kind != "create" for item in executor.preview(content).operations)
