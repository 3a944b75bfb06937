"""The rewrites of WebSocket code, run against the real library: before they fail, after they work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from checks.code import websocket_has_open_timeout, websocket_keyword_current
from remedies.code import websocket_keyword, websocket_open_timeout
from tests.unit.remedies.mending import mend

PAIRS = (
    (websocket_keyword_current, websocket_keyword),
    (websocket_has_open_timeout, websocket_open_timeout),
)
SINCE_14 = {"requirements.txt": "websockets>=14\n"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")  # the client uses the environment's proxy by default since 15


def mended(source: str, requirements: str = "websockets>=14\n") -> str:
    """The source after both remedies; nothing may be refused."""
    files, refusals = mend({"a.py": source, "requirements.txt": requirements}, *PAIRS)
    assert refusals == []
    return files["a.py"].decode()


def function(source: str) -> Callable[..., Awaitable[Any]]:
    """The function `f` of a source."""
    space: dict[str, Any] = {}
    exec(compile(source, "a.py", "exec"), space)
    found: Callable[..., Awaitable[Any]] = space["f"]
    return found


@asynccontextmanager
async def echo(headers: list[str]) -> AsyncIterator[str]:
    """A server that sends back what it gets, refuses the path /no, and never answers the message `silence`."""

    async def talk(connection: ServerConnection) -> None:
        async for message in connection:
            if message != "silence":
                await connection.send(message)

    def look(connection: ServerConnection, request: Request) -> Response | None:
        headers.append(request.headers.get("X-Who", ""))
        return connection.respond(HTTPStatus.UNAUTHORIZED, "no\n") if request.path == "/no" else None

    async with serve(talk, "127.0.0.1", 0, process_request=look) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@asynccontextmanager
async def silence() -> AsyncIterator[str]:
    """A socket that accepts and never answers."""
    taken: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in taken:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


TALK = """
import websockets

async def f(url):
    async with websockets.connect(url, timeout=2, extra_headers={"X-Who": "me"}) as ws:
        await ws.send("hello")
        return await ws.recv(timeout=2)
"""


def test_a_client_talks_again() -> None:
    headers: list[str] = []

    async def main() -> None:
        async with echo(headers) as url:
            with pytest.raises(TypeError, match="unexpected keyword argument"):
                await function(TALK)(url)
            assert await function(mended(TALK))(url) == "hello"

    asyncio.run(main())
    assert headers == ["me"]


@pytest.mark.parametrize(
    ("source", "requirements"),
    [
        ("import websockets\nasync def f(u):\n    await websockets.connect(u, timeout=0.1)\n", "websockets>=14\n"),
        (
            "import websockets as w\nasync def f(u):\n    async with w.connect(u, timeout=0.1):\n        pass\n",
            "websockets\n",
        ),
        ("from websockets import connect\nasync def f(u):\n    await connect(u, timeout=0.1)\n", "websockets>=8\n"),
        (
            "from websockets.client import connect as c\nasync def f(u):\n    await c(u, timeout=0.1)\n",
            "websockets>=14\n",
        ),
        (
            "from websockets.asyncio.client import connect\nasync def f(u):\n    await connect(u, timeout=0.1)\n",
            "websockets>=14\n",
        ),
        (
            "import functools, websockets\ngo = functools.partial(websockets.connect, timeout=0.1)\nasync def f(u):\n    await go(u)\n",
            "websockets>=14\n",
        ),
    ],
)
def test_a_handshake_that_is_never_answered_ends_in_time(source: str, requirements: str) -> None:
    async def main() -> float:
        async with silence() as url:
            started = time.perf_counter()
            with pytest.raises(TimeoutError):
                await function(mended(source, requirements))(url)
            return time.perf_counter() - started

    assert 0.09 < asyncio.run(main()) < 0.9


WAITING = """
import websockets

async def f(url):
    ws = await websockets.connect(url)
    await ws.send("silence")
    try:
        await ws.recv(timeout=0.05)
    except TimeoutError:
        await ws.send("still here")
        return await ws.recv(timeout=1)
    finally:
        await ws.close()
"""


def test_a_read_has_a_deadline_and_the_connection_stays_usable() -> None:
    async def main() -> str:
        async with echo([]) as url:
            answer: str = await function(mended(WAITING))(url)
            return answer

    assert asyncio.run(main()) == "still here"


SETTIMEOUT = """
import websockets

async def f(url):
    async with websockets.connect(url) as ws:
        ws.settimeout(0.05)
        await ws.send("silence")
        return await ws.recv()
"""


def test_settimeout_becomes_a_limit() -> None:
    async def main() -> None:
        async with echo([]) as url:
            with pytest.raises(AttributeError, match="settimeout"):
                await function(SETTIMEOUT)(url)
            with pytest.raises(TimeoutError):
                await function(mended(SETTIMEOUT))(url)

    asyncio.run(main())


STATE = """
import websockets
from websockets.client import WebSocketClientProtocol

def up(ws: WebSocketClientProtocol) -> bool:
    return ws.open and not ws.closed

async def f(url):
    ws = await websockets.connect(url)
    before = up(ws)
    await ws.close()
    return before, up(ws), ws.closed
"""


def test_open_and_closed_say_the_same_as_they_did() -> None:
    async def main() -> tuple[bool, bool, bool]:
        async with echo([]) as url:
            found: tuple[bool, bool, bool] = await function(mended(STATE))(url)
            return found

    assert asyncio.run(main()) == (True, False, True)


REFUSED = """
import websockets

async def f(url):
    try:
        await websockets.connect(url + "/no")
    except websockets.InvalidStatusCode as error:
        return error.status_code
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_refused_handshake_is_caught_again() -> None:
    async def main() -> int:
        async with echo([]) as url:
            with pytest.raises(Exception, match="401"):  # escapes: the current client raises InvalidStatus
                await function(REFUSED)(url)
            code: int = await function(mended(REFUSED))(url)
            return code

    assert asyncio.run(main()) == 401


def test_every_successor_is_where_the_remedy_says() -> None:
    import importlib
    import warnings

    from regreen.facts.libraries.websocket_calls import SUCCESSORS

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for module, name in SUCCESSORS.values():
            assert hasattr(importlib.import_module(module), name), (module, name)
            assert hasattr(importlib.import_module("websockets"), name), name
