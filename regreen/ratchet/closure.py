"""What a test's text depends on in its own file: if that and the text are the same, so is the test.

This is the quick way for the many tests of a changed file that the change does not reach.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .project import is_fixture
from .source import Function, Module, origins
from .unit import Unit

_SETUPS = frozenset(
    {"setup_module", "setUpModule", "setup_function", "setup", "teardown_module", "tearDownModule", "teardown_function"}
)


@dataclass(slots=True)
class _Part:
    digest: str = ""
    names: set[str] = field(default_factory=set)


class Outline:
    """The definitions of a file outside its tests, each with the names that it refers to."""

    def __init__(self, module: Module) -> None:
        self._module = module

    @cached_property
    def _parts(self) -> Mapping[str, _Part]:
        parts: dict[str, _Part] = {}
        for node in self._module.tree.body:
            for name, text, refers in _named(node, self._module.path):
                part = parts.setdefault(name, _Part())
                part.digest = _digest(part.digest + text)
                part.names |= refers
        return parts

    def reach(self, unit: Unit) -> dict[str, str]:
        """The digests of everything that a test reaches by name; `*` is what runs in any case."""
        pending = {
            "*",
            *_names(unit.function),
            *(arg.arg for arg in ast.walk(unit.function) if isinstance(arg, ast.arg)),
        }
        if "::" in unit.name:
            pending.add(unit.name.split("::")[0])
        found: dict[str, str] = {}
        while pending:
            name = pending.pop()
            part = self._parts.get(name)
            if part is not None and name not in found:
                found[name] = part.digest
                pending |= part.names
        return found


def digest(function: Function) -> str:
    """A digest of a function that layout, comments and docstrings do not change."""
    body = function.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and len(body) > 1:
        body = body[1:]
    head = [ast.dump(function.args), *map(ast.dump, function.decorator_list), type(function).__name__, function.name]
    return _digest("".join([*head, *map(ast.dump, body)]))


def _named(node: ast.stmt, path: str) -> Iterable[tuple[str, str, set[str]]]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            if node.name.startswith("test") and not is_fixture(node):
                return
            yield (
                node.name,
                ast.dump(node),
                _names(node) | {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)},
            )
            if node.name in _SETUPS or "autouse" in ast.dump(ast.Tuple(node.decorator_list)):
                yield "*", "", {node.name}
        case ast.ClassDef():
            kept = [
                part for part in node.body
                if not (isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name.startswith("test"))
            ]  # fmt: skip
            outside = [*node.bases, *node.decorator_list, *(keyword.value for keyword in node.keywords)]
            names = {name for part in (*kept, *outside) for name in _names(part)}
            yield node.name, "".join(map(ast.dump, [*outside, *kept])), names
        case ast.Import() | ast.ImportFrom():
            for name, origin in origins(node, path):
                yield name, origin, set()
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                yield "*", ast.dump(node), set()
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = _names(node)
            for target in targets:
                key = target.id if isinstance(target, ast.Name) and target.id != "pytestmark" else "*"
                yield key, ast.dump(node), names
        case ast.Expr(value=ast.Constant()):
            return
        case _:
            yield "*", ast.dump(node), _names(node)


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
