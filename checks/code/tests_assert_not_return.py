"""Tests assert; they do not return what they found.

pytest ignores what a test function returns, so a test that ends in `return ok` cannot fail. Every release warns, except
8.4.0 (an error there); for an async test under pytest-asyncio there is no warning at all, so only the source shows it.
Only functions that pytest collects are judged: fixtures, generators, nested functions and methods of classes that are
not collected return as they please, and so do `return None` and a call whose value nothing in the file shows.
"""

from __future__ import annotations

import ast
from typing import Final

from regreen.facts.source import Context, Index, Interests
from regreen.facts.source.testcode import (
    FunctionNode,
    Suite,
    is_fixture,
    is_generator,
    parts,
    qualified,
)
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.tests-assert-not-return"
VERSION: Final = 3
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.pytest.org/en/stable/how-to/assert.html#return-not-none"

_RAISING: Final = frozenset({"skip", "fail", "xfail", "exit", "importorskip", "skipTest"})
_LIMIT: Final = 160


def _test(node: ast.stmt, ctx: Context) -> None:
    assert isinstance(node, FunctionNode)
    if node.name == "test_suite":  # unittest's own loading protocol
        return
    returns = [item for item in parts(node, ctx).returns if item.value is not None and not _is_none(item.value)]
    if not returns or is_fixture(node) or is_generator(node):
        return
    kinds = [_kind(statement.value, ctx) for statement in returns if statement.value is not None]
    known = [number for number, kind in enumerate(kinds) if kind]
    if not known:
        return
    first = returns[known[0]]
    words = list(dict.fromkeys(kinds[number] for number in known))
    ctx.emit(
        qualified(ctx, node),
        ctx.at(first),
        words,
        ctx.segment(first)[:_LIMIT],
        isinstance(node, ast.AsyncFunctionDef),
        all(word == _LEAVES for word in words),
    )


def _finish(ctx: Context) -> None:
    """A runner that imports modules and picks the tests in them by name reads values that nobody else seems to read."""
    source = ctx.source
    picks = (b'startswith("test' in source or b"startswith('test" in source) and b"getattr(" in source
    if picks and (b"import_module(" in source or b"__import__(" in source):
        ctx.emit("", (), (), "", False, False)


INTERESTS: Final = Interests(tests=_test, finish=_finish, needles=("return", "startswith"))


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


_LEAVES: Final = "a call that leaves the test"


def _kind(value: ast.expr, ctx: Context) -> str:
    """What is returned, in words; empty where it may well be None."""
    if isinstance(value, ast.Await):
        value = value.value
    if isinstance(value, ast.Constant):
        return repr(value.value) if isinstance(value.value, bool | int | float) else "a constant"
    if isinstance(value, ast.Compare | ast.BoolOp) or (
        isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
    ):
        return "a condition"
    if isinstance(value, ast.Tuple):
        return "a tuple"
    if isinstance(value, ast.Dict | ast.DictComp):
        return "a dict"
    if isinstance(value, ast.List | ast.ListComp | ast.Set | ast.SetComp | ast.GeneratorExp):
        return "a collection"
    if isinstance(value, ast.Call):
        return _call(value, ctx)
    if isinstance(value, ast.IfExp):
        return _kind(value.body, ctx) and "a value"
    if isinstance(value, ast.Lambda):
        return ""
    return "a value"


def _call(call: ast.Call, ctx: Context) -> str:
    function = call.func
    if isinstance(function, ast.Name):
        if function.id in ("all", "any", "bool", "isinstance", "issubclass", "callable", "hasattr"):
            return "a condition"
        if function.id in ("dict", "list", "tuple", "set", "len", "sum", "sorted", "str", "int", "float"):
            return "a value"
        if ctx.origin(function) in ("pytest.skip", "pytest.fail", "pytest.xfail"):
            return _LEAVES
        return "what a function returned" if _gives(function.id, ctx) else ""
    if isinstance(function, ast.Attribute):
        if function.attr in _RAISING and (ctx.origin(function).startswith("pytest.") or function.attr == "skipTest"):
            return _LEAVES
        if function.attr in (
            "startswith",
            "endswith",
            "issubset",
            "issuperset",
            "isdisjoint",
            "is_set",
            "exists",
            "json",
        ):
            return "a condition" if function.attr != "json" else "a value"
    return ""


def _gives(name: str, ctx: Context) -> bool:
    """Whether a function at the top level of this file returns a value."""
    table: dict[str, bool] | None = ctx.memo.get("functions that return")
    if table is None:
        table = ctx.memo["functions that return"] = {}
        for node in ctx.tree.body:
            if isinstance(node, FunctionNode):
                gives = any(item.value is not None and not _is_none(item.value) for item in parts(node, ctx).returns)
                table[node.name] = gives and not is_generator(node)
    return table.get(name, False)


