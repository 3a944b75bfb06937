"""Which change brought a problem: by its own claim, its subject, the lines it wrote, or the files it touched."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from regreen.model import Change
from regreen.run.verify import Problem


def suspects(
    problems: Iterable[Problem], changes: Sequence[Change], edits: Mapping[str, bytes]
) -> tuple[list[tuple[Change, str]], list[Change]]:
    """Changes that a problem can be pinned on, with its words, and those that merely could have caused one.

    `edits` are the files as all the changes together make them.
    """
    certain: dict[int, tuple[Change, str]] = {}
    possible: dict[int, Change] = {}
    wrote = _Wrote(changes, edits)
    for problem in problems:
        near = [change for change in changes if problem.closes and problem.closes in change.closes]
        if not near and problem.path:
            near = [change for change in changes if problem.path in change.paths]
            for narrower in (
                [change for change in near if change.subject == problem.subject],
                [change for change in near if wrote.within(change, problem)],
            ):
                near = narrower if narrower and len(near) > 1 else near
        if len(near) == 1:
            certain.setdefault(id(near[0]), (near[0], problem.text))
        else:
            possible.update({id(change): change for change in near})
    return list(certain.values()), [change for key, change in possible.items() if key not in certain]


def components(changes: Sequence[Change]) -> list[list[Change]]:
    """The changes in groups that share no file; in each group, and of the groups, the order is kept."""
    parent: dict[str, str] = {}

    def root(path: str) -> str:
        while parent.setdefault(path, path) != path:
            parent[path] = path = parent[parent[path]]
        return path

    homes: list[str] = []
    for change in changes:
        first, *others = change.paths or ("",)
        for path in others:
            parent[root(path)] = root(first)
        homes.append(first)
    groups: dict[str, list[Change]] = {}
    for home, change in zip(homes, changes, strict=True):
        groups.setdefault(root(home), []).append(change)
    return list(groups.values())


class _Wrote:
    """The lines that each change wrote, in the files as they are afterwards. Worked out when first asked for."""

    def __init__(self, changes: Sequence[Change], edits: Mapping[str, bytes]) -> None:
        self._changes = changes
        self._edits = edits
        self._lines: dict[str, dict[tuple[int, int, bytes], tuple[int, int]]] = {}

    def within(self, change: Change, problem: Problem) -> bool:
        """Whether the change wrote in the problem's lines."""
        first, last = problem.lines
        if not first or problem.path not in self._edits:
            return False
        if problem.path not in self._lines:
            self._lines[problem.path] = self._of(problem.path)
        spans = self._lines[problem.path]
        return any(
            spans[key][0] <= last and first <= spans[key][1]
            for item in change.splices
            if item.path == problem.path and (key := (item.start, item.end, item.new)) in spans
        )

    def _of(self, path: str) -> dict[tuple[int, int, bytes], tuple[int, int]]:
        splices = dict.fromkeys(item for change in self._changes for item in change.splices if item.path == path)
        starts = [0, *accumulate(len(line) for line in self._edits[path].splitlines(keepends=True))]
        shift = 0
        spans: dict[tuple[int, int, bytes], tuple[int, int]] = {}
        for item in sorted(splices, key=lambda each: (each.start, each.end)):
            begin = item.start + shift
            end = begin + len(item.new)
            shift += len(item.new) - (item.end - item.start)
            spans[item.start, item.end, item.new] = (
                bisect_right(starts, begin),
                bisect_right(starts, max(end - 1, begin)),
            )
        return spans
