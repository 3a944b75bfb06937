"""Reading files for checks that look at a library's calls: once per file, also where the tree re-exports the library.

`from app.net import connect` hides that the callee is a library's. Such files are few; the parent reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from regreen.facts.libraries.names import Names
from regreen.facts.source import Context, FileFacts, Index
from regreen.facts.source.modules import FILE, modules
from regreen.facts.source.syntax import Unreadable, parse

#: Libraries whose names are followed through re-exports.
LIBRARIES: Final = frozenset(
    {"websockets", "requests", "httpx", "aiohttp", "sqlalchemy", "redis", "aioredis", "urllib"}
)
#: So many files are read for one check at most: beyond that a re-export is a house style, and each costs a parse.
MOST: Final = 200


def names_in(context: Context) -> Names:
    """The names of the file that a worker is at, made once for all checks."""
    found = context.memo.get("library names")
    if not isinstance(found, Names):
        found = context.memo["library names"] = Names(context.tree)
    return found


def reaches(context: Context, origins: Iterable[str]) -> bool:
    """Whether the file's imports, and its text, can lead to one of some dotted origins.

    Cheap, and never wrong about a file that calls one of them: `names_in` costs as much as parsing.
    """
    imported: dict[str, set[str]] = context.memo.get("imported by origin") or {}
    if not imported:
        for item in context.structure.imports:
            level, module, names = item[4], item[5], item[6]
            for name, alias in names:
                if level < 0:
                    root = name if alias else name.partition(".")[0]
                    imported.setdefault(root, set()).add(alias or root)
                elif level == 0:
                    imported.setdefault(f"{module}.{name}", set()).add(alias or name)
        context.memo["imported by origin"] = imported
    for origin in origins:
        head, rest = origin, ""
        while head:
            for local in imported.get(head, ()):
                if not rest or f"{local}{rest}".encode() in context.source:
                    return True
            head, _, last = head.rpartition(".")
            rest = f".{last}{rest}"
    return False


def names_at(index: Index, path: str) -> Names | None:
    """The names of a file of the tree, with what the tree re-exports; None for a file that does not parse."""
    try:
        source = index.tree.read(path)
    except FileNotFoundError:
        return None
    parsed = parse(source)
    return None if isinstance(parsed, Unreadable) else Names(parsed[1], renames(index).get(path))


def renames(index: Index) -> Mapping[str, Mapping[str, str]]:
    """For each file that imports a library's name from another file of the tree: the import's origin → the library's."""
    return index.derive("library re-exports", _renames)


def through_reexports(index: Index, library: str, suspect: re.Pattern[bytes]) -> Iterator[tuple[FileFacts, Names]]:
    """Files that know a library only through a re-export, and hold a suspect."""
    count = 0
    for path, pairs in renames(index).items():
        if not any(origin.partition(".")[0] == library for origin in pairs.values()):
            continue
        file = index.files[path]
        if any((item[5] or item[6][0][0]).partition(".")[0] == library for item in file.raw_imports if item[4] <= 0):
            continue  # the worker has seen it
        if not suspect.search(index.tree.read(path)):
            continue
        count += 1
        if count > MOST:
            return
        names = names_at(index, path)
        if names is not None:
            yield file, names


def _renames(index: Index) -> dict[str, dict[str, str]]:
    exports: dict[str, dict[str, str]] = {}
    for path, file in index.files.items():
        if path.rpartition("/")[2].startswith(("test_", "conftest")):
            continue
        for item in file.raw_imports:
            if item[8] or item[4] > 0:
                continue
            if item[4] == 0 and item[5].partition(".")[0] in LIBRARIES:
                table = exports.setdefault(path, {})
                table.update({alias or name: f"{item[5]}.{name}" for name, alias in item[6]})
            elif item[4] < 0:
                found = {alias or name: name for name, alias in item[6] if name.partition(".")[0] in LIBRARIES}
                if found:
                    exports.setdefault(path, {}).update(
                        {local: name for local, name in found.items() if "." not in local}
                    )
    if not exports:
        return {}
    wanted = {name for table in exports.values() for name in table}
    result: dict[str, dict[str, str]] = {}
    where = modules(index)
    for path, file in index.files.items():
        for item in file.raw_imports:
            level, module = item[4], item[5]
            if level < 0 or (level == 0 and module.partition(".")[0] in LIBRARIES):
                continue
            hits = [name for name, _ in item[6] if name in wanted]
            if not hits:
                continue
            target = where.resolve(path, level, module)
            table = exports.get(target.path, {}) if target.state == FILE else {}
            prefix = "." * level + module
            joint = "" if prefix.endswith(".") else "."
            for name in hits:
                if name in table:
                    result.setdefault(path, {})[f"{prefix}{joint}{name}"] = table[name]
    return result
