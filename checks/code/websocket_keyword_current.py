"""WebSocket code uses the names and keywords of the websockets version that is declared.

`extra_headers=` is the legacy client's keyword and `additional_headers=` the current one's; `websockets.connect` became
the current client in 14.0, and each refuses the other's keyword with a TypeError on `await`. Since 14.0 a connection has
no `.open` and `.closed`, the client raises `InvalidStatus` and never `InvalidStatusCode`, and the legacy modules are
deprecated. The version is the locked one, else the declared range; with no range the current release is what an
installation gets. Where a range holds both sides, only what fails with the newest release is reported.
"""

from __future__ import annotations

from typing import Any, Final

from regreen.facts.libraries import websocket_calls as ws
from regreen.facts.libraries.reading import names_in
from regreen.facts.libraries.versions import Side, declared, side
from regreen.facts.source import Context, FileFacts, Index, Interests
from regreen.facts.source.metadata import metadata
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.websocket-keyword-current"
VERSION: Final = 1
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://websockets.readthedocs.io/en/stable/howto/upgrade.html"

_JUDGED: Final = frozenset(
    {"extra_headers", "additional_headers", "legacy-keyword", "serve-headers", "open", "closed", "import", "name"}
)


def _finish(context: Context) -> None:
    if ws.SUSPECT.search(context.source):
        for record in ws.records(names_in(context), context.memo, _JUDGED):
            context.emit(*record)


