"""The one visitor: what it calls, in which scope, with which flags."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from regreen.facts.source import CodeCheck, Context, Interests, Parents, guards
from regreen.facts.source.extract import extract
from regreen.facts.source.visitor import Visitor, imported_roots


def check(**interests: Any) -> CodeCheck:
    return cast(CodeCheck, SimpleNamespace(ID="code.test", VERSION=1, INTERESTS=Interests(**interests)))


def emitted(source: str, **interests: Any) -> list[Any]:
    record = extract(Visitor([check(**interests)]), source.encode())
    return cast("list[Any]", record[1][1]) if record[1] else []


def seen(node: ast.AST, context: Context, parents: Parents) -> None:
    context.emit(
        context.origin(node.func if isinstance(node, ast.Call) else node), context.scope.qualname, context.flags
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b\na.b.connect()\n", ("a.b.connect", "", 0)),
        ("import a.b as c\nc.connect()\n", ("a.b.connect", "", 0)),
        ("from a.b import connect\nconnect(1)\n", ("a.b.connect", "", 0)),
        ("from a import b as c\nx = [c.connect() for _ in y]\n", ("a.b.connect", "", 0)),
        ("from . import b\nb.connect()\n", (".b.connect", "", 0)),
        ("from ..p import b\nb.connect()\n", ("..p.b.connect", "", 0)),
        ("def f():\n    import a\n    return a.connect()\n", ("a.connect", "f", 0)),
        (
            "class C:\n    def m(self):\n        with a.connect() as x:\n            pass\nimport a\n",
            ("a.connect", "C.m", 0),
        ),
        ("import a\ndef f(a):\n    a.connect()\n", ("", "f", 0)),
        ("import a\nif x:\n    a.connect()\n", ("a.connect", "", guards.CONDITIONAL)),
        ("import a\n@a.connect()\ndef f():\n    pass\n", ("a.connect", "", 0)),
        ("import a\ndef f(x=a.connect()):\n    pass\n", ("a.connect", "", 0)),
        ("import a\nclass C(a.connect()):\n    pass\n", ("a.connect", "", 0)),
        ("import a\nfor x in a.connect():\n    pass\n", ("a.connect", "", 0)),
        ("import a\nwhile a.connect(): pass\n", ("a.connect", "", 0)),
        ("import a\nmatch a.connect():\n    case 1:\n        pass\n", ("a.connect", "", 0)),
        ("import a\ntry:\n    pass\nexcept a.connect():\n    pass\n", ("a.connect", "", 0)),
        (
            "import a\ntry:\n    a.connect()\nfinally:\n    pass\n",
            ("a.connect", "", guards.IN_TRY | guards.CONDITIONAL),
        ),
        ("import a\nx = 1; a.connect()\n", ("a.connect", "", 0)),
        ("import a\nx = (\n    1,\n    a.connect(),\n)\n", ("a.connect", "", 0)),
        ("import a\r\n\r\na.connect()\r\n", ("a.connect", "", 0)),
        ("import a\nif TYPE_CHECKING:\n    a.connect()\n", ("a.connect", "", guards.TYPE_CHECKING_ONLY)),
        ("import a\nlambda: a.connect()\n", ("a.connect", "", 0)),
        ("a().connect()\n", ("", "", 0)),
    ],
)
def test_calls_are_found_wherever_they_stand(source: str, expected: tuple[str, str, int]) -> None:
    assert emitted(source, calls={"connect": seen}) == [expected]


@pytest.mark.parametrize(
    "source",
    [
        "# connect()\n",
        "x = 'connect()'\n",
        "connect = 1\n",
        "disconnect()\n",
        "x.connect\n",
        "def connect(): pass\n",
        "",
    ],
)
def test_what_is_no_call_is_not_found(source: str) -> None:
    assert emitted(source, calls={"connect": seen}) == []


def test_attributes_and_names_are_found_too() -> None:
    assert emitted("import p\n@p.mark.slow\ndef test(): pass\n", attributes={"mark": seen}) == [("p.mark", "", 0)]
    assert emitted("from p import q\nprint(q)\n", names={"q": seen}) == [("p.q", "", 0)]


def test_every_hit_is_found_once_in_source_order() -> None:
    def line(node: ast.AST, context: Context, parents: Parents) -> None:
        context.emit(node.lineno)  # type: ignore[attr-defined]

    source = "f(1)\nif f(2):\n    f(3)\n    def g():\n        f(5); f(5)\nelse:\n    f(7)\n# f(8)\nx = f(f(9))\n"

    assert [r[0] for r in emitted(source, calls={"f": line})] == [1, 2, 3, 5, 5, 7, 9, 9]


def test_parents_lead_from_the_node_to_its_statement() -> None:
    def chain(node: ast.AST, context: Context, parents: Parents) -> None:
        names = []
        while parents is not None:
            names.append(type(parents[0]).__name__)
            parents = parents[1]
        context.emit(*names)

    assert emitted("async def f():\n    x = await wait_for(connect(), 1)\n", calls={"connect": chain}) == [
        ("Call", "Await", "Assign")
    ]


@pytest.mark.parametrize(
    ("interests", "source", "runs"),
    [
        ({"modules": ("websockets",)}, "import websockets\nf()\n", True),
        ({"modules": ("websockets",)}, "from websockets.client import x\nf()\n", True),
        ({"modules": ("websockets",)}, "import os, websockets as w\nf()\n", True),
        ({"modules": ("websockets",)}, "def g(): import websockets\nf()\n", True),
        ({"modules": ("websockets",)}, "if x: import websockets\nf()\n", True),
        ({"modules": ("websockets",)}, "import os, \\\n  websockets\nf()\n", True),
        ({"modules": ("websockets",)}, "x = 1; import websockets\nf()\n", True),
        ({"modules": ("websockets",)}, "import websocket\nf()\n", False),
        ({"modules": ("websockets",)}, "from .websockets import x\nf()\n", False),
        ({"needles": ("secret",)}, "f(secret)\n", True),
        ({"needles": ("secret",)}, "f()\n", False),
    ],
)
def test_a_check_is_active_only_where_it_asked(interests: Mapping[str, Any], source: str, runs: bool) -> None:
    assert bool(emitted(source, calls={"f": seen}, **interests)) is runs


def test_statements_tests_and_finish() -> None:
    def statement(node: ast.stmt, context: Context) -> None:
        context.emit("s", context.scope.qualname, type(node).__name__)

    def test(node: ast.stmt, context: Context) -> None:
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        context.emit("t", context.scope.qualname, node.name)

    def finish(context: Context) -> None:
        context.emit("f", context.scope.qualname, context.structure.tests)

    source = (
        "def test_a():\n    assert 1\n    def test_inner(): assert 2\n"
        "class T:\n    async def test_b(self):\n        if x:\n            assert 3\ndef helper(): pass\n"
    )

    records = emitted(source, statements={ast.Assert: statement}, tests=test, finish=finish)

    assert records == [
        ("t", "", "test_a"),
        ("s", "test_a", "Assert"),
        ("s", "test_a.test_inner", "Assert"),
        ("t", "T", "test_b"),
        ("s", "T.test_b", "Assert"),
        ("f", "", 2),
    ]


def test_a_handler_that_raises_is_reported_and_the_rest_goes_on() -> None:
    def broken(node: ast.AST, context: Context, parents: Parents) -> None:
        raise KeyError("oops")

    visitor = Visitor([check(calls={"f": broken}), check(calls={"f": seen})])

    record = extract(visitor, b"f()\n")

    assert record[1] == [0, [("!", "KeyError: 'oops'")], 1, [("", "", 0)]]


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        ("import x\n", 0),
        ("try:\n    import x\nexcept ImportError:\n    pass\n", guards.IMPORT_GUARDED | guards.IN_TRY),
        (
            "try:\n    import x\nexcept (ValueError, ModuleNotFoundError):\n    pass\n",
            guards.IMPORT_GUARDED | guards.IN_TRY,
        ),
        ("try:\n    import x\nexcept:\n    pass\n", guards.IMPORT_GUARDED | guards.IN_TRY),
        ("try:\n    import x\nexcept ValueError:\n    pass\n", guards.IN_TRY | guards.CONDITIONAL),
        (
            "try:\n    pass\nexcept ImportError:\n    import x\n",
            guards.IMPORT_HANDLER | guards.CONDITIONAL | guards.IN_HANDLER,
        ),
        ("with suppress(ImportError):\n    import x\n", guards.IMPORT_GUARDED),
        ("with open(f):\n    import x\n", 0),
        ("if typing.TYPE_CHECKING:\n    import x\n", guards.TYPE_CHECKING_ONLY),
        ("if not TYPE_CHECKING:\n    import x\n", guards.CONDITIONAL),
        ("if False:\n    import x\n", guards.TYPE_CHECKING_ONLY),
        ("if sys.version_info >= (3, 11):\n    import x\n", guards.CONDITIONAL | guards.VERSION_GUARDED),
        ("if sys.version_info[0] < 3:\n    pass\nelse:\n    import x\n", guards.CONDITIONAL | guards.VERSION_GUARDED),
        ("for a in b:\n    import x\n", guards.CONDITIONAL | guards.IN_LOOP),
        ("try:\n    pass\nfinally:\n    import x\n", guards.IN_FINALLY),
        ("def f():\n    import x\n", 0),
        ("try:\n    def f():\n        import x\nexcept ImportError:\n    pass\n", 0),
    ],
)
def test_flags_of_an_import(source: str, flags: int) -> None:
    structure = extract(Visitor(()), source.encode())[0]

    assert [entry[7] for entry in structure[0]] == [flags]


@pytest.mark.parametrize(
    ("source", "roots"),
    [
        (b"import a.b, c as d\n", {b"a", b"c"}),
        (b"from a.b import (\n    c,\n)\n", {b"a"}),
        (b"    from . import x\n", set()),
        (b"\tfrom .a import x\r\nimport z\r\n", {b"z"}),
        (b"x = 1\n", set()),
    ],
)
def test_imported_roots(source: bytes, roots: set[bytes]) -> None:
    assert imported_roots(source) == roots
