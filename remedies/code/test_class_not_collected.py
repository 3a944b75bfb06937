"""Say of a class that it is no test: `__test__ = False`.

The lowest risk: renaming would touch every user. An unannotated dunder name is no field of a dataclass or a Pydantic
model, no member of an enum and no element of a named tuple (tried with pytest 8.3 to 9.2). Refused for a class that
holds tests (they should run: its constructor has to go), for a protocol and a typed dict (there it would be a member),
and for a class from which a class of tests inherits, as that would no longer be collected either.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import Index, SourceText
from regreen.facts.source.testcode import parsed
from regreen.facts.source.text import UndecodableError
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.test-class-not-collected"
CHECK: Final = "code.test-classes-collectable"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_EVIDENCE: Final = "https://docs.pytest.org/en/stable/example/pythoncollection.html#customizing-test-collection"
_LINE: Final = "__test__ = False"


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per class."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for finding in findings:
        name = finding.subject.rpartition("::")[2]
        reason, decide = _refusal(finding, name, index)
        place: Splice | None = None
        if not reason:
            try:
                place = _splice(finding.path, index.text(finding.path), name)
            except (UndecodableError, SyntaxError, ValueError) as error:
                reason, decide = f"the file cannot be edited: {error}", "repair the file first"
        if place is None:
            reason = reason or "the class was not found where it was seen"
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, reason, decide))
            continue
        changes.append(
            Change(ID, finding.subject, f"{name} is no test", (finding.fingerprint,), (place,), evidence=_EVIDENCE)
        )
    return Proposal(tuple(changes), tuple(refusals))


def _refusal(finding: Finding, name: str, index: Index) -> tuple[str, str]:
    kind = finding.get("kind")
    if finding.get("tests") != "0":
        return (
            f"the class holds {finding.get('tests')} tests that never run",
            "move what the constructor does to `setup_method` or a fixture",
        )
    if kind in ("protocol", "typed dict"):
        return f"in a {kind} the line would be a member", "rename the class, or import it under another name"
    for file in index.files.values():
        for item in file.classes:
            inherits = any(base.rpartition(".")[2] == name for base in item.bases)
            if inherits and "__test__" not in item.members and any(m.startswith("test") for m in item.members):
                return f"{item.qualname} in {file.path} inherits from it and holds tests", "give the tests another base"
    return "", ""


def _splice(path: str, text: SourceText, name: str) -> Splice | None:
    tree = parsed(text.source)
    node = next((n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name), None)
    if node is None:
        return None
    first = node.body[0]
    empty = isinstance(first, ast.Pass) or (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.value.value is Ellipsis
    )
    if empty and len(node.body) == 1:
        start = text.offset(first.lineno, first.col_offset)
        return Splice(path, start, text.offset(first.end_lineno or 0, first.end_col_offset or 0), text.encode(_LINE))
    if first.lineno == node.lineno:
        start = text.offset(first.lineno, first.col_offset)
        return Splice(path, start, start, text.encode(f"{_LINE}; "))
    indent = text.indent(first.lineno).decode()
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        end = first.end_lineno or first.lineno
        place = text.line_start(end) + len(text.line(end))
        return Splice(path, place, place, text.encode(f"\n\n{indent}{_LINE}"))
    decorators = getattr(first, "decorator_list", [])
    start = text.line_start(decorators[0].lineno if decorators else first.lineno)
    return Splice(path, start, start, text.encode(f"{indent}{_LINE}\n\n"))


_USE: Final = "\n\nimport pytest\n\n\ndef test_a():\n    assert f()\n"


def _to(title: str, before: str, after: str, refuses: bool = False) -> Example:
    return Example(title, {"test_a.py": before + _USE}, {"test_a.py": after + _USE}, refuses)


def _same(title: str, text: str) -> Example:
    return _to(title, text, text, refuses=True)


EXAMPLES: Final = (
    _to(
        "a model with a docstring", 'class TestOrder(BaseModel):\n    """An order."""\n\n    x: int\n',
        'class TestOrder(BaseModel):\n    """An order."""\n\n    __test__ = False\n\n    x: int\n',
    ),
    _to("an enum", "class TestKind(Enum):\n    A = 1\n", "class TestKind(Enum):\n    __test__ = False\n\n    A = 1\n"),
    _to(
        "a dataclass", "@dataclass\nclass TestOrder:\n    @property\n    def x(self): ...\n",
        "@dataclass\nclass TestOrder:\n    __test__ = False\n\n    @property\n    def x(self): ...\n",
    ),
    _to("an empty exception", "class TestError(Exception):\n    pass\n", "class TestError(Exception):\n    __test__ = False\n"),
    _to("in a line", "class TestError(Exception): ...\n", "class TestError(Exception): __test__ = False\n"),
    Example(
        "in the module that defines it",
        {"tools.py": "class TestError(Exception):\n    code = 1\n", "test_a.py": "from tools import TestError\n" + _USE},
        {
            "tools.py": "class TestError(Exception):\n    __test__ = False\n\n    code = 1\n",
            "test_a.py": "from tools import TestError\n" + _USE,
        },
    ),
    _same("it holds tests", "class TestA:\n    def __init__(self): ...\n\n    def test_b(self): ...\n"),
    _same("a protocol", "from typing import Protocol\n\n\nclass TestLike(Protocol):\n    x: int\n"),
    _same(
        "a class of tests inherits from it",
        "class TestCommon:\n    def __init__(self): ...\n\n\nclass Checks(TestCommon):\n    def test_b(self): ...\n",
    ),
    Example("says so already", {"test_a.py": "class TestE(Exception):\n    __test__ = False\n" + _USE}, {"test_a.py": "class TestE(Exception):\n    __test__ = False\n" + _USE}),
)  # fmt: skip
