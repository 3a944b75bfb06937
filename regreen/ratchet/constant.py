"""Constants in test code: folding expressions to values without running anything of the target.

Only literals, operators on them and a short list of pure builtins and string methods are computed here, within
size limits; everything else is `NotConstantError`.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_LIMIT: Final = 20_000
"""The longest text or collection that folding may produce."""


class NotConstantError(Exception):
    """The expression has no value that can be known from the text alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """A known value. Equality and hash go by type and value, so that `1`, `1.0` and `True` stay apart."""

    value: object
    key: str

    @classmethod
    def of(cls, value: object) -> Const:
        return cls(value, describe(value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def describe(value: object) -> str:
    """A text that is equal for equal values of equal types; order in sets and dicts does not matter."""
    if isinstance(value, dict):
        items = sorted(f"{describe(key)}: {describe(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{{" + ", ".join(sorted(map(describe, value))) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(describe, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(describe, value)) + ",)"
    return repr(value)


_BINARY: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
TYPES: Final[Mapping[str, type]] = {
    kind.__name__: kind
    for kind in (bool, bytes, bytearray, complex, dict, float, frozenset, int, list, object, set, str, tuple)
}
_CALLS: Final[Mapping[str, Callable[..., object]]] = {
    "len": len,
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "sorted": sorted,
    "min": min,
    "max": max,
    "sum": sum,
    "abs": abs,
    "repr": repr,
    "any": any,
    "all": all,
    "enumerate": lambda *a: list(enumerate(*a)),
    "zip": lambda *a: list(zip(*a, strict=False)),
    "range": lambda *a: list(range(*a)) if len(range(*a)) <= 200 else [][1],
    "isinstance": isinstance,
}
_METHODS: Final = frozenset(
    [
        "startswith",
        "endswith",
        "lower",
        "upper",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "splitlines",
        "join",
        "encode",
        "decode",
        "replace",
        "count",
        "find",
        "index",
        "title",
        "capitalize",
        "isdigit",
        "isalpha",
        "items",
        "keys",
        "values",
        "get",
        "removeprefix",
        "removesuffix",
    ]
)

Hook = Callable[[ast.expr], Const | None]


def fold(node: ast.expr, hook: Hook) -> object:
    """The value of an expression. `hook` answers for names (and any part) first. Raises `NotConstantError`."""
    try:
        value = _fold(node, hook)
    except NotConstantError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NotConstantError(str(error)) from error
    if isinstance(value, str | bytes | list | tuple | set | dict) and len(value) > _LIMIT:
        raise NotConstantError("too large")
    return value


def _fold(node: ast.expr, hook: Hook) -> Any:
    known = hook(node)
    if known is not None:
        return known.value
    match node:
        case ast.Constant():
            return node.value
        case ast.Tuple() | ast.List() | ast.Set():
            items = [_fold(item, hook) for item in node.elts]
            return tuple(items) if isinstance(node, ast.Tuple) else items if isinstance(node, ast.List) else set(items)
        case ast.Dict():
            if any(key is None for key in node.keys):
                raise NotConstantError("unpacked dict")
            pairs = zip(node.keys, node.values, strict=True)
            return {_fold(key, hook): _fold(value, hook) for key, value in pairs if key is not None}
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_fold(node.operand, hook))
        case ast.BinOp():
            return _binary(node.op, _fold(node.left, hook), _fold(node.right, hook))
        case ast.BoolOp():
            values = [_fold(item, hook) for item in node.values]
            stop = isinstance(node.op, ast.Or)
            return next((value for value in values if bool(value) is stop), values[-1])
        case ast.Compare():
            sides = [_fold(item, hook) for item in (node.left, *node.comparators)]
            return all(
                _COMPARE[type(op)](left, right) for op, left, right in zip(node.ops, sides, sides[1:], strict=False)
            )
        case ast.Subscript():
            return _fold(node.value, hook)[_index(node.slice, hook)]
        case ast.JoinedStr():
            return "".join(_formatted(part, hook) for part in node.values)
        case ast.Call():
            return _call(node, hook)
    raise NotConstantError(type(node).__name__)


def _formatted(part: ast.expr, hook: Hook) -> str:
    if isinstance(part, ast.FormattedValue):
        if part.format_spec is not None:
            raise NotConstantError("a format specification")
        value = _fold(part.value, hook)
        return repr(value) if part.conversion == ord("r") else str(value)
    return str(_fold(part, hook))


def _index(node: ast.expr, hook: Hook) -> Any:
    if isinstance(node, ast.Slice):
        return slice(*(None if part is None else _fold(part, hook) for part in (node.lower, node.upper, node.step)))
    return _fold(node, hook)


def _binary(op: ast.operator, left: Any, right: Any) -> object:
    if isinstance(op, ast.Pow):
        if not (isinstance(left, int | float) and isinstance(right, int) and 0 <= right <= 128 and abs(left) <= 10**6):
            raise NotConstantError("a large power")
        return left**right
    if isinstance(op, ast.Mult):
        sizes = [len(side) for side in (left, right) if isinstance(side, str | bytes | list | tuple)]
        factors = [side for side in (left, right) if isinstance(side, int)]
        if sizes and factors and sizes[0] * abs(factors[0]) > _LIMIT:
            raise NotConstantError("too large")
    formats = isinstance(op, ast.Mod) and isinstance(left, str | bytes)
    if formats and (isinstance(left, bytes) or re.search("%[^sdr%]", left)):
        raise NotConstantError("formatting")  # widths such as %999999999d make it unbounded
    if type(op) not in _BINARY:
        raise NotConstantError("operator")
    return _BINARY[type(op)](left, right)


def _call(node: ast.Call, hook: Hook) -> object:
    if any(isinstance(arg, ast.Starred) for arg in node.args) or any(kw.arg is None for kw in node.keywords):
        raise NotConstantError("unpacked arguments")
    keywords = {kw.arg: _fold(kw.value, hook) for kw in node.keywords if kw.arg}
    if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        if node.func.id == "isinstance":
            return isinstance(_fold(node.args[0], hook), builtin_types(node.args[1]))
        return _CALLS[node.func.id](*(_fold(arg, hook) for arg in node.args), **keywords)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "format" and not keywords:
        text = _fold(node.func.value, hook)
        if isinstance(text, str) and not re.search(r"\{[^}]|\}\}", text):
            return text.format(*(_fold(arg, hook) for arg in node.args))
    if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        owner = _fold(node.func.value, hook)
        if isinstance(owner, str | bytes | dict | list | tuple):
            result: object = getattr(owner, node.func.attr)(*(_fold(arg, hook) for arg in node.args), **keywords)
            return list(result) if node.func.attr in {"items", "keys", "values"} else result  # type: ignore[call-overload]
    raise NotConstantError("call")


def builtin_types(node: ast.expr) -> tuple[type, ...]:
    """The builtin types that an isinstance argument names. Raises `NotConstantError` for any other class."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return builtin_types(node.left) + builtin_types(node.right)
    if all(isinstance(part, ast.Name) and part.id in TYPES for part in parts):
        return tuple(TYPES[part.id] for part in parts if isinstance(part, ast.Name))
    raise NotConstantError("not a builtin type")
