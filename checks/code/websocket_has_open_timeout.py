"""Every WebSocket client bounds its handshake, by the keyword that the library has.

`timeout=` of `websockets.connect` never bounded the handshake: until 13 it was the time to *close*, since 14 it is a
TypeError that is raised on `await` or on entering, not at the call. The keyword is `open_timeout=` (10 s by default, so
a call without it is bounded). A connection has no `settimeout()` in any version, and `recv(timeout=)` exists on the
synchronous client only: on an asyncio connection it is a TypeError. A handshake time below the policy's is reported
where the target sets that policy, or where the pings are off as well: a cold service needs longer, and a balancer closes
what is idle. Below one second it is the subject of a test.
Not judged: the `timeout` of a `wait_for` around the call, websocket-client, aiohttp's `ws_connect`, the synchronous client,
and calls with `**kwargs` (counted in the note).
"""

from __future__ import annotations

from typing import Any, Final

from regreen.facts.libraries import websocket_calls as ws
from regreen.facts.libraries.reading import names_in
from regreen.facts.source import Context, FileFacts, Index, Interests
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.websocket-has-open-timeout"
VERSION: Final = 1
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://websockets.readthedocs.io/en/stable/reference/asyncio/client.html"

_JUDGED: Final = frozenset({"timeout", "recv", "settimeout", "open-none", "open-short", "dynamic"})
_EXPECTED: Final = {
    "timeout": "`open_timeout=`, which bounds the handshake",
    "recv": "`asyncio.wait_for(….recv(), …)`",
    "settimeout": "`open_timeout=` when connecting, and `asyncio.wait_for` around each `recv()`",
    "open-none": "a limit in seconds, so that a peer that never answers is noticed",
}


def _finish(context: Context) -> None:
    if ws.SUSPECT.search(context.source):
        for record in ws.records(names_in(context), context.memo, _JUDGED):
            context.emit(*record)


