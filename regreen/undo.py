"""Undo: the branch as it was before a run, or before one remedy of it; newest first, and journaled like any effect."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regreen.apply import Author, Commits, GitError, Repository, copy_folder, open_repository
from regreen.journal import Entry, Journal, Step
from regreen.lock import locked
from regreen.run.base import require_free
from regreen.run.history import Effect, History, Started, read_history, settle
from regreen.run.options import OptionError, Options
from regreen.tomlsource import meant


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What was undone. `head` is the branch's commit now; empty when the branch is gone, as before the run."""

    run: str
    remedies: tuple[str, ...]
    branch: str
    head: str
    messages: tuple[str, ...]


def undo(target: Path, run: str, options: Options, remedy: str = "", *, cascade: bool = False) -> UndoResult:
    """Take back a run, or one remedy of it. Raises OptionError, GitError, LockedError, JournalError.

    Where later commits touched the same files, the undo is refused with their names; `cascade` undoes them too.
    """
    repository = open_repository(target) or copy_folder(target, options.copies)
    with (
        locked(repository.state, f"undo of {run}") as left,
        Commits(repository, checkpoint=options.checkpoint) as commits,
    ):
        journal = Journal(repository.state / "journal.jsonl", options.checkpoint)
        messages = [left] if left else []
        messages += settle(journal, repository)
        return undo_held(repository, commits, journal, run, messages, remedy, cascade=cascade)


def undo_held(
    repository: Repository,
    commits: Commits,
    journal: Journal,
    run: str,
    messages: list[str],
    remedy: str = "",
    *,
    cascade: bool = False,
) -> UndoResult:
    """As `undo`, for whoever holds the target's lock and has settled its journal."""
    begun = time.perf_counter()
    history = read_history(journal)
    start = history.start(run)
    if start is None:
        runs = [item.run for item in history.starts]
        raise OptionError(
            f"--run {run}: no such run here{meant(run, runs)}; the newest is {runs[-1] if runs else 'none'}"
        )
    chosen = _chosen(history, start, remedy)
    if not chosen:
        if not remedy and run not in history.ended:
            journal.write(
                Entry(
                    run, start.phase, Step.FAILED, data={"ends": True, "reason": "undone before any effect"},
                    source=start.source,
                )
            )  # fmt: skip
        messages.append(f"run {run} has nothing to undo")
        return UndoResult(run, (), start.branch, repository.commit(f"refs/heads/{start.branch}"), tuple(messages))
    branch = start.branch
    active = history.active(branch)
    doomed = _with_later(active, chosen, cascade)
    require_free(repository, branch)
    tip = repository.commit(f"refs/heads/{branch}")
    if not tip:
        raise GitError(f"branch {branch} is gone; there is nothing left to undo")
    new, removed = _target(repository, commits, history, branch, active, doomed, tip)
    data: dict[str, Any] = {
        "branch": branch,
        "undoes": [item.sequence for item in doomed],
        "remedies": [item.remedy for item in doomed],
        "whole": not remedy,
    }
    digests = {"old": tip, "new": new}
    intent = journal.write(Entry(run, start.phase, Step.INTEND, remedy, digests, data, source=start.source))
    commits.move(branch, new, tip, f"undo {run} {remedy}".rstrip())
    done = {"intend": intent.sequence}
    journal.write(
        Entry(run, start.phase, Step.UNDONE, remedy, digests, done, time.perf_counter() - begun, start.source)
    )
    if removed:
        messages.append(f"branch {branch} is removed: the run had made it")
    if _is_ancestor(repository, tip):
        messages.append(f"{branch} was merged: the commits in HEAD stay; take them back there with git revert")
    return UndoResult(run, tuple(item.remedy for item in reversed(doomed)), branch, new, tuple(messages))


def doomed(history: History, run: str, remedy: str = "", *, cascade: bool = False) -> tuple[Effect, ...]:
    """The commits that `undo` would take back, oldest first. Raises OptionError as it does."""
    start = history.start(run)
    chosen = _chosen(history, start, remedy) if start is not None else ()
    return _with_later(history.active(start.branch), chosen, cascade) if start is not None and chosen else ()


