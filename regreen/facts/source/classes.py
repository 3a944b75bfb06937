"""What the bases of classes are, over the whole tree."""

from __future__ import annotations

import builtins
from typing import Final

from regreen.facts.source.index import FileFacts, Index
from regreen.facts.source.linearize import NoOrderError, linearize, merge
from regreen.facts.source.modules import DEFINED, ModuleMap, modules
from regreen.facts.source.structure import CLASS, CONDITIONAL, KIND, ClassFacts

_BUILTINS: Final = {name: value for name, value in vars(builtins).items() if isinstance(value, type)}
#: One class under another name (library reference, exceptions; asyncio and concurrent.futures since 3.11, socket since 3.10).
_SAME: Final = {
    "EnvironmentError": "OSError", "IOError": "OSError", "select.error": "OSError", "socket.error": "OSError",
    "asyncio.TimeoutError": "TimeoutError", "asyncio.exceptions.TimeoutError": "TimeoutError",
    "concurrent.futures.TimeoutError": "TimeoutError", "socket.timeout": "TimeoutError", "builtins.object": "object",
    "builtins.TimeoutError": "TimeoutError", "builtins.Exception": "Exception", "builtins.OSError": "OSError",
}  # fmt: skip
LOCAL: Final = 1 << 20  #: in `ClassFacts.flags`: a class inside a function
_GENERIC: Final = frozenset(
    {"typing.Generic", "typing.Protocol", "typing_extensions.Protocol", "typing_extensions.Generic"}
)


class Classes:
    """Bases of classes by name (`path::qualname`, a builtin's own name, or `?…` for what is not known)."""

    def __init__(self, index: Index, found: ModuleMap) -> None:
        self._index = index
        self._found = found
        self._bases: dict[str, tuple[str, ...]] = {}
        self._ancestors: dict[str, frozenset[str]] = {}
        self._orders: dict[str, tuple[str, ...]] = {}
        self._facts: dict[str, dict[str, ClassFacts]] = {}

    @classmethod
    def of(cls, index: Index) -> Classes:
        """The classes of an index, made once."""
        return index.derive("classes", lambda this: cls(this, modules(this)))

    def named(self, path: str, qualname: str) -> tuple[str, ...]:
        """The bases of a class of a file. Raises KeyError."""
        return self.bases(self._index.files[path], self._of(path)[qualname])

    def _of(self, path: str) -> dict[str, ClassFacts]:
        facts = self._facts.get(path)
        if facts is None:
            facts = self._facts[path] = {}
            for item in self._index.files[path].classes:
                if not item.flags & LOCAL:
                    facts[item.qualname] = item
        return facts

    def order(self, name: str, bases: tuple[str, ...]) -> tuple[str, ...]:
        """The method resolution order of a class with these bases; of bases that share nothing, only themselves.

        Raises NoOrderError; its `name` may be that of a base, which has no order itself.
        """
        for base in bases:
            self._climb(base)
        if self._apart(bases):
            return (name, *bases)
        above = [linearize(base, self._bases, self._orders) for base in bases]
        return (name, *merge(name, [*above, bases]))

    def _apart(self, bases: tuple[str, ...]) -> bool:
        """Whether the bases share nothing but `object`, so that any order of them will do."""
        seen: set[str] = set()
        for base in bases:
            above = self._above(base)
            if base == "object" or not seen.isdisjoint(above):
                return False
            seen |= above
        return True

    def _above(self, name: str) -> frozenset[str]:
        """A class and what it derives from, without `object`. Its bases are known."""
        found = self._ancestors.get(name)
        if found is None:
            self._ancestors[name] = frozenset((name,))  # ends a circle
            every = {name}.union(*(self._above(base) for base in self._bases.get(name, ())))
            found = self._ancestors[name] = frozenset(every - {"object"})
        return found

    def passes(self, name: str, bases: tuple[str, ...]) -> bool:
        """Whether a class with these bases, in this order, contradicts nothing that is known."""
        table = {name: bases}
        for base in bases:
            table.update(self.ancestry(base))
        try:
            linearize(name, table, {})
        except NoOrderError:
            return False
        return True

    def ancestry(self, name: str) -> dict[str, tuple[str, ...]]:
        """A class and everything above it, each with its bases."""
        table: dict[str, tuple[str, ...]] = {}
        waiting = [name]
        while waiting:
            base = waiting.pop()
            if base not in table:
                table[base] = self._known(base)
                waiting += table[base]
        return table

    def _climb(self, name: str) -> None:
        """Know the bases of a class and of everything above it."""
        waiting = [name]
        while waiting:
            base = waiting.pop()
            if base not in self._bases:
                waiting += self._known(base)

    def _known(self, name: str) -> tuple[str, ...]:
        found = self._bases.get(name)
        if found is None:
            path, _, qualname = name.partition("::")
            if name.startswith("?"):
                found = ("object",)
            elif qualname:
                found = self.bases(self._index.files[path], self._of(path)[qualname])
            elif name in _BUILTINS:
                found = tuple(base.__name__ for base in _BUILTINS[name].__bases__)
            else:
                found = ()
            self._bases[name] = found
        return found

    def bases(self, file: FileFacts, item: ClassFacts) -> tuple[str, ...]:
        """What the bases of a class are; every class without one has `object`, as in Python itself."""
        return tuple(self._resolve(file, item, base, n) for n, base in enumerate(item.bases)) or ("object",)

    def _resolve(self, file: FileFacts, item: ClassFacts, base: str, position: int) -> str:
        unknown = f"?{file.path}::{item.qualname}#{position}"
        if base == "?":
            return unknown
        outer = item.qualname.rpartition(".")[0]
        if outer and f"{outer}.{base}" in self._of(file.path):
            return f"{file.path}::{outer}.{base}"
        first = base.partition(".")[0]
        if base == item.qualname:  # bound before the class statement is done: `class Warning(Warning)` has the builtin
            return unknown if self._imports(file, base) else self._builtin(file, base) or unknown
        if first not in file.defs:
            return self._builtin(file, base) or unknown
        symbol = self._found.named(file.path, base)
        if symbol.state == DEFINED:
            top = symbol.name.partition(".")[0]
            bits = self._index.files[symbol.path].defs.get(top, 0)
            if bits & KIND == CLASS and not bits & CONDITIONAL and symbol.name in self._of(symbol.path):
                return f"{symbol.path}::{symbol.name}"
            return unknown
        return self._outside(file, base) or unknown

    def _builtin(self, file: FileFacts, base: str) -> str:
        same = _SAME.get(base, base)
        return same if same in _BUILTINS and not file.dynamic and not list(self._found.stars(file)) else ""

    @staticmethod
    def _imports(file: FileFacts, local: str) -> bool:
        return any((alias or name) == local for item in file.imports for name, alias in item.names)

    def _outside(self, file: FileFacts, base: str) -> str:
        """A class of the standard library that is a builtin under another name; others stay apart by their full name."""
        first, _, rest = base.partition(".")
        for imported in file.imports:
            if imported.scope or imported.flags or imported.level > 0:
                continue
            for name, alias in imported.names:
                if (alias or (name.partition(".")[0] if imported.level < 0 else name)) == first:
                    root = (name if alias else first) if imported.level < 0 else f"{imported.module}.{name}"
                    full = f"{root}.{rest}" if rest else root
                    if full in _GENERIC:
                        return ""  # typing rewrites the bases around it (`__mro_entries__`)
                    return _SAME.get(full, "")
        return ""
