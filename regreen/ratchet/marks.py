"""Decorators and marks of a test: what may skip it, what it is run with, what they replace."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from .assertion import formula
from .constant import Const
from .expression import Scope, Value, constant, value
from .formula import FALSE, TRUE, Formula, negate
from .obligation import Guard
from .source import dotted, last_name

_NEUTRAL: Final = frozenset(
    [
        "parametrize",
        "usefixtures",
        "asyncio",
        "anyio",
        "trio",
        "gen_test",
        "timeout",
        "filterwarnings",
        "django_db",
        "staticmethod",
        "classmethod",
        "override",
        "typing_extensions.override",
        "no_type_check",
        "xdist_group",
        "order",
        "dependency",
        "benchmark",
        "wraps",
        "tryfirst",
        "benchmark",
        "gen_cluster",
        "coroutine",
        "unittest_run_loop",
        "with_config",
    ]
)
_RETRIES: Final = frozenset({"flaky", "rerun", "retry"})


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a parametrization: a value for each name, and the guards of its own marks.

    `shown` are the values in shallow reading, in which a name is the same wherever the product defines it.
    """

    values: tuple[Value, ...]
    guards: tuple[Guard, ...] = ()
    shown: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "(" + ", ".join(v.text for v in self.values) + ")"


@dataclass(frozen=True, slots=True)
class Cases:
    """A parametrization; `rows` is None where the rows cannot be read, and `text` then stands for them."""

    names: tuple[str, ...]
    rows: tuple[Case, ...] | None
    text: str
    line: int


@dataclass(slots=True)
class Marks:
    """What decorates a test, from the function outwards to the module."""

    guards: list[Guard] = field(default_factory=list)
    cases: list[Cases] = field(default_factory=list)
    patches: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    others: dict[str, str] = field(default_factory=dict)
    fixtures: set[str] = field(default_factory=set)
    retries: bool = False


def read(decorators: Iterable[ast.expr], scope: Scope) -> Marks:
    """Read the marks that a list of expressions puts on a test."""
    marks = Marks()
    for node in decorators:
        _read(node, scope, marks, 0)
    return marks


def module_marks(body: Sequence[ast.stmt]) -> list[ast.expr]:
    """The marks that `pytestmark` puts on everything in a module or class."""
    found: list[ast.expr] = []
    for node in body:
        if isinstance(node, ast.Assign) and any(last_name(target) == "pytestmark" for target in node.targets):
            found = list(node.value.elts) if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return found


def _read(node: ast.expr, scope: Scope, marks: Marks, depth: int) -> None:
    call = node if isinstance(node, ast.Call) else None
    callee = call.func if call else node
    full, name = dotted(callee), last_name(callee)
    if depth < 4 and isinstance(node, ast.Name):
        target = scope.module.assigns.get(node.id)
        if target is not None:
            return _read(target, scope, marks, depth + 1)
        origin = scope.module.imports.get(node.id)
        found = scope.project.find(origin, scope.module.path) if origin else None
        if found and found[1] in found[0].assigns:
            inside = Scope(scope.project, found[0])
            return _read(found[0].assigns[found[1]], inside, marks, depth + 1)
    args = list(call.args) if call else []
    keywords = {kw.arg: kw.value for kw in call.keywords if kw.arg} if call else {}
    if name == "parametrize" and call is not None:
        _parametrize(call, args, keywords, scope, marks)
    elif name in {"skip", "skipif", "skipIf", "skipUnless", "xfail", "expectedFailure", "xfail_strict"}:
        guard = _guard(name, args, keywords, scope)
        if guard is not None:
            marks.guards.append(guard)
    elif name == "usefixtures":
        marks.fixtures |= {c.value for c in (constant(arg, scope) for arg in args) if c and isinstance(c.value, str)}
    elif name in _RETRIES:
        marks.retries = True
    elif full.split(".")[0] in {"mock", "patch", "unittest"} or ".patch" in f".{full}":
        _patched(call, scope, marks)
    elif name in _NEUTRAL or not name:
        marks.names.add(name)
    else:
        text = value(node, scope.at(deep=True)).text
        marks.others[name] = text
        marks.names.add(name)
    return None


def _guard(name: str, args: Sequence[ast.expr], keywords: dict[str, ast.expr], scope: Scope) -> Guard | None:
    kind = "xfail" if name in {"xfail", "expectedFailure", "xfail_strict"} else "skip"
    conditions = list(args[:1]) if name in {"skipif", "skipIf", "skipUnless", "xfail"} else []
    if "condition" in keywords:
        conditions = [keywords["condition"]]
    skips: Formula = TRUE
    if conditions:
        first = conditions[0]
        known = constant(first, scope)
        if known is not None and isinstance(known.value, str) and name != "skip":
            if name == "xfail" and not args:
                skips = TRUE
            else:
                try:
                    first = ast.parse(known.value, mode="eval").body
                    skips = formula(first, scope)
                except SyntaxError:
                    pass
        else:
            skips = formula(first, scope)
    runs = skips if name == "skipUnless" else negate(skips)
    if runs == TRUE:
        return None
    extra = ""
    if kind == "xfail":
        extra = ",".join(
            sorted(f"{k}={value(v, scope).text}" for k, v in keywords.items() if k in {"raises", "strict"})
        )
    text = f"{kind} unless {runs}{' ' + extra if extra else ''}" if conditions else f"{kind} {extra}".strip()
    return Guard(kind, text, text, runs if runs != FALSE else None)


