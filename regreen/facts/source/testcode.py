"""Test functions as code: their own statements, what decorates them, and which of them pytest collects."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Final, NamedTuple

from regreen.facts.source.context import Context, last_name
from regreen.facts.source.index import FileFacts, Index
from regreen.facts.source.metadata import metadata
from regreen.facts.source.pytest_config import Configuration
from regreen.facts.source.syntax import quiet

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_INNER: Final = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda})
#: Nodes that own nothing below them that matters: they are yielded, and not looked into.
_BOTTOM: Final = frozenset({ast.Name, ast.Constant})
_COMPOUND: Final = frozenset(
    {ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match}
)
_UNITTEST: Final = frozenset(
    {
        "TestCase", "IsolatedAsyncioTestCase", "SimpleTestCase", "TransactionTestCase", "LiveServerTestCase",
        "AsyncTestCase", "AsyncHTTPTestCase", "AioHTTPTestCase",
    }
)  # fmt: skip
_NOT_COLLECTED: Final = frozenset({"__init__", "__new__", "__test__"})
#: Folders of sample suites that are data of other tests.
SAMPLES: Final = frozenset(
    {"data", "examples", "example", "example_scripts", "fixtures", "sample", "samples", "testdata", "test_data"}
)


def parsed(source: bytes) -> ast.Module:
    """The syntax tree of a file, for those that edit it; the parser's warnings about the target's code stay away.

    Raises SyntaxError, and ValueError for what is no text.
    """
    with warnings.catch_warnings():
        quiet()
        return ast.parse(source)


def own_statements(node: FunctionNode) -> Iterator[ast.stmt]:
    """Every statement that runs as part of a function: nested functions and classes are yielded, not entered."""
    stack: list[ast.stmt] = node.body[::-1]
    while stack:
        statement = stack.pop()
        yield statement
        if statement.__class__ in _COMPOUND:
            stack += list(children(statement))[::-1]


def children(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statements directly below a compound statement, in source order."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(statement, name, ()):
            if isinstance(child, ast.stmt):
                yield child
            else:  # an except clause or a case
                yield from child.body


def own_expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one that runs as part of it: bodies of functions, lambdas and classes are left out."""
    stack: list[ast.AST] = list(ast.iter_child_nodes(node))
    while stack:
        current = stack.pop()
        yield current
        kind = current.__class__
        if kind not in _INNER and kind not in _BOTTOM:
            stack.extend(ast.iter_child_nodes(current))


class Parts(NamedTuple):
    """The statements of a function's own body that checks ask for, each kind in source order."""

    asserts: list[ast.Assert]
    returns: list[ast.Return]
    tries: list[ast.Try]
    withs: list[ast.With | ast.AsyncWith]


def parts(node: ast.stmt, ctx: Context) -> Parts:
    """The parts of a test function, walked once for all checks of a file."""
    table: dict[int, Parts] = ctx.memo.setdefault("testcode", {})
    found = table.get(id(node))
    if found is None:
        assert isinstance(node, FunctionNode)
        found = table[id(node)] = _parts(node)
    return found


def _parts(node: FunctionNode) -> Parts:
    found = Parts([], [], [], [])
    stack: list[ast.stmt] = node.body[::-1]
    while stack:
        statement = stack.pop()
        kind = statement.__class__
        if kind is ast.Assert:
            found.asserts.append(statement)  # type: ignore[arg-type]
        elif kind is ast.Return:
            found.returns.append(statement)  # type: ignore[arg-type]
        elif kind in _COMPOUND:
            if kind is ast.Try:
                found.tries.append(statement)  # type: ignore[arg-type]
            elif kind is ast.With or kind is ast.AsyncWith:
                found.withs.append(statement)  # type: ignore[arg-type]
                stack += statement.body[::-1]  # type: ignore[attr-defined]
                continue
            stack.extend(reversed(list(children(statement))))
    return found


def decorator_names(node: FunctionNode | ast.ClassDef) -> tuple[str, ...]:
    """The dotted names of the decorators, calls dropped; `?` for what is not a name."""
    return tuple(_dotted(item.func if isinstance(item, ast.Call) else item) or "?" for item in node.decorator_list)


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


#: Words of decorators whose result is an object of a framework's, which pytest does not collect.
_MAKERS: Final = frozenset(
    {"tool", "task", "flow", "command", "op", "asset", "dag", "actor", "workflow", "activity", "route"}
)


def is_fixture(node: FunctionNode) -> bool:
    """Whether a decorator makes the function something else than a test: a fixture, a property, an overload, a tool."""
    for name in decorator_names(node):
        last = name.rpartition(".")[2].lower()
        if "fixture" in last or last in ("property", "overload", "cached_property", "hookimpl", "composite", "setter"):
            return True
        if ".mark." not in name and not name.startswith("mark.") and not _MAKERS.isdisjoint(last.split("_")):
            return True
    return False