INTERESTS: Final = Interests(modules=("websockets",), finish=_finish)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per call, attribute or import statement that the version does not have, or is about to lose."""
    if "websockets" in metadata(index).own:
        return Verdict.of(ID, len(index.files), (), "this is the library itself, which keeps its legacy side")
    findings = []
    current = sum(
        record[0] == "additional_headers" and record[3] == "top" for _, record in index.records(ID)
    )  # no version before 14 takes it there
    for file, record in ws.every_record(index, ID, _JUDGED):
        found = _finding(index, file, record, current)
        if found is not None:
            findings.append(found)
    return Verdict.of(ID, len(index.files), findings)


def _finding(index: Index, file: FileFacts, record: tuple[Any, ...], current: int) -> Finding | None:
    what, scope, position, detail, text = record
    stands = side(index, "websockets", "14", file.path)
    family = detail.split(" ")[0]
    severity = SEVERITY
    if what == "extra_headers":
        if family == "legacy" or (family == "top" and stands is Side.BEFORE):
            return None
        observed = "`extra_headers=` is a TypeError on `await`: it is the legacy client's keyword"
        expected = "`additional_headers=`"
    elif what == "additional_headers":
        if family == "current" or (family == "top" and stands is not Side.BEFORE):
            return None
        observed = "`additional_headers=` is a TypeError: this is the legacy client"
        expected = "`extra_headers=`"
    elif stands is Side.BEFORE:
        return None
    elif what == "legacy-keyword":
        observed = f"the client of websockets 14 and later takes no {detail.split(' ')[1]}"
        expected = "what replaced it (see the source)"
    elif what == "serve-headers":
        if detail == "legacy":
            return None
        observed = "`serve` takes no `extra_headers=` since 14: TypeError when it starts"
        expected = "a `process_response` callback that adds the headers"
    elif what in ("open", "closed"):
        observed = f"a connection has no `.{what}` since 14: AttributeError"
        expected = f"`.state is State.{'OPEN' if what == 'open' else 'CLOSED'}`"
    else:
        if stands is Side.EITHER:
            return None  # works on both sides, with a warning on one
        severity = Severity.ERROR if "InvalidStatusCode" in detail else Severity.WARNING
        observed = f"{_spoken(detail)} deprecated since websockets 14"
        if "InvalidStatusCode" in detail:
            observed += ", and no client raises InvalidStatusCode any more: the handler never runs"
        expected = _homes(detail)
    return index.finding(
        ID, severity, file, position, scope=scope, observed=observed, expected=expected, snippet=text,
        data={
            "kind": what, "detail": detail, "side": str(stands), "declared": declared(index, "websockets", file.path),
            "current-calls": str(current),
        },
    )  # fmt: skip


def _spoken(detail: str) -> str:
    names = detail.split(",")
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _homes(detail: str) -> str:
    homes = []
    for name in detail.split(","):
        last = name.rpartition(".")[2]
        successor = ws.SUCCESSORS.get(last)
        homes.append(f"`{successor[0]}.{successor[1]}`" if successor else f"what replaced {last} (see the source)")
    return " and ".join(homes)


_OLD: Final = "websockets==12.0\n"
_NEW: Final = "websockets>=14\n"
_CALL: Final = "import websockets\n\n\nasync def f(u, h):\n    async with websockets.connect(u, extra_headers=h) as ws:\n        await ws.send('x')\n"
_OPEN: Final = "import websockets\n\n\nasync def f(u):\n    ws = await websockets.connect(u)\n    return ws.open or not ws.closed\n"

EXAMPLES: Final = (
    Example("extra_headers, no version declared", {"a.py": _CALL}, fires=1),
    Example("extra_headers with 14 and later", {"a.py": _CALL, "requirements.txt": _NEW}, fires=1),
    Example("extra_headers in a range of both sides", {"a.py": _CALL, "requirements.txt": "websockets>=10,<16\n"}, fires=1),
    Example("a lock chooses", {
        "a.py": _CALL, "requirements.in": "websockets>=10\n", "requirements.txt": "websockets==13.1\n",
    }),
    Example("additional_headers with 12", {"a.py": _CALL.replace("extra_", "additional_"), "requirements.txt": _OLD}, fires=1),
    Example("extra_headers on the asyncio client of 13", {
        "a.py": "from websockets.asyncio.client import connect\n\n\nasync def f(u, h):\n    return await connect(u, extra_headers=h)\n",
        "requirements.txt": "websockets==13.1\n",
    }, fires=1),
    Example("additional_headers on the legacy client", {
        "a.py": "from websockets.legacy.client import connect\n\n\nasync def f(u, h):\n    return await connect(u, additional_headers=h)\n",
        "requirements.txt": _OLD,
    }, fires=1),
    Example("in wait_for, aliased", {
        "a.py": "import asyncio\nimport websockets as w\n\n\nasync def f(u, h):\n"
        "    return await asyncio.wait_for(w.connect(u, extra_headers=h), timeout=5)\n",
    }, fires=1),
    Example("open and closed", {"a.py": _OPEN}, fires=2),
    Example("open of a parameter, of self, of a server's connection", {
        "a.py": "import websockets\nfrom websockets.asyncio.client import ClientConnection\n\n\nclass C:\n    def __init__(self):\n"
        "        self._c: ClientConnection | None = None\n\n    def up(self):\n        return self._c is not None and self._c.open\n\n\n"
        "def g(ws: ClientConnection):\n    return ws.open\n\n\nasync def handler(ws):\n    return ws.open\n\n\n"
        "async def main():\n    await websockets.serve(handler, '', 1)\n",
    }, fires=3),
    Example("legacy imports", {
        "a.py": "from websockets.client import WebSocketClientProtocol, connect\nfrom websockets.exceptions import InvalidStatusCode\n"
        "import websockets\n\nX = websockets.WebSocketClientProtocol\n",
    }, fires=3),
    Example("legacy module under a name", {"a.py": "import websockets.client as c\n\n\nasync def f(u):\n    return await c.connect(u)\n"}, fires=1),
    Example("keywords that only the legacy client takes", {
        "a.py": "import websockets\n\n\nasync def f(u, k):\n    return await websockets.connect(u, create_protocol=k)\n",
    }, fires=1),
    Example("serve with extra_headers", {"a.py": "import websockets\n\n\nasync def f(h):\n    await websockets.serve(h, '', 1, extra_headers=[])\n"}, fires=1),
    Example("re-exported by the tree", {
        "app/__init__.py": "", "app/net.py": "from websockets import connect\n",
        "app/a.py": "from app.net import connect as c\n\n\nasync def f(u, h):\n    return await c(u, extra_headers=h)\n",
    }, fires=1),
    Example("extra_headers with 12", {"a.py": _CALL, "requirements.txt": _OLD}),
    Example("additional_headers with 14 and later", {"a.py": _CALL.replace("extra_", "additional_"), "requirements.txt": _NEW}),
    Example("open with 12", {"a.py": _OPEN, "requirements.txt": _OLD}),
    Example("legacy imports with 12, and in a range of both sides", {
        "a.py": "from websockets.client import connect\n", "requirements.txt": "websockets>=11\n",
    }),
    Example("the legacy client's own keyword, where legacy is not deprecated", {
        "a.py": "from websockets.legacy.client import connect\n\n\nasync def f(u, h):\n    return await connect(u, extra_headers=h)\n",
        "requirements.txt": _OLD,
    }),
    Example("open of something else", {
        "a.py": "import websockets\n\n\nasync def f(u, door, path):\n    ws = await websockets.connect(u)\n    with path.open() as f:\n"
        "        return door.open, f.closed\n",
    }),
    Example("compatible on purpose", {
        "a.py": "import websockets\n\n\nasync def f(u):\n    ws = await websockets.connect(u)\n"
        "    return ws.open if hasattr(ws, 'open') else ws.state == 1\n",
    }),
    Example("another library's extra_headers", {"a.py": "import mine\nimport websockets\n\nmine.connect('u', extra_headers={})\n"}),
    Example("current names", {
        "a.py": "from websockets.asyncio.client import ClientConnection, connect\nfrom websockets.exceptions import InvalidStatus\n"
        "from websockets.sync.client import connect as s\n\n\ndef f(u, h):\n    return s(u, additional_headers=h)\n",
    }),
    Example("the library itself", {
        "a.py": "from websockets.legacy.client import connect\n", "pyproject.toml": "[project]\nname = 'websockets'\n",
    }),
    Example("kwargs", {"a.py": "import websockets\n\n\nasync def f(u, **k):\n    return await websockets.connect(u, **k)\n"}),
)  # fmt: skip
