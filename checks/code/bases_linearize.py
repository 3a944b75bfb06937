"""The bases of every class have a consistent order (C3), and none stands twice.

A class whose bases contradict each other raises TypeError when its module is imported: nothing in that module runs, and
no test that imports it is collected. Classes are followed through imports and aliases over the whole tree; a base that is
not known adds no claim of its own, and cannot take away a contradiction among the known ones. Names that are one class
under two names count as one: `asyncio.TimeoutError` is the builtin TimeoutError since 3.11, `IOError` is OSError.
"""

from __future__ import annotations

from typing import Final

from regreen.facts.source import FileFacts, Index, Interests
from regreen.facts.source.classes import LOCAL, Classes
from regreen.facts.source.guards import CONDITIONAL, IMPORT_GUARDED, IN_TRY
from regreen.facts.source.linearize import NoOrderError
from regreen.facts.source.structure import ClassFacts
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.bases-linearize"
VERSION: Final = 2
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.python.org/3/howto/mro.html"
INTERESTS: Final = Interests()

EXAMPLES: Final = (
    Example("a base before its own subclass", {"a.py": "class A: ...\nclass B(A): ...\nclass C(A, B): ...\n"}, fires=1),
    Example("object first", {"a.py": "class A: ...\nclass B(object, A): ...\n"}, fires=1),
    Example("the same base twice", {"a.py": "class A: ...\nclass B(A, A): ...\n"}, fires=1),
    Example("across files", {"m.py": "class Base: ...\nclass Child(Base): ...\n", "a.py": "from m import Base\nimport m\nclass C(Base, m.Child): ...\n"}, fires=1),
    Example("through a re-export", {"p/__init__.py": "from .m import Base, Child\n", "p/m.py": "class Base: ...\nclass Child(Base): ...\n", "a.py": "from p import Base, Child\nclass C(Base, Child): ...\n"}, fires=1),
    Example("an unknown base beside a contradiction", {"a.py": "from other import X\nclass A: ...\nclass B(A, X): ...\nclass C(A, B): ...\n"}, fires=1),
    Example("an exception and the builtin it derives from", {"a.py": "class E(Exception, ValueError): ...\n"}, fires=1),
    Example("two names of one class", {"a.py": "import asyncio\nclass E(asyncio.TimeoutError, TimeoutError): ...\n"}, fires=1),
    Example("orders of two bases contradict", {"a.py": "class X: ...\nclass Y: ...\nclass A(X, Y): ...\nclass B(Y, X): ...\nclass C(A, B): ...\n"}, fires=1),
    Example("only the root is reported", {"a.py": "class A: ...\nclass B(A): ...\nclass C(A, B): ...\nclass D(C): ...\n"}, fires=1),
    Example("a diamond", {"a.py": "class A: ...\nclass B(A): ...\nclass C(A): ...\nclass D(B, C, A): ...\n"}),
    Example("a subclass first", {"a.py": "class E(ValueError, Exception): ...\n"}),
    Example("unknown bases", {"a.py": "from other import X, Y\nclass C(X, Y, object): ...\n"}),
    Example("one name, two definitions", {"a.py": "import sys\nclass A: ...\nif sys.argv:\n    class B(A): ...\nelse:\n    class B: ...\nclass C(A, B): ...\n"}),
    Example("a builtin that is shadowed", {"a.py": "class ValueError: ...\nclass E(Exception, ValueError): ...\n"}),
    Example("a builtin's name for a class of its own", {"a.py": "class Base(Exception): ...\nclass Warning(Warning, Base): ...\n"}),
    Example("an imported name for a class of its own", {"m.py": "class Base: ...\nclass Child(Base): ...\n", "a.py": "from m import Base, Child\nclass Child(Child, Base): ...\n"}),
    Example("a builtin's name, and what it derives from", {"a.py": "class Warning(Exception, Warning): ...\n"}, fires=1),
    Example("meant to fail", {"a.py": "class A: ...\nclass B(A): ...\ntry:\n    class C(A, B): ...\nexcept TypeError:\n    pass\n"}),
    Example("generic classes", {"a.py": "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass A(Generic[T]): ...\nclass B(A[T], Generic[T]): ...\n"}),
    Example("inside a function", {"a.py": "class A: ...\ndef test_order(raises):\n    class B(A): ...\n    with raises(TypeError):\n        class C(A, B): ...\n"}),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per class whose bases have no order; classes below it are not reported again."""
    several = [
        (file, item)
        for file in index.files.values()
        if file.parsed
        for item in file.classes
        if len(item.bases) > 1 and not item.flags & (LOCAL | IN_TRY | IMPORT_GUARDED)
    ]
    if not several:
        return Verdict.of(ID, len(index.files), ())
    table = Classes.of(index)
    findings: list[Finding] = []
    for file, item in several:
        name = f"{file.path}::{item.qualname}"
        bases = table.bases(file, item)
        known = [base for base in bases if not base.startswith("?")]
        double = next((base for base in known if known.count(base) > 1), "")
        if double:
            if not item.flags & CONDITIONAL:
                findings.append(
                    _finding(index, file, item, f"{_plain(double)} stands twice among its bases", double, double)
                )
            continue
        try:
            table.order(name, bases)
        except NoOrderError as error:
            if error.name == name:
                observed = f"no order of bases: {_plain(error.first)} would have to come both before and after {_plain(error.second)}"
                findings.append(_finding(index, file, item, observed, error.first, error.second))
    return Verdict.of(ID, len(index.files), findings)


def _plain(name: str) -> str:
    return name.partition("::")[2] or name


def _finding(index: Index, file: FileFacts, item: ClassFacts, observed: str, first: str, second: str) -> Finding:
    snippet = f"class {item.qualname.rpartition('.')[2]}({', '.join(item.bases)})"
    return index.finding(
        ID,
        SEVERITY,
        file,
        (item.line, item.column, item.line, item.column),
        scope=item.qualname,
        observed=f"`{snippet}`: {observed}",
        expected="bases in an order that their own classes allow: a subclass before what it derives from",
        snippet=snippet,
        data={"first": first, "second": second, "bases": ", ".join(item.bases)},
    )