INTERESTS: Final = Interests(modules=("websockets",), finish=_finish)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per keyword or call that cannot do what it is there for."""
    findings: list[Finding] = []
    dynamic = 0
    for file, record in ws.every_record(index, ID, _JUDGED):
        if record[0] == "dynamic":
            dynamic += 1
        elif found := _finding(index, policy, file, record):
            findings.append(found)
    calls = "1 connect call passes" if dynamic == 1 else f"{dynamic} connect calls pass"
    note = f"{calls} **kwargs: what is in them is not known" if dynamic else ""
    return Verdict.of(ID, len(index.files), findings, note)


def _finding(index: Index, policy: Policy, file: FileFacts, record: tuple[Any, ...]) -> Finding | None:
    what, scope, position, detail, text = record
    severity = SEVERITY
    expected = _EXPECTED.get(what, "")
    if what == "timeout":
        observed = (
            "`timeout=` is no limit for the handshake: it is an error since websockets 14, and the time to close before"
        )
    elif what == "recv":
        observed = "`recv()` of an asyncio connection takes no `timeout`: TypeError when it is called"
    elif what == "settimeout":
        observed = "a websockets connection has no `settimeout()`: AttributeError"
    elif what == "open-none":
        observed, severity = "`open_timeout=None` waits for the handshake for ever", Severity.WARNING
    else:
        limit, _, idle = detail.partition(" ")
        if float(limit) >= policy.open_timeout or not (idle or policy.open_timeout != Policy().open_timeout):
            return None
        observed, severity = f"the handshake may take {limit} s", Severity.WARNING
        if idle:
            observed += ", and without pings an idle connection dies at the first proxy"
        expected = f"at least {policy.open_timeout:g} s (policy open-timeout): a cold service answers late"
    return index.finding(
        ID, severity, file, position, scope=scope, observed=observed, expected=expected, snippet=text,
        data={"kind": what, "family": detail},
    )  # fmt: skip


_IN: Final = "import asyncio\nimport websockets\n\n\nasync def f(url):\n"
_WITH: Final = "    async with websockets.connect(url) as ws:\n"

EXAMPLES: Final = (
    Example("timeout in connect", {"a.py": _IN + "    async with websockets.connect(url, timeout=10) as ws:\n        await ws.recv()\n"}, fires=1),
    Example("every form of import", {
        "a.py": "import websockets as w\nfrom websockets import connect\nfrom websockets.asyncio.client import connect as c\n"
        "import websockets.client as old\nimport websockets.asyncio.client\nfrom websockets.legacy.client import connect as o\n\n\n"
        "async def f(u):\n    await w.connect(u, timeout=1)\n    await connect(u, timeout=1)\n    await c(u, timeout=1)\n"
        "    await old.connect(u, timeout=1)\n    await websockets.asyncio.client.connect(u, timeout=1)\n    await o(u, timeout=1)\n",
    }, fires=6),
    Example("imported in the function, aliased, and partial", {
        "a.py": "from functools import partial\n\n\nasync def f(u):\n    import websockets\n    go = websockets.connect\n"
        "    async for ws in go(u, timeout=3):\n        break\n    return partial(websockets.connect, timeout=3)\n",
    }, fires=2),
    Example("re-exported by a module of the tree", {
        "app/__init__.py": "", "app/net.py": "from websockets import connect as ws_connect\nimport websockets\n",
        "app/a.py": "from app.net import ws_connect\nfrom .net import websockets as w\n\n\nasync def f(u):\n"
        "    await ws_connect(u, timeout=5)\n    await w.connect(u, timeout=5)\n",
    }, fires=2),
    Example("recv with a timeout", {"a.py": _IN + _WITH + "        return await ws.recv(timeout=5)\n"}, fires=1),
    Example("recv on a connection kept on self", {
        "a.py": "import websockets\n\n\nclass C:\n    def __init__(self):\n        self.ws = None\n\n    async def open(self, u):\n"
        "        self.ws = await websockets.connect(u)\n\n    async def read(self):\n        return await self.ws.recv(timeout=3)\n",
    }, fires=1),
    Example("settimeout", {"a.py": _IN + "    ws = await websockets.connect(url)\n    ws.settimeout(10)\n"}, fires=1),
    Example("a handshake time below the target's policy", {
        "a.py": _IN + "    return await websockets.connect(url, open_timeout=5)\n",
        "pyproject.toml": "[tool.regreen]\nopen-timeout = 20\n",
    }, fires=1),
    Example("a short handshake on a connection without pings", {
        "a.py": _IN + "    return await websockets.connect(url, open_timeout=5, ping_interval=None)\n",
    }, fires=1),
    Example("short by choice, and no policy says otherwise", {
        "a.py": _IN + "    return await websockets.connect(url, open_timeout=5)\n",
    }),
    Example("as long as the policy asks", {
        "a.py": _IN + "    return await websockets.connect(url, open_timeout=20, ping_interval=None)\n",
        "pyproject.toml": "[tool.regreen]\nopen-timeout = 20\n",
    }),
    Example("no limit at all", {"a.py": _IN + "    return await websockets.connect(url, open_timeout=None)\n"}, fires=1),
    Example("the library's default is a limit", {"a.py": _IN + _WITH + "        await ws.recv()\n"}),
    Example("open_timeout", {"a.py": _IN + "    return await websockets.connect(url, open_timeout=60)\n"}),
    Example("the keyword belongs to wait_for", {
        "a.py": _IN + "    ws = await asyncio.wait_for(websockets.connect(url, open_timeout=None), timeout=5)\n"
        "    return await asyncio.wait_for(ws.recv(), timeout=5)\n",
    }),
    Example("asyncio.timeout bounds it", {
        "a.py": _IN + "    async with asyncio.timeout(9):\n        return await websockets.connect(url, open_timeout=2)\n",
    }),
    Example("the synchronous client", {
        "a.py": "from websockets.sync.client import connect\n\n\ndef f(u):\n    with connect(u, timeout=5) as ws:\n        return ws.recv(timeout=5)\n",
    }),
    Example("websocket-client", {
        "a.py": "import websocket\nimport websockets\n\nws = websocket.create_connection('u', timeout=5)\nws.settimeout(5)\n",
    }),
    Example("aiohttp", {
        "a.py": "import aiohttp\nimport websockets\n\n\nasync def f(u):\n    async with aiohttp.ClientSession() as s:\n"
        "        async with s.ws_connect(u, timeout=5) as ws:\n            await ws.receive(timeout=5)\n",
    }),
    Example("kwargs", {"a.py": _IN + "    return await websockets.connect(url, **{'timeout': 5})\n"}),
    Example("another connect", {"a.py": "import websockets\nimport db\n\nc = db.connect('u', timeout=5)\nc.recv(timeout=1)\n"}),
    Example("a parameter shadows the import", {"a.py": "import websockets\n\n\ndef f(websockets):\n    websockets.connect('u', timeout=5)\n"}),
    Example("a name that may be either", {
        "a.py": "import websockets\nimport mine\n\n\nasync def f(u, x):\n    ws = await websockets.connect(u)\n"
        "    if x:\n        ws = mine.queue()\n    return await ws.recv(timeout=1)\n",
    }),
    Example("the time-out is what is tested", {
        "test_a.py": "import pytest\nimport websockets\n\n\nasync def test_a(u):\n    with pytest.raises(TimeoutError):\n"
        "        await websockets.connect(u, open_timeout=1)\n    await websockets.connect(u, open_timeout=0.1)\n",
    }),
    Example("in a string", {"a.py": "import websockets\n\nTEXT = 'websockets.connect(url, timeout=10)'\n"}),
)  # fmt: skip
