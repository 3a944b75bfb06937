"""What happens when a module is imported first: the order in which modules run, and which from-imports come too early.

Only the top level runs at import: functions do not, nor what is for type checkers, or under a condition. A `from a import
name` fails when `a` has begun and has not yet bound the name; `import a`, and `from package import module`, work. This is
Python's own import protocol, replayed on the facts of the tree (https://docs.python.org/3/reference/import.html).
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from regreen.facts.source.guards import CONDITIONAL, IMPORT_HANDLER, IN_TRY, TYPE_CHECKING_ONLY, VERSION_GUARDED
from regreen.facts.source.importpass import Own, imports
from regreen.facts.source.index import Index
from regreen.facts.source.modules import FILE, FOLDER, ModuleMap, Target, modules
from regreen.facts.source.structure import IMPORTED, KIND
from regreen.facts.source.syntax import Unreadable, parse

_NOT_RUN: Final = TYPE_CHECKING_ONLY | IMPORT_HANDLER | VERSION_GUARDED
_STEPS: Final = 400_000  # of all replays of a tree; real trees need a few thousand


class Step(NamedTuple):
    """An import at a module's top level: what it runs, in order, and what it takes from the last of it."""

    item: tuple[Any, ...]
    runs: tuple[str, ...]
    source: str
    names: tuple[str, ...]
    guarded: bool


class Early(NamedTuple):
    """A from-import that comes too early: in `path`, of `name` from `source`, when `entry` is imported first.

    `chain` is the way from `source` back to `path`: each module imports the next.
    """

    path: str
    item: tuple[Any, ...]
    source: str
    name: str
    entry: str
    chain: tuple[str, ...]


