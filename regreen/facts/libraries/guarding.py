"""What a policy names behind a client (`CLIENT -> OBJECT`), found in the tree: a limiter, a breaker, a maker of clients.

What a guard holds back is a person's number: the rate that the other side grants, the failures after which it is left alone.
It stands in the tree, next to nothing else, and a remedy only puts the calls behind it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.libraries.names import FunctionNode, Names
from regreen.facts.libraries.reading import names_at
from regreen.facts.source import Index
from regreen.facts.source.modules import DEFINED, modules
from regreen.model import Splice


@dataclass(frozen=True, slots=True)
class Guard:
    """An object of the tree. `made_by` is the origin of the class that makes it; `node` its class or function in the tree."""

    path: str
    module: str
    name: str
    made_by: str = ""
    node: ast.AST | None = None

    def method(self, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """A method of the class that makes it, where the tree holds that class."""
        body = self.node.body if isinstance(self.node, ast.ClassDef) else []
        return next((one for one in body if isinstance(one, FunctionNode) and one.name == name), None)

    def bring(self, draft: Draft) -> tuple[str, list[Splice]]:
        """How a file calls it, and the import that this takes."""
        return (self.name, []) if draft.path == self.path else draft.bring(self.module, self.name)


def guard(index: Index, dotted: str, missing: str) -> Guard:
    """The object with this dotted name. Raises UndecidedError where it is not known; `missing` is what a person decides."""
    if not dotted:
        raise UndecidedError("the policy names no object of the tree for it", missing)
    symbol = modules(index).origin("", dotted)
    names = names_at(index, symbol.path) if symbol.state == DEFINED else None
    bindings = names.module.bound.get(symbol.name, []) if names is not None else []
    if names is None or len(bindings) != 1:
        raise UndecidedError(f"`{dotted}` is not in the tree, or is bound more than once", missing)
    module = dotted.rpartition(".")[0]
    if bindings[0].how == "def":
        return Guard(symbol.path, module, symbol.name, "", bindings[0].node)
    value = bindings[0].value or bindings[0].node
    if not isinstance(value, ast.Call):
        raise UndecidedError(f"what `{dotted}` is cannot be told from where it is bound", missing)
    return _made(index, Guard(symbol.path, module, symbol.name), value, names)


def _made(index: Index, found: Guard, value: ast.Call, names: Names) -> Guard:
    """The object with the class that makes it."""
    origin = names.origin(value.func)
    if origin:
        symbol = modules(index).origin(found.path, origin)
        path = symbol.path if symbol.state == DEFINED else ""
        name = symbol.name
    else:
        path, name = found.path, ast.unparse(value.func)
    inner = names_at(index, path) if path else None
    bindings = inner.module.bound.get(name, []) if inner is not None else []
    node = bindings[0].node if len(bindings) == 1 and bindings[0].how == "def" else None
    return Guard(found.path, found.module, found.name, origin, node)
