"""The formula that an asserted expression stands for."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Final

from .constant import TYPES, Const, NotConstantError, builtin_types
from .expression import Binding, Scope, Value, constant, value
from .formula import FALSE, TRUE, Atom, Formula, Test, join, negate
from .rewrite import tolerance
from .source import last_name
from .syntax import iterated

_FLIP: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "is": "is"}
_ORDERS: Final = {"==": (0,), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
"""Two unknown values compare as less (-1), equal (0), greater (1), or not at all (anything else)."""
_OPS: Final[dict[type[ast.cmpop], tuple[str, bool]]] = {
    ast.Eq: ("==", True),
    ast.NotEq: ("==", False),
    ast.Is: ("is", True),
    ast.IsNot: ("is", False),
    ast.In: ("in", True),
    ast.NotIn: ("in", False),
    ast.Lt: ("<", True),
    ast.LtE: ("<=", True),
    ast.Gt: (">", True),
    ast.GtE: (">=", True),
}
_EXPECTED: Final = re.compile("expect|want|correct|desired|golden|reference|answer|should", re.IGNORECASE)
_SIZES: Final = ("call_count", "await_count")
_WHOLE: Final = ("status_code", "exit_code", "returncode", "ret", "errno", "status")
_TEXTS: Final = frozenset(
    [
        "str",
        "repr",
        "decode",
        "getvalue",
        "read_text",
        "text",
        "stdout",
        "stderr",
        "output",
        "lower",
        "upper",
        "strip",
        "join",
        "format",
        "render",
        "err",
        "out",
        "message",
        "__name__",
        "__doc__",
        "__repr__",
        "hexdigest",
    ]
)


def formula(node: ast.expr, scope: Scope) -> Formula:
    """What must hold for `assert node` to pass."""
    known = constant(node, scope)
    if known is not None:
        return TRUE if known.value else FALSE
    match node:
        case ast.BoolOp():
            return join(isinstance(node.op, ast.And), [formula(part, scope) for part in node.values])
        case ast.UnaryOp(op=ast.Not()):
            return negate(formula(node.operand, scope))
        case ast.Compare():
            return _compare(node, scope)
        case ast.IfExp():
            test = formula(node.test, scope)
            yes, no = formula(node.body, scope), formula(node.orelse, scope)
            return join(True, [join(False, [negate(test), yes]), join(False, [test, no])])
        case ast.Tuple() | ast.List() | ast.Set() if node.elts:
            return TRUE  # `assert (x, "message")` is always true
        case ast.Dict() if node.keys:
            return TRUE
        case ast.JoinedStr() if any(isinstance(part, ast.Constant) and part.value for part in node.values):
            return TRUE
        case ast.Lambda() | ast.GeneratorExp():
            return TRUE
        case ast.NamedExpr():
            bound = value(node.value, scope)
            result = formula(node.value, scope)
            scope.env[node.target.id] = Binding(bound, bound)
            return result
        case ast.Await():
            return formula(node.value, scope)
        case ast.Call():
            return _call(node, scope)
        case ast.Attribute() if node.attr in {"called", "awaited"}:
            owner = value(node.value, scope)
            count = "call_count" if node.attr == "called" else "await_count"
            return Atom(f"{owner.text}.{count}", Test(">=", Const.of(1)), (*owner.spine, f".{count}"), "size")
    return _truth(value(node, scope))


def _truth(subject: Value) -> Formula:
    if subject.const is not None:
        return TRUE if subject.const.value else FALSE
    return Atom(subject.text, Test("true"), subject.spine, _domain(subject))


def _domain(subject: Value) -> str:
    """What is known of a subject's type from its text: a size, a whole number, a string."""
    first, last = (subject.spine or ("",))[0], (subject.spine or ("",))[-1]
    last = (subject.spine[-2:-1] or ("",))[0] if last == "()" else last
    last = last[1:] if last.startswith(".") else ""
    if first == "len" or last in _SIZES or (last == "count" and subject.text.endswith(")")):
        return "size"
    if first == "int" or last in _WHOLE:
        return "int"
    if first in {"str", "repr", "f-string"} or last in _TEXTS:
        return "str"
    return ""


def _compare(node: ast.Compare, scope: Scope) -> Formula:
    sides = [node.left, *node.comparators]
    parts = [_pair(op, left, right, scope) for op, left, right in zip(node.ops, sides, sides[1:], strict=False)]
    return join(True, parts)


def _pair(op: ast.cmpop, left: ast.expr, right: ast.expr, scope: Scope) -> Formula:
    name, positive = _OPS[type(op)]
    result = _approx(left, right, scope) if name == "==" else None
    if result is None:
        first, second = value(left, scope), value(right, scope)
        if not scope.deep and first.const is None and second.const is None:
            first, second = _expectations(left, first, right, second, scope)
        result = _relation(name, first, second)
    return result if positive else negate(result)


