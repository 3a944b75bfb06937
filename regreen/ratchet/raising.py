"""Expected exceptions, warnings and logs: `raises`, `warns`, `assertRaises` and their kin."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .exceptions import canonical
from .expression import Binding, Scope, Value, value
from .source import dotted, last_name

_RAISES: Final = frozenset(
    {"raises", "assertRaises", "assertRaisesRegex", "assertRaisesRegexp", "assert_raises", "RaisesExc"}
)
_WARNS: Final = frozenset({"warns", "assertWarns", "assertWarnsRegex"})
_DEPRECATED: Final = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
_LOGS: Final = frozenset({"assertLogs", "assertNoLogs", "assertNumQueries", "assertTemplateUsed"})


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a context must end in. `body` is the call to make, in the form `raises(E, f, 1)`."""

    verb: str
    kinds: tuple[str, ...]
    match: ast.expr | None = None
    body: ast.expr | None = None


def is_context(node: ast.expr) -> bool:
    """Whether an expression is an expectation of an exception, a warning or a log."""
    if not isinstance(node, ast.Call):
        return False
    name = last_name(node.func)
    return name in _RAISES | _WARNS | _LOGS or name == "deprecated_call"


def expectation(call: ast.Call, scope: Scope) -> Expectation | None:
    """The expectation that a call states, or None."""
    name = last_name(call.func)
    keywords = {kw.arg: kw.value for kw in call.keywords if kw.arg}
    if name == "deprecated_call":
        body = _invoked(call.args[0], call.args[1:], call) if call.args else None
        return Expectation("warned", _DEPRECATED, keywords.get("match"), body)
    if name in _LOGS and dotted(call.func).startswith("self."):
        texts = [value(arg, scope).text for arg in call.args] + [value(k.value, scope).text for k in call.keywords]
        return Expectation("logged" if name != "assertNoLogs" else "logged nothing", (name, *texts))
    if name not in _RAISES | _WARNS:
        return None
    first = call.args[0] if call.args else keywords.get("expected_exception") or keywords.get("expected_warning")
    verb = "raised" if name in _RAISES else "warned"
    kinds = names_in([first] if first is not None else [], scope)
    if isinstance(first, ast.Constant) and first.value is None:
        return None  # `pytest.warns(None)` only records
    rest = list(call.args[1:])
    match = keywords.get("match") or keywords.get("expected_regex")
    if "Regex" in name and rest and match is None:
        match = rest.pop(0)
    if "check" in keywords and verb == "raised":
        kinds = (*kinds, f"checked by {value(keywords['check'], scope).text}")
    body = _invoked(rest[0], rest[1:], call) if rest else None
    if not kinds:
        kinds = ("Warning",) if verb == "warned" else ("Exception",)
    return Expectation(verb, kinds, match, body)


def _invoked(function: ast.expr, args: Sequence[ast.expr], call: ast.Call) -> ast.expr:
    if isinstance(function, ast.Lambda) and not args:
        return function.body
    keywords = [kw for kw in call.keywords if kw.arg not in {"match", "msg"}]
    return ast.fix_missing_locations(ast.copy_location(ast.Call(function, list(args), keywords), call))


def names_in(nodes: Sequence[ast.expr], scope: Scope) -> tuple[str, ...]:
    """The names of exception classes, without their modules, sorted."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(scope.module.assigns.get(node.id), ast.Tuple):
            node = scope.module.assigns[node.id]
        for part in node.elts if isinstance(node, ast.Tuple) else [node]:
            text = value(part, scope).text
            if isinstance(part, ast.Name | ast.Attribute):
                text = text.replace(":", ".").rsplit(".", 1)[-1]
            found.add(canonical(text))
    return tuple(sorted(found))


def last_expression(body: Sequence[ast.stmt]) -> ast.expr | None:
    """The expression that a body exists to evaluate: that of its last statement."""
    for statement in reversed(body):
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.Expr() | ast.Return() | ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                return statement.value
            case ast.With() | ast.AsyncWith():
                inner = last_expression(statement.body)
                return inner if inner is not None else statement.items[-1].context_expr
            case ast.For() | ast.AsyncFor():
                inner = last_expression(statement.body)
                return inner if inner is not None else statement.iter
            case ast.Try() | ast.If() | ast.While():
                return last_expression(statement.body)
            case ast.Raise():
                return statement.exc
            case ast.Assert():
                return statement.test
            case ast.Delete():
                return statement.targets[0]
        return None
    return None


def raised(
    target: ast.expr | None, body: Sequence[ast.stmt], verb: str, scope: Scope, *, as_value: bool = False
) -> Binding:
    """The name after `as`: the exception info of what the body does."""
    if target is None:
        text = "; ".join(type(statement).__name__ for statement in body)
        spine: tuple[str, ...] = ("?",)
    else:
        whole = value(target, scope.at(deep=True))
        text, spine = whole.text, whole.spine
    deep = Value(f"excinfo({text})", ("excinfo", *spine))
    shallow = Value(f"excinfo({' '.join(spine)})", ("excinfo", *spine))
    if as_value:
        return Binding(
            Value(deep.text + ".value", (*deep.spine, ".value")),
            Value(shallow.text + ".value", (*deep.spine, ".value")),
        )
    return Binding(deep, shallow) if verb else Binding(deep, deep)
