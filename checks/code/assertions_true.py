"""Assertions expect what the tree says.

A test that compares a constant of the tree (or its length: a literal collection, an enum) with a number that is not
its value fails for a reason that can be read off: either the product changed and the test did not, or the other way
round. Both values and the place that gives them are reported; which of the two is wrong only a person can say, and
weakening the assertion (`== 3` to `>= 1`) answers nothing. Only what the source proves is judged: a literal that is
bound once at the top level and not changed in its own module or in the test's. What only a run shows is not for here.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from regreen.facts.source import Context, Index, Interests, dotted
from regreen.facts.source.modules import modules
from regreen.facts.source.structure import CONDITIONAL, DECORATED
from regreen.facts.source.testcode import FunctionNode, Suite, own_expressions, parsed, parts, qualified
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.assertions-true"
VERSION: Final = 1
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.pytest.org/en/stable/how-to/assert.html"

_OPERATORS: Final[dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]]] = {
    ast.Eq: ("==", operator.eq), ast.NotEq: ("!=", operator.ne), ast.Lt: ("<", operator.lt), ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt), ast.GtE: (">=", operator.ge), ast.Is: ("is", operator.eq),
}  # fmt: skip
_SIGNS: Final = dict(_OPERATORS.values())
_SWAPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ENUMS: Final = frozenset({"Enum", "IntEnum", "StrEnum"})
_CHANGING: Final = (
    r"\b{name}\s*(?:\.(?:append|extend|insert|update|add|remove|pop|popitem|clear|discard|setdefault|register)\b"
    r"|\[[^\]\n]*\]\s*=[^=]|(?:\+|\||-|&)=)|\bdel\s+{name}\b|[\"']{name}[\"']|\bglobal\b[^\n]*\b{name}\b"
)


def _test(node: ast.stmt, ctx: Context) -> None:
    assert isinstance(node, FunctionNode)
    bound: set[str] | None = None
    for statement in parts(node, ctx).asserts:
        if not isinstance(statement.test, ast.Compare):
            continue
        asked = _asked(statement.test)
        if asked is None:
            continue
        kind, name, sign, expected = asked
        if bound is None:
            bound = _bound(node)
        if name.partition(".")[0] not in bound:
            ctx.emit(kind, qualified(ctx, node), ctx.at(statement), name, sign, expected, ctx.segment(statement)[:160])


def _asked(test: ast.Compare) -> tuple[str, str, str, Any] | None:
    """(what, name, sign, value) of `NAME == value` or `len(NAME) == value`, either way round."""
    if len(test.ops) != 1 or type(test.ops[0]) not in _OPERATORS:
        return None
    sign = _OPERATORS[type(test.ops[0])][0]
    left, right = test.left, test.comparators[0]
    if isinstance(left, ast.Constant):
        left, right, sign = right, left, _SWAPPED.get(sign, sign)
    if not isinstance(right, ast.Constant) or not isinstance(right.value, int | float | str) or right.value is None:
        return None
    if isinstance(left, ast.Call):
        if not (
            isinstance(left.func, ast.Name) and left.func.id == "len" and len(left.args) == 1 and not left.keywords
        ):
            return None
        name = dotted(left.args[0])
        return ("size", name, sign, right.value) if name and type(right.value) is int else None
    name = dotted(left)
    return ("value", name, sign, right.value) if name.rpartition(".")[2].isupper() else None


def _bound(node: FunctionNode) -> set[str]:
    names = {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    for inner in own_expressions(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            names.add(inner.id)
        elif isinstance(inner, ast.alias):
            names.add((inner.asname or inner.name).partition(".")[0])
    return names


INTERESTS: Final = Interests(tests=_test, needles=("assert",))


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per assertion that the tree's own constants refute."""
    suite = Suite.of(index)
    sources: dict[str, tuple[str, ast.Module | None]] = {}
    findings = []
    for file, (kind, qualname, position, name, sign, expected, snippet) in index.records(ID):
        if not suite.is_test(file, qualname):
            continue
        symbol = modules(index).named(file.path, name)
        owner = index.files.get(symbol.path)
        if symbol.state != "defined" or owner is None or symbol.bits & (CONDITIONAL | DECORATED):
            continue
        text, tree = _source(index, symbol.path, sources)
        found = _literal(tree, symbol.name, kind) if tree is not None else None
        if found is None:
            continue
        actual, line, constant = found
        changing = re.compile(_CHANGING.format(name=re.escape(symbol.name)))
        if changing.search(text) or changing.search(_source(index, file.path, sources)[0]):
            continue
        if not constant and not symbol.name.isupper():
            continue
        try:
            holds = _SIGNS[sign](actual, expected)
        except TypeError:
            continue
        if holds:
            continue
        what = f"{name} has {actual} entries" if kind == "size" else f"{name} is {actual!r}"
        findings.append(
            index.finding(
                ID,
                SEVERITY,
                file,
                position,
                scope=qualname,
                observed=f"{sign} {expected!r} is expected, but {what} ({symbol.path}:{line})",
                expected="an expectation that the product meets, or a product that meets it: a person decides",
                snippet=snippet,
                data={"expected": repr(expected), "actual": repr(actual), "source": f"{symbol.path}:{line}"},
            )
        )
    return Verdict.of(ID, suite.functions, findings)


def _source(index: Index, path: str, known: dict[str, tuple[str, ast.Module | None]]) -> tuple[str, ast.Module | None]:
    if path not in known:
        try:
            raw = index.tree.read(path)
            known[path] = (raw.decode("utf-8", "replace"), parsed(raw))
        except (OSError, SyntaxError, ValueError):
            known[path] = ("", None)
    return known[path]


