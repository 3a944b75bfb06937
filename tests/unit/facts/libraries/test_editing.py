"""Splices that imports and arguments need, in every layout."""

from __future__ import annotations

import ast

import pytest

from regreen.facts.libraries.editing import Draft
from regreen.facts.libraries.names import Names
from regreen.facts.source import SourceText
from regreen.model import splice


def draft(source: str) -> Draft:
    return Draft("a.py", SourceText(source.encode()), Names(ast.parse(source)))


def brought(source: str, module: str, name: str = "") -> tuple[str, str]:
    local, splices = draft(source).bring(module, name)
    return local, splice(source.encode(), splices).decode()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\n", "import asyncio\n\nx = 1\n"),
        ("", "import asyncio\n\n"),
        (
            "#!/usr/bin/python\n# why\n'''Doc.'''\nx = 1\n",
            "#!/usr/bin/python\n# why\n'''Doc.'''\n\nimport asyncio\nx = 1\n",
        ),
        (
            "'''Doc.'''\nfrom __future__ import annotations\n",
            "'''Doc.'''\nfrom __future__ import annotations\n\nimport asyncio\n",
        ),
        ("import json\nimport mine\n", "import asyncio\nimport json\nimport mine\n"),
        ("import abc\nimport json\n", "import abc\nimport asyncio\nimport json\n"),
        ("from json import loads\n", "import asyncio\nfrom json import loads\n"),
        ("import abc", "import abc\nimport asyncio"),
    ],
)
def test_where_a_module_is_imported(source: str, expected: str) -> None:
    assert brought(source, "asyncio") == ("asyncio", expected)


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("import asyncio\n", "asyncio"),
        ("import asyncio as aio\n", "aio"),
    ],
)
def test_what_is_imported_is_used(source: str, local: str) -> None:
    assert brought(source, "asyncio") == (local, source)


def test_a_name_is_added_to_the_import_of_its_module() -> None:
    assert brought("from a.b import c  # why\n", "a.b", "D") == ("D", "from a.b import c, D  # why\n")
    assert brought("from a.b import (\n    c,\n)\n", "a.b", "D") == (
        "D",
        "from a.b import (\n    c,\n)\nfrom a.b import D\n",
    )


def test_a_taken_name_gets_another() -> None:
    assert brought("import abc\nState = 1\n", "a.b", "State")[0] == "_State"
    assert brought("def f(asyncio):\n    pass\n", "asyncio")[0] == "_asyncio"


def test_an_import_in_a_function_or_a_branch_does_not_count() -> None:
    for source in ("def f():\n    import asyncio\n", "if x:\n    import asyncio\n"):
        local, after = brought(source, "asyncio")
        assert (local, after) == ("asyncio", f"import asyncio\n\n{source}")


def argued(source: str, *arguments: str, wrap: bool = False) -> str:
    made = draft(source)
    return splice(source.encode(), [made.append_arguments(made.names.calls[0], arguments, wrap)]).decode()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f()", "f(x=1)"),
        ("f(a)", "f(a, x=1)"),
        ("f((a))", "f((a), x=1)"),
        ("f(b=((a)))", "f(b=((a)), x=1)"),
        ("f(a,)", "f(a, x=1,)"),
        ("f(a, *b)", "f(a, *b, x=1)"),
        ("f(\n    a,\n    b,\n)", "f(\n    a,\n    b,\n    x=1,\n)"),
        ("f(\n    a,\n    b  # why, (\n)", "f(\n    a,\n    b,  # why, (\n    x=1,\n)"),
        ("f(\n    a,\n    b\n    ,\n)", "f(\n    a,\n    b,\n    x=1\n    ,\n)"),
        ("(f)(a)", "(f)(a, x=1)"),
    ],
)
def test_arguments_are_added_as_the_call_is_laid_out(source: str, expected: str) -> None:
    ast.parse(expected)

    assert argued(source, "x=1") == expected


def test_a_long_line_is_broken() -> None:
    name = "a" * 72

    assert argued(f"x = f({name}, b=2)", "timeout=30000000", wrap=True) == (
        f"x = f(\n    {name}, b=2, timeout=30000000\n)"
    )
    assert argued(f"f({name}, b=2)", "timeout=30000000", "c=3", wrap=True) == (
        f"f(\n    {name},\n    b=2,\n    timeout=30000000,\n    c=3,\n)"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f(x=1)", "f()"),
        ("f(x=1,)", "f()"),
        ("f(a, x=1)", "f(a)"),
        ("f(x=1, b=2)", "f(b=2)"),
        ("f(a, x=(1), b=2)", "f(a, b=2)"),
        ("f((a), x=1)", "f((a))"),
        ("f(\n    a,\n    x=1,\n    b=2,\n)", "f(\n    a,\n    b=2,\n)"),
    ],
)
def test_an_argument_goes_with_its_comma(source: str, expected: str) -> None:
    made = draft(source)
    call = made.names.calls[0]
    item = next(keyword for keyword in call.keywords if keyword.arg == "x")

    assert splice(source.encode(), [made.drop_argument(call, item)]).decode() == expected


def test_nothing_inside_an_f_string_is_found() -> None:
    source = "x = f'{g(1)}'\ng(2)\n"
    made = draft(source)
    inside, outside = made.names.calls
    from regreen.facts.libraries.editing import position
    from regreen.model import Span

    assert made.find(Span("a.py", *position(inside)), ast.Call) is None
    assert made.find(Span("a.py", *position(outside)), ast.Call) is outside
