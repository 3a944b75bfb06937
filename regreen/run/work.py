"""The phase's remedies, one after the other and round by round, each ending in a verified commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from regreen.apply import Author, Commits, FileMode, Repository
from regreen.journal import Entry, Journal, Step
from regreen.model import Finding, Refusal
from regreen.plan import Phase
from regreen.policy import Policy
from regreen.run.history import CommitNote, History, Started, save_note
from regreen.run.look import Eye, Sight
from regreen.run.message import commit_message
from regreen.run.options import OptionError
from regreen.run.record import ApiChange, AppliedChange, Dropped, PlannedRemedy, TestGrade
from regreen.run.repair import Bounds, Repair, repair
from regreen.tomlsource import meant

if TYPE_CHECKING:
    from regreen.facts.source import CodeRemedy
    from regreen.run.options import Catalogue

#: A later remedy can open work for an earlier one; more rounds than this mean that they undo each other.
ROUNDS: Final = 4


@dataclass(slots=True)
class Work:
    """A run in progress: where the branch is, and what has been done and said so far."""

    sight: Sight
    tip: str
    exists: bool
    applied: list[AppliedChange] = field(default_factory=list)
    refusals: dict[str, list[tuple[Refusal, Finding]]] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    grades: list[TestGrade] = field(default_factory=list)
    api: list[ApiChange] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    commits: int = 0


def select(phase: Phase, catalogue: Catalogue, only: tuple[str, ...]) -> tuple[CodeRemedy, ...]:
    """The remedies that run, in the plan's order. `only` may name remedies, or checks. Raises OptionError."""
    known = {remedy.ID: remedy for remedy in catalogue.remedies}
    listed = [entry for entry in phase.remedies if entry.built]
    planned = {entry.id for entry in phase.remedies}
    closes = {known[entry.id].CHECK for entry in listed}
    for name in only:
        if name in planned - {entry.id for entry in listed}:
            raise OptionError(f"--only {name}: this remedy is planned, not built")
        if name not in planned and name not in closes:
            raise OptionError(f"--only {name}: phase {phase.number} has no such remedy{meant(name, planned | closes)}")
    remedies = [known[entry.id] for entry in listed]
    for remedy in remedies:
        if remedy.CHECK not in catalogue.check_ids:
            raise OptionError(f"remedy {remedy.ID} closes {remedy.CHECK}, which no check of the catalogue looks for")
    return tuple(remedy for remedy in remedies if not only or remedy.ID in only or remedy.CHECK in only)


def guard(policy: Policy, repository: Repository, entries: dict[str, tuple[str, str]]) -> Callable[[str], str]:
    """Why a path of the target may not be written to; an empty string where it may."""

    def why(path: str) -> str:
        parts = path.split("/")
        if path.startswith("/") or ".." in parts or ".git" in parts:
            return f"{path} is outside the target"
        left_out = next((part for part in parts[:-1] if part in policy.left_out), "")
        if left_out:
            return f"{path} is in {left_out}/, which the policy leaves out"
        full = repository.prefix + path
        for end in range(1, full.count("/") + 2):
            above = "/".join(full.split("/")[:end])
            mode = entries.get(above, ("", ""))[0]
            if mode == FileMode.LINK:
                return f"{above} is a symbolic link; what it points to is repaired under its own name"
            if mode == FileMode.SUBMODULE:
                return f"{above} is a submodule, another repository's files"
        return ""

    return why


