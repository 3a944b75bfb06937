"""The files around a test, before or after the change: helpers, fixtures and base classes are looked up here.

Changed files are held; unchanged ones are read through a callable only when something in a test needs them.
"""

from __future__ import annotations

import ast
import posixpath
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .obligation import Record

from .source import Function, Module, UnreadableError, dotted, is_test_support, parse

_CONFIGURATIONS: Final = ("pytest.toml", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
MODULE_SETUPS: Final = frozenset({"setup_module", "setUpModule", "setup_function", "setup"})
Reader = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or method found by name, with the module and class that hold it."""

    module: Module
    function: Function
    owner: ast.ClassDef | None = None


@dataclass(slots=True)
class Project:
    """One side of the comparison."""

    files: Mapping[str, bytes]
    context: Reader | None = None
    _modules: dict[str, Module | None] = field(default_factory=dict)
    _texts: dict[str, bytes | None] = field(default_factory=dict)
    walked: dict[int, Record] = field(default_factory=dict)
    _autouse: dict[str, list[Definition]] = field(default_factory=dict)
    _found: dict[tuple[str, str], tuple[Module, str] | None] = field(default_factory=dict)
    _members: dict[int, tuple[ast.ClassDef, dict[str, Definition | ast.expr]]] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        """The bytes of a changed or unchanged file, or None where there is none."""
        if path in self.files:
            return self.files[path]
        if self.context is None:
            return None
        if path not in self._texts:
            self._texts[path] = self.context(path)
        return self._texts[path]

    def module(self, path: str) -> Module | None:
        """The parsed file, or None when it does not exist, decode or parse."""
        if path not in self._modules:
            data = self.read(path)
            try:
                self._modules[path] = None if data is None else parse(path, data)
            except UnreadableError:
                self._modules[path] = None
        return self._modules[path]

    def find(self, origin: str, start: str) -> tuple[Module, str] | None:
        """The test-support module that defines `origin` (`tests.support.check`), and the name within it.

        Imports are tried relative to every folder above the importing file, as rootdir and path hacks make them.
        """
        key = origin, start
        if key not in self._found:
            self._found[key] = None  # an import cycle finds nothing
            self._found[key] = self._search(origin, start)
        return self._found[key]

    def _search(self, origin: str, start: str) -> tuple[Module, str] | None:
        parts = origin.split(".")
        if len(parts) < 2 or parts[0] in sys.stdlib_module_names or parts[0] in {"pytest", "unittest", "numpy"}:
            return None
        name, modules = parts[-1], parts[:-1]
        if modules[0] == "tests" and len(modules) > 1:  # counted from the folder of the tests, whatever its name
            nested = self.find(".".join(parts[1:]), start)
            if nested is not None:
                return nested
        for folder in _upwards(posixpath.dirname(start)):
            for tail in ("/".join(modules) + ".py", "/".join(modules) + "/__init__.py"):
                path = posixpath.join(folder, tail)
                if path == start or not is_test_support(path):
                    continue
                found = self.module(path)
                if found is None:
                    continue
                if name in found.functions or name in found.classes or name in found.assigns:
                    return found, name
                if name in found.imports and found.imports[name] != origin:
                    return self.find(found.imports[name], path)
        return None

    def function(self, module: Module, name: str) -> Definition | None:
        """The function that a name means in a module: its own, or one imported from another test module."""
        if name in module.functions:
            return Definition(module, module.functions[name])
        found = self.find(module.imports[name], module.path) if name in module.imports else None
        if found and found[1] in found[0].functions:
            return Definition(found[0], found[0].functions[found[1]])
        return None

    def bases(self, module: Module, owner: ast.ClassDef, depth: int = 0) -> Iterator[tuple[Module, ast.ClassDef]]:
        """The class and those of its bases that test files define, nearest first."""
        yield module, owner
        if depth > 6:
            return
        for base in owner.bases:
            name = dotted(base)
            if name in module.classes and module.classes[name] is not owner:
                yield from self.bases(module, module.classes[name], depth + 1)
            elif name:
                first, _, rest = name.partition(".")
                origin = ".".join(filter(None, (module.imports.get(first, ""), rest)))
                found = self.find(origin, module.path) if first in module.imports else None
                if found and found[1] in found[0].classes:
                    yield from self.bases(found[0], found[0].classes[found[1]], depth + 1)

    def members(self, module: Module, owner: ast.ClassDef) -> Mapping[str, Definition | ast.expr]:
        """Methods and simple attributes of a class, inherited ones included, as far as test files define them."""
        known = self._members.get(id(owner))
        if known is not None and known[0] is owner:
            return known[1]
        found: dict[str, Definition | ast.expr] = {}
        for holder, cls in self.bases(module, owner):
            for node in cls.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.setdefault(node.name, Definition(holder, node, owner))
                elif isinstance(node, ast.Assign):
                    for target in node.targets:
                        if isinstance(target, ast.Name):
                            found.setdefault(target.id, node.value)
        self._members[id(owner)] = owner, found
        return found

    def method(self, module: Module, owner: ast.ClassDef, name: str) -> Definition | None:
        """A method by name, in the class or in a base that test files define."""
        found = self.members(module, owner).get(name)
        return found if isinstance(found, Definition) else None

    def fixture(self, module: Module, owner: ast.ClassDef | None, name: str) -> Definition | None:
        """The fixture that an argument of that name receives: class, module, then conftest files upwards."""
        if owner is not None:
            found = self.method(module, owner, name)
            if found and is_fixture(found.function):
                return found
        own = self.function(module, name)
        if own and is_fixture(own.function):
            return own
        for folder in _upwards(posixpath.dirname(module.path)):
            conftest = self.module(posixpath.join(folder, "conftest.py"))
            if conftest and name in conftest.functions and is_fixture(conftest.functions[name]):
                return Definition(conftest, conftest.functions[name])
        return None

    def autouse(self, module: Module, owner: ast.ClassDef | None) -> Iterator[Definition]:
        """What runs before every test of a class or module unasked: autouse fixtures and module set-up functions."""
        for member in self.members(module, owner).values() if owner is not None else ():
            if isinstance(member, Definition) and _is_autouse(member.function):
                yield member
        if module.path not in self._autouse:
            self._autouse[module.path] = list(self._module_autouse(module))
        yield from self._autouse[module.path]

    def _module_autouse(self, module: Module) -> Iterator[Definition]:
        for folder in _upwards(posixpath.dirname(module.path)):
            holder = self.module(posixpath.join(folder, "conftest.py"))
            if holder is not None and holder is not module:
                yield from (Definition(holder, f) for f in holder.functions.values() if _is_autouse(f))
        for name, function in module.functions.items():
            if name in MODULE_SETUPS or _is_autouse(function):
                yield Definition(module, function)

    def configuration(self, path: str) -> str:
        """The text of the pytest configuration files above a path."""
        texts: list[str] = []
        for folder in _upwards(posixpath.dirname(path)):
            data = [self.read(posixpath.join(folder, name)) or b"" for name in _CONFIGURATIONS]
            texts += [item.decode("utf-8", "replace") for item in data]
        return "\n".join(texts)


def _is_autouse(function: Function) -> bool:
    return (
        bool(function.decorator_list)
        and is_fixture(function)
        and "autouse" in ast.dump(ast.Tuple(function.decorator_list))
    )


def is_fixture(function: Function) -> bool:
    """Whether a function carries a fixture decorator (pytest's or a plugin's)."""
    names = (dotted(node.func if isinstance(node, ast.Call) else node) for node in function.decorator_list)
    return any(name.rsplit(".", 1)[-1].endswith("fixture") for name in names)


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        if not folder:
            return
        folder = posixpath.dirname(folder)