class Initialization:
    """The import order of a tree's modules."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._modules: ModuleMap = modules(index)
        self._bound: dict[str, dict[str, int] | None] = {}
        self._inits: dict[str, tuple[str, ...]] = {}
        self._steps: dict[str, tuple[Step, ...]] = {}
        self._left = _STEPS
        self.cut_short = False

    @cached_property
    def steps(self) -> dict[str, tuple[Step, ...]]:
        """The imports that run when a module does, for every module that imports something of the tree."""
        every = {path: self.of(path) for path in imports(self._index).own}
        return {path: steps for path, steps in every.items() if steps}

    def of(self, path: str) -> tuple[Step, ...]:
        """The imports of the tree's own that run when a module does."""
        found = self._steps.get(path)
        if found is None:
            made = (self._step(path, own.item, own.target) for own in self._running(path))
            found = self._steps[path] = tuple(step for step in made if step is not None)
        return found

    def _running(self, path: str) -> Iterator[Own]:
        """A module's imports that run when it does."""
        if path.endswith(".pyi"):
            return
        for own in imports(self._index).own.get(path, ()):
            item, _, target = own
            flags = item[7]
            if item[8] or flags & _NOT_RUN or (flags & CONDITIONAL and not flags & IN_TRY):
                continue
            if target.state in (FILE, FOLDER) and not target.path.endswith(".pyi"):
                yield own

    @cached_property
    def _graph(self) -> dict[str, set[str]]:
        """What each module runs, without the order."""
        graph: dict[str, set[str]] = {}
        sources = self._modules.sources
        for path in imports(self._index).own:
            runs: set[str] = set()
            for item, _, target in self._running(path):
                if target.path:
                    runs.add(target.path)
                    runs.update(self._above(path, target.path))
                if item[4] >= 0 and (not target.path or target.path.endswith("__init__.py")):
                    inner = (sources.get(f"{target.key}/{name}" if target.key else name) for name, _ in item[6])
                    runs.update(source for source in inner if source is not None)
            if runs:
                graph[path] = runs
        return graph

    def _step(self, path: str, item: tuple[Any, ...], target: Target) -> Step | None:
        guarded = bool(item[7] & IN_TRY)
        runs = (*self._above(path, target.path), target.path) if target.state == FILE else ()
        if item[4] < 0:
            return Step(item, runs, "", (), guarded) if runs else None
        wanted: list[str] = []
        inner: list[str] = []
        is_package = target.state == FOLDER or target.path.endswith("__init__.py")
        defs = self._index.files[target.path].defs if target.state == FILE else {}
        for name, _ in item[6]:
            submodule = (
                self._modules.sources.get(f"{target.key}/{name}" if target.key else name) if is_package else None
            )
            if submodule is not None and defs.get(name, 0) & KIND in (0, IMPORTED):
                inner.append(submodule)
            elif name != "*" and target.state == FILE and submodule is None:
                wanted.append(name)
        if not runs and not inner:
            return None
        return Step(item, (*runs, *inner), target.path if wanted else "", tuple(wanted), guarded)

    def _above(self, importer: str, path: str) -> tuple[str, ...]:
        """The `__init__`s that run before a module does, outermost first."""
        folder = path.rpartition("/")[0]
        if path.endswith("__init__.py"):
            folder = folder.rpartition("/")[0]
        found = self._inits.get(folder)
        if found is None:
            inits: list[str] = []
            here = folder
            while here and here in self._modules.roots.packages:
                init = self._modules.sources.get(here)
                if init is not None:
                    inits.append(init)
                here = here.rpartition("/")[0]
            found = self._inits[folder] = tuple(reversed(inits))
        return tuple(init for init in found if init != importer) if importer in found else found

    @cached_property
    def circles(self) -> list[frozenset[str]]:
        """Groups of modules that import each other, directly or not (strongly connected components, Tarjan)."""
        graph = self._graph
        number: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        held: set[str] = set()
        groups: list[frozenset[str]] = []
        for start in graph:
            if start in number:
                continue
            work: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(graph[start])))]
            number[start] = low[start] = len(number)
            stack.append(start)
            held.add(start)
            while work:
                node, targets = work[-1]
                for target in targets:
                    if target not in number:
                        number[target] = low[target] = len(number)
                        stack.append(target)
                        held.add(target)
                        work.append((target, iter(sorted(graph.get(target, ())))))
                        break
                    if target in held:
                        low[node] = min(low[node], number[target])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == number[node]:
                        group: set[str] = set()
                        while True:
                            member = stack.pop()
                            held.discard(member)
                            group.add(member)
                            if member == node:
                                break
                        if len(group) > 1:
                            groups.append(frozenset(group))
        return groups

    def run(self, entry: str, group: frozenset[str], begun: frozenset[str]) -> tuple[frozenset[str], list[Early]]:
        """Import `entry` when the modules in `begun` are complete: what is complete then, and what came too early.

        Modules outside the group cannot lead back into it and are skipped.
        """
        done: set[str] = set(begun)
        running: list[str] = []
        lines: dict[str, int] = {}
        found: list[Early] = []

        def execute(path: str) -> None:
            if path in done or path in lines or path not in group:
                return
            running.append(path)
            lines[path] = 0
            for step in self.of(path):
                self._left -= 1
                if self._left < 0:
                    self.cut_short = True
                    return
                lines[path] = step.item[0]
                if step.guarded and found:
                    continue
                for run in step.runs:
                    execute(run)
                if step.source in lines and step.source not in done and step.source != path and not step.guarded:
                    for name in step.names:
                        if self._unbound(step.source, name, lines[step.source]):
                            chain = tuple(running[running.index(step.source) :])
                            found.append(Early(path, step.item, step.source, name, entry, chain))
            running.pop()
            done.add(path)

        execute(entry)
        return frozenset(done), found

    def entrances(self, group: frozenset[str]) -> tuple[dict[str, frozenset[str]], list[tuple[str, list[Early]]]]:
        """Every module of a cycle imported first, as Python does it: the packages around it run before it.

        What each way in leaves complete, and what came too early on it, in order.
        """
        complete: dict[str, frozenset[str]] = {}
        early: list[tuple[str, list[Early]]] = []
        for path in sorted(group):
            ways = [path]
            while (package := package_in(group, ways[-1])) and package not in complete:
                ways.append(package)
            for way in reversed(ways):
                if way not in complete:
                    begun = complete.get(package_in(group, way), frozenset())
                    complete[way], found = self.run(way, group, begun)
                    early.append((way, found))
        return complete, early

    def _unbound(self, path: str, name: str, line: int) -> bool:
        """Whether a module has not bound a name when its top level stands at a line."""
        if path not in self._bound:
            self._bound[path] = self._bindings(path)
        table = self._bound[path]
        if table is None:
            return False
        first = table.get(name)
        return first is not None and first >= line

    def _bindings(self, path: str) -> dict[str, int] | None:
        """The line that first binds each top-level name; None where names may come from elsewhere."""
        file = self._index.files[path]
        if file.dynamic:
            return None
        try:
            parsed = parse(self._index.tree.read(path))
        except OSError:
            return None
        if isinstance(parsed, Unreadable):
            return None
        table: dict[str, int] = {}
        if not _bind(parsed[1].body, table):
            return None
        return table

    def outside(self, group: frozenset[str]) -> dict[str, tuple[str, ...]]:
        """Modules outside a group that import into it: the group's modules in the order in which they do."""
        found: dict[str, tuple[str, ...]] = {}
        for path, runs in self._graph.items():
            if path not in group and not group.isdisjoint(runs):
                ways = tuple(run for step in self.of(path) if not step.guarded for run in step.runs if run in group)
                if ways:
                    found[path] = ways
        return found


def package_in(group: frozenset[str], path: str) -> str:
    """The closest `__init__` above a module that belongs to a cycle; empty where there is none."""
    folder = posixpath.dirname(path)
    if path.endswith("__init__.py"):
        folder = posixpath.dirname(folder)
    while folder:
        init = f"{folder}/__init__.py"
        if init in group and init != path:
            return init
        folder = posixpath.dirname(folder)
    return ""


def _bind(body: Sequence[ast.stmt], table: dict[str, int]) -> bool:
    """Note the names that statements bind. False where a star import may bind any."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # The decorators' line is where the statement starts to run.
            table.setdefault(node.name, node.lineno)
            continue
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return False
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                table.setdefault(alias.asname or alias.name.partition(".")[0], node.lineno)
            continue
        blocks = [getattr(node, part, None) for part in ("body", "orelse", "finalbody")]
        handlers = getattr(node, "handlers", None) or ()
        cases = getattr(node, "cases", None) or ()
        blocks += [part.body for part in (*handlers, *cases)]
        inner = [block for block in blocks if isinstance(block, list)]
        if inner:
            for block in inner:
                if not _bind(block, table):
                    return False
        header = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
        for child in header:
            for part in ast.walk(child):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    table.setdefault(part.id, node.lineno)
    return True


def initialization(index: Index) -> Initialization:
    """The import order of the index's tree, made once."""
    return index.derive("initialization", Initialization)
