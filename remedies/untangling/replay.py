"""Which imports come too early once some have moved into functions: the order of imports, replayed without them."""

from __future__ import annotations

import posixpath
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
    early: set[tuple[str, int]] = set()
    for group in start.circles:
        complete: dict[str, frozenset[str]] = {}
        for path in sorted(group):
            ways = [path]
            while (package := _package(group, ways[-1])) and package not in complete:
                ways.append(package)
            for way in reversed(ways):  # the packages around a module run before it
                if way not in complete:
                    begun = complete.get(_package(group, way), frozenset())
                    complete[way], found = start.run(way, group, begun)
                    early.update((item.path, item.item[0]) for item in found)
    return early


def _package(group: frozenset[str], path: str) -> str:
    folder = posixpath.dirname(path)
    if path.endswith("__init__.py"):
        folder = posixpath.dirname(folder)
    while folder:
        init = f"{folder}/__init__.py"
        if init in group and init != path:
            return init
        folder = posixpath.dirname(folder)
    return ""
