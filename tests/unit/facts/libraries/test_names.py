"""What a name is, by the scopes and imports of a file."""

from __future__ import annotations

import ast

import pytest

from regreen.facts.libraries.names import Names


def origins(source: str, renames: dict[str, str] | None = None) -> list[tuple[str, ...]]:
    """The origins of the callee of each call, in source order."""
    names = Names(ast.parse(source), renames)
    return [names.origins(call.func) for call in names.calls]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b as c\nc.f()", "a.b.f"),
        ("import a.b\na.b.f()", "a.b.f"),
        ("from a import b as c\nc()", "a.b"),
        ("from . import b\nb.f()", ".b.f"),
        ("from ..p.q import b\nb()", "..p.q.b"),
        ("from a import f\ng = f\nh = g\nh()", "a.f"),
        ("def f():\n    from a import g\n    def h():\n        g()", "a.g"),
        ("try:\n    import a\nexcept ImportError:\n    a = None\na.f()", "a.f"),
        ("class C:\n    from a import g\n    g()", "a.g"),
    ],
)
def test_origin(source: str, expected: str) -> None:
    assert origins(source) == [(expected,)]


@pytest.mark.parametrize(
    "source",
    [
        "import a\ndef f(a):\n    a.g()",
        "import a\ndef f(*a):\n    a.g()",
        "import a\nfor a in []:\n    a.g()",
        "import a\nwith x as a:\n    a.g()",
        "import a\na = 3\na.g()",
        "f.g()",
        "f().g.h",
        "class C:\n    from a import g\n    def f(self):\n        g()",
        "from a import f\nf = f\nf()",
    ],
)
def test_no_origin_where_it_may_be_something_else(source: str) -> None:
    assert origins(source)[-1] == ()


def test_two_imports_are_two_origins() -> None:
    source = "try:\n    from a import f\nexcept ImportError:\n    from b import f\nf()"

    assert origins(source) == [("a.f", "b.f")]


def test_re_exports_are_renamed_with_what_follows() -> None:
    assert origins("from app.net import w\nw.connect()", {"app.net.w": "websockets"}) == [("websockets.connect",)]


def test_a_global_is_bound_in_the_module() -> None:
    names = Names(ast.parse("def f():\n    global a\n    import a\na.g()"))

    assert names.origin(names.calls[0].func) == "a.g"


def test_decorators_and_defaults_belong_outside() -> None:
    source = "import a\n@a.d()\ndef f(x=a.e()):\n    a = 1\n    a.g()"

    assert sorted(origins(source)) == [(), ("a.d",), ("a.e",)]