def _expectations(left: ast.expr, first: Value, right: ast.expr, second: Value, scope: Scope) -> tuple[Value, Value]:
    """Write out the side that is the expectation: a change of how it is made is no mere arrangement.

    It is told by its name; where none is named so, a side that is built on the spot and serves nothing else.
    """
    sides = [(left, first), (right, second)]
    named = [any(_EXPECTED.search(name) for name in _locals(node, scope)) for node, _ in sides]
    result: list[Value] = []
    common = set(_locals(left, scope)) & set(_locals(right, scope))
    for (node, shown), is_named in zip(sides, named, strict=True):
        locals_ = _locals(node, scope)
        alone = bool(locals_) and not any(name in scope.used or name in common for name in locals_)
        written = is_named if any(named) else _is_built(shown)
        result.append(value(node, scope.at(deep=True)) if written and alone else shown)
    return result[0], result[1]


def _is_built(shown: Value) -> bool:
    """Whether a value is put together on the spot: a literal, or nothing but constructors and builtins."""
    calls = [name for name, mark in zip(shown.spine, shown.spine[1:], strict=False) if mark == "()"]
    return shown.spine[:1] == ("lit",) or all(_bare(name)[:1].isupper() for name in calls)


def _bare(name: str) -> str:
    return name.lstrip(".").rpartition(":")[2]


def _locals(node: ast.expr, scope: Scope) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in scope.env]


def _relation(op: str, left: Value, right: Value) -> Formula:
    if left.items is not None and right.items is not None and op == "==" and len(left.items) == len(right.items):
        return join(True, [_relation("==", a, b) for a, b in zip(left.items, right.items, strict=True)])
    listed = any(side.const is not None and isinstance(side.const.value, list) for side in (left, right))
    if op in {"<", "<=", ">", ">="} and listed:  # a list may stand for a view here, which orders as a set does
        left, right = replace(left, const=None), replace(right, const=None)
    if right.const is not None and left.const is None:
        return Atom(left.text, Test(op, right.const), left.spine, _domain(left))
    if left.const is not None and right.const is None:
        if op == "in":
            return Atom(right.text, Test("contains", left.const), right.spine, _domain(right))
        return Atom(right.text, Test(_FLIP[op], left.const), right.spine, _domain(right))
    if op == "==" and "type(" in (left.text[:5], right.text[:5]):
        op = "is"  # classes compare by identity unless a metaclass says otherwise
    if left.text == right.text and "(" not in left.text and op in {"==", "is", "<=", ">="}:
        return TRUE
    if op != "in" and right.text < left.text:
        op, left, right = _FLIP[op], right, left
    spine = (*left.spine, "<=>", *right.spine)
    if op in _ORDERS:
        return Atom(f"{left.text} <=> {right.text}", Test("in", Const.of(_ORDERS[op])), spine, "order")
    return Atom(f"{left.text} {op} {right.text}", Test("holds"), spine)


def _approx(left: ast.expr, right: ast.expr, scope: Scope) -> Formula | None:
    if isinstance(left, ast.Call) and last_name(left.func) == "approx":
        left, right = right, left
    if not (isinstance(right, ast.Call) and last_name(right.func) == "approx" and right.args):
        return None
    limits = tolerance(right, 1)
    return _close(left, right.args[0], *limits, scope) if limits else None


def _close(left: ast.expr, right: ast.expr, relative: ast.expr, absolute: ast.expr, scope: Scope) -> Formula:
    exact = _relation("==", value(left, scope), value(right, scope))
    rel, tol = constant(relative, scope), constant(absolute, scope)
    pair = str(exact)
    target = constant(right, scope)
    if rel and tol and isinstance(rel.value, int | float) and isinstance(tol.value, int | float):
        if target and isinstance(target.value, int | float):
            margin = max(abs(target.value) * rel.value, tol.value)
            subject = value(left, scope)
            limits = Const.of((target.value - margin, target.value + margin))
            return Atom(subject.text, Test("between", limits), subject.spine)
        spine = next((atom.spine for atom in ([exact] if isinstance(exact, Atom) else [])), ())
        return join(
            False,
            [
                exact,
                Atom(f"relative distance in {pair}", Test("<=", rel), spine, "distance"),
                Atom(f"absolute distance in {pair}", Test("<=", tol), spine, "distance"),
            ],
        )
    texts = f"{value(relative, scope).text}, {value(absolute, scope).text}"
    return join(False, [exact, Atom(f"distance in {pair} within {texts}", Test("holds"))])


