"""Tests can fail.

Reported: an assertion that always holds (`assert True`, a non-empty tuple, `x == x`, `x or True`, `len(x) >= 0`);
a broad handler around assertions that passes, returns, logs or skips, and `suppress(Exception)` around them; a body
that does nothing; an async method of a plain `unittest.TestCase`, whose coroutine nobody awaits; an async test that
no plugin runs because pytest-asyncio is in strict mode and the test bears no mark (skipped up to pytest 8.3, failed
from 8.4). A test without an assertion is no fault by itself: helpers assert, and running is often the check.
A retry loop, and a handler that remembers the failure, are left alone. A comparison of a value with itself counts as
a check of `__eq__` where a name says so.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from regreen.facts.source import Context, FileFacts, Index, Interests
from regreen.facts.source.metadata import metadata
from regreen.facts.source.testcode import FunctionNode, Suite, decorator_names, is_fixture, parts, qualified
from regreen.facts.source.vacuous import (
    asserts,
    does_nothing,
    guards_all,
    hollow,
    is_broad,
    loops,
    suppressed,
    swallows,
)
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.tests-can-fail"
VERSION: Final = 4
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.pytest.org/en/stable/how-to/assert.html"

_LIMIT: Final = 160
_MAYBE_HOLLOW: Final = frozenset(
    {
        ast.Constant, ast.Tuple, ast.JoinedStr, ast.Lambda, ast.GeneratorExp, ast.List, ast.Set, ast.UnaryOp, ast.BoolOp,
        ast.Compare, ast.Call,
    }
)  # fmt: skip
_RUNNERS: Final = (
    "asyncio",
    "anyio",
    "trio",
    "twisted",
    "tornado",
    "curio",
    "inlineCallbacks",
    "ensureDeferred",
    "async",
)
_IDENTITY: Final = re.compile(r"eq|equ|cmp|compar|hash|ident|order|reflex|same|nan|singleton|stable|is_", re.I)


def _test(node: ast.stmt, ctx: Context) -> None:
    assert isinstance(node, FunctionNode)
    name = qualified(ctx, node)
    if isinstance(node, ast.AsyncFunctionDef):
        _async(node, name, ctx)
    body = node.body
    if does_nothing(body):
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        if arguments in ([], ["self"]) and not node.decorator_list and not node.args.vararg and not node.args.kwarg:
            ctx.emit("empty", name, ctx.at(node), "", node.name)
        return
    own = parts(node, ctx)
    for statement in own.asserts:
        if statement.test.__class__ in _MAYBE_HOLLOW:
            why = hollow(statement.test)
            if why and not (why.endswith("compared with itself") and _means_it(statement.test, node, name, ctx)):
                ctx.emit("hollow", name, ctx.at(statement), why, ctx.segment(statement)[:_LIMIT])
    for trial in own.tries:
        how = next((how for how in map(_hides, trial.handlers) if how), "")
        if not how or loops(body).get(id(trial)) or any(isinstance(s, ast.Raise) or asserts(s) for s in trial.orelse):
            continue
        if any(_checks(child) for child in trial.body):
            ctx.emit("swallowed", name, ctx.at(trial), how, _handlers(trial, ctx))
        elif guards_all(body) is trial and not trial.orelse and not is_fixture(node):
            ctx.emit("guarded", name, ctx.at(trial), how, _handlers(trial, ctx))
    for block in own.withs:
        kind = suppressed(block)
        if kind and any(asserts(child) or isinstance(child, ast.Assert) for child in block.body):
            ctx.emit("suppressed", name, ctx.at(block), kind, f"suppress({kind})")


def _means_it(test: ast.expr, node: FunctionNode, name: str, ctx: Context) -> bool:
    """Whether a comparison of a value with itself checks `__eq__`, a cached property, or a hash.

    A name says so, or other assertions of the test are about the same value in two places.
    """
    if not isinstance(test, ast.Compare):  # part of an `or`: whatever it means, the whole always holds
        return _IDENTITY.search(name) is not None
    if _IDENTITY.search(name) or (isinstance(test.ops[0], ast.Is) and not isinstance(test.left, ast.Name)):
        return True
    text = ast.dump(test.left)
    for other in parts(node, ctx).asserts:
        if other.test is not test and isinstance(other.test, ast.Compare):
            if ast.dump(other.test).count(text) > 1 and ast.dump(other.test) != ast.dump(test):
                return True
            if text in ast.dump(other.test) and isinstance(other.test.ops[0], ast.NotEq | ast.IsNot):
                return True
    return False


def _checks(statement: ast.stmt) -> bool:
    """Whether a statement checks. An error raised inside a `with` is what its context manager is tested with."""
    if isinstance(statement, ast.With | ast.AsyncWith) and any(isinstance(s, ast.Raise) for s in statement.body):
        return any(_checks(s) for s in statement.body if not isinstance(s, ast.Raise))
    return isinstance(statement, ast.Assert) or asserts(statement)


def _hides(handler: ast.ExceptHandler) -> str:
    return swallows(handler) if is_broad(handler) else ""


def _handlers(statement: ast.Try, ctx: Context) -> str:
    return "\n".join(ctx.segment(handler) for handler in statement.handlers)[:_LIMIT]


def _async(node: ast.AsyncFunctionDef, name: str, ctx: Context) -> None:
    names = decorator_names(node)
    if not names or all(item.startswith(("pytest.mark.", "mark.", "mock.patch", "patch")) for item in names):
        marked = any(item.rpartition(".")[2].startswith(_RUNNERS) for item in (*names, *_marks(ctx)))
        arguments = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
        if not marked and not is_fixture(node) and "anyio_backend" not in arguments:
            ctx.emit("async", name, ctx.at(node)[:2] + ctx.at(node)[:2], "", f"async def {node.name}")


def _marks(ctx: Context) -> tuple[str, ...]:
    """The names of all marks that the module and the classes around bear: `pytestmark` and decorators."""
    scope = ctx.scope
    names: list[str] = []
    key = f"marks {id(scope.node)}"
    if key in ctx.memo:
        known: tuple[str, ...] = ctx.memo[key]
        return known
    while True:
        node: Any = scope.node
        for statement in node.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and statement.value is not None:
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                if any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in targets):
                    names += [n.attr for n in ast.walk(statement.value) if isinstance(n, ast.Attribute)]
                    plain = {"pytest", "mark", *names}
                    other = [n.id for n in ast.walk(statement.value) if isinstance(n, ast.Name) and n.id not in plain]
                    names += ["async"] if other else []  # a list of marks from elsewhere: it may hold any
        if isinstance(node, ast.ClassDef):
            names += [name.rpartition(".")[2] for name in decorator_names(node)]
        if scope.parent is None:
            break
        scope = scope.parent
    ctx.memo[key] = tuple(names)
    return tuple(names)


INTERESTS: Final = Interests(tests=_test)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per place that keeps a test from failing."""
    suite = Suite.of(index)
    bare = _bare_async(index, suite)
    findings: list[Finding] = []
    for file, (kind, qualname, position, what, snippet) in index.records(ID):
        if not suite.is_test(file, qualname) or suite.is_sample(file.path):
            continue
        severity = SEVERITY
        if kind == "empty":
            if _overrides(file, qualname):
                continue
            observed, expected = "the test does nothing", "a body that checks something"
            severity = Severity.WARNING
        elif kind == "hollow":
            observed, expected = f"the assertion cannot fail: {what}", "an assertion on what the code under test did"
        elif kind == "swallowed":
            observed = f"the handler catches the failed assertion and {what}"
            expected = "a failed assertion that reaches pytest"
        elif kind == "guarded":
            observed = f"whatever fails in this test, the handler catches it and {what}"
            expected = "an error that reaches pytest"
        elif kind == "suppressed":
            observed, expected = (
                f"suppress({what}) hides the failed assertion",
                "a failed assertion that reaches pytest",
            )
        else:
            why = _never_awaited(index, suite, file, qualname, bare)
            if not why:
                continue
            observed, expected = why, "a coroutine that something awaits"
        findings.append(
            index.finding(
                ID, severity, file, position, scope=qualname, observed=observed, expected=expected,
                snippet=snippet, data={"kind": kind},
            )
        )  # fmt: skip
    return Verdict.of(ID, suite.functions, findings)


