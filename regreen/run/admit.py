"""Which changes of a batch may go in: all that pass verification together, and of the others as many as can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from regreen.facts.source import OverlayTree
from regreen.model import Change, Finding, OverlapError, compose
from regreen.run.blame import components, suspects
from regreen.run.grades import ratchet_grades, ratchet_problems
from regreen.run.look import Eye, Sight
from regreen.run.record import TestGrade
from regreen.run.verify import Problem, parse_problems, verdict_problems

Rejected = list[tuple[Change, str]]


@dataclass(frozen=True, slots=True)
class Trial:
    """A tree with some changes in it: `sight` is None where it was not worth looking at."""

    edits: dict[str, bytes]
    problems: list[Problem]
    grades: list[TestGrade] = field(default_factory=list)
    sight: Sight | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where changes are tried: on a tree that has been looked at, for one remedy and its findings."""

    eye: Eye
    remedy: str
    before: Sight
    findings: Mapping[str, Finding]
    parsed: dict[tuple[str, bytes], str] = field(default_factory=dict)

    def files(self, changes: Sequence[Change]) -> Trial:
        """What the edited files themselves tell: they parse, and no test in them got weaker. Cheap."""
        tree = self.before.tree
        try:
            edits, waiting = compose(tree, changes)
        except (OverlapError, FileNotFoundError) as error:
            return Trial({}, [Problem("", "", f"the change does not fit the file: {error}")])
        assert not waiting, "what composes as a whole composes in part"
        problems = parse_problems(tree, edits, self.parsed)
        if problems or self.eye.catalogue.ratchet is None:
            return Trial(edits, problems)
        grades = ratchet_grades(self.eye.catalogue.ratchet, tree, edits, self.remedy)
        return Trial(edits, ratchet_problems(grades, edits), grades)

    def tree(self, changes: Sequence[Change]) -> Trial:
        """The same, and what every check says of the whole tree."""
        trial = self.files(changes)
        if trial.problems:
            return trial
        after = self.eye.look(_overlay(self.before, trial.edits))
        problems = verdict_problems(self.before.raw, after.raw, changes, self.findings)
        return Trial(trial.edits, problems, trial.grades, after)


def admit(bench: Bench, batch: Sequence[Change]) -> tuple[list[Change], Trial | None, Rejected]:
    """The changes that go in, the tree with them, and the others with what was wrong.

    What the files tell is settled first, file by file; only then is the whole tree judged, as often as needed.
    """
    rejected: Rejected = []
    group = list(batch)
    trial = bench.files(group)
    if trial.problems:
        group = [change for part in components(group) for change in _sift(bench.files, part, rejected)]
    while group:
        trial = bench.tree(group)
        if not trial.problems:
            return group, trial, rejected
        certain, _ = suspects(trial.problems, group, trial.edits)
        if certain:
            group = _without(group, certain, rejected)
            continue
        smaller = _in_step(bench, group, trial.problems, rejected)
        group = _sift(bench.tree, group, rejected) if smaller is None else smaller
    return [], None, rejected


def _sift(judge: Callable[[Sequence[Change]], Trial], group: Sequence[Change], rejected: Rejected) -> list[Change]:
    """As many of the group as pass together: by blame where it is certain, else by halves."""
    accepted: list[Change] = []
    pending = [list(group)]
    while pending:
        part = pending.pop(0)
        if not part:
            continue
        trial = judge([*accepted, *part])
        if not trial.problems:
            accepted += part
            continue
        if len(part) == 1:
            rejected.append((part[0], trial.problems[0].text))
            continue
        certain, _ = suspects(trial.problems, part, trial.edits)
        if certain:
            pending.insert(0, _without(part, certain, rejected))
        else:
            middle = len(part) // 2
            pending[:0] = [part[:middle], part[middle:]]
    return accepted


def _in_step(
    bench: Bench, group: Sequence[Change], problems: Sequence[Problem], rejected: Rejected
) -> list[Change] | None:
    """Halve every group of files that has a problem, all of them in the same look at the tree.

    None where a problem lies outside the files of the group, so that files say nothing about guilt.
    """
    parts = components(group)
    guilty = _guilty(parts, problems)
    if guilty is None:
        return None
    accepted = [change for number, part in enumerate(parts) if number not in guilty for change in part]
    out: Rejected = []
    pending = {number: _halves(parts[number]) for number in guilty}
    while pending:
        tried = {number: queue.pop(0) for number, queue in pending.items()}
        trial = bench.tree([*accepted, *(change for part in tried.values() for change in part)])
        numbers = list(tried)
        bad = _guilty([tried[number] for number in numbers], trial.problems)
        if bad is None:
            return None
        for place, number in enumerate(numbers):
            part = tried[number]
            if place not in bad:
                accepted += part
            elif len(part) == 1:
                text = next(item.text for item in trial.problems if item.path in part[0].paths)
                out.append((part[0], text))
            else:
                pending[number][:0] = _halves(part)
        pending = {number: queue for number, queue in pending.items() if queue}
    rejected += out
    return accepted


def _guilty(parts: Sequence[Sequence[Change]], problems: Sequence[Problem]) -> set[int] | None:
    """The parts whose files the problems are in; None if one is in no part's files."""
    owner = {path: number for number, part in enumerate(parts) for change in part for path in change.paths}
    if any(problem.path not in owner for problem in problems):
        return None
    return {owner[problem.path] for problem in problems}


def _halves(part: Sequence[Change]) -> list[list[Change]]:
    middle = (len(part) + 1) // 2
    return [half for half in (list(part[:middle]), list(part[middle:])) if half]


def _without(group: Sequence[Change], certain: Rejected, rejected: Rejected) -> list[Change]:
    rejected += certain
    guilty = {id(change) for change, _ in certain}
    return [change for change in group if id(change) not in guilty]


def _overlay(sight: Sight, edits: dict[str, bytes]) -> OverlayTree:
    """One overlay, however many passes: reading stays one step away from git."""
    if isinstance(sight.tree, OverlayTree):
        return OverlayTree(sight.tree.base, {**sight.tree.edits, **edits})
    return OverlayTree(sight.tree, dict(edits))