def _call(node: ast.Call, scope: Scope) -> Formula:
    name = last_name(node.func)
    if isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        if name == "bool":
            return formula(node.args[0], scope)
        listed = node.args[0].elts if isinstance(node.args[0], ast.Tuple | ast.List) else None
        if name in {"all", "any"} and listed is not None and not any(isinstance(i, ast.Starred) for i in listed):
            return join(name == "all", [formula(item, scope) for item in listed])
        if name in {"all", "any"} and isinstance(node.args[0], ast.GeneratorExp | ast.ListComp):
            return _quantified(name == "all", node.args[0], scope)
    if name == "isinstance" and len(node.args) == 2:
        return _isinstance(node, scope)
    if name in {"isclose", "allclose", "assert_allclose"} and len(node.args) >= 2:
        limits = tolerance(node, 2)
        if limits:
            return _close(node.args[0], node.args[1], *limits, scope)
    if name in {"search", "match", "fullmatch"} and len(node.args) == 2 and not node.keywords:
        pattern = constant(node.args[0], scope)
        if pattern and isinstance(pattern.value, str):
            anchors = {"search": "{}", "match": r"\A(?:{})", "fullmatch": r"\A(?:{})\Z"}
            text = pattern.value if name == "search" else anchors[name].replace("{}", pattern.value)
            subject = value(node.args[1], scope)
            return matches(subject.text, subject.spine, text)
    return _truth(value(node, scope))


def matches(subject: str, spine: tuple[str, ...], pattern: str) -> Formula:
    """`re.search(pattern, subject)`; a pattern without special characters is a substring."""
    if re.escape(pattern).replace("\\", "") == pattern.replace("\\", "") and _literal(pattern) is not None:
        return Atom(subject, Test("contains", Const.of(_literal(pattern))), spine, "str")
    return Atom(subject, Test("matches", Const.of(pattern)), spine, "str")


def _literal(pattern: str) -> str | None:
    plain = re.sub(r"\\([^A-Za-z0-9])", r"\1", pattern)
    rest = re.sub(r"\\[^A-Za-z0-9]", "", pattern)
    return plain if not re.search(r"[\\.^$*+?{}\[\]|()]", rest) else None


def _quantified(every: bool, node: ast.GeneratorExp | ast.ListComp, scope: Scope) -> Formula:
    """`all(p(x) for x in literal)` item by item; over anything else one opaque statement, conjunctions split."""
    generator = node.generators[0]
    source = value(iterated(generator.iter), scope)
    if len(node.generators) == 1 and not generator.ifs and source.items is not None and len(source.items) <= 40:
        parts = []
        for item in source.items:
            inner = scope.at(deep=scope.deep)
            if not bind_target(generator.target, item, inner):
                break
            parts.append(formula(node.elt, inner))
        else:
            return join(every, parts) if parts else (TRUE if every else FALSE)
    if every and isinstance(node.elt, ast.BoolOp) and isinstance(node.elt.op, ast.And):
        return join(True, [_quantified(True, ast.GeneratorExp(p, node.generators), scope) for p in node.elt.values])
    whole = value(ast.GeneratorExp(node.elt, node.generators), scope)
    return Atom(f"{'every' if every else 'some'} {whole.text}", Test("holds"), whole.spine)


def bind_target(target: ast.expr, item: Value, scope: Scope) -> bool:
    """Bind a loop target to one item of a literal; False when the shapes do not fit."""
    if isinstance(target, ast.Name):
        scope.env[target.id] = Binding(item, item)
        return True
    items = item.items
    if items is None and item.const is not None and isinstance(item.const.value, tuple | list):
        items = tuple(Value(part.key, ("const",), part) for part in map(Const.of, item.const.value))
    if isinstance(target, ast.Tuple | ast.List) and items is not None and len(items) == len(target.elts):
        return all(bind_target(part, piece, scope) for part, piece in zip(target.elts, items, strict=True))
    return False


def _isinstance(node: ast.Call, scope: Scope) -> Formula:
    subject = value(node.args[0], scope)
    try:
        return Atom(subject.text, Test("isinstance", Const.of(builtin_types(node.args[1]))), subject.spine)
    except NotConstantError:
        pass
    kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
    parts: list[Formula] = []
    for kind in kinds:
        name = value(kind, scope).text
        if isinstance(kind, ast.Name) and kind.id in TYPES:
            parts.append(Atom(subject.text, Test("isinstance", Const.of((TYPES[kind.id],))), subject.spine))
        else:
            parts.append(Atom(subject.text, Test("kind", Const.of(name)), subject.spine))
    return join(False, parts)