def _literal(tree: ast.Module, name: str, kind: str) -> tuple[Any, int, bool] | None:
    """(value or size, line, whether it cannot change) of a top-level name that is bound exactly once."""
    found: list[tuple[Any, int, bool] | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            found.append(_enum(node) if kind == "size" else None)
        elif isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store | ast.Del):
            found.append(None)
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target: ast.expr = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        else:
            continue
        if isinstance(target, ast.Name) and target.id == name and statement.value is not None:
            measured = _measure(statement.value, kind)
            if measured is not None and len(found) == 1:
                return (measured[0], statement.lineno, measured[1])
    return found[0] if len(found) == 1 else None


def _measure(value: ast.expr, kind: str) -> tuple[Any, bool] | None:
    if kind == "value":
        try:
            literal = ast.literal_eval(value)
        except ValueError:
            return None
        return (literal, True) if isinstance(literal, int | float | str) else None
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and len(value.args) == 1 and not value.keywords:
        inner = _measure(value.args[0], kind)
        if value.func.id in ("tuple", "list", "frozenset", "set") and inner is not None:
            distinct = value.func.id in ("tuple", "list") or _distinct(value.args[0])
            return (inner[0], value.func.id in ("tuple", "frozenset")) if distinct else None
        return None
    if isinstance(value, ast.Dict):
        keys = [ast.dump(key) for key in value.keys if isinstance(key, ast.Constant)]
        whole = len(keys) == len(value.keys) == len(set(keys))
        return (len(keys), False) if whole else None
    if isinstance(value, ast.List | ast.Tuple | ast.Set):
        if any(isinstance(element, ast.Starred) for element in value.elts):
            return None
        if isinstance(value, ast.Set) and not _distinct(value):
            return None
        return (len(value.elts), isinstance(value, ast.Tuple))
    return None


def _distinct(value: ast.expr) -> bool:
    if not isinstance(value, ast.List | ast.Tuple | ast.Set):
        return False
    texts = [ast.dump(element) for element in value.elts if isinstance(element, ast.Constant)]
    return len(texts) == len(value.elts) == len(set(texts))


def _enum(node: ast.ClassDef) -> tuple[int, int, bool] | None:
    if not any(dotted(base).rpartition(".")[2] in _ENUMS for base in node.bases) or node.decorator_list:
        return None
    values: list[str] = []
    for statement in node.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                if isinstance(statement.value, ast.Constant):
                    values.append(ast.dump(statement.value))
                elif (
                    isinstance(statement.value, ast.Call) and dotted(statement.value.func).rpartition(".")[2] == "auto"
                ):
                    values.append(target.id)
                else:
                    return None
        elif not isinstance(statement, FunctionNode | ast.Expr | ast.Pass):
            return None
    return (len(set(values)), node.lineno, True) if values else None


_CODES: Final = "CODES = {'a': 1, 'b': 2, 'c': 3}\nLIMIT = 5\nNAMES = ('x', 'y')\nnames = ['x']\n"
_ENUM: Final = (
    "from enum import Enum\n\n\nclass Kind(Enum):\n    A = 1\n    B = 2\n    ALIAS = 1\n\n    def f(self): ...\n"
)


def _asserts(test: str, app: str = _CODES) -> dict[str, str]:
    text = f"import app\nfrom app import *\nfrom app import CODES, LIMIT, NAMES, Kind\n\n\ndef test_a():\n    assert {test}\n"
    return {"app.py": app, "test_a.py": text.replace("from app import *\n", "")}


EXAMPLES: Final = (
    Example("the length of a dict", _asserts("len(CODES) == 2"), fires=1),
    Example("through the module, the other way round", _asserts("4 <= len(app.CODES)"), fires=1),
    Example("a constant", _asserts("LIMIT == 3"), fires=1),
    Example("an enum without its aliases", _asserts("len(Kind) == 3", _ENUM), fires=1),
    Example("a bound that does not hold", _asserts("len(NAMES) > 2"), fires=1),
    Example("true", _asserts("len(CODES) == 3")),
    Example("true of an enum", _asserts("len(Kind) == 2", _ENUM)),
    Example("a bound that holds", _asserts("len(CODES) >= 1")),
    Example("changed in its module", _asserts("len(CODES) == 2", _CODES + "CODES.update(d=4)\n")),
    Example("bound twice", _asserts("LIMIT == 3", _CODES + "LIMIT = 3\n")),
    Example("bound under if", _asserts("LIMIT == 3", "if f():\n    LIMIT = 5\nelse:\n    LIMIT = 3\n")),
    Example("computed", _asserts("len(CODES) == 2", "CODES = {**f(), 'a': 1}\n")),
    Example("not a constant by its name", _asserts("len(app.names) == 2")),
    Example("a local of that name", {
        "app.py": _CODES, "test_a.py": "from app import CODES\n\n\ndef test_a():\n    CODES = f()\n    assert len(CODES) == 2\n",
    }),
    Example("patched by the test", {
        "app.py": _CODES,
        "test_a.py": "import app\n\n\ndef test_a(monkeypatch):\n    monkeypatch.setattr(app, 'LIMIT', 3)\n    assert app.LIMIT == 3\n",
    }),
    Example("not in this tree", {"test_a.py": "from lib import LIMIT\n\n\ndef test_a():\n    assert LIMIT == 3\n"}),
)  # fmt: skip
