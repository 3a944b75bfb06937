"""Classes that pytest collects hold tests, and those that hold tests can be collected.

A class whose name matches `python_classes` and that has a constructor (a model, a dataclass, an enum, an exception, a
named tuple) draws a PytestCollectionWarning in every test module that defines or imports it, and stops the collection
where warnings are errors. One that has test methods *and* a constructor is worse: its tests never run. Renaming
touches every user; `__test__ = False` in the body is the lower risk, and neither dataclasses, Pydantic models, named
tuples nor enums take it for a field or a member (tried with pytest 8.3 to 9.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.facts.source import FileFacts, Index, Interests
from regreen.facts.source.modules import modules
from regreen.facts.source.structure import ClassFacts
from regreen.facts.source.testcode import Suite
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.test-classes-collectable"
VERSION: Final = 1
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://docs.pytest.org/en/stable/example/pythoncollection.html"
INTERESTS: Final = Interests()

#: Bases (by their last name) whose subclasses have a constructor, and what such a class is called.
_BASES: Final = {
    "BaseModel": "model", "RootModel": "model", "BaseSettings": "settings", "SQLModel": "model", "DeclarativeBase": "model",
    "Enum": "enum", "IntEnum": "enum", "StrEnum": "enum", "Flag": "enum", "IntFlag": "enum",
    "Exception": "exception", "BaseException": "exception", "ValueError": "exception", "RuntimeError": "exception",
    "TypeError": "exception", "KeyError": "exception", "OSError": "exception", "AssertionError": "exception",
    "NamedTuple": "named tuple", "TypedDict": "typed dict", "Protocol": "protocol", "Thread": "thread",
    "dict": "mapping", "list": "list", "str": "text", "int": "number", "tuple": "tuple", "Struct": "model",
}  # fmt: skip
_DATACLASS: Final = frozenset(
    {"dataclass", "define", "attrs", "frozen", "mutable", "dataclass_json", "pydantic_dataclass"}
)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per class, at its definition, that some test module would collect in vain."""
    suite = Suite.of(index)
    findings = []
    seen: set[tuple[str, str]] = set()
    if not suite.uses_pytest:
        return Verdict.of(ID, suite.functions, (), "nothing in the tree speaks of pytest")
    for path, file in index.files.items():
        if not file.tests or not suite.is_module(path) or suite.is_sample(path):
            continue
        for owner, item in _candidates(index, suite, file):
            name = item.qualname
            if (owner.path, name) in seen:
                continue
            kind = _kind(index, owner, item)
            if not kind:
                continue
            seen.add((owner.path, name))
            tests = [member for member in item.members if suite.configuration.matches_function(path, member)]
            position = (item.line, item.column, item.line, item.column)
            where = "" if owner is file else f" in {path}, which imports it"
            observed = f"pytest cannot collect the {kind} {name}{where}: it has a constructor"
            expected = "`__test__ = False` in the class, or a name that does not match `python_classes`"
            severity = SEVERITY
            if tests:
                observed = f"{len(tests)} tests of {name} never run: the class has a constructor"
                expected = "`setup_method` or a fixture in place of the constructor"
                severity = Severity.ERROR
            findings.append(
                index.finding(
                    ID, severity, owner, position, scope=name, observed=observed, expected=expected,
                    snippet=f"class {name}", data={"kind": kind, "tests": str(len(tests)), "seen": path},
                )
            )  # fmt: skip
    return Verdict.of(ID, suite.functions, findings)


def _candidates(index: Index, suite: Suite, file: FileFacts) -> Iterator[tuple[FileFacts, ClassFacts]]:
    """The classes that stand in a test module under a name that pytest collects: its own, then imported ones."""
    for item in file.classes:
        if "." not in item.qualname and not item.flags >> 20 and _named(suite, file.path, item.qualname):
            yield file, item
    config = suite.configuration.governing(file.path)
    if config is not None and config.flag("collect_imported_tests") is False:
        return
    yield from _tools(index, suite, file)
    for statement in file.imports:
        if statement.scope or statement.level < 0:
            continue
        for name, alias in statement.names:
            if not _named(suite, file.path, alias or name):
                continue
            symbol = modules(index).named(file.path, alias or name)
            owner = index.files.get(symbol.path)
            for item in owner.classes if owner is not None else ():
                if owner is not None and item.qualname == symbol.name:
                    yield owner, item


def _tools(index: Index, suite: Suite, file: FileFacts) -> Iterator[tuple[FileFacts, ClassFacts]]:
    """Classes of test tools that a test module imports as a module: they are collected wherever a test names them."""
    tools = index.derive("test-tools", lambda index: _tool_modules(index, suite))
    known = modules(index)
    for statement in file.imports if tools else ():
        for name, _ in statement.names:
            if name.rpartition(".")[2] not in tools:
                continue
            target = known.resolve(file.path, statement.level, statement.module or name)
            found = known.member(target, name) if statement.level >= 0 else target
            owner = index.files.get(found.path)
            for item in owner.classes if owner is not None and owner.path in tools[name.rpartition(".")[2]] else ():
                if owner is not None and _is_candidate(item):
                    yield owner, item


