"""Assertions that cannot fail, and handlers that keep an assertion's failure from being seen. Shared with remedies."""

from __future__ import annotations

import ast
from typing import Final

from regreen.facts.source.context import dotted, last_name
from regreen.facts.source.testcode import children, own_expressions

_BROAD: Final = frozenset({"Exception", "BaseException", "AssertionError"})
_TALK: Final = frozenset(
    {
        "print",
        "debug",
        "info",
        "warning",
        "warn",
        "error",
        "exception",
        "critical",
        "log",
        "print_exc",
        "echo",
        "pprint",
    }
)
_REFLEXIVE: Final[frozenset[type[ast.cmpop]]] = frozenset({ast.Eq, ast.Is, ast.LtE, ast.GtE})
_PLAIN: Final[frozenset[type[ast.expr]]] = frozenset({ast.Name, ast.Attribute, ast.Subscript, ast.Constant})
_LEAVE: Final = frozenset({"skip", "skipTest", "xfail"})


def hollow(test: ast.expr) -> str:
    """Why an asserted expression always holds, in words; empty where it may fail."""
    if isinstance(test, ast.Compare):  # nearly all of them
        return _comparison(test.left, test.ops[0], test.comparators[0]) if len(test.ops) == 1 else ""
    if isinstance(test, ast.Constant):
        return f"{_short(test)} is always true" if test.value else ""
    if isinstance(test, ast.Tuple):
        return "a tuple that is not empty is always true" if test.elts else ""
    if isinstance(test, ast.JoinedStr | ast.Lambda | ast.GeneratorExp):
        return "it is always true"
    if isinstance(test, ast.List | ast.Set) and test.elts and not any(isinstance(e, ast.Starred) for e in test.elts):
        return "a collection that is not empty is always true"
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = test.operand
        return "it is always true" if isinstance(inner, ast.Constant) and not inner.value else ""
    if isinstance(test, ast.BoolOp):
        return _boolean(test)
    if isinstance(test, ast.Call) and last_name(test.func) == "isinstance" and len(test.args) == 2:
        kind = test.args[1]
        return "everything is an object" if isinstance(kind, ast.Name) and kind.id == "object" else ""
    return ""


def _boolean(test: ast.BoolOp) -> str:
    parts = [hollow(value) for value in test.values]
    if isinstance(test.op, ast.And):
        return parts[0] if all(parts) else ""
    for why in parts:
        if why:
            return why
    if not any(isinstance(value, ast.UnaryOp | ast.Compare) for value in test.values):
        return ""
    texts = [ast.dump(value) for value in test.values]
    for value in test.values:
        if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not) and ast.dump(value.operand) in texts:
            return "one of the two always holds"
        if isinstance(value, ast.Compare) and len(value.ops) == 1 and not _runs(value):
            opposite = _OPPOSITE.get(type(value.ops[0]))
            if opposite is not None:
                negated = ast.Compare(value.left, [opposite()], value.comparators)
                if ast.dump(negated) in texts:
                    return "one of the two always holds"
    return ""


_OPPOSITE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Is: ast.IsNot, ast.In: ast.NotIn, ast.Eq: ast.NotEq,
}  # fmt: skip


def _comparison(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
    kind = operator.__class__
    if kind is ast.GtE and _is_length(left) and _number(right) == 0:
        return "no length is negative"
    if kind is ast.LtE and _is_length(right) and _number(left) == 0:
        return "no length is negative"
    if kind is ast.Gt and _is_length(left) and (_number(right) or 0) < 0:
        return "no length is negative"
    if left.__class__ is right.__class__ and kind in _REFLEXIVE and left.__class__ in _PLAIN and _same(left, right):
        return "" if _runs(left) else f"{_short(left)} is compared with itself"
    if kind is ast.In and isinstance(left, ast.Constant) and left.value == "" and _text(right):
        return "the empty string is in every string"
    return ""


def _same(left: ast.expr, right: ast.expr) -> bool:
    """Whether two expressions of one kind are written alike; cheap where they differ at once."""
    if isinstance(left, ast.Name) and isinstance(right, ast.Name):
        return left.id == right.id
    if isinstance(left, ast.Attribute) and isinstance(right, ast.Attribute) and left.attr != right.attr:
        return False
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant) and left.value != right.value:
        return False
    return ast.dump(left) == ast.dump(right)


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    return None


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


