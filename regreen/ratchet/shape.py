"""Small questions about the shape of test code: does it check, does it fail, does it only look like an assertion."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from .expression import Scope, definition
from .project import Definition
from .raising import is_context
from .rewrite import is_assertive, is_failure
from .source import Function, last_name


def asserts(helper: Definition, scope: Scope, depth: int = 0) -> bool:
    """Whether a helper checks anything, itself or through helpers that it calls."""
    for part in ast.walk(helper.function):
        if isinstance(part, ast.Assert):
            return True
        if isinstance(part, ast.Call):
            if is_assertive(part) or is_failure(part) or is_context(part):
                return True
            if depth < 3:
                inside = Scope(scope.project, helper.module, helper.owner, depth=scope.depth + depth)
                found = definition(part, inside)
                if found and found.function is not helper.function and asserts(found, scope, depth + 1):
                    return True
        if isinstance(part, ast.Raise) and part.exc is not None and "AssertionError" in ast.dump(part.exc):
            return True
    return False


def arranges(call: ast.Call) -> bool:
    """Names that begin like an assertion and are none: `checkout`, `expected()`, `requires`."""
    name = last_name(call.func).lstrip("_").lower()
    return name.startswith(("checkout", "requires", "checkpoint")) or name in {"check_call", "check_output"}


_TALK: Final = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log"})


def talks(node: ast.expr) -> bool:
    """Whether a call only tells people something: `print(…)`, `logger.exception(…)`, `traceback.print_exc()`."""
    if not isinstance(node, ast.Call):
        return False
    name = last_name(node.func)
    if name in {"print", "pprint", "print_exc", "print_stack"}:
        return True
    return (
        name in _TALK
        and isinstance(node.func, ast.Attribute)
        and re.search("log", ast.unparse(node.func.value), re.IGNORECASE) is not None
    )


def is_true(keyword: ast.keyword) -> bool:
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is True


def loaded(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Name):
        return ast.copy_location(ast.Name(node.id, ast.Load()), node)
    return node


def nested(inner: Function, outer: Function) -> bool:
    return outer.lineno <= inner.lineno and (inner.end_lineno or 0) <= (outer.end_lineno or 0)


def only_fails(body: Sequence[ast.stmt]) -> bool:
    return fails_last(body) and len(body) == 1


def fails_last(body: Sequence[ast.stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.Raise):
        return last.exc is None or "Skip" not in ast.dump(last.exc)
    if isinstance(last, ast.Assert):
        return isinstance(last.test, ast.Constant) and not last.test.value
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and is_failure(last.value)
