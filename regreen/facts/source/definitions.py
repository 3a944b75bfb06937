"""Where a name that an import asks for is defined now: the one place, or the several that it could be."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from regreen.facts.source.history import renamed
from regreen.facts.source.importpass import imports
from regreen.facts.source.index import Index
from regreen.facts.source.initialization import initialization
from regreen.facts.source.modules import ABSENT, FILE, ModuleMap, modules
from regreen.facts.source.structure import ASYNC_GENERATOR, CLASS, CONDITIONAL, COROUTINE, FUNCTION, KIND

#: Names that many modules have: one definition left over is no proof that it is the one that was meant.
GENERIC: Final = frozenset(
    """app args build check client close cli cmd conf config connect context create data db default delete engine error
    execute fetch func get get_config get_db get_logger handle handler helper info init item load log logger main make model
    name new open options parse process query read reset run save send server session set settings setup start state status
    stop test update user utils validate value version wait worker write""".split()  # noqa: SIM905 - a word list
)
_TEST_PLACE: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|test_\w+|\w+_tests?|examples?|docs?|benchmarks?|scripts?)/|(?:^|/)(?:test_|conftest)"
)


class Home(NamedTuple):
    """Where names are now: the module's file and dotted name, and why."""

    path: str
    module: str
    evidence: str
    by_history: bool = False


def moved(index: Index, importer: str, key: str, names: Sequence[str]) -> Home | None:
    """Where a module that is gone went, if history tells and it has the names."""
    found = modules(index)
    for path in (f"{key}.py", f"{key}/__init__.py"):
        to = renamed(index, path)
        if to is None or to.path not in index.files:
            continue
        if any(name != "*" and found.symbol(to.path, name).state == ABSENT for name in names):
            continue
        module = reachable(found, importer, to.path)
        if module:
            return Home(to.path, module, f"{path}: {to}", by_history=True)
    return None


def reachable(found: ModuleMap, importer: str, path: str) -> str:
    """The dotted name by which a file can import another; empty if it cannot, or only over a path of somebody else's."""
    module = found.name_of(path)
    root = found.root_of(path)
    if not module or not (root in ("", *found.roots.sources) or "." in module or f"{importer}/".startswith(f"{root}/")):
        return ""
    target = found.resolve(importer, 0, module)
    return module if target.state == FILE and target.path == path else ""


def definers(index: Index, importer: str, name: str) -> list[str]:
    """The files that define a class or function of a name (others define variables, of which one says little).

    Tests, examples and scripts count only for importers of their kind.
    """
    paths: list[str] = []
    for path in modules(index).definitions.get(name, ()):
        bits = index.files[path].defs[name]
        kind = bits & KIND
        constant = kind not in (CLASS, FUNCTION, COROUTINE, ASYNC_GENERATOR)
        if path == importer or (constant and not (name.isupper() and len(name) > 3)):
            continue
        if bits & CONDITIONAL and not constant and _twice(index, path, name):
            continue
        if _TEST_PLACE.search(path) and not _TEST_PLACE.search(importer):
            continue
        paths.append(path)
    sources = [path for path in paths if path.endswith(".py")]
    return sources or paths


def _twice(index: Index, path: str, name: str) -> bool:
    """Whether a conditional definition is one of several kinds in its file."""
    source = index.tree.read(path)
    return len(re.findall(rb"(?m)^[ \t]+(?:async[ \t]+def|def|class)[ \t]+%b\b" % name.encode(), source)) > 1


def leads_back(index: Index, path: str, importer: str) -> bool:
    """Whether importing a file runs, directly or not, a file that imports it: the import would be a cycle."""
    steps = initialization(index).steps
    seen = {path}
    waiting = [path]
    while waiting:
        for step in steps.get(waiting.pop(), ()):
            for run in step.runs:
                if run == importer:
                    return True
                if run not in seen:
                    seen.add(run)
                    waiting.append(run)
    return False


def old_keys(index: Index, importer: str, level: int, module: str) -> Iterator[str]:
    """Where a module that is gone would have been: its path without suffix, from each root that it could be under."""
    folder = posixpath.dirname(importer)
    found = modules(index)
    if level > 0:
        parts = folder.split("/") if folder else []
        if level - 1 <= len(parts):
            base = "/".join(parts[: len(parts) - level + 1])
            yield posixpath.join(base, module.replace(".", "/"))
        return
    tail = module.replace(".", "/")
    seen: set[str] = set()
    for root in (*found.roots.around(folder), *sorted(found.roots.explicit), *sorted(found.roots.known)):
        key = posixpath.join(root, tail) if root else tail
        if key not in seen:
            seen.add(key)
            yield key


def needs(index: Index, path: str) -> frozenset[str]:
    """The top-level names of the foreign packages that importing a file takes, with all that it runs."""
    start = initialization(index)
    foreign = index.derive("foreign imports", _foreign)
    seen = {path}
    waiting = [path]
    while waiting:
        for step in start.of(waiting.pop()):
            new = [run for run in step.runs if run not in seen and not step.guarded]
            seen.update(new)
            waiting += new
    return frozenset().union(*(foreign.get(file, frozenset()) for file in seen))


def _foreign(index: Index) -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for path, item, name in imports(index).external:
        if not item[8] and not item[7]:
            table.setdefault(path, set()).add(name.partition(".")[0])
    return {path: frozenset(names) for path, names in table.items()}
