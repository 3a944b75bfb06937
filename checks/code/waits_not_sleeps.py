"""Tests wait on conditions; they do not sleep for a constant time.

A constant sleep is too short on a busy machine and too long on every other. Reported is `time.sleep(c)` or
`await asyncio.sleep(c)` (also anyio, trio, gevent) as a statement of a test's own body, for 0.05 s and more: shorter
ones only let the event loop run. Left alone: the pause of a loop that asks a condition, a nested coroutine or a fake
that plays work, a sleep under `raises` or a time-out (there the sleep is the subject), and a mocked `sleep`.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from regreen.facts.source import Context, Index, Interests, Parents, last_name
from regreen.facts.source.guards import IN_LOOP
from regreen.facts.source.testcode import Suite, children
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.waits-not-sleeps"
VERSION: Final = 2
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://martinfowler.com/articles/nonDeterminism.html#AsynchronousBehavior"

LEAST: Final = 0.05
_SLEEPS: Final = ("time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep", "gevent.sleep", "eventlet.sleep")
_SUBJECT: Final = ("raises", "timeout", "timer", "fail_after", "move_on_after", "elapsed", "measure", "assertLogs", "warns",
                   "freeze", "patch", "stopwatch", "benchmark", "duration", "trace", "span", "profil")  # fmt: skip
_PASSING: Final = (
    "ttl",
    "expir",
    "elapsed",
    "duration",
    "throttl",
    "debounce",
    "rate",
    "timeout",
    "timer",
    "clock",
    "stale",
)


def _sleep(node: ast.AST, ctx: Context, parents: Parents) -> None:
    assert isinstance(node, ast.Call)
    function = ctx.scope
    if function.kind != "function" or not function.name.startswith("test") or ctx.flags & IN_LOOP:
        return
    if function.parent is not None and function.parent.kind == "function":
        return
    if len(node.args) != 1 or node.keywords:
        return
    above = parents
    if above is not None and isinstance(above[0], ast.Await):
        above = above[1]
    if above is None or not isinstance(above[0], ast.Expr):
        return
    origin = ctx.origin(node.func)
    seconds = constant(node.args[0])
    if origin not in _SLEEPS or seconds is None or seconds < LEAST:
        return
    assert isinstance(function.node, ast.FunctionDef | ast.AsyncFunctionDef)
    body = b"\n".join(ctx.lines[function.node.lineno - 1 : function.node.end_lineno]).lower()
    arguments = function.node.args
    if any("clock" in argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)):
        return  # a clock that jumps: trio's autojump_clock
    if b"sleep'" in body or b'sleep"' in body or _is_subject(function.node, above[0]):
        return
    passing = any(word.encode() in function.name.lower().encode() for word in _PASSING)
    ctx.emit(function.qualname, ctx.at(above[0]), origin, seconds, ctx.segment(node), passing)


INTERESTS: Final = Interests(calls={"sleep": _sleep})


def constant(node: ast.expr) -> float | None:
    """The seconds of a constant expression such as `0.1` or `2 * 60`; None where it is not constant."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Add | ast.Sub | ast.Div):
        left, right = constant(node.left), constant(node.right)
        if left is None or right is None or (isinstance(node.op, ast.Div) and not right):
            return None
        results = {ast.Mult: left * right, ast.Add: left + right, ast.Sub: left - right}
        return left / right if isinstance(node.op, ast.Div) else results[type(node.op)]
    return None


def _is_subject(function: ast.FunctionDef | ast.AsyncFunctionDef, sleep: ast.AST) -> bool:
    """Whether a with statement around the sleep says that the passing of time is what is tested."""
    stack: list[tuple[ast.stmt, bool]] = [(statement, False) for statement in function.body]
    while stack:
        statement, within = stack.pop()
        if statement is sleep:
            return within
        if isinstance(statement, ast.With | ast.AsyncWith):
            names = [last_name(_callee(item.context_expr)).lower() for item in statement.items]
            within = within or any(word in name for name in names for word in _SUBJECT)
        stack.extend((child, within) for child in children(statement))
    return False


def _callee(node: ast.expr) -> Any:
    return node.func if isinstance(node, ast.Call) else node


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per sleep."""
    suite = Suite.of(index)
    findings = []
    for file, (qualname, position, origin, seconds, snippet, passing) in index.records(ID):
        if not suite.is_test(file, qualname):
            continue
        findings.append(
            index.finding(
                ID,
                SEVERITY,
                file,
                position,
                scope=qualname,
                observed=f"the test sleeps for {seconds:g} s ({origin})",
                expected="a clock that the test moves" if passing else "a wait on the condition, with a time limit",
                snippet=snippet,
                data={"seconds": f"{seconds:g}", "passing": "yes" if passing else ""},
            )
        )
    return Verdict.of(ID, suite.functions, findings)


_TIME: Final = "import time\n\n\n"
_ASYNC: Final = "import asyncio\n\n\n"

EXAMPLES: Final = (
    Example("time.sleep", {"test_a.py": _TIME + "def test_a():\n    start()\n    time.sleep(2)\n    assert f()\n"}, fires=1),
    Example("asyncio.sleep", {"test_a.py": _ASYNC + "async def test_a():\n    await asyncio.sleep(0.1)\n    assert f()\n"}, fires=1),
    Example("from time import sleep", {
        "test_a.py": "from time import sleep\n\n\nclass TestA:\n    def test_a(self):\n        sleep(60 * 2)\n        assert f()\n",
    }, fires=1),
    Example("two of them", {"test_a.py": _TIME + "def test_a():\n    time.sleep(1)\n    f()\n    time.sleep(1)\n"}, fires=2),
    Example("sleep(0) and a tick", {
        "test_a.py": _ASYNC + "async def test_a():\n    await asyncio.sleep(0)\n    await asyncio.sleep(0.001)\n    assert f()\n",
    }),
    Example("the pause of a loop", {
        "test_a.py": _TIME + "def test_a():\n    while not ready():\n        time.sleep(0.1)\n    assert f()\n",
    }),
    Example("work that is played", {
        "test_a.py": _ASYNC + "async def test_a():\n    async def slow():\n        await asyncio.sleep(5)\n    assert f(slow)\n",
    }),
    Example("a sleep that is cut off", {
        "test_a.py": _ASYNC + "async def test_a():\n    with pytest.raises(TimeoutError):\n        async with asyncio.timeout(0.1):\n"
        "            await asyncio.sleep(5)\n",
    }),
    Example("an argument", {
        "test_a.py": _ASYNC + "async def test_a():\n    task = asyncio.create_task(asyncio.sleep(5))\n    assert f(task)\n",
    }),
    Example("a mocked sleep", {
        "test_a.py": _TIME + "def test_a(monkeypatch):\n    monkeypatch.setattr(time, 'sleep', f)\n    time.sleep(5)\n    assert f.called\n",
    }),
    Example("a computed time", {"test_a.py": _TIME + "def test_a(ttl):\n    time.sleep(ttl)\n    assert f()\n"}),
    Example("not a test", {"test_a.py": _TIME + "def wait():\n    time.sleep(5)\n", "app.py": _TIME + "time.sleep(5)\n"}),
)  # fmt: skip
