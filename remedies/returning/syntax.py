"""Small questions about statements and handlers that the rewriting of returns asks."""

from __future__ import annotations

import ast
import re
from typing import Final

from regreen.facts.source import dotted, last_name
from regreen.facts.source.testcode import FunctionNode, children, own_expressions
from regreen.model import Splice

TALK: Final = frozenset(
    {
        "print", "debug", "info", "warning", "warn", "error", "exception", "critical", "log", "print_exc", "echo",
        "pprint", "write", "secho", "rule", "success",
    }
)  # fmt: skip
SKIPS: Final = re.compile(
    r"\bskip|not (?:available|installed|set|configured|running)|unavailable|requires?\b|optional", re.I
)
CONDITIONS: Final = re.compile(
    r"environ|getenv|_AVAILABLE\b|\bHAS_|\bHAVE_|\bhas_\w*(?:gpu|cuda|module|package)|sys\.platform|skip|version_info"
    r"|cuda\.is_available"
)
BROAD: Final = frozenset({"Exception", "BaseException"})


def value_of(item: ast.Return) -> ast.expr:
    assert item.value is not None
    return item.value


def checks_itself(function: FunctionNode) -> bool:
    """Whether a function asserts something in its own body."""
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and last_name(node.func).lower().startswith("assert"))
        for node in own_expressions(function)
    )


def gives(item: ast.Return) -> bool:
    return item.value is not None and not (isinstance(item.value, ast.Constant) and item.value.value is None)


def below(body: list[ast.stmt]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    stack = list(body)
    while stack:
        statement = stack.pop()
        found.append(statement)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stack += children(statement)
    return found


def kinds(handler: ast.ExceptHandler) -> list[str]:
    if handler.type is None:
        return ["BaseException"]
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [dotted(kind).removeprefix("builtins.") for kind in types]


def is_broad(handler: ast.ExceptHandler) -> bool:
    return not BROAD.isdisjoint(kinds(handler))


def handles_imports(handler: ast.ExceptHandler) -> bool:
    return bool({"ImportError", "ModuleNotFoundError"} & set(kinds(handler)))


def speaks_of_error(node: ast.expr | None, handler: ast.ExceptHandler) -> bool:
    """Whether a returned value holds the caught error, or a False beside it."""
    if node is None:
        return False
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    texts = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)]
    return (
        (handler.name is not None and handler.name in names)
        or "error" in texts
        or False in [t for t in texts if t is False]
    )


def is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def talks(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
    return isinstance(value, ast.Call) and last_name(value.func) in TALK


def said(handler: ast.ExceptHandler) -> str:
    return " ".join(
        str(node.value) for node in ast.walk(handler) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def flat(source: str) -> str:
    return f"({source})" if "\n" in source else source


def quoted(text: str) -> str:
    return repr(text) if '"' in text or "\\" in text or not text.isprintable() else f'"{text}"'


def runs(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Call | ast.Await) for inner in ast.walk(node))


def outermost(splices: list[Splice]) -> list[Splice]:
    """Splices without those that lie inside of a larger one (a line that moves left, in a block that goes)."""
    kept: list[Splice] = []
    for item in sorted(splices, key=lambda s: (s.start, -(s.end - s.start))):
        if kept and item.end <= kept[-1].end and item.start < kept[-1].end and kept[-1] != item:
            continue
        kept.append(item)
    return kept
