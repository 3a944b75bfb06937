"""Every helper of the tests says what it takes and what it returns.

Helpers are the functions and methods of test code that are no tests: fixtures, factories, assertions, waiting loops, the
functions of conftest files and of test tools. mypy looks into annotated functions only (without `--check-untyped-defs`), so
an unannotated helper hides the un-awaited coroutine or the wrong argument inside it. Missing annotations are counted for
each helper. Tests themselves, unittest's own hooks, nested functions and overloads are left out.
"""

from __future__ import annotations

import ast
from typing import Final

from regreen.facts.source import Context, Index, Interests, last_name
from regreen.facts.source.aside import is_test_code
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.helpers-annotated"
VERSION: Final = 2
SEVERITY: Final = Severity.WARNING
SOURCE: Final = (
    "https://mypy.readthedocs.io/en/stable/getting_started.html#function-signatures-and-dynamic-vs-static-typing"
)

#: Hooks that a framework calls and whose signature it gives.
_HOOKS: Final = frozenset(
    {
        "setUp", "tearDown", "setUpClass", "tearDownClass", "asyncSetUp", "asyncTearDown", "setUpModule", "tearDownModule",
        "setup_method", "teardown_method", "setup_class", "teardown_class", "setup_module", "teardown_module", "setup",
        "teardown", "runTest", "setup_function", "teardown_function", "setUpTestData",
    }
)  # fmt: skip
EXAMPLES: Final = (
    Example("a helper without annotations", {"tests/helpers.py": "def make(a, b=1): ...\n"}, fires=1),
    Example("only the return type is missing", {"tests/conftest.py": "import pytest\n@pytest.fixture\ndef client(): ...\n"}, fires=1),
    Example("only one argument is missing", {"test_tools/wait.py": "# for tests\ndef until(what: str, seconds) -> None: ...\n"}, fires=1),
    Example("a method", {"tests/fakes.py": "class Fake:\n    def send(self, text): ...\n"}, fires=1),
    Example("a coroutine", {"tests/test_a.py": "async def fetch(url): ...\nasync def test_a(): ...\n"}, fires=1),
    Example("star arguments", {"tests/a.py": "def call(*args: int, **kwargs) -> None: ...\n"}, fires=1),
    Example("an __init__ with arguments", {"tests/a.py": "class Fake:\n    def __init__(self, name): ...\n"}, fires=1),
    Example("all is said", {"tests/helpers.py": "def make(a: int, *, b: str = '') -> str: ...\n"}),
    Example("a test", {"tests/test_a.py": "def test_a(client): ...\n"}),
    Example("a file that tests read", {"tests/data/game.py": "def make(a): ...\n"}),
    Example("unittest's hooks", {"tests/test_a.py": "class T:\n    def setUp(self): ...\n"}),
    Example("product code", {"src/app.py": "def make(a): ...  # used in tests\n"}),
    Example("self and cls need none", {"tests/a.py": "class A:\n    def go(self) -> None: ...\n    @classmethod\n    def of(cls) -> None: ...\n"}),
    Example("an __init__ with annotated arguments", {"tests/a.py": "class A:\n    def __init__(self, a: int): ...\n"}),
    Example("a nested function", {"tests/test_a.py": "def test_a():\n    def inner(x): ...\n"}),
    Example("a lambda", {"tests/a.py": "# test\nf = lambda x: x\n"}),
)  # fmt: skip


def _function(node: ast.stmt, ctx: Context) -> None:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    scope = ctx.scope
    if scope.kind == "function":
        return
    name = node.name
    if name in _HOOKS or name.startswith(("test", "pytest_")):
        return
    arguments = node.args
    every = arguments.args
    if arguments.posonlyargs or arguments.kwonlyargs:
        every = [*arguments.posonlyargs, *every, *arguments.kwonlyargs]
    decorators: list[str] = []
    if node.decorator_list:
        decorators = [last_name(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list]
        if "overload" in decorators:
            return
    if scope.kind == "class" and every and "staticmethod" not in decorators:
        every = every[1:]
    missing = stars = unsaid = 0
    for argument in every:
        if argument.annotation is None:
            missing += 1
    said = len(every) - missing
    for star in (arguments.vararg, arguments.kwarg):
        if star is not None:
            stars += 1
            unsaid += star.annotation is None
    said -= unsaid
    missing += unsaid
    no_return = node.returns is None and not (name in ("__init__", "__init_subclass__") and said and not missing)
    if missing or no_return:
        qualname = f"{scope.qualname}.{name}" if scope.qualname else name
        ctx.emit(
            qualname, node.lineno, node.col_offset, missing, no_return, len(every) + stars + 1, ",".join(decorators)
        )


INTERESTS: Final = Interests(statements={ast.FunctionDef: _function, ast.AsyncFunctionDef: _function}, test_code=True)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per helper that lacks an annotation."""
    findings: list[Finding] = []
    for file, record in index.records(ID):
        qualname, line, column, missing, no_return, total, decorators = record
        lacks = []
        if missing:
            lacks.append(f"{missing} argument{'s' if missing > 1 else ''}")
        if no_return:
            lacks.append("the return value")
        findings.append(
            index.finding(
                ID,
                SEVERITY,
                file,
                (line, column, line, column),
                scope=qualname,
                observed=f"{qualname} lacks {missing + no_return} of {total} annotations: {' and '.join(lacks)}",
                expected="annotations of every argument and of the return value",
                snippet=f"def {qualname}",
                data={
                    "missing": str(missing + no_return),
                    "return": "missing" if no_return else "",
                    "decorators": decorators,
                },
            )
        )
    examined = sum(1 for path in index.files if is_test_code(path))
    lacking = sum(int(finding.get("missing")) for finding in findings)
    note = f"{lacking} annotations are missing in {len(findings)} helpers" if findings else ""
    return Verdict.of(ID, examined, findings, note)
