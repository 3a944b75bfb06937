"""What an expression is, given a row, the parameters and the graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twin.backing.cypher import functions, tree, values
from twin.backing.cypher.errors import ARITHMETIC, PARAMETER, SYNTAX, TYPE, CypherError, unsupported
from twin.backing.cypher.graph import Edge, Graph, Node

AGGREGATES: Final = frozenset({"count", "sum", "avg", "min", "max", "collect", "stdev"})
Row = Mapping[str, Any]


@dataclass(slots=True)
class Scope:
    """What expressions rest on. `matches` finds patterns, for EXISTS."""

    graph: Graph
    parameters: Mapping[str, Any]
    matches: Callable[[tuple[tree.Path, ...], tree.Expression | None, Row], Iterator[Row]]


def evaluate(what: tree.Expression, row: Row, scope: Scope) -> Any:
    """CypherError for what cannot be."""
    return _HOW[type(what)](what, row, scope)


def true(what: tree.Expression | None, row: Row, scope: Scope) -> bool:
    """Whether a condition holds; unknown does not."""
    return what is None or evaluate(what, row, scope) is True


def children(what: tree.Expression) -> Iterator[tree.Expression]:
    """The expressions right inside another."""
    for name in what.__slots__:
        value = getattr(what, name)
        yield from _inside(value)


def _inside(value: Any) -> Iterator[tree.Expression]:
    if isinstance(value, tuple):
        for each in value:
            yield from _inside(each)
    elif type(value) in _HOW:
        yield value


def aggregates(what: tree.Expression) -> bool:
    """Whether it counts or collects over rows."""
    if isinstance(what, tree.Call) and what.name in AGGREGATES:
        return True
    return any(aggregates(each) for each in children(what))


def _literal(what: tree.Literal, row: Row, scope: Scope) -> Any:
    return what.value


def _parameter(what: tree.Parameter, row: Row, scope: Scope) -> Any:
    if what.name not in scope.parameters:
        raise CypherError(PARAMETER, f"Expected parameter(s): {what.name}")
    return scope.parameters[what.name]


def _variable(what: tree.Variable, row: Row, scope: Scope) -> Any:
    try:
        return row[what.name]
    except KeyError:
        raise CypherError(SYNTAX, f"Variable `{what.name}` not defined") from None


def _property(what: tree.Property, row: Row, scope: Scope) -> Any:
    return _get(evaluate(what.of, row, scope), what.key)


def _get(of: Any, key: str) -> Any:
    if of is None:
        return None
    if isinstance(of, (Node, Edge)):
        return of.properties.get(key)
    if isinstance(of, dict):
        return of.get(key)
    if hasattr(of, key) and key in ("year", "month", "day", "hour", "minute", "second"):
        return getattr(of, key)
    raise CypherError(TYPE, f"Type mismatch: expected a map, node or relationship but was {functions.type_name(of)}")


def _index(what: tree.Index, row: Row, scope: Scope) -> Any:
    of, at = evaluate(what.of, row, scope), evaluate(what.at, row, scope)
    if of is None or at is None:
        return None
    if isinstance(at, str):
        return _get(of, at)
    if not isinstance(of, list) or not isinstance(at, int):
        raise CypherError(TYPE, f"Cannot access {functions.type_name(of)} by {functions.type_name(at)}")
    return of[at] if -len(of) <= at < len(of) else None


def _slice(what: tree.Slice, row: Row, scope: Scope) -> Any:
    of = evaluate(what.of, row, scope)
    start = evaluate(what.start, row, scope) if what.start is not None else 0
    end = evaluate(what.end, row, scope) if what.end is not None else None
    if of is None or start is None or (what.end is not None and end is None):
        return None
    return of[start:end]


def _unary(what: tree.Unary, row: Row, scope: Scope) -> Any:
    of = evaluate(what.of, row, scope)
    if what.sign == "IS NULL":
        return of is None
    if what.sign == "IS NOT NULL":
        return of is not None
    if of is None:
        return None
    if what.sign == "NOT":
        return not _boolean(of)
    if isinstance(of, bool) or not isinstance(of, (int, float)):
        raise CypherError(TYPE, f"Type mismatch: expected a number but was {functions.type_name(of)}")
    return -of


def _boolean(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise CypherError(TYPE, f"Type mismatch: expected Boolean but was {functions.type_name(value)}")


def _binary(what: tree.Binary, row: Row, scope: Scope) -> Any:
    sign = what.sign
    left = evaluate(what.left, row, scope)
    if sign in ("AND", "OR", "XOR"):
        return _logic(sign, _boolean(left), what.right, row, scope)
    right = evaluate(what.right, row, scope)
    if sign == "=":
        return values.equal(left, right)
    if sign == "<>":
        same = values.equal(left, right)
        return None if same is None else not same
    if sign == "<":
        return values.less(left, right)
    if sign == ">":
        return values.less(right, left)
    if sign in ("<=", ">="):
        one, other = (left, right) if sign == "<=" else (right, left)
        below = values.less(one, other)
        return None if below is None else below or bool(values.equal(one, other))
    if sign == "IN":
        return _in(left, right)
    if left is None or right is None:
        return None
    if sign in _TEXTS:
        return _TEXTS[sign](left, right) if isinstance(left, str) and isinstance(right, str) else None
    return _arithmetic(sign, left, right)


_TEXTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "STARTS WITH": lambda left, right: left.startswith(right),
    "ENDS WITH": lambda left, right: left.endswith(right),
    "CONTAINS": lambda left, right: right in left,
    "=~": lambda left, right: re.fullmatch(right, left) is not None,
}


def _logic(sign: str, left: bool | None, other: tree.Expression, row: Row, scope: Scope) -> bool | None:
    if (sign == "AND" and left is False) or (sign == "OR" and left is True):
        return left
    right = _boolean(evaluate(other, row, scope))
    if sign == "XOR":
        return None if left is None or right is None else left != right
    decided = sign == "OR"
    if right is decided:
        return decided
    return None if left is None or right is None else not decided


def _in(left: Any, right: Any) -> bool | None:
    if right is None:
        return None
    if not isinstance(right, list):
        raise CypherError(TYPE, f"Type mismatch: expected a list but was {functions.type_name(right)}")
    found = [values.equal(left, each) for each in right]
    return True if True in found else None if None in found else False


def _arithmetic(sign: str, left: Any, right: Any) -> Any:
    if sign == "+" and (isinstance(left, list) or isinstance(right, list)):
        return (left if isinstance(left, list) else [left]) + (right if isinstance(right, list) else [right])
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        return functions.text(left) + functions.text(right)
    for each in (left, right):
        if isinstance(each, bool) or not isinstance(each, (int, float)):
            raise CypherError(TYPE, f"Type mismatch: expected a number but was {functions.type_name(each)}")
    whole = isinstance(left, int) and isinstance(right, int)
    if sign in ("/", "%") and right == 0 and whole:
        raise CypherError(ARITHMETIC, "/ by zero")
    if sign == "/":
        if whole:
            # Cypher rounds towards zero, Python down.
            return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return left / right if right else float("nan") if not left else float("inf") if left > 0 else float("-inf")
    if sign == "%":
        return left - right * int(left / right) if right else float("nan")
    if sign == "^":
        return float(left**right)
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def _labels(what: tree.HasLabels, row: Row, scope: Scope) -> Any:
    of = evaluate(what.of, row, scope)
    if of is None:
        return None
    return of.type in what.labels if isinstance(of, Edge) else set(what.labels) <= of.labels


def _call(what: tree.Call, row: Row, scope: Scope) -> Any:
    if what.name in AGGREGATES:
        raise CypherError(SYNTAX, f"Invalid use of aggregating function {what.name}(...) in this context")
    if what.name == "coalesce":
        return next((found for each in what.arguments if (found := evaluate(each, row, scope)) is not None), None)
    return functions.call(what.name, [evaluate(each, row, scope) for each in what.arguments])


def _list(what: tree.ListOf, row: Row, scope: Scope) -> Any:
    return [evaluate(each, row, scope) for each in what.items]


def _map(what: tree.MapOf, row: Row, scope: Scope) -> Any:
    return {name: evaluate(each, row, scope) for name, each in what.items}


def _projection(what: tree.Projection, row: Row, scope: Scope) -> Any:
    of = evaluate(what.of, row, scope)
    if of is None:
        return None
    found = dict(of if isinstance(of, dict) else of.properties) if what.everything else {}
    for name, each in what.items:
        found[name] = _get(of, name) if each is None else evaluate(each, row, scope)
    return found


def _case(what: tree.Case, row: Row, scope: Scope) -> Any:
    subject = evaluate(what.subject, row, scope) if what.subject is not None else None
    for when, then in what.branches:
        met = evaluate(when, row, scope)
        if (met is True) if what.subject is None else values.equal(subject, met):
            return evaluate(then, row, scope)
    return evaluate(what.otherwise, row, scope) if what.otherwise is not None else None


def _each(what: tree.Each, row: Row, scope: Scope) -> Any:
    of = evaluate(what.of, row, scope)
    if of is None:
        return None
    rows = [{**row, what.name: item} for item in of]
    if what.quantifier:
        count = sum(true(what.where, each, scope) for each in rows)
        return {"any": count > 0, "all": count == len(rows), "none": count == 0, "single": count == 1}[what.quantifier]
    kept = [each for each in rows if true(what.where, each, scope)]
    return [each[what.name] if what.result is None else evaluate(what.result, each, scope) for each in kept]


def _exists(what: tree.Exists, row: Row, scope: Scope) -> Any:
    return next(scope.matches(what.paths, what.where, row), None) is not None


_HOW: Final[dict[type, Callable[..., Any]]] = {
    tree.Literal: _literal, tree.Parameter: _parameter, tree.Variable: _variable, tree.Property: _property,
    tree.Index: _index, tree.Slice: _slice, tree.Unary: _unary, tree.Binary: _binary, tree.HasLabels: _labels,
    tree.Call: _call, tree.ListOf: _list, tree.MapOf: _map, tree.Projection: _projection, tree.Case: _case,
    tree.Each: _each, tree.Exists: _exists,
}  # fmt: skip


def aggregate(what: tree.Expression, rows: list[Row], scope: Scope) -> Any:
    """An expression that counts over these rows; outside of the aggregates the first row stands for all."""
    if isinstance(what, tree.Call) and what.name in AGGREGATES:
        return _total(what, rows, scope)
    if not aggregates(what):
        return evaluate(what, rows[0] if rows else {}, scope)
    return evaluate(_filled(what, rows, scope), rows[0] if rows else {}, scope)


def _filled(what: Any, rows: list[Row], scope: Scope) -> Any:
    """The same expression with each aggregate replaced by its value."""
    if isinstance(what, tuple):
        return tuple(_filled(each, rows, scope) for each in what)
    if type(what) not in _HOW:
        return what
    if isinstance(what, tree.Call) and what.name in AGGREGATES:
        return tree.Literal(_total(what, rows, scope))
    if isinstance(what, tree.Exists):
        raise unsupported("a pattern beside an aggregate")
    return type(what)(*(_filled(getattr(what, name), rows, scope) for name in what.__slots__))


def _total(what: tree.Call, rows: list[Row], scope: Scope) -> Any:
    if what.star:
        return len(rows)
    if len(what.arguments) != 1:
        raise CypherError(SYNTAX, f"{what.name}() takes one argument")
    found = [value for row in rows if (value := evaluate(what.arguments[0], row, scope)) is not None]
    if what.distinct:
        found = values.distinct(found, lambda value: value)
    return functions.total(what.name, found)