def _overrides(file: FileFacts, qualname: str) -> bool:
    """Whether a method may be there to switch off one that its class inherits."""
    owner = qualname.rpartition(".")[0]
    if not owner:
        return False
    return any(
        item.qualname == owner and any(base not in ("object", "TestCase", "unittest.TestCase") for base in item.bases)
        for item in file.classes
    )


def _never_awaited(index: Index, suite: Suite, file: FileFacts, qualname: str, bare: bool) -> str:
    owner = qualname.rpartition(".")[0]
    if owner:
        bases = next((item.bases for item in file.classes if item.qualname == owner), ())
        if any(suite.is_unittest(base) for base in bases):
            if all(_is_plain_unittest(index, file, base) for base in bases):
                return "an async method of unittest.TestCase: nobody awaits its coroutine, so it never runs"
            return ""
        if bases:
            return ""  # a base class may bear the mark
    if bare:
        return "an async test without a mark in pytest-asyncio's strict mode: it is skipped (pytest 8.3) or fails (8.4)"
    return ""


def _is_plain_unittest(index: Index, file: FileFacts, base: str) -> bool:
    root, _, rest = base.partition(".")
    for item in file.imports:
        for name, alias in item.names:
            if item.level < 0 and (alias or name.partition(".")[0]) == root:
                return name == "unittest" and rest in ("TestCase", "case.TestCase")
            if item.level == 0 and (alias or name) == root:
                return item.module in ("unittest", "unittest.case") and name == "TestCase" and not rest
    return base == "object"


