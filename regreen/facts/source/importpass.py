"""Every import of a tree, resolved once for all checks."""

from __future__ import annotations

from typing import Any, NamedTuple

from regreen.facts.source.distributions import STDLIB
from regreen.facts.source.index import Index
from regreen.facts.source.modules import EXTERNAL, Target, modules


class Own(NamedTuple):
    """An import of the tree's own: the statement (fields of `ImportFacts`), the module it names, what that is."""

    item: tuple[Any, ...]
    name: str
    target: Target


class Imports(NamedTuple):
    """`own`: by file, in source order. `external`: (file, statement, dotted module); Python's own are in neither."""

    own: dict[str, list[Own]]
    external: list[tuple[str, tuple[Any, ...], str]]


def imports(index: Index) -> Imports:
    """The imports of the index's tree."""
    return index.derive("imports", _resolve)


def _resolve(index: Index) -> Imports:
    found = modules(index)
    skip = STDLIB - {"test"}
    known = found.by_name
    own: dict[str, list[Own]] = {}
    external: list[tuple[str, tuple[Any, ...], str]] = []
    for path, file in index.files.items():
        mine: list[Own] = []
        for item in file.raw_imports:
            level = item[4]
            for name in (item[5],) if level >= 0 else [name for name, _ in item[6]]:
                if level <= 0:
                    top = name.partition(".")[0]
                    if top in skip:
                        continue
                    if top not in known:
                        external.append((path, item, name))
                        continue
                target = found.resolve(path, level, name)
                if target.state == EXTERNAL:
                    external.append((path, item, name))
                else:
                    mine.append(Own(item, name, target))
        if mine:
            own[path] = mine
    return Imports(own, external)
