"""Where a run starts: the repository, the commit under it, and the branch that it goes on with or makes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regreen.apply import Commits, GitError, Repository, copy_folder, dirty_paths, open_repository, snapshot
from regreen.apply.git import run_git
from regreen.journal import Entry, Journal, Step
from regreen.run.history import PREFIX, History, Started, read_history
from regreen.run.options import OptionError, Options


@dataclass(frozen=True, slots=True)
class Base:
    """The start of a run. `tip` is the branch's commit now: `start.base`, unless the run is being resumed."""

    start: Started
    tip: str
    exists: bool
    resumed: bool
    messages: tuple[str, ...]


def locate(target: Path, options: Options) -> tuple[Repository, list[str]]:
    """The repository of a target; a copy of it in the cache folder where it is in none. Raises GitError."""
    repository = open_repository(target)
    if repository is not None:
        return repository, []
    copy = copy_folder(target, options.copies)
    return copy, [
        f"{target} is not in a git repository: the run works on a copy of it, {copy.folder}; the folder itself stays as it is"
    ]


def fork_of(repository: Repository, commits: Commits, options: Options, messages: list[str]) -> str:
    """The user's commit to start from: HEAD, or a snapshot of the work tree. Raises OptionError."""
    head = repository.commit("HEAD")
    if options.include_uncommitted:
        if repository.work_tree is None:
            raise OptionError(
                f"--include-uncommitted: {repository.folder} is a bare repository, nothing is uncommitted in it"
            )
        commit = snapshot(repository, commits, head)
        if commit != head:
            messages.append(f"the branch starts from a snapshot of the uncommitted work ({commit[:12]})")
        return commit
    if not head:
        raise OptionError(
            f"{repository.folder} has no commit yet: commit first, or add --include-uncommitted to start from the files as they are"
        )
    dirty = dirty_paths(repository)
    if dirty:
        some = ", ".join(dirty[:3]) + (" …" if len(dirty) > 3 else "")
        messages.append(
            f"{len(dirty)} uncommitted paths are not part of this run ({some}); --include-uncommitted would include them"
        )
    if repository.prefix and not repository.tree(head):
        raise OptionError(
            f"{repository.prefix} is not in HEAD of {repository.folder}: commit it first, or add --include-uncommitted"
        )
    return head


def find_base(
    repository: Repository,
    journal: Journal,
    phase: int,
    fork: str,
    options: Options,
    messages: Sequence[str],
    source: str = "code",
) -> Base:
    """A run of the same source to resume, else a branch to go on with, else a new one."""
    history = read_history(journal)
    said = list(messages)
    for start in reversed(history.starts):
        same = (start.phase, start.fork, start.prefix, start.source) == (phase, fork, repository.prefix, source)
        if start.run in history.ended or not same:
            continue
        tip = repository.commit(f"refs/heads/{start.branch}")
        ours = {start.base, *(item.new for item in history.effects if item.run == start.run)}
        if (tip in ours or (not tip and not start.continued)) and not repository.checked_out(start.branch):
            said.append(f"resuming run {start.run}, which was interrupted")
            return Base(start, tip or start.base, bool(tip), True, tuple(said))
    run, when = _new_run(history)
    if not options.fresh:
        for start in reversed(history.starts):
            tip = _open_tip(repository, history, start, fork)
            if tip:
                said.append(f"continuing branch {start.branch}, which is not merged yet")
                again = Started(run, phase, tip, fork, start.branch, repository.prefix, when, True, source)
                return Base(again, tip, True, False, tuple(said))
    started = Started(run, phase, fork, fork, PREFIX + run, repository.prefix, when, False, source)
    return Base(started, fork, False, False, tuple(said))


def _open_tip(repository: Repository, history: History, start: Started, fork: str) -> str:
    """The tip of a branch that grew from the same commit, has commits of its own, and is nobody's work tree."""
    if (start.fork, start.prefix) != (fork, repository.prefix):
        return ""
    tip = repository.commit(f"refs/heads/{start.branch}")
    if not tip or tip == fork or not history.active(start.branch):
        return ""
    merged = run_git(repository.folder, "merge-base", "--is-ancestor", tip, "HEAD", ok=(0, 1, 128)).returncode == 0
    return "" if merged or repository.checked_out(start.branch) else tip


def abandon(journal: Journal, keep: str, source: str = "code") -> list[str]:
    """End every unfinished run of a source but one: what they did stays, they are not taken up again."""
    history = read_history(journal)
    remarks = []
    for start in history.starts:
        if start.run not in history.ended and start.run != keep and start.source == source:
            data = {"ends": True, "reason": "superseded by a later run"}
            journal.write(Entry(start.run, start.phase, Step.FAILED, data=data, source=source))
            remarks.append(f"run {start.run} was interrupted and is not resumed: its base or its phase is another one")
    return remarks


def _new_run(history: History) -> tuple[str, int]:
    """A new id (sorted by time, unique among the known ones), and the date of all its commits."""
    now = datetime.now(UTC)
    known = {start.run for start in history.starts}
    while True:
        run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        if run not in known:
            return run, int(now.timestamp())


def require_free(repository: Repository, branch: str) -> None:
    """Raises GitError when the branch cannot be written: a branch has the name of its folder, or a work tree has it
    checked out (moving it would make that tree look changed)."""
    folder = branch.partition("/")[0]
    if folder != branch and repository.commit(f"refs/heads/{folder}"):
        raise GitError(
            f"a branch named {folder} is in the way of {branch}: git keeps one name either as a branch or as a folder of "
            f"branches; rename yours with `git branch -m {folder} {folder}-old`, then run this again"
        )
    where = repository.checked_out(branch)
    if where:
        raise GitError(f"branch {branch} is checked out in {where}; switch to another branch there first")
