"""Use the names and keywords of the websockets version that is declared.

`extra_headers=` ↔ `additional_headers=` by the version; `.open` and `.closed` become comparisons of `.state`; names of the
legacy modules are taken from where their successors live, together with what changes in their use: the headers keyword of
the legacy client, `.status_code` of `InvalidStatusCode`. Safe: what is replaced is an error with the declared version, or
deprecated with a successor of the same shape. Where the declared range holds versions of both sides, a person decides.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.versions import Side, allowed, side
from regreen.facts.libraries.websocket_calls import keyword
from regreen.facts.libraries.websocket_successors import import_edits, name_edits
from regreen.facts.source import Index
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.websocket-keyword"
CHECK: Final = "code.websocket-keyword-current"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://websockets.readthedocs.io/en/stable/howto/upgrade.html"
_RANGE: Final = "which versions are meant: require websockets>=14, or cap it below 14"
#: Parents in which a comparison needs parentheses.
_TIGHT: Final = (ast.Attribute, ast.Compare, ast.BinOp, ast.Await, ast.Subscript, ast.Starred, ast.UnaryOp)


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per call, attribute or import statement."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        splices, summary = _edits(finding, draft, index)
        return Edit(splices, summary, f"{finding.get('declared')}: {finding.observed}; {_SOURCE}")

    return one_by_one(ID, findings, index, edit)


def _edits(finding: Finding, draft: Draft, index: Index) -> tuple[list[Splice], str]:
    kind = finding.get("kind")
    if kind in ("extra_headers", "additional_headers"):
        return _headers(finding, draft, kind)
    if kind in ("open", "closed"):
        return _state(finding, draft, index, kind)
    if kind in ("import", "name"):
        _reachable(finding, draft, index)
    if kind == "import":
        names = finding.get("detail").replace(",", ", ")
        return import_edits(
            draft, draft.the(finding.where, ast.ImportFrom), index
        ), f"take {names} from where it lives now"
    if kind == "name":
        origin = finding.get("detail")
        return name_edits(draft, draft.the(finding.where, ast.Attribute), origin), f"{origin} → its successor"
    if kind == "serve-headers":
        raise UndecidedError(
            "the current server sets headers in a `process_response` callback",
            "what that callback adds, and to which answers",
        )
    raise UndecidedError(finding.observed, "what replaces these keywords (see the upgrade guide)")


def _reachable(finding: Finding, draft: Draft, index: Index) -> None:
    """Refuse where an allowed version lacks the successor: `websockets.asyncio` came with 13, its names in the package with 14."""
    since = "14" if finding.get("kind") == "name" or "InvalidStatusCode" in finding.get("detail") else "13"
    if allowed(index, "websockets", since, draft.path) is Side.EITHER:
        raise UndecidedError(
            f"what is declared allows versions before {since}, which do not have the successor",
            f"which versions are meant: require websockets>={since}, or keep the old name until then",
        )


def _headers(finding: Finding, draft: Draft, old: str) -> tuple[list[Splice], str]:
    call = draft.the(finding.where, ast.Call)
    item = keyword(call, old)
    assert item is not None
    new = "additional_headers" if old == "extra_headers" else "extra_headers"
    family, stands = finding.get("detail"), finding.get("side")
    if family == "legacy" and stands in (Side.SINCE, Side.OPEN):
        raise UndecidedError(
            "the legacy client is on its way out, and its successor takes this keyword",
            "the import is replaced first; then nothing is left to do here",
        )
    if keyword(call, new) is not None:
        raise UndecidedError("the call passes both keywords", "which of the two sets of headers is meant")
    if family == "top" and stands == Side.EITHER and finding.get("current-calls") == "0":
        raise UndecidedError(
            f"{finding.get('declared')} allows versions that take only `{old}=` and versions that take only `{new}=`",
            _RANGE,
        )
    return [draft.rename_keyword(item, new)], f"`{old}=` → `{new}=`"


def _state(finding: Finding, draft: Draft, index: Index, old: str) -> tuple[list[Splice], str]:
    node = draft.the(finding.where, ast.Attribute)
    if finding.get("side") == Side.EITHER and side(index, "websockets", "11", draft.path) is not Side.SINCE:
        raise UndecidedError(
            f"{finding.get('declared')} allows versions before 11, which have no `websockets.protocol.State`", _RANGE
        )
    state, splices = draft.bring("websockets.protocol", "State")
    member = "OPEN" if old == "open" else "CLOSED"
    parent = draft.names.parents.get(node)
    verb = "is"
    if isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not):
        before = draft.text.source[draft.start(parent) : draft.start(node)]
        if before.strip() == b"not":
            splices.append(Splice(draft.path, draft.start(parent), draft.start(node), b""))
            verb = "is not"
    elif isinstance(parent, _TIGHT):
        splices.append(draft.insert(draft.start(node), "("))
        verb, member = "is", f"{member})"
    elif parent is not None and node.lineno != node.end_lineno:
        raise UndecidedError("the expression is spread over lines", "its layout, with `.state is State.OPEN`")
    splices.append(
        Splice(draft.path, draft.end(node.value), draft.end(node), draft.text.encode(f".state {verb} {state}.{member}"))
    )
    return splices, f"`.{old}` → `.state is State.{'OPEN' if old == 'open' else 'CLOSED'}`"


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before, **more}, {"a.py": after, **more}


_TOP: Final = "import websockets\n\n\nasync def f(u, h):\n"
_12: Final = {"requirements.txt": "websockets==12.0\n"}
_BOTH: Final = {"requirements.txt": "websockets>=10\n"}
_LOCKED: Final = {"uv.lock": '[[package]]\nname = "websockets"\nversion = "15.0.1"\n'}

EXAMPLES: Final = (
    Example("extra_headers in a with statement", *_pair(
        _TOP + "    async with websockets.connect(u, extra_headers=h) as ws:\n        pass\n",
        _TOP + "    async with websockets.connect(u, additional_headers=h) as ws:\n        pass\n",
    )),
    Example("additional_headers with 12", *_pair(
        _TOP + "    await websockets.connect(\n        u,\n        additional_headers={'a': 'b'},  # why\n    )\n",
        _TOP + "    await websockets.connect(\n        u,\n        extra_headers={'a': 'b'},  # why\n    )\n", **_12,
    )),
    Example("the rest of the tree needs 14 already", *_pair(
        _TOP + "    await websockets.connect(u, extra_headers=h)\n    await websockets.connect(u, additional_headers=h)\n",
        _TOP + "    await websockets.connect(u, additional_headers=h)\n    await websockets.connect(u, additional_headers=h)\n", **_BOTH,
    )),
    Example("open and closed", *_pair(
        _TOP + "    ws = await websockets.connect(u)\n    if ws.open and not ws.closed:\n        return (ws.open == True), [ws.closed]\n",
        "import websockets\nfrom websockets.protocol import State\n\n\nasync def f(u, h):\n    ws = await websockets.connect(u)\n"
        "    if ws.state is State.OPEN and ws.state is not State.CLOSED:\n"
        "        return ((ws.state is State.OPEN) == True), [ws.state is State.CLOSED]\n",
    )),
    Example("the legacy client with its keyword and its type", *_pair(
        "from websockets.client import WebSocketClientProtocol, connect\n\n\nasync def f(u, h) -> WebSocketClientProtocol:\n"
        "    return await connect(u, extra_headers=h)\n",
        "from websockets.asyncio.client import ClientConnection, connect\n\n\nasync def f(u, h) -> ClientConnection:\n"
        "    return await connect(u, additional_headers=h)\n",
    )),
    Example("under other names, beside a current one", *_pair(
        "from websockets.client import ClientProtocol, connect as c\nfrom websockets.legacy.server import WebSocketServerProtocol as P\n\n\n"
        "async def f(p: P):\n    return await c('u')\n",
        "from websockets.asyncio.client import connect as c\nfrom websockets.client import ClientProtocol\n"
        "from websockets.asyncio.server import ServerConnection as P\n\n\nasync def f(p: P):\n    return await c('u')\n",
    )),
    Example("a type that text names stays under its name", *_pair(
        "from websockets import WebSocketClientProtocol\n\n\ndef f(p: 'WebSocketClientProtocol | None'):\n    pass\n",
        "from websockets.asyncio.client import ClientConnection as WebSocketClientProtocol\n\n\n"
        "def f(p: 'WebSocketClientProtocol | None'):\n    pass\n",
    )),
    Example("the status of a refused handshake", *_pair(
        "import websockets\nfrom websockets.exceptions import InvalidStatusCode\n\n\nasync def f(u, log):\n    try:\n        await websockets.connect(u)\n"
        "    except InvalidStatusCode as e:\n        log(e.status_code, e)\n        return e.headers\n    except (OSError, websockets.InvalidStatusCode):\n        return 0\n",
        "import websockets\nfrom websockets.exceptions import InvalidStatus\n\n\nasync def f(u, log):\n    try:\n        await websockets.connect(u)\n"
        "    except InvalidStatus as e:\n        log(e.response.status_code, e)\n        return e.response.headers\n    except (OSError, websockets.InvalidStatus):\n        return 0\n",
    )),
    Example("expected by a test", *_pair(
        "import pytest\nimport websockets\n\n\nasync def test_a(u):\n    with pytest.raises(websockets.exceptions.InvalidStatusCode) as info:\n"
        "        await websockets.connect(u)\n    assert info.value.status_code == 401\n",
        "import pytest\nimport websockets\n\n\nasync def test_a(u):\n    with pytest.raises(websockets.InvalidStatus) as info:\n"
        "        await websockets.connect(u)\n    assert info.value.response.status_code == 401\n",
    )),
    Example("a module under a name", *_pair(
        "import websockets.client as c\n\n\nasync def f(u):\n    return await c.connect(u, extra_headers={})\n",
        "import websockets.client as c\nfrom websockets.asyncio.client import connect\n\n\nasync def f(u):\n    return await connect(u, additional_headers={})\n",
    )),
    Example("the legacy server with a handler of one parameter", *_pair(
        "from websockets.server import serve\n\n\nasync def handle(ws):\n    pass\n\n\nasync def main():\n    async with serve(handle, 'h', 1, ping_interval=20):\n        pass\n",
        "from websockets.asyncio.server import serve\n\n\nasync def handle(ws):\n    pass\n\n\nasync def main():\n    async with serve(handle, 'h', 1, ping_interval=20):\n        pass\n",
    )),
    Example("a range of both sides", {"a.py": _TOP + "    await websockets.connect(u, extra_headers=h)\n", **_BOTH}, refuses=True),
    Example("open in a range that begins before 11", {
        "a.py": _TOP + "    ws = await websockets.connect(u)\n    return ws.open\n", **_BOTH,
    }, refuses=True),
    Example("a type that versions before 13 have under its old name alone", {
        "a.py": "from websockets.client import WebSocketClientProtocol\n\n\ndef f(p: WebSocketClientProtocol):\n    pass\n", **_LOCKED, **_BOTH,
    }, refuses=True),
    Example("a name that the package itself has since 14", {
        "a.py": "import websockets\n\n\ndef f(p: websockets.WebSocketClientProtocol):\n    pass\n", **_LOCKED, "requirements.txt": "websockets>=13.1\n",
    }, refuses=True),
    Example("a module that 13 has", *_pair(
        "from websockets.client import WebSocketClientProtocol\n\n\ndef f(p: WebSocketClientProtocol):\n    pass\n",
        "from websockets.asyncio.client import ClientConnection\n\n\ndef f(p: ClientConnection):\n    pass\n",
        **_LOCKED, **{"requirements.txt": "websockets>=13.1\n"},
    )),
    Example("a subclass, a keyword, a second parameter", {
        "a.py": "from websockets.client import WebSocketClientProtocol\n\n\nclass P(WebSocketClientProtocol):\n    pass\n",
        "b.py": "from websockets.client import connect\n\n\nasync def f(u, p):\n    return await connect(u, create_protocol=p)\n",
        "c.py": "from websockets.server import serve\n\n\nasync def h(ws, path):\n    pass\n\n\nasync def main():\n    await serve(h, '', 1)\n",
    }, refuses=True),
    Example("InvalidStatusCode made by hand", {
        "a.py": "from websockets.exceptions import InvalidStatusCode\n\n\ndef f():\n    raise InvalidStatusCode(401, {})\n",
    }, refuses=True),
    Example("isinstance kept a removed attribute from being read", {
        "a.py": "from websockets import WebSocketClientProtocol\n\n\ndef f(ws):\n    return isinstance(ws, WebSocketClientProtocol) and ws.closed\n",
    }, refuses=True),
    Example("headers of a server", {"a.py": "import websockets\n\n\nasync def f(h):\n    await websockets.serve(h, '', 1, extra_headers=[])\n"}, refuses=True),
    Example("current code", *_pair(
        _TOP + "    await websockets.connect(u, additional_headers=h)\n", _TOP + "    await websockets.connect(u, additional_headers=h)\n",
    )),
    Example("a choice between versions", *_pair(
        *["try:\n    from websockets.asyncio.client import connect\nexcept ImportError:\n    from websockets.client import connect\n"] * 2,
    )),
)  # fmt: skip
