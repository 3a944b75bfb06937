"""Assertion calls as the plain expressions they check.

`self.assertEqual(a, b)` is `a == b`, `m.assert_called_once_with(1)` is `m.call_count == 1 and m.call_args == call(1)`.
What has no expression of its own keeps a name in double underscores and is compared as it stands.
Sources: the tables of `unittest.TestCase`, `unittest.mock.Mock` and `numpy.testing` in their documentation.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Final

from .source import dotted, last_name

_COMPARE: Final[dict[str, type[ast.cmpop]]] = {
    "Equal": ast.Eq,
    "Equals": ast.Eq,
    "NotEqual": ast.NotEq,
    "NotEquals": ast.NotEq,
    "Is": ast.Is,
    "IsNot": ast.IsNot,
    "In": ast.In,
    "NotIn": ast.NotIn,
    "Greater": ast.Gt,
    "GreaterEqual": ast.GtE,
    "Less": ast.Lt,
    "LessEqual": ast.LtE,
    **{f"{kind}Equal": ast.Eq for kind in ("List", "Tuple", "Set", "Dict", "MultiLine", "Sequence")},
}
_NOSE: Final = {
    "eq_": "Equal", "assert_equal": "Equal", "assert_not_equal": "NotEqual", "assert_is": "Is", "assert_in": "In",
    "assert_not_in": "NotIn", "assert_true": "True", "assert_false": "False", "ok_": "True", "assert_": "True",
    "assert_is_none": "IsNone", "assert_is_not_none": "IsNotNone", "assert_is_instance": "IsInstance",
    "assert_greater": "Greater", "assert_less": "Less",
}  # fmt: skip
_CLOSE: Final = {
    # name: (relative keyword, absolute keyword, default relative, default absolute)
    "isclose": ("rel_tol", "abs_tol", 1e-9, 0.0),
    "allclose": ("rtol", "atol", 1e-5, 1e-8),
    "assert_allclose": ("rtol", "atol", 1e-7, 0.0),
    "approx": ("rel", "abs", 1e-6, 1e-12),
}
_OPERANDS: Final = (
    "first",
    "second",
    "expr",
    "member",
    "container",
    "obj",
    "cls",
    "expr1",
    "expr2",
    "actual",
    "desired",
)
ASSERTIVE: Final = (
    "assert", "check", "verify", "expect", "ensure", "validate", "should", "must", "require", "raise_for_status",
    "fnmatch_lines", "re_match_lines", "no_fnmatch_line", "no_re_match_line",
)  # fmt: skip
FAILS: Final = frozenset({"fail", "exit_with_failure"})


def is_assertive(call: ast.Call) -> bool:
    """Whether a callee's name says that it checks something."""
    name = last_name(call.func).lstrip("_").lower()
    return name.startswith(ASSERTIVE) or name in {"eq_", "ok_", "assert_"}


def is_failure(call: ast.Call) -> bool:
    """Whether a call makes the test fail: `pytest.fail()`, `self.fail()`."""
    return last_name(call.func) in FAILS and dotted(call.func) in {"pytest.fail", "self.fail", "fail"}


def as_expression(call: ast.Call) -> ast.expr | None:
    """The expression that an assertion call checks, or None if the call is not a known assertion."""
    name = last_name(call.func)
    args = list(call.args)
    if any(isinstance(arg, ast.Starred) for arg in args):
        return None
    short = _NOSE.get(name) or (name.removeprefix("assert").rstrip("_") if name.startswith("assert") else "")
    if name in {"assert_called", "assert_awaited"} or name.startswith(("assert_called_", "assert_awaited_")):
        return _mock(call, name)
    if name in {"assert_not_called", "assert_not_awaited", "assert_any_call", "assert_any_await", "assert_has_calls"}:
        return _mock(call, name)
    keywords = {kw.arg: kw.value for kw in call.keywords if kw.arg}
    args += [keywords[key] for key in _OPERANDS if key in keywords and short]
    if short in _COMPARE and len(args) >= 2:
        return at(call, ast.Compare(args[0], [_COMPARE[short]()], [args[1]]))
    if short in {"True", ""} and args and name not in {"", "assert"} and (short or name in _NOSE):
        return args[0]
    if name in {"assert_", "failUnless"} and args:
        return args[0]
    if short == "False" and args:
        return at(call, ast.UnaryOp(ast.Not(), args[0]))
    if short in {"IsNone", "IsNotNone"} and args:
        op = ast.Is() if short == "IsNone" else ast.IsNot()
        return at(call, ast.Compare(args[0], [op], [ast.Constant(None)]))
    if short in {"IsInstance", "NotIsInstance"} and len(args) >= 2:
        found = _function(call, "isinstance", args[:2])
        return found if short == "IsInstance" else at(call, ast.UnaryOp(ast.Not(), found))
    if short in {"Regex", "NotRegex", "RegexpMatches"} and len(args) >= 2:
        found = _method(call, ast.Name("re"), "search", [args[1], args[0]])
        return found if short != "NotRegex" else at(call, ast.UnaryOp(ast.Not(), found))
    if short in {"AlmostEqual", "NotAlmostEqual"} and len(args) >= 2:
        close = _almost(call, args, keywords)
        return close if short == "AlmostEqual" else at(call, ast.UnaryOp(ast.Not(), close))
    if name in {"assert_array_equal", "assert_series_equal", "assert_frame_equal", "assert_index_equal"}:
        return _function(call, f"__{name}__", args[:2], call.keywords)
    if name in {"assert_almost_equal", "assert_array_almost_equal"} and len(args) >= 2:
        places = args[2] if len(args) > 2 else keywords.get("decimal", ast.Constant(7 if "array" not in name else 6))
        return _almost(call, args[:2], {"places": places})
    if name == "assert_allclose" and len(args) >= 2:
        return call
    if short in {"CountEqual", "ItemsEqual"} and len(args) >= 2:
        return _function(call, "__same_items__", sorted(args[:2], key=ast.dump))
    return None


