"""What the imports of a tree rely on: which folders must be on the path for them to work, and which are used as packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from regreen.facts.source.distributions import STDLIB

if TYPE_CHECKING:
    from regreen.facts.source.modules import ModuleMap


class Reliance(NamedTuple):
    """`relied`: folders below which files import absolutely what lies directly in the folder, so that it must be on the path
    (a folder that is imported as a package from outside does not count: there such an import is a fault).
    `used`: folders without `__init__` that absolute imports name first on their way to a file of the tree.
    """

    relied: frozenset[str]
    used: frozenset[str]


def reliance(found: ModuleMap) -> Reliance:
    """Look at every import of the tree once."""
    wanted: set[str] = set()
    outside: set[str] = set()
    used: set[str] = set()
    for path, level, name, names in _imports(found):
        folder = path.rpartition("/")[0]
        if level > 0:
            base = folder.split("/")[: folder.count("/") + 2 - level] if folder else []
            resolved = "/".join([*base, *name.split(".")] if name else base)
        else:
            resolved, through = _resolved(found, folder, name, names, used)
            if through not in found.roots.known and (folder == through or folder.startswith(f"{through}/")):
                wanted.add(through)
            if not resolved:
                top = name.partition(".")[0]
                for key in found.by_name[top]:
                    root = key[: -len(top)].rstrip("/")
                    if found.sources.get(key) != path and (folder == root or folder.startswith(f"{root}/")):
                        wanted.add(root)
        while resolved:  # packages above what is imported, when the importer is outside them
            if not f"{folder}/".startswith(f"{resolved}/"):
                outside.add(resolved)
            resolved = resolved.rpartition("/")[0]
    relied = {root for root in wanted if root not in outside or root.rpartition("/")[2] in ("src", "lib")}
    return Reliance(frozenset(relied), frozenset(used))


def _resolved(found: ModuleMap, folder: str, name: str, names: list[str], used: set[str]) -> tuple[str, str]:
    """What an absolute import names, as a path, and the root near the importer that it is found from.

    Notes a folder without `__init__` that it passes through.
    """
    top, _, rest = name.partition(".")
    for root in found.places(folder)[0]:
        key = f"{root}/{top}" if root else top
        if key in found.sources or key in found.folders:
            resolved = f"{key}/{rest.replace('.', '/')}" if rest else key
            if key not in found.sources and (
                resolved in found.sources or any(f"{resolved}/{inner}" in found.sources for inner in names)
            ):
                used.add(key)
            return resolved, root
    return "", ""


def _imports(found: ModuleMap) -> Iterator[tuple[str, int, str, list[str]]]:
    """Imports of what may be the tree's own: (importer, level, module, names that may be modules)."""
    seen: set[tuple[str, int, str]] = set()
    own = found.by_name
    for path, file in found.index.files.items():
        folder = path.rpartition("/")[0]
        for _, _, _, _, level, module, names, *_ in file.raw_imports:
            for name in (module,) if level >= 0 else [n for n, _ in names]:
                if (folder, level, name) in seen:
                    continue
                if level > 0:
                    seen.add((folder, level, name))
                    yield path, level, name, []
                    continue
                top = name.partition(".")[0]
                if top not in own or top in STDLIB or found.is_external(name):
                    continue
                inner = [n for n, _ in names if n in own] if level == 0 else []
                if not inner:  # with modules as names, the next import may take others
                    seen.add((folder, level, name))
                yield path, level, name, inner