def is_generator(node: FunctionNode) -> bool:
    """Whether a function yields."""
    return any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_expressions(node))


def qualified(ctx: Context, node: FunctionNode) -> str:
    """The qualified name of a function that a `tests` handler was called with."""
    return f"{ctx.scope.qualname}.{node.name}" if ctx.scope.qualname else node.name


def called_name(statement: ast.stmt) -> str:
    """The last part of the name that an expression statement calls (awaited or not), else an empty string."""
    if not isinstance(statement, ast.Expr):
        return ""
    value = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
    return last_name(value.func) if isinstance(value, ast.Call) else ""


class Suite:
    """Which functions pytest collects, by the configuration that it reads. Get it with `Suite.of(index)`."""

    def __init__(self, index: Index) -> None:
        self.configuration = Configuration.of(index)
        self._index = index
        self._modules: dict[str, bool] = {}
        self._unittest: frozenset[str] | None = None
        self._pytest: bool | None = None
        self._plain: bool | None = None
        self._classes: dict[str, dict[str, bool]] = {}

    @classmethod
    def of(cls, index: Index) -> Suite:
        """The suite of an index, made once."""
        return index.derive("test-suite", cls)

    @property
    def uses_pytest(self) -> bool:
        """Whether anything in the tree speaks of pytest: configuration, a conftest, an import, a declaration."""
        if self._pytest is None:
            files = self._index.files
            self._pytest = (
                bool(self.configuration.files)
                or any(path.endswith("conftest.py") for path in files)
                or "pytest" in metadata(self._index).names
                or any(
                    item.module == "pytest" or item.names[0][0] == "pytest"
                    for f in files.values()
                    if f.tests
                    for item in f.imports
                )
            )
        return self._pytest

    @property
    def plain(self) -> bool:
        """Whether functions outside of unittest's classes are run: not in a tree that tests with unittest alone."""
        if self._plain is None:
            self._plain = self.uses_pytest or not any(
                self.is_unittest(base)
                for file in self._index.files.values()
                if file.tests
                for item in file.classes
                for base in item.bases
            )
        return self._plain

    def is_module(self, path: str) -> bool:
        """Whether pytest takes a file for a test module."""
        known = self._modules.get(path)
        if known is None:
            known = self._modules[path] = self.configuration.matches_file(path)
        return known

    def is_sample(self, path: str) -> bool:
        """Whether a file lies in a folder of sample files, which are other tests' data."""
        return not SAMPLES.isdisjoint(path.split("/")[:-1])

    @property
    def functions(self) -> int:
        """How many functions with a test's name stand in test modules."""
        return sum(file.tests for file in self._index.files.values() if file.tests and self.is_module(file.path))

    def is_test(self, file: FileFacts, qualname: str) -> bool:
        """Whether pytest collects a function by its name and place (it may still be a fixture or a generator)."""
        if not self.is_module(file.path):
            return False
        *classes, name = qualname.split(".")
        if not classes and not self.plain:
            return False
        if not classes:
            return self.configuration.matches_function(file.path, name)
        table = self._collected(file)
        path = ""
        unittest = False
        for part in classes:
            path = f"{path}.{part}" if path else part
            kind = table.get(path)
            if kind is None:
                return False
            unittest = kind
        return name.startswith("test") if unittest else self.configuration.matches_function(file.path, name)

    def _collected(self, file: FileFacts) -> dict[str, bool]:
        """The collected classes of a file by qualified name: whether they are unittest's."""
        known = self._classes.get(file.path)
        if known is None:
            known = self._classes[file.path] = {}
            for item in file.classes:
                name = item.qualname.rpartition(".")[2]
                if any(self.is_unittest(base) for base in item.bases):
                    known[item.qualname] = True
                elif _NOT_COLLECTED.isdisjoint(item.members) and self.configuration.matches_class(file.path, name):
                    known[item.qualname] = False
        return known

    def is_unittest(self, base: str) -> bool:
        """Whether a base class (by its dotted name) is, or descends from, `unittest.TestCase`."""
        name = base.rpartition(".")[2]
        return name in _UNITTEST or name.endswith("TestCase") or name in self._descendants

    @property
    def _descendants(self) -> frozenset[str]:
        if self._unittest is None:
            pairs = [
                (item.qualname.rpartition(".")[2], [base.rpartition(".")[2] for base in item.bases])
                for file in self._index.files.values()
                for item in file.classes
                if item.bases
            ]
            found: set[str] = set()
            grown = True
            while grown:
                grown = False
                for name, bases in pairs:
                    if name not in found and any(
                        base in found or base in _UNITTEST or base.endswith("TestCase") for base in bases
                    ):
                        found.add(name)
                        grown = True
            self._unittest = frozenset(found)
        return self._unittest