def tolerance(call: ast.Call, positional: int) -> tuple[ast.expr, ast.expr] | None:
    """Relative and absolute tolerance of `approx`, `isclose`, `allclose`; `positional` operands come before them."""
    name = last_name(call.func)
    if name not in _CLOSE:
        return None
    relative, absolute, rel, tol = _CLOSE[name]
    given = {kw.arg: kw.value for kw in call.keywords if kw.arg}
    rest = call.args[positional:]
    rel_node = given.get(relative) or (rest[0] if rest else None)
    abs_node = given.get(absolute) or (rest[1] if len(rest) > 1 else None)
    if name == "approx" and rel_node is None and abs_node is not None:
        rel = 0.0  # pytest.approx: an explicit abs without rel switches the relative tolerance off
    return rel_node or ast.Constant(rel), abs_node or ast.Constant(tol)


def _almost(call: ast.Call, args: Sequence[ast.expr], keywords: dict[str, ast.expr]) -> ast.expr:
    places = keywords.get("places") or (args[2] if len(args) > 2 else ast.Constant(7))
    delta = keywords.get("delta")
    if delta is None and isinstance(places, ast.Constant) and isinstance(places.value, int):
        delta = ast.Constant(0.5 * 10.0**-places.value)  # round(a - b, places) == 0
    approx = _function(call, "approx", [args[1]], [ast.keyword("abs", delta or places)])
    return at(call, ast.Compare(args[0], [ast.Eq()], [approx]))


def _mock(call: ast.Call, name: str) -> ast.expr | None:
    if not isinstance(call.func, ast.Attribute):
        return None
    mock = call.func.value
    count, last = ("await_count", "await_args") if "await" in name else ("call_count", "call_args")

    def counted(op: ast.cmpop, number: int) -> ast.expr:
        return at(call, ast.Compare(ast.Attribute(mock, count), [op], [ast.Constant(number)]))

    given = ast.Call(ast.Name("call"), call.args, call.keywords)
    with_args = at(call, ast.Compare(ast.Attribute(mock, last), [ast.Eq()], [at(call, given)]))
    any_call = _method(call, mock, "__any_call__", call.args, call.keywords)
    parts: dict[str, list[Callable[[], ast.expr]]] = {
        "": [lambda: counted(ast.GtE(), 1)],
        "_once": [lambda: counted(ast.Eq(), 1)],
        "_with": [lambda: counted(ast.GtE(), 1), lambda: with_args, lambda: any_call],
        "_once_with": [lambda: counted(ast.Eq(), 1), lambda: with_args, lambda: any_call],
    }
    if name.startswith("assert_not"):
        return counted(ast.Eq(), 0)
    if name.startswith("assert_any"):
        return any_call
    if name == "assert_has_calls":
        return _method(call, mock, "__has_calls__", call.args, call.keywords)
    suffix = name.removeprefix("assert_called").removeprefix("assert_awaited")
    if suffix not in parts:
        return None
    return at(call, ast.BoolOp(ast.And(), [part() for part in parts[suffix]]))


def _function(call: ast.Call, name: str, args: Sequence[ast.expr], kws: Sequence[ast.keyword] = ()) -> ast.expr:
    return at(call, ast.Call(ast.Name(name), list(args), list(kws)))


def _method(
    call: ast.Call, owner: ast.expr, name: str, args: Sequence[ast.expr], kws: Sequence[ast.keyword] = ()
) -> ast.expr:
    return at(call, ast.Call(ast.Attribute(owner, name), list(args), list(kws)))


def at(origin: ast.AST, node: ast.expr) -> ast.expr:
    """A built node at the place of the one it stands for."""
    return ast.fix_missing_locations(ast.copy_location(node, origin))
