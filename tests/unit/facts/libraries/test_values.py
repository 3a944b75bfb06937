"""What an expression holds, where the file proves it; and nothing where it does not."""

from __future__ import annotations

import ast

import pytest

from regreen.facts.libraries.names import Names
from regreen.facts.libraries.values import Values
from regreen.facts.libraries.websocket_calls import WORDS

TOP = "import asyncio\nimport contextlib\nimport pytest\nimport websockets\nfrom websockets.asyncio.client import ClientConnection, connect\n\n"


def kind(source: str) -> str:
    """The kind of what the last `show(…)` of a source is given."""
    names = Names(ast.parse(TOP + source))
    values = Values(names, WORDS)
    shown = [call for call in names.calls if isinstance(call.func, ast.Name) and call.func.id == "show"]
    return values.kind(shown[-1].args[0])


@pytest.mark.parametrize(
    "source",
    [
        "async def f():\n    show(await connect(u))",
        "async def f():\n    async with connect(u) as ws:\n        show(ws)",
        "async def f():\n    async for ws in connect(u):\n        show(ws)",
        "async def f():\n    c = connect(u)\n    async with c as ws:\n        show(ws)",
        "async def f():\n    ws = await asyncio.wait_for(connect(u), 5)\n    show(ws)",
        "async def f():\n    ws = None\n    if x:\n        ws = await connect(u)\n    show(ws)",
        "async def f(stack):\n    ws = await stack.enter_async_context(connect(u))\n    show(ws)",
        "def f(ws: ClientConnection):\n    show(ws)",
        "def f(ws: 'ClientConnection | None' = None):\n    show(ws)",
        "def f(ws: websockets.ClientConnection | None):\n    show(ws)",
        "async def f():\n    if (ws := await connect(u)):\n        show(ws)",
        "async def f(a):\n    show(a or await connect(u)) if False else show((await connect(u)) if a else None)",
        "async def make():\n    return await connect(u)\n\nasync def f():\n    ws = await make()\n    show(ws)",
        "async def make() -> ClientConnection: ...\n\nasync def f():\n    show(await make())",
        "@contextlib.asynccontextmanager\nasync def make():\n    async with connect(u) as ws:\n        yield ws\n\n"
        "async def f():\n    async with make() as ws:\n        show(ws)",
        "@pytest.fixture\nasync def ws():\n    async with connect(u) as it:\n        yield it\n\nasync def test_a(ws):\n    show(ws)",
        "class C:\n    def __init__(self):\n        self.ws = None\n    async def go(self):\n        self.ws = await connect(u)\n"
        "    def f(self):\n        show(self.ws)",
        "class C:\n    ws: ClientConnection\n    def f(self):\n        show(self.ws)",
        "class B:\n    async def go(self):\n        self.ws = await connect(u)\nclass C(B):\n    def f(self):\n        show(self.ws)",
        "class C:\n    async def go(self):\n        self.ws = await connect(u)\n\ndef f():\n    c = C()\n    show(c.ws)",
        "ws = None\n\nasync def go():\n    global ws\n    ws = await connect(u)\n\ndef f():\n    show(ws)",
    ],
)
def test_a_connection(source: str) -> None:
    assert kind(source) == "connection"


@pytest.mark.parametrize(
    "source",
    [
        "async def f(x):\n    ws = await connect(u)\n    if x:\n        ws = other()\n    show(ws)",
        "def f(ws):\n    show(ws)",
        "async def f():\n    ws, b = await connect(u), 1\n    show(ws)",
        "def f():\n    ws = connect(u)\n    show(ws)",
        "async def f():\n    async with connect(u) as ws:\n        ws = wrap(ws)\n        show(ws)",
        "def make(ws):\n    return ws\n\ndef f():\n    show(make(1))",
        "@decorated\nasync def make():\n    return await connect(u)\n\nasync def f():\n    show(await make())",
        "class C:\n    def f(self):\n        show(self.ws)",
        "class C:\n    async def go(self):\n        self.ws = await connect(u)\n    def to(self, ws):\n        self.ws = ws\n"
        "    def f(self):\n        show(self.ws)",
        "async def ws():\n    return await connect(u)\n\nasync def test_a(ws):\n    show(ws)",
        "def f():\n    a = b\n    b = a\n    show(a)",
        "def f(f2):\n    for ws in f2:\n        show(ws)",
    ],
)
def test_what_is_not_certain_is_of_no_kind(source: str) -> None:
    assert kind(source) != "connection"


def test_the_synchronous_client_is_another_kind() -> None:
    assert (
        kind("from websockets.sync.client import connect as s\n\nwith s(u) as ws:\n    show(ws)") == "sync connection"
    )
