"""Which imports come too early once some have moved into functions: the order of imports, replayed without them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from regreen.facts.source import Index
from regreen.facts.source.initialization import Initialization, Step, initialization

#: Imports that have moved: (path, line of the statement) to the names that it no longer takes; "*" for all of them.
Moved = Mapping[tuple[str, int], frozenset[str]]


class Later(Initialization):
    """The import order of a tree in which some imports have moved to where they run later."""

    def __init__(self, index: Index, moved: Moved) -> None:
        super().__init__(index)
        self._before = initialization(index)
        self._moved = moved

    def of(self, path: str) -> tuple[Step, ...]:
        """As in the tree itself, less what has moved."""
        steps = self._before.of(path)
        if not any(moved == path for moved, _ in self._moved):
            return steps
        kept = []
        for step in steps:
            gone = self._moved.get((path, step.item[0]), frozenset())
            if "*" not in gone:
                kept.append(step._replace(names=tuple(name for name in step.names if name not in gone)))
        return tuple(kept)

    @cached_property
    def _graph(self) -> dict[str, set[str]]:
        graph = dict(self._before._graph)
        for path in {path for path, _ in self._moved}:
            graph[path] = {run for step in self.of(path) for run in step.runs}
        return graph


def too_early(start: Initialization) -> set[tuple[str, int]]:
    """Every from-import that fails when some module of its cycle is imported first: its file and line."""
    return {
        (item.path, item.item[0]) for group in start.circles for _, found in start.entrances(group)[1] for item in found
    }
