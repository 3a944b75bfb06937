"""Annotate what a helper returns where nothing else is possible.

`-> None` for a function, or an `__init__`, that returns no value; `-> bool`, `-> int`, `-> str` … where every return is a
literal of that one type and the end is not reached. Arguments are left to people: what they are stands at the callers.
Guessing is unsound (`autotyping --safe` made `if x: return 1` into `-> int`), and so is an annotation on a method that a
subclass overrides, or that overrides one; those are refused, as are stubs, generators, functions that always raise, and
functions whose decorator may read the annotation. mypy then checks the edited files before and after; a function that
brings a new error stays as it is. It is run on copies without the project's own configuration (a plugin would be executed)
and without third-party packages.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.source import Index, MemoryTree, OverlayTree, Tree
from regreen.model import Example, Finding, Proposal, Refusal, Risk, Safety, Span, Undo
from regreen.policy import Policy
from remedies.annotating.proof import Function, after_arguments, returns
from remedies.annotating.verify import verified

ID: Final = "code.annotate"
CHECK: Final = "code.helpers-annotated"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://mypy.readthedocs.io/en/stable/existing_code.html"


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One annotation for each helper that lacks only that of its return value, where that is proven."""
    functions: dict[str, dict[tuple[int, int], Function]] = {}

    def edit(finding: Finding, draft: Draft) -> Edit:
        if finding.get("missing") != "1" or not finding.get("return"):
            raise UndecidedError(
                "arguments lack annotations: what may be passed stands at the callers, and not in the function",
                "the types of its arguments",
            )
        if finding.path not in functions:
            functions[finding.path] = _functions(draft)
        where = finding.where
        function = functions[finding.path].get((where.line, where.column)) if isinstance(where, Span) else None
        if function is None:
            raise UndecidedError("the file changed since it was read", "run again")
        kind, why = returns(function, draft, index)
        offset = after_arguments(function, draft)
        return Edit([draft.insert(offset, f" -> {kind}")], f"annotate `-> {kind}`", f"{why}; {_SOURCE}")

    proposal = one_by_one(ID, findings, index, edit)
    if not proposal.changes or _in_memory(index.tree):
        return proposal
    dropped, note = verified(index, proposal.changes)
    by_id = {finding.fingerprint: finding for finding in findings}
    refusals = [
        Refusal(
            ID,
            mark,
            by_id[mark].subject,
            by_id[mark].where,
            f"with the annotation mypy reports: {error}",
            "repair that error first, then annotate",
        )
        for mark, error in dropped.items()
    ]
    kept = [change for change in proposal.changes if change.closes[0] not in dropped]
    changes = tuple(replace(change, evidence=f"{change.evidence}; {note}") for change in kept)
    return Proposal(changes, (*proposal.refusals, *refusals))


def _in_memory(tree: Tree) -> bool:
    """Whether a tree is an example, with no project around it that mypy could be asked about."""
    while isinstance(tree, OverlayTree):
        tree = tree.base
    return isinstance(tree, MemoryTree)


def _functions(draft: Draft) -> dict[tuple[int, int], Function]:
    """The functions of a file by line and column."""
    return {(n.lineno, n.col_offset): n for n in ast.walk(draft.tree) if isinstance(n, FunctionNode)}


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"tests/a.py": before, **more}, {"tests/a.py": after, **more}


_CLASS: Final = "class Fake:\n    def __init__(self):\n        self.sent = []\n\n"