def _bare_async(index: Index, suite: Suite) -> bool:
    """Whether async tests without a mark are left alone by every plugin, as far as the tree shows it."""
    strict = False
    for config in suite.configuration.files:
        mode = str(config.values.get("asyncio_mode", "")).strip()
        words = " ".join(config.words("addopts"))
        if mode in ("auto", "legacy") or "asyncio-mode" in words or "asyncio_mode" in words or " -p" in f" {words}":
            return False
        if config.flag("trio_mode") or str(config.values.get("anyio_mode", "")) == "auto":
            return False
        strict = strict or mode == "strict"
    if not strict and "pytest-asyncio" not in metadata(index).names:
        return False  # nothing shows which plugin is there
    hooks = ("pytest_pyfunc_call", "pytest_collection_modifyitems", "pytest_pycollect_makeitem", "pytest_itemcollected")
    return not any(hook in file.defs for file in index.files.values() for hook in hooks)


_UNIT: Final = "import unittest\n\n\nclass A(unittest.{}):\n    async def test_a(self):\n        assert await f()\n"
_ASYNC: Final = "import pytest\n\n\n{}async def test_a():\n    assert await f()\n"
_STRICT: Final = {"pytest.ini": "[pytest]\nasyncio_mode = strict\n"}


def _try(handler: str, body: str = "assert f()") -> dict[str, str]:
    return {"test_a.py": f"def test_a():\n    try:\n        {body}\n    {handler}\n"}


def _body(*lines: str) -> dict[str, str]:
    return {"test_a.py": "def test_a(x):\n" + "".join(f"    {line}\n" for line in lines)}


