"""The module map: which file an import means, and what a name in a module is.

Nothing is imported. Where the answer depends on something that cannot be seen (a module-level `__getattr__`, a star
import from outside, a `sys.path` edit with a computed folder) the answer is "may exist", never "missing".
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from regreen.facts.source.distributions import STDLIB, declared, known
from regreen.facts.source.index import FileFacts, Index
from regreen.facts.source.metadata import metadata
from regreen.facts.source.reliance import Reliance, reliance
from regreen.facts.source.roots import roots
from regreen.facts.source.structure import IMPORTED, KIND, VARIABLE

# States of a `Target`.
FILE: Final = "file"  # a source file of the tree
FOLDER: Final = "folder"  # a namespace package of the tree
OPAQUE: Final = "opaque"  # exists, its content is not known (an extension, a vendored file)
EXTERNAL: Final = "external"  # not of this tree, as far as can be told
MISSING: Final = "missing"  # the tree has its package, not the module
BEYOND: Final = "beyond"  # relative, beyond the tree's top

# States of a `Symbol`.
DEFINED: Final = "defined"
MODULE: Final = "module"
MAYBE: Final = "maybe"
ABSENT: Final = "absent"

_EXTENSIONS: Final = (".pyx", ".so", ".pyd", ".pxd", ".dll", ".sip")
_OWN: Final = frozenset(
    {
        "__all__", "__annotations__", "__builtins__", "__cached__", "__class__", "__dict__", "__doc__", "__file__",
        "__loader__", "__name__", "__package__", "__path__", "__spec__",
    }
)  # fmt: skip


class Target(NamedTuple):
    """What an import's module part means. `key` is its path without suffix; `missing` the dotted part that is not there.

    `weak`: the package around a missing module is only a folder, or its place on the path is a guess.
    """

    state: str
    key: str = ""
    path: str = ""
    missing: str = ""
    weak: bool = False


class Symbol(NamedTuple):
    """What a name in a module is. `bits` are those of `FileFacts.defs`; `key` is set for a module."""

    state: str
    path: str = ""
    name: str = ""
    bits: int = 0
    key: str = ""


_EXTERNAL, _MAYBE, _ABSENT = Target(EXTERNAL), Symbol(MAYBE), Symbol(ABSENT)


class ModuleMap:
    """Modules, packages and names of a tree."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.roots = roots(index)
        self.sources: dict[str, str] = {}
        self.folders: set[str] = set()
        self._opaque: dict[str, str] = {}
        for path in index.files:
            self._add(path, self.sources)
        for path in index.left_out:
            self._add(path, self._opaque)
        for path in index.tree.paths():
            if path.endswith(_EXTENSIONS):
                folder, _, name = path.rpartition("/")
                stem = name.partition(".")[0]
                self._add(f"{folder}/{stem}.py" if folder else f"{stem}.py", self._opaque)
        self._memo: dict[tuple[str, int, str], Target] = {}
        self._search: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._symbols: dict[tuple[str, str], Symbol] = {}
        self._bound: dict[str, dict[str, list[tuple[int, str, str, str, int]]]] = {}
        self._root: dict[str, str] = {}
        self._external: dict[str, bool] = {}
        known_names = metadata(index)
        self._declared = frozenset(known_names.names - known_names.own)
        self._own = frozenset(name.replace("-", "_") for name in known_names.own)

    def _add(self, path: str, table: dict[str, str]) -> None:
        stem, _, suffix = path.rpartition(".")
        if stem.endswith("/__init__") or stem == "__init__":
            key = stem[:-9] if "/" in stem else ""
            if suffix == "py" or not table.get(key, "").endswith("__init__.py"):
                table[key] = path  # a package wins over a module of the same name, a source over its stub
        elif suffix == "py":
            if not table.get(stem, "").endswith("__init__.py"):
                table[stem] = path
        else:
            table.setdefault(stem, path)
        folder = path.rpartition("/")[0]
        while folder and folder not in self.folders:
            self.folders.add(folder)
            folder = folder.rpartition("/")[0]

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Keys of modules and folders by their last part."""
        table: dict[str, list[str]] = {}
        for key in sorted({*self.sources, *self.folders, *self._opaque}):
            table.setdefault(key.rpartition("/")[2], []).append(key)
        return table

    @cached_property
    def definitions(self) -> dict[str, list[str]]:
        """Paths of the files that define a top-level name (imports are no definitions)."""
        table: dict[str, list[str]] = {}
        for path, file in self.index.files.items():
            for name, bits in file.defs.items():
                if bits & KIND != IMPORTED:
                    table.setdefault(name, []).append(path)
        return table

    def name_of(self, path: str) -> str:
        """The dotted name of a file from its source root; empty for an `__init__` of the root itself.

        Where several roots could be meant, the tree's own imports decide.
        """
        stem = path.rpartition(".")[0]
        key = (stem[:-9] if "/" in stem else "") if stem.endswith("__init__") else stem
        return self._from(key, self.root_of(path))

    def root_of(self, path: str) -> str:
        """The source root that a file is named from."""
        folder = path.rpartition("/")[0]
        root = self._root.get(folder)
        if root is None:
            roots = self.roots.candidates(folder)
            inside = f"{folder}/x"
            tops = [self._from(inside, candidate).partition(".")[0] for candidate in roots]
            best = max(range(len(roots)), key=lambda n: (self._tops[tops[n]], -n)) if len(set(tops)) > 1 else 0
            root = self._root[folder] = roots[best]
        return root

    @staticmethod
    def _from(key: str, root: str) -> str:
        return (key[len(root) + 1 :] if root else key).replace("/", ".")

    @cached_property
    def _tops(self) -> Counter[str]:
        """How many absolute imports of the tree start with each name."""
        return Counter(
            name.partition(".")[0]
            for file in self.index.files.values()
            for _, _, _, _, level, module, names, *_ in file.raw_imports
            if level <= 0
            for name in ((module,) if level == 0 else [n for n, _ in names])
        )

    def is_external(self, name: str) -> bool:
        """Whether a dotted name is Python's own, or a declared or well-known distribution brings it."""
        top = name.partition(".")[0]
        found = self._external.get(top)
        if found is None:
            found = top not in self._own and (known(top) or bool(declared(name, self._declared)))
            self._external[top] = found
        return found

    def resolve(self, path: str, level: int, module: str) -> Target:
        """What `module` means in a file: `level` is the number of leading dots (0 and -1 are absolute)."""
        folder = path.rpartition("/")[0]
        key = (folder, level, module)
        target = self._memo.get(key)
        if target is None:
            target = self._memo[key] = (
                self._relative(folder, level, module) if level > 0 else self._absolute(folder, path, module)
            )
        return target

    def _relative(self, folder: str, level: int, module: str) -> Target:
        parts = folder.split("/") if folder else []
        if level - 1 > len(parts):
            return Target(BEYOND, missing="." * level + module)
        base = "/".join(parts[: len(parts) - (level - 1)])
        if not base and level > 1 and "" not in self.roots.packages:
            return Target(BEYOND, missing="." * level + module)
        if not module:
            return self._at(base) or Target(FOLDER, base)
        found = self._under(base, module.split("."))
        if found.state == MISSING:
            return found._replace(missing="." * level + found.missing, weak=False)
        return (
            found if found.state != EXTERNAL else Target(MISSING, base, missing="." * level + module.partition(".")[0])
        )

    def _at(self, key: str) -> Target | None:
        path = self.sources.get(key)
        if path is not None:
            return Target(FILE, key, path)
        if key in self._opaque:
            return Target(OPAQUE, key)
        return Target(FOLDER, key) if key in self.folders else None

    def _under(self, root: str, parts: Sequence[str]) -> Target:
        key = root
        weak = False
        for position, part in enumerate(parts):
            before, key = key, f"{key}/{part}" if key else part
            if part == "__init__" and before in self.sources and position + 1 == len(parts):
                key = before
                continue
            if key in self.sources or key in self._opaque or key in self.folders:
                weak = weak or (key not in self.sources and key not in self._opaque)
                continue
            if position == 0:
                return _EXTERNAL
            if before in self._opaque and before not in self.folders:
                return Target(OPAQUE, before)
            return Target(MISSING, before, missing=".".join(parts[: position + 1]), weak=weak)
        found = self._at(key)
        assert found is not None
        return found

    def places(self, folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where a folder's files look for modules: the roots around it and the explicit ones; then all others."""
        places = self._search.get(folder)
        if places is None:
            near = tuple(dict.fromkeys((*self.roots.around(folder), *sorted(self.roots.explicit), "")))
            rest = tuple(sorted(self.roots.known.difference(near)))
            places = self._search[folder] = (near, rest)
        return places

    def _absolute(self, folder: str, path: str, module: str) -> Target:
        parts = module.split(".")
        top = parts[0]
        if top in STDLIB and top != "test":
            return _EXTERNAL
        if top not in self.by_name:
            return _EXTERNAL
        near, rest = self.places(folder)
        failed: Target | None = None
        namespace: Target | None = None
        for group in (near, rest):
            for root in group:
                found = self._under(root, parts)
                if found.state in (FILE, OPAQUE):
                    return _EXTERNAL if self._shadows(folder, path, root, top) else found
                if found.state == FOLDER:
                    namespace = namespace or found
                elif found.state == MISSING and (failed is None or (failed.weak and not found.weak)):
                    failed = found
            if failed is not None and not failed.weak:
                break
        if namespace is not None:
            return namespace
        if self.is_external(module) or (failed is not None and failed.weak and not self._used_as_package(failed.key)):
            return _EXTERNAL
        hidden = self._hidden(folder, path, parts)
        if hidden is not None and hidden.state != MISSING:
            return hidden
        if top in ("test", "conftest") and (failed is None or failed.weak):
            return _EXTERNAL
        return failed or hidden or _EXTERNAL

    def _shadows(self, folder: str, path: str, root: str, top: str) -> bool:
        """Whether a name that a distribution brings was found only as the importer's own package, from a root nobody names.

        `ns/plugins/openai/llm.py` in a namespace package asks for the library when it imports `openai`.
        """
        if root in self.roots.known or not f"{folder}/".startswith(f"{root}/{top}/"):
            return False
        return root != self.root_of(path) and self.is_external(top)

    def _used_as_package(self, key: str) -> bool:
        """Whether imports elsewhere find modules through the topmost folder of a key, so that it is on the path."""
        return any(key == used or key.startswith(f"{used}/") for used in self._evidence.used)

    def _hidden(self, folder: str, path: str, parts: Sequence[str]) -> Target | None:
        """A place that no rule knows: accepted where code beside it relies on it, or where the path is computed."""
        found: Target | None = None
        for key in self.by_name[parts[0]]:
            root = key[: -len(parts[0])].rstrip("/")
            target = self._under(root, parts)
            if target.state in (MISSING, EXTERNAL):
                continue
            if self._computed(folder, path) or root in self._evidence.relied:
                return target
            if target.state == FILE and found is None:
                found = Target(MISSING, missing=parts[0], weak=True)
        return found

    def _computed(self, folder: str, path: str) -> bool:
        opaque = self.roots.opaque
        if not opaque:
            return False
        if path in opaque or "" in opaque:
            return True
        while folder:
            if folder in opaque:
                return True
            folder = posixpath.dirname(folder)
        return False

    def guessed(self, path: str) -> bool:
        """Whether a file runs with a `sys.path` that could not be told, so that top-level modules may come from anywhere."""
        return self._computed(path.rpartition("/")[0], path)

    @cached_property
    def _evidence(self) -> Reliance:
        return reliance(self)

    def symbol(self, path: str, name: str) -> Symbol:
        """What a top-level name of a file is, through imports, star imports and aliases."""
        key = (path, name)
        found = self._symbols.get(key)
        if found is None:
            self._symbols[key] = _MAYBE  # what a circle of star imports sees
            found = self._symbols[key] = self._symbol(path, name)
        return found

    def member(self, target: Target, name: str) -> Symbol:
        """What `from target import name` gives."""
        if target.state == FILE:
            return self.symbol(target.path, name)
        if target.state == FOLDER:
            inner = self._at(f"{target.key}/{name}" if target.key else name)
            return Symbol(MODULE, inner.path, "", 0, inner.key) if inner else _ABSENT
        return _MAYBE

    def _symbol(self, path: str, name: str) -> Symbol:
        file = self.index.files.get(path)
        if file is None or not file.parsed:
            return _MAYBE
        bits = file.defs.get(name)
        if bits is not None:
            if bits & KIND == IMPORTED:
                return self._imported(file, name)
            alias = file.aliases.get(name) if bits & KIND == VARIABLE else None
            if alias is not None and alias.partition(".")[0] != name:
                meant = self.named(path, alias)
                if meant.state in (DEFINED, MODULE):
                    return meant
            return Symbol(DEFINED, path, name, bits)
        if path.endswith(("__init__.py", "__init__.pyi")):
            folder = posixpath.dirname(path)
            inner = self._at(f"{folder}/{name}" if folder else name)
            if inner is not None:
                return Symbol(MODULE, inner.path, "", 0, inner.key)
        for target in self.stars(file):
            if target.state != FILE:
                return _MAYBE
            other = self.index.files[target.path]
            exported = other.all_names
            if (name not in exported) if exported is not None else name.startswith("_"):
                continue
            found = self.symbol(target.path, name)
            if found.state != ABSENT:
                return found
        if file.dynamic or name in _OWN:
            return _MAYBE
        return _ABSENT

    def stars(self, file: FileFacts) -> Iterator[Target]:
        """What a file star-imports at its top level."""
        for _, _, _, _, level, module, names, _, scope in file.raw_imports:
            if names[0][0] == "*" and not scope:
                yield self.resolve(file.path, level, module)

    def _imported(self, file: FileFacts, name: str) -> Symbol:
        found = _MAYBE
        for level, module, original, alias, flags in self._bindings(file).get(name, ()):
            if level < 0:
                target = self.resolve(file.path, -1, original if alias else name)
                found = Symbol(MODULE, target.path, "", 0, target.key) if target.state in (FILE, FOLDER) else _MAYBE
            else:
                target = self.resolve(file.path, level, module)
                inner = self._at(f"{target.key}/{original}" if target.key else original)
                if target.path == file.path and inner is not None:  # a package that imports its own module
                    return Symbol(MODULE, inner.path, "", 0, inner.key)
                found = self.member(target, original)
                if found.state == ABSENT:
                    found = _MAYBE  # broken there, and reported there; bound here as far as importers can tell
            if not flags:
                return found
        return found

    def _bindings(self, file: FileFacts) -> dict[str, list[tuple[int, str, str, str, int]]]:
        """What the imports at the top level of a file bind: (level, module, name there, alias, flags) by local name."""
        table = self._bound.get(file.path)
        if table is None:
            table = self._bound[file.path] = {}
            for _, _, _, _, level, module, names, flags, scope in file.raw_imports:
                if not scope:
                    for original, alias in names:
                        local = alias or (original.partition(".")[0] if level < 0 else original)
                        table.setdefault(local, []).append((level, module, original, alias, flags))
        return table

    def named(self, path: str, dotted: str) -> Symbol:
        """What a dotted name means at the top level of a file: `models.User` after `from app import models`."""
        first, _, rest = dotted.partition(".")
        file = self.index.files.get(path)
        if file is None or first not in file.defs:
            return _MAYBE
        symbol = self.symbol(path, first)
        while rest and symbol.state == MODULE:
            part, _, rest = rest.partition(".")
            inner = self._at(f"{symbol.key}/{part}" if symbol.key else part)
            if inner is not None and not (symbol.path and part in self.index.files[symbol.path].defs):
                symbol = Symbol(MODULE, inner.path, "", 0, inner.key)
            elif symbol.path:
                symbol = self.symbol(symbol.path, part)
            else:
                return _MAYBE
        if rest:
            return (
                Symbol(symbol.state, symbol.path, f"{symbol.name}.{rest}", symbol.bits)
                if symbol.state == DEFINED
                else _MAYBE
            )
        return symbol

    def origin(self, path: str, origin: str) -> Symbol:
        """What a dotted origin as `Context.origin` gives it (leading dots for relative imports) means for a file."""
        level = len(origin) - len(origin.lstrip("."))
        parts = origin[level:].split(".")
        for length in range(len(parts), 0, -1):
            target = self.resolve(path, level or -1, ".".join(parts[:length]))
            if target.state in (FILE, FOLDER):
                rest = parts[length:]
                if not rest:
                    return Symbol(MODULE, target.path, "", 0, target.key)
                symbol = self.member(target, rest[0])
                if len(rest) > 1:
                    if symbol.state == MODULE and symbol.path:
                        return self.named(symbol.path, ".".join(rest[1:]))
                    if symbol.state == DEFINED:
                        return symbol._replace(name=".".join((symbol.name, *rest[1:])))
                    return _MAYBE
                return symbol
        if level and parts != [""]:
            target = self.resolve(path, level, "")
            if target.state == FILE:
                return self.named(target.path, ".".join(parts))
        return _MAYBE


def modules(index: Index) -> ModuleMap:
    """The module map of the index's tree, made once."""
    return index.derive("modules", ModuleMap)