EXAMPLES: Final = (
    Example("a helper and a coroutine that return nothing", *_pair(
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef clean():\n    print('é')\n\n\nasync def wait(x: int, y: str = ')'):  # why\n    if x:\n        return\n    return None\n",
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef clean() -> None:\n    print('é')\n\n\nasync def wait(x: int, y: str = ')') -> None:  # why\n    if x:\n        return\n    return None\n",
    )),
    Example("an __init__ and a method", *_pair(
        _CLASS + "    def close(self):\n        self.sent.clear()\n",
        _CLASS.replace("self)", "self) -> None") + "    def close(self) -> None:\n        self.sent.clear()\n",
    )),
    Example("literals", *_pair(
        "def a(x: int):\n    if x:\n        return True\n    return False\n\n\ndef b(\n    x: int,\n):\n    return f'{x}'\n\n\ndef c(): return 1\n",
        "def a(x: int) -> bool:\n    if x:\n        return True\n    return False\n\n\ndef b(\n    x: int,\n) -> str:\n    return f'{x}'\n\n\ndef c() -> int: return 1\n",
    )),
    Example("a method of a test case, and of a class that the tree knows", *_pair(
        "import unittest\nfrom tests.b import Base\n\n\nclass T(unittest.TestCase, Base):\n    def wipe(self):\n        print(1)\n",
        "import unittest\nfrom tests.b import Base\n\n\nclass T(unittest.TestCase, Base):\n    def wipe(self) -> None:\n        print(1)\n",
        **{"tests/b.py": "class Base:\n    def other(self) -> None: ...\n"},
    )),
    Example("an inner function returns, the outer one does not", *_pair(
        "def a():\n    def inner(x):\n        yield x\n        return 1\n    print(inner(1))\n",
        "def a() -> None:\n    def inner(x):\n        yield x\n        return 1\n    print(inner(1))\n",
    )),
    Example("a property with its setter", *_pair(
        "class A:\n    @property\n    def x(self):\n        return 1\n\n    @x.setter\n    def x(self, value: int):\n        self.y = value\n",
        "class A:\n    @property\n    def x(self) -> int:\n        return 1\n\n    @x.setter\n    def x(self, value: int) -> None:\n        self.y = value\n",
    )),
    Example("arguments", {"tests/a.py": "def a(x):\n    print(x)\n"}, refuses=True),
    Example("the end is reached", {"tests/a.py": "def a(x: int):\n    if x:\n        return 1\n"}, refuses=True),
    Example("a with statement may swallow the exception", {"tests/a.py": "def a(x: int):\n    with open('a'):\n        return 1\n"}, refuses=True),
    Example("two types, and a value", {"tests/a.py": "def a(x: int):\n    if x:\n        return 1\n    return True\n\n\ndef b(x: int):\n    return x\n"}, refuses=True),
    Example("generators", {"tests/a.py": "import pytest\n\n\n@pytest.fixture\ndef a():\n    yield\n\n\nasync def b():\n    yield 1\n"}, refuses=True),
    Example("overridden and overriding", {
        "tests/a.py": "class Base:\n    def make(self):\n        print(1)\n",
        "tests/b.py": "from tests.a import Base\n\n\nclass Child(Base):\n    def make(self):\n        return True\n",
    }, refuses=True),
    Example("a base that nobody knows", {"tests/a.py": "from lib import Base\n\n\nclass A(Base):\n    def make(self):\n        print(1)\n"}, refuses=True),
    Example("stubs", {
        "tests/a.py": "import abc\n\n\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def a(self):\n        print(1)\n\n    def b(self):\n        pass\n\n"
        "    def c(self):\n        raise NotImplementedError\n\n    def d(self):\n        'Say.'\n\n\ndef e():\n    raise ValueError\n",
    }, refuses=True),
    Example("a decorator that reads annotations", {"tests/a.py": "from web import app\n\n\n@app.get('/')\ndef a():\n    return True\n"}, refuses=True),
    Example("defined twice", {"tests/a.py": "import sys\n\nif sys.platform == 'x':\n    def a():\n        print(1)\nelse:\n    def a():\n        print(2)\n"}, refuses=True),
    Example("a type comment, and a type under another name", {
        "tests/a.py": "def a():\n    # type: () -> None\n    print(1)\n\n\nclass A:\n    def str(self):\n        return 'a'\n",
    }, refuses=True),
    Example("annotated", *_pair(*["def a() -> int:\n    return 1\n"] * 2)),
)  # fmt: skip
