"""Who else reads what a test returns: runners under `__main__`, lists of tests, other tests, other files."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from regreen.facts.source import Index, last_name
from regreen.facts.source.modules import modules
from regreen.facts.source.testcode import FunctionNode, Suite, parsed


@dataclass
class References:
    """Places outside of a test that use its value: `names` in its own file, `imports` in other files.

    `obstacle` says why the uses cannot be followed.
    """

    names: list[ast.Name | ast.Attribute] = field(default_factory=list)
    imports: list[tuple[str, ast.alias]] = field(default_factory=list)
    obstacle: str = ""

    @property
    def any(self) -> bool:
        """Whether the value is used at all."""
        return bool(self.names or self.imports)


class FileReferences:
    """References to the functions of one file, found in one walk."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: dict[str, list[ast.Name]] = {}
        self.attributes: dict[str, list[ast.Attribute]] = {}
        self.texts: set[str] = set()
        self.dynamic = ""
        discarded: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):
                discarded |= _discarded(node.value)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.names.setdefault(node.id, []).append(node)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                self.attributes.setdefault(node.attr, []).append(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.texts.add(node.value)
            elif isinstance(node, ast.Call):
                self._searches(node)
        self.discarded = discarded

    def _searches(self, node: ast.Call) -> None:
        """A runner that finds the tests by their names at run time."""
        prefix = node.args[0] if node.args and last_name(node.func) == "startswith" else None
        if isinstance(prefix, ast.Constant) and prefix.value in ("test", "test_"):
            self.dynamic = "a runner in this file finds its tests by name, and reads what they return"

    def of(self, function: FunctionNode, owner: str) -> References:
        """The uses of a test's value in its own file."""
        found = References()
        uses: list[ast.Name | ast.Attribute] = []
        uses += self.attributes.get(function.name, ()) if owner else self.names.get(function.name, ())
        found.names = [use for use in uses if id(use) not in self.discarded and not _inside(use, function)]
        if self.dynamic:
            found.obstacle = self.dynamic
        elif function.name in self.texts:
            found.obstacle = (
                f"the name {function.name!r} stands in a text of this file: it may be looked up at run time"
            )
        elif not owner and any(_is_module(use.value) for use in self.attributes.get(function.name, ())):
            found.obstacle = "an attribute of the same name is used in this file"
        return found


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id.startswith("test")


def _discarded(value: ast.expr) -> set[int]:
    """The callee of a call whose value nobody reads: `test_a()`, `await test_a()`, `asyncio.run(test_a())`."""
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return set()
    found = {id(value.func)}
    if last_name(value.func) in ("run", "run_until_complete") and len(value.args) == 1:
        inner = value.args[0]
        if isinstance(inner, ast.Call):
            found.add(id(inner.func))
    return found


def _inside(node: ast.Name | ast.Attribute, function: FunctionNode) -> bool:
    return function.lineno <= node.lineno <= (function.end_lineno or function.lineno)


def imported(index: Index) -> dict[str, list[str]]:
    """Paths of the files that import a name that starts with `test`, by that name."""

    def make(index: Index) -> dict[str, list[str]]:
        table: dict[str, list[str]] = {}
        for path, file in index.files.items():
            for item in file.imports:
                for name, _ in item.names:
                    last = name.rpartition(".")[2]
                    if last.startswith("test") or last.endswith("_test"):
                        table.setdefault(last, []).append(path)
        return table

    return index.derive("imported-tests", make)


def elsewhere(index: Index, path: str, function: FunctionNode, owner: str, found: References) -> None:
    """Add the uses of a test's value in other files to `found`."""
    stem = path.rpartition("/")[2].removesuffix(".py")
    for runner in _runners(index):
        source = _read(index, runner)
        folder = runner.rpartition("/")[0]
        searches = any(word in source for word in (b"glob", b"listdir", b"walk", b"iter_modules"))
        if stem.encode() in source or (searches and path.startswith(f"{folder}/" if folder else "")):
            found.obstacle = f"{runner} finds the tests by name at run time, and reads what they return"
            return
    if owner:
        return
    suite = Suite.of(index)
    for other in dict.fromkeys(imported(index).get(stem, ())):
        if other != path and f".{function.name}".encode() in _read(index, other):
            found.obstacle = f"{other} uses it through the module"
            return
    for other in dict.fromkeys(imported(index).get(function.name, ())):
        if other == path:
            continue
        try:
            tree = parsed(_read(index, other))
        except (SyntaxError, ValueError):
            found.obstacle = f"{other} imports it and cannot be read"
            return
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                if alias.name != function.name:
                    continue
                target = modules(index).resolve(other, node.level, node.module or "")
                if target.path and target.path != path:
                    continue
                used = FileReferences(tree)
                local = alias.asname or alias.name
                if all(id(use) in used.discarded for use in used.names.get(local, ())) and local not in used.texts:
                    continue
                if suite.is_module(other) or local in used.texts or used.dynamic:
                    found.obstacle = f"{other} imports it and uses its value"
                    return
                found.imports.append((other, alias))


def _runners(index: Index) -> tuple[str, ...]:
    """Files that the check saw importing modules and looking up tests in them: its records without a name."""
    return tuple(file.path for file, record in index.records("code.tests-assert-not-return") if not record[0])


def _read(index: Index, path: str) -> bytes:
    try:
        return index.tree.read(path)
    except OSError:
        return b""
