"""Why a file cannot be parsed is told apart."""

from __future__ import annotations

import sys

import pytest

from regreen.facts.source.extract import extract
from regreen.facts.source.syntax import Unreadable, parse
from regreen.facts.source.visitor import Visitor


def reason(source: bytes) -> tuple[str, int]:
    error = extract(Visitor(()), source)[2]
    assert error, "the file was read without complaint"
    return error[0], error[2]


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        (b"x = 1\ny = \x00\n", "nul", 2),
        ("x = 1\n".encode("utf-16"), "nul", 1),
        (b"x = '\xff'\n", "encoding", 0),
        (b"def f(:\n", "syntax", 1),
        (b"x = 1\n<<<<<<< ours\ny = 1\n=======\ny = 2\n>>>>>>> theirs\n", "conflict", 2),
        (b"print 'x'\n", "python-2", 1),
        (b"from {{ cookiecutter.name }} import x\n", "template", 1),
        (b"x = [\n{% for a in b %}\n  {{ a }},\n{% endfor %}\n]\n", "template", 2),
        (b"{{ license }}\nclass {{x}}: pass\n", "template", 2),
        (b"x = 1\n!pip install numpy\n", "notebook", 2),
        (b"def f(:\n    return f'{{ x }}'\n", "syntax", 1),
        (b"x = (1 %y\n\n", "syntax", 1),
        (b"try:\n    pass\nexcept ValueError, e:\n    pass\n", "python-2", 3),
        (b"def f():\n    await g()\n", "compile", 2),
        (b"class A:\n    return 1\n", "compile", 2),
        (b"async def f():\n    yield 1\n    return 2\n", "compile", 3),
        (b"def f():\n    nonlocal x\n", "compile", 2),
        (b"def f():\n    x = 1\n    global x\n", "compile", 3),
        (b"def g():\n    x = 1\ndef f():\n    def h():\n        nonlocal x\n", "compile", 5),
        (b"match x:\n    case y:\n        pass\n    case 1:\n        pass\n", "compile", 2),
        (b"match x:\n    case (y, y):\n        pass\n", "compile", 2),
        (b"def f(a, a):\n    pass\n", "compile", 1),
        (b"x = 1\nfrom __future__ import annotations\n", "compile", 2),
        (b"def f():\n    from os import *\n", "compile", 2),
        (b"def f():\n    async with a:\n        pass\n", "compile", 2),
        (b"continue\n", "compile", 1),
        (b"x = [await y for y in z]\n", "compile", 1),
        (b"class A:\n    x = yield\nasync def f():\n    await g()\n", "compile", 2),
        (b"import x\nfrom {{folder_name}}.tools import y\n", "template", 2),
        (b"f(a=1, b=g(2), a=3)\n", "compile", 1),
        (b"connect(\n    url,\n    timeout=1,\n    headers={'a': 1},\n    timeout=2,\n)\n", "compile", 5),
        (b"x = [y := 1 for y in z]\n", "compile", 1),
        (b"def f():\n    if [a for a in (b := c)]:\n        pass\n", "compile", 2),
        (b"x = *a\n", "compile", 1),
        (b"*a = b\n", "compile", 1),
        (b"def f():\n    *a, b, *c = d\n", "compile", 2),
        (b"def f():\n    for *a, *b in c:\n        pass\n", "compile", 2),
        (b"def f():\n    return *a\n", "compile", 2),
        (b"for x in *y:\n    pass\n", "compile", 1),
        (b"x = 1\nyield x\n", "compile", 2),
        (b"def f():\n    return [(yield x) for x in y]\n", "compile", 2),
        (b"async def f():\n    yield from g()\n", "compile", 2),
        (b"def f():\n    return [x async for x in y]\n", "compile", 2),
        (b"from __future__ import braces_and_more\n", "compile", 1),
        (b"f = lambda a, a: 1\n", "compile", 1),
        (b"__debug__ = 1\n", "compile", 1),
        (b"try:\n    pass\nexcept:\n    pass\nexcept ValueError:\n    pass\n", "compile", 3),
        (b"def f(x):\n    global x\n", "compile", 2),
        (b"def f():\n    global x\n    x: int = 1\n", "compile", 3),
        (
            b"".join(b"    " * n + b"for x in y:\n" for n in range(21)) + b"    " * 21 + b"pass\n",
            "compile",
            21,
        ),
    ],
)
def test_kind_and_line(source: bytes, kind: str, line: int) -> None:
    assert reason(source) == (kind, line)


@pytest.mark.parametrize("depth", [300, 5_000, 100_000])
def test_deep_nesting_is_reported_not_fatal(depth: int) -> None:
    assert reason(b"x = " + b"(" * depth + b")" * depth)[0] in ("syntax", "crash")


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\xef\xbb\xbf",
        b"\x0c\n",
        b"x = 1",
        b"x = 1\r\ny = 2\r\n",
        b"async def f():\n    return [x async for x in y]\n",
        b"async def f():\n    async def g():\n        await h()\n    await g()\n",
        b"def f():\n    return lambda: (yield)\n",
        b"def f():\n    x = 1\n    def h():\n        nonlocal x\n        x = 2\n",
        b"match x:\n    case (y, z):\n        pass\n    case _:\n        pass\n",
        b"def f():\n    y = 1\n    global x\n    x = y\n",
        b"async def f():\n    yield 1\n    return\n",
        b'async def f():\n    """Yields nothing; await it."""\n    return 1\n',
        b"f(a=1, b=g(a=2), c={'a': 3}, d=lambda a: 1)\n",
        b"a, *b = *c, *d\n*e, f = g\nprint(*a, *b, sep='')\nx = [*a, *b]\ndef h(*args, **kwargs): return *a, b\n",
        b"def f():\n    if (x := g()):\n        return [y for y in x]\n",
        b"def f():\n    x = yield from g()\n    return lambda a, b: (yield)\n",
        b"def f():\n    global x\n    x = 1\n    return x\n",
        b'"""doc"""\nfrom __future__ import annotations\nfrom __future__ import division\n',
        b"for x in y:\n    if x:\n        continue\nelse:\n    pass\n",
        b"import re\nx = re.compile('\\d')\n",  # an invalid escape is a warning, not an error
        "x = 'é'  # zero width: \u200b\u202e\n".encode(),
        b"# coding: latin-1\nx = '\xe9'\n",
    ],
)
def test_valid_sources_parse(source: bytes) -> None:
    structure, _, error = extract(Visitor(()), source)

    assert error == ()
    assert structure != ()


def test_a_newer_grammar_is_told_from_a_syntax_error() -> None:
    newer = b'x = f"{a["b"]}"\ntype X = int\n'  # 3.12: nested quotes, type statements
    result = parse(newer)

    if sys.version_info >= (3, 12):
        assert not isinstance(result, Unreadable)
    else:
        assert isinstance(result, Unreadable)
        assert result.kind == "newer-python"