def _runs(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Call | ast.Await | ast.NamedExpr) for inner in ast.walk(node))


def _short(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else f"{text[:37]}…"


def asserts(node: ast.AST) -> bool:
    """Whether something below a node checks: an assert, a unittest or mock assertion, `pytest.fail`, `raises`."""
    return any(
        isinstance(inner, ast.Assert)
        or (isinstance(inner, ast.Call) and is_checking_name(last_name(inner.func)))
        for inner in own_expressions(node)
    )  # fmt: skip


def is_checking_name(name: str) -> bool:
    """Whether a callee's name says that it checks."""
    low = name.lower().lstrip("_")
    return low.startswith(("assert", "expect", "verify", "check", "ensure", "should", "validate", "fail")) or low in (
        "raises", "warns", "deprecated_call",
    )  # fmt: skip


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches AssertionError."""
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(dotted(kind).removeprefix("builtins.") in _BROAD for kind in kinds)


def swallows(handler: ast.ExceptHandler) -> str:
    """How a handler hides a failure, in words; empty where it may still be seen afterwards."""
    words: list[str] = []
    for statement in handler.body:
        if isinstance(statement, ast.Pass | ast.Continue | ast.Break):
            words.append("passes")
        elif isinstance(statement, ast.Return):
            if statement.value is not None and not (
                isinstance(statement.value, ast.Constant) and statement.value.value is None
            ):
                return ""  # code.tests-assert-not-return's to judge
            words.append("returns")
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            words.append("passes")
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            name = last_name(statement.value.func)
            if name == "xfail" and handler.type is not None and last_name(handler.type) == "AssertionError":
                return ""  # said aloud, and shown in every report: this assertion is known to fail
            if name in _LEAVE:
                words.append("skips")
            elif name in _TALK:
                words.append("logs")
            else:
                return ""
        else:
            return ""
    for word in ("skips", "returns", "logs"):
        if word in words:
            return word
    return "passes"


def suppressed(node: ast.With | ast.AsyncWith) -> str:
    """The exception that `contextlib.suppress` hides in a with statement, where it hides AssertionError."""
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and last_name(call.func) == "suppress":
            for argument in call.args:
                if last_name(argument) in _BROAD:
                    return dotted(argument)
    return ""


def does_nothing(body: list[ast.stmt]) -> bool:
    """Whether statements hold nothing that could fail: texts without doctests, pass, …, prints and constants."""
    for statement in body:
        if isinstance(statement, ast.Pass):
            continue
        if isinstance(statement, ast.Return) and (statement.value is None or isinstance(statement.value, ast.Constant)):
            continue
        if isinstance(statement, ast.Expr):
            value = statement.value
            if isinstance(value, ast.Constant) and not (isinstance(value.value, str) and ">>>" in value.value):
                continue
            if isinstance(value, ast.Call) and last_name(value.func) == "print" and not any(map(_runs, value.args)):
                continue
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            continue
        return False
    return True


def guards_all(body: list[ast.stmt]) -> ast.Try | None:
    """The one try statement that holds everything a function does, if there is such a one."""
    found: ast.Try | None = None
    for statement in body:
        if isinstance(statement, ast.Try) and found is None:
            found = statement
        elif not does_nothing([statement]) and not isinstance(statement, ast.Import | ast.ImportFrom):
            return None
    return found


def loops(body: list[ast.stmt]) -> dict[int, bool]:
    """For every statement of a function's body, nested ones too, by `id`: whether a loop stands around it."""
    table: dict[int, bool] = {}
    stack = [(statement, False) for statement in body]
    while stack:
        current, within = stack.pop()
        table[id(current)] = within
        deeper = within or isinstance(current, ast.For | ast.AsyncFor | ast.While)
        if not isinstance(current, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stack.extend((child, deeper) for child in children(current))
    return table
