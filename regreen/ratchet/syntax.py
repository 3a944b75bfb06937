"""Rewrites of the syntax alone that change no meaning."""

from __future__ import annotations

import ast
from typing import Final

from .source import dotted

_CONSUMERS: Final = frozenset({"sorted", "set", "frozenset", "list", "tuple", "sum", "any", "all", "zip", "enumerate"})


def plain(node: ast.Call) -> ast.Call:
    """A call without what changes nothing: `sorted(list(x))`, `zip(a, b, strict=False)`, `list(d.keys())`."""
    if not (isinstance(node.func, ast.Name) and node.func.id in _CONSUMERS):
        return node
    keywords = [kw for kw in node.keywords if kw.arg != "strict"]  # `strict=True` is an obligation of its own
    return ast.copy_location(ast.Call(node.func, [iterated(arg) for arg in node.args], keywords), node)


def iterated(node: ast.expr) -> ast.expr:
    """An expression that is only iterated over, without `list(...)` around it or `.keys()` after it."""
    if isinstance(node, ast.Call) and not node.keywords:
        if dotted(node.func) in {"list", "tuple"} and len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
            return iterated(node.args[0])
        if isinstance(node.func, ast.Attribute) and node.func.attr == "keys" and not node.args:
            return node.func.value
    return node


def only_passes_on(node: ast.Lambda) -> bool:
    spec, call = node.args, node.body
    plain = not (spec.posonlyargs or spec.kwonlyargs or spec.vararg or spec.kwarg or spec.defaults)
    if not plain or not isinstance(call, ast.Call) or call.keywords or not isinstance(call.func, ast.Name):
        return False
    given = [arg.id if isinstance(arg, ast.Name) else "" for arg in call.args]
    return bool(given) and given == [arg.arg for arg in spec.args] and call.func.id not in given