def _chosen(history: History, start: Started, remedy: str) -> tuple[Effect, ...]:
    mine = tuple(item for item in history.active(start.branch) if item.run == start.run)
    if not remedy:
        return mine
    chosen = tuple(item for item in mine if item.remedy == remedy)
    if not chosen:
        names = sorted({item.remedy for item in mine})
        raise OptionError(
            f"--remedy {remedy}: run {start.run} has no commit of it to undo{meant(remedy, names)}; "
            f"it has {', '.join(names) or 'none'}"
        )
    return chosen


def _with_later(active: Sequence[Effect], chosen: Sequence[Effect], cascade: bool) -> tuple[Effect, ...]:
    """The chosen commits and those built on them, oldest first. Raises OptionError where there are such."""
    doomed = {item.sequence for item in chosen}
    paths = {path for item in chosen for path in item.paths}
    later: list[Effect] = []
    first = min(doomed)
    for item in active:
        if item.sequence > first and item.sequence not in doomed and not paths.isdisjoint(item.paths):
            earlier = {
                path
                for other in active
                if other.sequence in doomed and other.sequence < item.sequence
                for path in other.paths
            }
            if not earlier.isdisjoint(item.paths):
                later.append(item)
                doomed.add(item.sequence)
                paths |= set(item.paths)
    if later and not cascade:
        names = ", ".join(dict.fromkeys(f"{item.remedy} (run {item.run})" for item in later))
        raise OptionError(
            f"later commits changed the same files: {names}; undo those first, or add --cascade to undo them too"
        )
    return tuple(item for item in active if item.sequence in doomed)


def _target(
    repository: Repository,
    commits: Commits,
    history: History,
    branch: str,
    active: Sequence[Effect],
    doomed: Sequence[Effect],
    tip: str,
) -> tuple[str, bool]:
    """The commit that the branch must point to afterwards (empty: none), and whether the branch is to go.

    Where the branch has been in exactly that state, it goes back there; else a commit restores the files.
    """
    edits, modes = _before(commits, doomed, tip)
    tree = commits.write_tree(tip, edits, modes)
    maker = next(item for item in history.starts if item.branch == branch and not item.continued)
    ours = {item.new for item in history.effects if item.branch == branch} | history.reverts
    for commit in (*repository.git("rev-list", "--first-parent", f"{maker.base}..{tip}").decode().split(), maker.base):
        if repository.ask("rev-parse", f"{commit}^{{tree}}") == tree:
            if commit == maker.base and len(doomed) == len(active):
                return "", True
            return commit, False
        if commit not in ours:
            break  # somebody else's commit: it stays
    names = ", ".join(dict.fromkeys(item.remedy for item in reversed(doomed)))
    message = (
        f"Undo {names}\n\nRestores the files of these remedies to what they were before them.\n\n"
        f"Regreen-Undoes: {' '.join(item.new for item in doomed)}\n"
    )
    return commits.commit(tree, (tip,), message, Author.of(repository), int(time.time())), False


def _before(commits: Commits, doomed: Sequence[Effect], tip: str) -> tuple[dict[str, bytes | None], dict[str, str]]:
    """What each file of the commits was before them. Raises GitError where someone changed it since."""
    edits: dict[str, bytes | None] = {}
    modes: dict[str, str] = {}
    now = commits.entries(tip)
    for item in reversed(doomed):  # newest first, so that the oldest state is written last
        wanted = dict.fromkeys(item.paths)
        old, new = commits.entries(item.old, wanted), commits.entries(item.new, wanted)
        for path in item.paths:
            if path not in edits and now.get(path) != new.get(path):
                raise GitError(f"{path} was changed on the branch after {item.remedy}, by hand; undo that commit first")
            if path in old:
                mode, digest = old[path]
                edits[path] = commits.repository.git("cat-file", "blob", digest)
                modes[path] = mode
            else:
                edits[path] = None
    return edits, modes


def _is_ancestor(repository: Repository, tip: str) -> bool:
    head = repository.commit("HEAD")
    return bool(head) and repository.ask("merge-base", tip, head) == tip