def carry_out(
    phase: Phase,
    remedies: tuple[CodeRemedy, ...],
    eye: Eye,
    work: Work,
    commits: Commits,
    journal: Journal | None,
    start: Started,
    history: History,
) -> None:
    """Let each remedy do what it can, commit by commit, until a whole round changes nothing.

    With no journal (a dry run) commits are made beside the repository and no branch moves.
    """
    why = guard(eye.policy, eye.repository, commits.entries(work.tip))
    earlier = [item for item in history.active(start.branch) if item.phase == phase.number]
    counted = sum(item.changes for item in earlier)
    touched = {path.removeprefix(start.prefix) for item in earlier for path in item.paths}
    seen: dict[str, str] = {}
    for _ in range(ROUNDS):
        before = work.commits
        for remedy in remedies:
            if seen.get(remedy.ID) == work.sight.tree.id:
                continue  # it has seen exactly this tree and had nothing more to do
            begun = time.perf_counter()
            bounds = Bounds(why, phase.max_changes - counted, phase.max_files, frozenset(touched), eye.options.unsafe)
            outcome = repair(eye, remedy, work.sight, bounds)
            if outcome.edits:
                commit(remedy.ID, outcome, eye, work, commits, journal, start)
                counted += len(outcome.applied)
                touched |= set(outcome.edits)
            _note(remedy.ID, outcome, work, journal, start)
            seen[remedy.ID] = work.sight.tree.id
            work.seconds[remedy.ID] = work.seconds.get(remedy.ID, 0.0) + time.perf_counter() - begun
            if eye.options.progress is not None:
                eye.options.progress.step("remedies", len(seen), len(remedies))
        if work.commits == before:
            return


def commit(
    remedy: str, outcome: Repair, eye: Eye, work: Work, commits: Commits, journal: Journal | None, start: Started
) -> None:
    """Intend, commit, done: the one place where a branch gets something new."""
    begun = time.perf_counter()
    edits = {start.prefix + path: content for path, content in outcome.edits.items()}
    tree = commits.write_tree(work.tip, edits)
    message = commit_message(remedy, start.run, start.phase, outcome.applied, outcome.api)
    new = commits.commit(tree, (work.tip,), message, Author.of(eye.repository), start.when)
    applied = [replace(item, commit="" if journal is None else new) for item in outcome.applied]
    if journal is not None:
        note = CommitNote(tuple(applied), tuple(outcome.grades), tuple(outcome.api))
        save_note(eye.repository.state, start.run, new, note)
        digests = {"old": work.tip, "new": new, "tree": tree}
        data = {"effect": "commit", "branch": start.branch, "paths": sorted(edits), "changes": len(applied)}
        intent = journal.write(Entry(start.run, start.phase, Step.INTEND, remedy, digests, data))
        commits.move(start.branch, new, work.tip if work.exists else "", f"{start.run} {remedy}")
        journal.write(
            Entry(
                start.run, start.phase, Step.DONE, remedy, digests, {"intend": intent.sequence},
                time.perf_counter() - begun,
            )
        )  # fmt: skip
    work.tip, work.exists, work.sight = new, True, outcome.sight
    work.applied += applied
    work.commits += 1


def _note(remedy: str, outcome: Repair, work: Work, journal: Journal | None, start: Started) -> None:
    work.refusals[remedy] = outcome.refusals
    known = {(item.change.remedy, item.change.subject, item.change.summary) for item in work.dropped}
    fresh = [
        item for item in outcome.dropped if (item.change.remedy, item.change.subject, item.change.summary) not in known
    ]
    work.dropped += fresh
    work.grades += outcome.grades
    work.api += outcome.api
    if fresh and journal is not None:
        data = {"dropped": [{"subject": item.change.subject, "reason": item.reason} for item in fresh[:50]]}
        journal.write(Entry(start.run, start.phase, Step.FAILED, remedy, data=data))


def planned(phase: Phase, remedies: tuple[CodeRemedy, ...], work: Work) -> tuple[PlannedRemedy, ...]:
    """Every remedy of the phase, and what became of it."""
    running = {remedy.ID for remedy in remedies}
    rows = []
    for entry in phase.remedies:
        changes = sum(1 for item in work.applied if item.change.remedy == entry.id)
        refusals = len(work.refusals.get(entry.id, ()))
        if not entry.built:
            outcome = "not built"
        elif entry.id not in running:
            outcome = "not selected"
        elif changes:
            outcome = "applied"
        elif any(item.change.remedy == entry.id for item in work.dropped):
            outcome = "dropped"
        elif refusals:
            outcome = "refused"
        else:
            outcome = "nothing to do"
        rows.append(PlannedRemedy(entry.id, entry.built, outcome, changes, refusals, work.seconds.get(entry.id, 0.0)))
    return tuple(rows)