def _tool_modules(index: Index, suite: Suite) -> dict[str, set[str]]:
    """Test tools with classes of a test's name, by stem: modules beside or below tests that are no test modules."""
    found: dict[str, set[str]] = {}
    for path, file in index.files.items():
        folder, _, name = path.rpartition("/")
        tool = "test" in folder and not suite.is_module(path) and not suite.is_sample(path)
        if tool and any(_is_candidate(item) for item in file.classes):
            found.setdefault(name.removesuffix(".py"), set()).add(path)
    return found


def _is_candidate(item: ClassFacts) -> bool:
    return "." not in item.qualname and not item.flags >> 20 and item.qualname.startswith("Test")


def _named(suite: Suite, path: str, name: str) -> bool:
    return suite.configuration.matches_class(path, name)


def _kind(index: Index, file: FileFacts, item: ClassFacts, depth: int = 0) -> str:
    """What a class that has a constructor is, in words; empty where it has none, or says `__test__` itself."""
    abstract = {"ABC", "ABCMeta"} & {name.rpartition(".")[2] for name in (*item.bases, *item.keywords)}
    if "__test__" in item.members or abstract or depth > 8:
        return ""  # an abstract class is not collected
    if any(name.rpartition(".")[2] in _DATACLASS for name in item.decorators):
        return "dataclass"
    for base in item.bases:
        last = base.rpartition(".")[2]
        if last == "TestCase" or last.endswith("TestCase"):
            return ""
        symbol = modules(index).named(file.path, base)
        owner = index.files.get(symbol.path)
        if owner is not None:
            inherited = next((c for c in owner.classes if c.qualname == symbol.name), None)
            if inherited is not None and inherited is not item:
                if "__test__" in inherited.members:
                    return ""
                kind = _kind(index, owner, inherited, depth + 1)
                if kind:
                    return kind
        elif last in _BASES:
            return _BASES[last]
        elif last.endswith(("Error", "Exception")):
            return "exception"
    return "class" if {"__init__", "__new__"} & set(item.members) else ""


_MODEL: Final = "from pydantic import BaseModel\n\n\nclass TestOrder(BaseModel):\n    x: int\n"
_USE: Final = "\nimport pytest\n\n\ndef test_a():\n    assert f()\n"

EXAMPLES: Final = (
    Example("a model", {"test_a.py": _MODEL + _USE}, fires=1),
    Example("a model that is imported", {
        "tools/models.py": _MODEL, "tools/__init__.py": "", "test_a.py": "from tools.models import TestOrder\n" + _USE,
        "test_b.py": "from tools.models import TestOrder\n" + _USE,
    }, fires=1),
    Example("a dataclass", {"test_a.py": "@dataclasses.dataclass\nclass TestOrder:\n    x: int\n" + _USE}, fires=1),
    Example("an enum", {"test_a.py": "import enum\n\n\nclass TestKind(str, enum.Enum):\n    A = 'a'\n" + _USE}, fires=1),
    Example("an exception", {"test_a.py": "class TestError(Exception):\n    pass\n" + _USE}, fires=1),
    Example("a named tuple", {"test_a.py": "from typing import NamedTuple\n\n\nclass TestRow(NamedTuple):\n    x: int\n" + _USE}, fires=1),
    Example("inherited from a model of the tree", {
        "test_a.py": "from app import Base\n\n\nclass TestOrder(Base):\n    y: int\n" + _USE,
        "app.py": "from pydantic import BaseModel\n\n\nclass Base(BaseModel):\n    x: int\n",
    }, fires=1),
    Example("tests that never run", {
        "test_a.py": "import pytest\n\n\nclass TestA:\n    def __init__(self):\n        self.x = 1\n\n    def test_a(self):\n        assert self.x\n",
    }, fires=1),
    Example("says so itself", {"test_a.py": "class TestKind(Enum):\n    __test__ = False\n    A = 1\n" + _USE}),
    Example("a class of tests", {"test_a.py": "class TestA:\n    def test_a(self):\n        assert f()\n"}),
    Example("a unittest class", {
        "test_a.py": "import unittest\n\n\nclass TestA(unittest.TestCase):\n    def __init__(self, *a):\n        super().__init__(*a)\n",
    }),
    Example("test tools that a test imports as a module", {
        "test_tools/models.py": _MODEL, "test_a.py": "from test_tools import models\n" + _USE,
    }, fires=1),
    Example("not in a test module", {"models.py": _MODEL, "test_a.py": "import models\n" + _USE}),
    Example("imported under another name", {
        "models.py": _MODEL, "test_a.py": "from models import TestOrder as Order\n" + _USE,
    }),
    Example("inside of a function", {"test_a.py": "def test_a():\n    class TestError(Exception): ...\n    assert f(TestError)\n"}),
    Example("imported where it is used", {
        "models.py": _MODEL, "test_a.py": "def test_a():\n    from models import TestOrder\n    assert TestOrder(x=1)\n",
    }),
    Example("imported classes are not collected", {
        "models.py": _MODEL, "test_a.py": "from models import TestOrder\n" + _USE,
        "pytest.ini": "[pytest]\ncollect_imported_tests = false\n",
    }),
    Example("an abstract class", {
        "test_a.py": "import abc\n\n\nclass TestShape(abc.ABC):\n    def __init__(self): ...\n" + _USE,
    }),
    Example("another pattern", {"test_a.py": _MODEL + _USE, "pytest.ini": "[pytest]\npython_classes = *Tests\n"}),
)  # fmt: skip