EXAMPLES: Final = (
    Example("one side of an or is compared with itself", {"test_a.py": "def test_a():\n    x = f()\n    assert x == x or x == 2\n"}, fires=1),
    Example("assert True", _body("f(x)", "assert True"), fires=1),
    Example("assert of a text", _body("assert 'no error so far'"), fires=1),
    Example("a tuple", _body("assert (f(x) == 1, 'message')"), fires=1),
    Example("compared with itself", _body("r = f(x)", "assert r.status == r.status"), fires=1),
    Example("or True", _body("assert f(x) or True"), fires=1),
    Example("one or the other", _body("assert x is None or x is not None"), fires=1),
    Example("no length is negative", _body("assert len(f(x)) >= 0"), fires=1),
    Example("everything is an object", _body("assert isinstance(f(x), object)"), fires=1),
    Example("not False", _body("assert not False"), fires=1),
    Example("except Exception: pass", _try("except Exception:\n        pass"), fires=1),
    Example("a bare except that prints", _try("except:\n        print('failed')"), fires=1),
    Example("logs the error", _try("except AssertionError as e:\n        log.warning('%s', e)"), fires=1),
    Example("skips", _try("except Exception as e:\n        pytest.skip(str(e))"), fires=1),
    Example("a unittest assertion", _try("except (ValueError, Exception):\n        return", "self.assertEqual(f(), 1)"), fires=1),
    Example("everything in one try", _try("except Exception:\n        pass", "f()"), fires=1),
    Example("suppress", {
        "test_a.py": "def test_a():\n    with contextlib.suppress(Exception):\n        assert f()\n",
    }, fires=1),
    Example("an empty body", {"test_a.py": 'def test_a():\n    """Later."""\n    pass\n'}, fires=1),
    Example("prints only", {"test_a.py": "class TestA:\n    def test_a(self):\n        print('works')\n"}, fires=1),
    Example("a coroutine in a plain TestCase", {"test_a.py": _UNIT.format("TestCase")}, fires=1),
    Example("no mark in strict mode", {"test_a.py": _ASYNC.format(""), **_STRICT}, fires=1),
    Example("an assertion", _body("assert f(x) == 1")),
    Example("no assertion, but something runs", _body("f(x)")),
    Example("a helper checks", _body("check_response(f(x))")),
    Example("assert False", _body("try:", "    f(x)", "except ValueError:", "    assert False, 'message'")),
    Example("equality is what it is about", {"test_a.py": "def test_equal():\n    a = f()\n    assert a == a\n"}),
    Example("two calls may differ", _body("assert f(x) == f(x)")),
    Example("everything is an expected failure", _try("except Exception:\n        pytest.xfail('no')"), fires=1),
    Example("an assertion that is known to fail", _try("except AssertionError:\n        pytest.xfail('a fault of theirs')")),
    Example("a named error is expected", _try("except ValueError:\n        pass")),
    Example("fails in the handler", _try("except Exception:\n        pytest.fail('no')")),
    Example("raises again", _try("except Exception:\n        print('x')\n        raise")),
    Example("remembers the failure", _try("except Exception as e:\n        errors.append(e)\n    assert not errors")),
    Example("tries again", {
        "test_a.py": "def test_a():\n    for _ in range(3):\n        try:\n            assert f()\n            break\n"
        "        except AssertionError:\n            continue\n",
    }),
    Example("the assertion is expected to fail", _body(
        "try:", "    m.assert_any_call(x)", "except AssertionError:", "    pass", "else:", "    raise AssertionError(x)",
    )),
    Example("an error for a context manager", _body(
        "try:", "    with limiter(x):", "        x.wait()", "        raise AssertionError('argh')", "except AssertionError:", "    pass", "assert x.failed",
    )),
    Example("an assertion inside a context manager", _body(
        "try:", "    with limiter(x):", "        assert x.ready", "        raise ValueError", "except Exception:", "    pass", "assert x.failed",
    ), fires=1),
    Example("cleans up quietly", _body("assert f(x)", "try:", "    x.close()", "except Exception:", "    pass")),
    Example("skips where a service is absent", _body("try:", "    connect()", "except Exception:", "    pytest.skip('no')", "assert f()")),
    Example("a doctest", {"test_a.py": "def test_a():\n    '''\n    >>> f()\n    1\n    '''\n"}),
    Example("a fixture is the check", {"test_a.py": "def test_a(started):\n    pass\n"}),
    Example("switches off an inherited test", {
        "test_a.py": "class TestA(Shared):\n    def test_a(self):\n        pass\n",
    }),
    Example("in a class that awaits", {"test_a.py": _UNIT.format("IsolatedAsyncioTestCase")}),
    Example("a mark in strict mode", {"test_a.py": _ASYNC.format("@pytest.mark.asyncio\n"), **_STRICT}),
    Example("a mark for the module", {"test_a.py": "pytestmark = pytest.mark.anyio\n" + _ASYNC.format(""), **_STRICT}),
    Example("auto mode", {"test_a.py": _ASYNC.format(""), "pytest.ini": "[pytest]\nasyncio_mode = auto\n"}),
    Example("marked by conftest", {
        "test_a.py": _ASYNC.format(""), "conftest.py": "def pytest_collection_modifyitems(items): ...\n", **_STRICT,
    }),
    Example("nothing shows the plugin", {"test_a.py": _ASYNC.format("")}),
    Example("not a test module", {"app.py": "def test_connection():\n    pass\n"}),
    Example("a function in a suite of unittest", {
        "test_a.py": "import unittest\n\n\ndef test_factory():\n    pass\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n"
        "        assert f()\n",
    }),
)  # fmt: skip
