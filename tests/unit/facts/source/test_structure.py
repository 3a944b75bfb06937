"""What every file says of itself."""

from __future__ import annotations

import pytest

from regreen.facts.source import FileFacts
from regreen.facts.source import structure as s
from regreen.facts.source.extract import extract
from regreen.facts.source.visitor import Visitor


def facts(source: str) -> FileFacts:
    return FileFacts("m.py", "", extract(Visitor(()), source.encode()))


@pytest.mark.parametrize(
    ("source", "defs"),
    [
        ("x = 1\n", {"x": s.VARIABLE}),
        ("x = y = 1\n", {"x": s.VARIABLE, "y": s.VARIABLE}),
        ("(x, [y, *z]) = 1\n", {"x": s.VARIABLE, "y": s.VARIABLE, "z": s.VARIABLE}),
        ("x: int = 1\ny: int\n", {"x": s.VARIABLE, "y": s.VARIABLE}),
        ("import a.b\nimport c as d\nfrom e import f as g, h\n", dict.fromkeys("adgh", s.IMPORTED)),
        (
            "def f(): pass\nasync def g(): pass\nasync def h():\n    yield\n",
            {"f": s.FUNCTION, "g": s.COROUTINE, "h": s.ASYNC_GENERATOR},
        ),
        ("@d\ndef f(): pass\n", {"f": s.FUNCTION | s.DECORATED}),
        ("if x:\n    def f(): pass\n", {"f": s.FUNCTION | s.CONDITIONAL}),
        ("class C:\n    x = 1\n    def m(self): pass\n", {"C": s.CLASS}),
        ("for i in x:\n    j = i\n", {"i": s.VARIABLE, "j": s.VARIABLE | s.CONDITIONAL}),
        ("with a as b, c as (d, e):\n    pass\n", {"b": s.VARIABLE, "d": s.VARIABLE, "e": s.VARIABLE}),
        ("def f():\n    global g\n    g = 1\n    local = 2\n", {"f": s.FUNCTION, "g": s.VARIABLE | s.CONDITIONAL}),
        ("try:\n    pass\nexcept E as e:\n    pass\n", {"e": 1}),
        ("x.y = 1\nx[0] = 1\n", {}),
    ],
)
def test_top_level_names(source: str, defs: dict[str, int]) -> None:
    assert facts(source).defs == defs


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = 1\n", None),
        ("__all__ = ['a', 'b']\n", ["a", "b"]),
        ("__all__ = ('a',)\n__all__ += ['b']\n", ["a", "b"]),
        ("__all__ = ['a'] + other.__all__\n", ["a"]),
        ("__all__: list[str] = ['a']\n", ["a"]),
    ],
)
def test_all(source: str, names: list[str] | None) -> None:
    assert facts(source).all_names == names


@pytest.mark.parametrize(
    ("source", "dynamic"),
    [
        ("x = 1\n", False),
        ("def __getattr__(name): pass\n", True),
        ("class C:\n    def __getattr__(self, name): pass\n", False),
        ("globals()['x'] = 1\n", True),
        ("import sys\nsys.modules[__name__] = 1\n", True),
        ("def f(:\n", True),
    ],
)
def test_dynamic_modules(source: str, dynamic: bool) -> None:
    assert facts(source).dynamic is dynamic


def test_classes() -> None:
    found = list(
        facts(
            "class A(b.B, Generic[T], f(), metaclass=M):\n    x: int\n    async def m(self): pass\n    class In: pass\n"
            "def f():\n    class Local(A): pass\n"
        ).classes
    )

    assert [(c.qualname, c.bases) for c in found] == [
        ("A", ("b.B", "Generic", "?")),
        ("A.In", ()),
        ("f.Local", ("A",)),
    ]
    assert found[0].keywords == ("metaclass=M",)
    assert found[0].members == {"x": s.VARIABLE, "m": s.COROUTINE, "In": s.CLASS}


def test_imports_keep_their_place() -> None:
    (only,) = facts("def f():\n    from ..a import (b as c,\n        d)\n").imports

    assert (only.line, only.column, only.end_line, only.level, only.module) == (2, 4, 3, 2, "a")
    assert only.names == (("b", "c"), ("d", ""))
    assert only.scope == "f"


def test_suppressions_need_the_form() -> None:
    found = facts(
        "x = 1  # regreen: ignore[code.a, code.b] because of the vendor\ny = 2  # regreen: ignore[code.c]\n# regreen ignore\n"
    ).suppressions

    assert found == [(1, "code.a, code.b", "because of the vendor"), (2, "code.c", "")]


def test_coroutines_and_tests_are_counted() -> None:
    found = facts(
        "async def a(): pass\nclass T:\n    async def test_b(self): pass\n    def test_c(self): pass\ndef test_d(): pass\n"
    )

    assert [name for name, _, _ in found.coroutines] == ["a", "T.test_b"]
    assert found.tests == 3