def _patched(call: ast.Call | None, scope: Scope, marks: Marks) -> None:
    if call is None or any(kw.arg == "wraps" for kw in call.keywords) or last_name(call.func) == "dict":
        return
    texts = [c.value for c in (constant(arg, scope) for arg in call.args[:2]) if c and isinstance(c.value, str)]
    if texts:
        owner = dotted(call.args[0])
        origin = scope.module.imports.get(owner.split(".")[0], owner)
        marks.patches[texts[0].rsplit(".", 1)[-1]] = texts[0] if "." in texts[0] else f"{origin}.{texts[0]}"


def _parametrize(
    call: ast.Call, args: Sequence[ast.expr], keywords: dict[str, ast.expr], scope: Scope, marks: Marks
) -> None:
    names_node = args[0] if args else keywords.get("argnames")
    rows_node = args[1] if len(args) > 1 else keywords.get("argvalues")
    if names_node is None or rows_node is None:
        return
    known = constant(names_node, scope)
    names: tuple[str, ...] = ()
    if known is not None and isinstance(known.value, str):
        names = tuple(part.strip() for part in known.value.split(",") if part.strip())
    elif known is not None and isinstance(known.value, list | tuple):
        names = tuple(str(part) for part in known.value)
    rows = _rows(rows_node, len(names), scope, 0)
    text = value(rows_node, scope.at(deep=True)).text
    marks.cases.append(Cases(names, None if rows is None else tuple(rows), text, call.lineno))


def _rows(node: ast.expr, width: int, scope: Scope, depth: int) -> list[Case] | None:
    """The rows of argvalues: a literal, a name for one, literals added together, or a foldable expression."""
    if isinstance(node, ast.Name) and node.id in scope.module.assigns and depth < 4:
        return _rows(scope.module.assigns[node.id], width, scope, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _rows(node.left, width, scope, depth), _rows(node.right, width, scope, depth)
        return None if left is None or right is None else left + right
    if (
        isinstance(node, ast.Call)
        and last_name(node.func) in {"list", "tuple", "sorted", "set"}
        and len(node.args) == 1
    ):
        return _rows(node.args[0], width, scope, depth)
    if isinstance(node, ast.Call) and last_name(node.func) == "chain" and not node.keywords:
        parts = [_rows(arg, width, scope, depth) for arg in node.args]
        return None if any(part is None for part in parts) else [row for part in parts for row in part or ()]
    if isinstance(node, ast.Call) and last_name(node.func) == "product" and not node.keywords and node.args:
        sides = [_rows(arg, 1, scope, depth) for arg in node.args]
        if width != len(sides) or any(side is None or any(row.guards for row in side) for side in sides):
            return None
        return [
            Case(
                tuple(row.values[0] for row in rows), (), tuple((row.shown or (row.values[0].text,))[0] for row in rows)
            )
            for rows in itertools.product(*(side or () for side in sides))
        ]
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        rows: list[Case] = []
        for item in node.elts:
            if isinstance(item, ast.Starred):
                inner = _rows(item.value, width, scope, depth)
                if inner is None:
                    return None
                rows += inner
            else:
                rows.append(_row(item, width, scope))
        return rows
    known = constant(node, scope)
    if known is not None and isinstance(known.value, list | tuple | set | dict | str):
        values = [Const.of(item) for item in known.value]
        return [_row_of(Value(c.key, ("const",), c), width) for c in values]
    return None


def _row(node: ast.expr, width: int, scope: Scope) -> Case:
    deep, shallow = scope.at(deep=True), scope.at(deep=False)
    if isinstance(node, ast.Call) and last_name(node.func) == "param":
        guards: tuple[Guard, ...] = ()
        for kw in node.keywords:
            if kw.arg == "marks":
                parts = kw.value.elts if isinstance(kw.value, ast.List | ast.Tuple) else [kw.value]
                guards = tuple(read(parts, scope).guards)
        shown = tuple(value(arg, shallow).text for arg in node.args)
        return Case(tuple(value(arg, deep) for arg in node.args), guards, shown)
    case = _row_of(value(node, deep), width)
    return replace(case, shown=tuple(item.text for item in _row_of(value(node, shallow), width).values))


def _row_of(item: Value, width: int) -> Case:
    if width == 1:
        return Case((item,))
    if item.items is not None and len(item.items) == width:
        return Case(item.items)
    if item.const is not None and isinstance(item.const.value, list | tuple) and len(item.const.value) == width:
        parts = [Const.of(part) for part in item.const.value]
        return Case(tuple(Value(part.key, ("const",), part) for part in parts))
    return Case((item,))