def runners(index: Index) -> tuple[str, ...]:
    """Paths of the files that import modules and look up tests in them by name."""
    return tuple(file.path for file, record in index.records(ID) if not record[0])


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per test function."""
    suite = Suite.of(index)
    findings = []
    for file, (qualname, position, words, snippet, is_async, leaves) in index.records(ID):
        if not qualname or not suite.is_test(file, qualname):
            continue
        if "." in qualname and any(item.module.split(".")[0] in ("twisted", "tornado") for item in file.imports):
            continue  # their test methods hand a Deferred or a Future to the runner
        what = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
        findings.append(
            index.finding(
                ID,
                Severity.NOTE if leaves else SEVERITY,
                file,
                position,
                scope=qualname,
                observed=f"the {'async ' if is_async else ''}test returns {what}, which pytest ignores",
                expected="an assertion on what is returned",
                snippet=snippet,
            )
        )
    return Verdict.of(ID, suite.functions, findings)


_HEAD: Final = "import pytest\n\n\n"

EXAMPLES: Final = (
    Example("return True after asserts", {"test_a.py": "def test_a():\n    assert f()\n    return True\n"}, fires=1),
    Example("a condition", {"test_a.py": "def test_a():\n    return f() == 1\n"}, fires=1),
    Example("async", {"test_a.py": "async def test_a():\n    r = await f()\n    return r\n"}, fires=1),
    Example("a method", {"test_a.py": "class TestA:\n    def test_a(self):\n        return {'ok': f()}\n"}, fires=1),
    Example("a unittest method", {
        "test_a.py": "import unittest\n\n\nclass Cases(unittest.TestCase):\n    def test_a(self):\n        return True, 'x'\n",
    }, fires=1),
    Example("in try and except", {
        "test_a.py": "def test_a():\n    try:\n        f()\n        return True\n    except ValueError:\n        return False\n",
    }, fires=1),
    Example("under if, early", {"test_a.py": "def test_a():\n    if not f():\n        return False\n    assert f()\n"}, fires=1),
    Example("what a helper of the file returned", {
        "test_a.py": "def ok():\n    return f() == 1\n\n\ndef test_a():\n    return ok()\n",
    }, fires=1),
    Example("a configured name", {
        "check_a.py": "class AllTests:\n    def test_a(self):\n        return True\n",
        "pytest.ini": "[pytest]\npython_files = check_*.py\npython_classes = *Tests\n",
    }, fires=1),
    Example("a return that skips", {"test_a.py": _HEAD + "def test_a():\n    return pytest.skip('no')\n"}, fires=1),
    Example("return None and a bare return", {"test_a.py": "def test_a():\n    if f():\n        return\n    return None\n"}),
    Example("a tool of a framework's", {"test_a.py": "@function_tool\ndef test_tool():\n    return 'x'\n\n\n@app.task(bind=True)\ndef test_task(self):\n    return 1\n"}),
    Example("a mark named like one", {"test_a.py": "import pytest\n\n\n@pytest.mark.task\ndef test_a():\n    return f() == 1\n"}, fires=1),
    Example("a fixture", {"test_a.py": _HEAD + "@pytest.fixture\ndef test_client():\n    return f()\n"}),
    Example("another fixture", {"test_a.py": _HEAD + "@my.async_fixture(scope='module')\nasync def test_client():\n    return 1\n"}),
    Example("a nested function", {"test_a.py": "def test_a():\n    def g():\n        return 1\n    assert g() == 1\n"}),
    Example("a lambda and a nested class", {
        "test_a.py": "def test_a():\n    class A:\n        def f(self):\n            return 1\n    assert A().f()\n",
    }),
    Example("unittest's loading protocol", {"test_a.py": "def test_suite():\n    suite = f()\n    return suite\n"}),
    Example("a generator", {"test_a.py": "def test_a():\n    yield 1\n    return 2\n"}),
    Example("not a test module", {"app.py": "def test_connection():\n    return True\n"}),
    Example("a class that is not collected", {
        "test_a.py": "class Client:\n    def test_a(self):\n        return 1\n\n\nclass TestB:\n"
        "    def __init__(self):\n        pass\n\n    def test_b(self):\n        return 1\n",
    }),
    Example("a call that may return nothing", {"test_a.py": "from x import check\n\n\ndef test_a():\n    return check(1)\n"}),
    Example("a helper that returns nothing", {
        "test_a.py": "def check(x):\n    assert x\n\n\ndef test_a():\n    return check(1)\n",
    }),
    Example("a Deferred", {
        "test_a.py": "from twisted.trial import unittest\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n"
        "        d = f()\n        return d\n",
    }),
)  # fmt: skip
