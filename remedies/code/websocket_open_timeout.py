"""Bound WebSocket handshakes and reads by what the library has.

`timeout=` of `connect` becomes `open_timeout=` with the same value (10.0 brought the keyword). Where the declared range
allows websockets 9, which does not know it, the call is wrapped in `asyncio.wait_for`. `recv(timeout=t)` of an asyncio
connection becomes `asyncio.wait_for(recv(), t)`: the connection stays usable after it expires. `settimeout(t)`, which no
version has, is removed; its connect call and the reads behind it get the limit. Safe: every rewritten call was an error,
or bounded the closing only. Left to people: limits that someone chose (`open_timeout=None`, or one below the policy).
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.libraries.versions import Side, declared, side
from regreen.facts.libraries.websocket_calls import connect_family, keyword
from regreen.facts.source import Index, dotted
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.websocket-open-timeout"
CHECK: Final = "code.websocket-has-open-timeout"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://websockets.readthedocs.io/en/stable/project/changelog.html"


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per call."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        call = draft.the(finding.where, ast.Call)
        kind = finding.get("kind")
        if kind == "timeout":
            return _connect(draft, call, index, policy)
        if kind == "recv":
            return _recv(draft, call)
        if kind == "settimeout":
            return _settimeout(draft, call)
        if kind == "open-none":
            raise UndecidedError("waiting for ever was written on purpose", "how long a handshake may take here")
        raise UndecidedError(
            "how long a cold service may take is measured on the environment, not read from code",
            f"whether `open_timeout` becomes {policy.open_timeout:g} s (policy open-timeout), and the pings stay off",
        )

    return one_by_one(ID, findings, index, edit)


def _connect(draft: Draft, call: ast.Call, index: Index, policy: Policy) -> Edit:
    item = keyword(call, "timeout")
    assert item is not None
    version = declared(index, "websockets", draft.path)
    if keyword(call, "open_timeout") is not None:
        if side(index, "websockets", "14", draft.path) in (Side.SINCE, Side.OPEN):
            evidence = f"{version}: `timeout=` is a TypeError since 14, and `open_timeout=` is there; {_SOURCE}"
            return Edit([draft.drop_argument(call, item)], "drop `timeout=` beside `open_timeout=`", evidence)
        if keyword(call, "close_timeout") is not None:
            raise UndecidedError(
                "three time-outs, of which two mean the closing", "which of `timeout` and `close_timeout` is meant"
            )
        evidence = f"{version}: before 14 `timeout=` is the old name of `close_timeout=`; {_SOURCE}"
        return Edit([draft.rename_keyword(item, "close_timeout")], "`timeout=` → `close_timeout=`", evidence)
    if side(index, "websockets", "10", draft.path) in (Side.SINCE, Side.OPEN):
        value = item.value
        short = (
            isinstance(value, ast.Constant)
            and isinstance(value.value, int | float)
            and _below(value.value, call, policy)
        )
        evidence = f"{version}: `open_timeout=` bounds the handshake since 10.0; {_SOURCE}"
        splices = [draft.rename_keyword(item, "open_timeout")]
        if short:
            splices.append(draft.replace(value, f"{policy.open_timeout:g}"))
            evidence += "; the number never bounded a handshake, so the policy's is used"
        return Edit(splices, "`timeout=` → `open_timeout=`", evidence)
    if not isinstance(draft.names.parents.get(call), ast.Await):
        raise UndecidedError(
            f"{version} allows websockets 9, which has no `open_timeout=`, and this call cannot be wrapped where it stands",
            "whether websockets may be required from 10 on",
        )
    evidence = f"{version} allows websockets 9, which has no `open_timeout=`: `wait_for` works with every version"
    return Edit(_wrapped(draft, call, item), "bound `connect` by `asyncio.wait_for`", evidence)


def _below(value: float, call: ast.Call, policy: Policy) -> bool:
    """Whether the number would be reported as too short as soon as it bounds the handshake."""
    pings = keyword(call, "ping_interval")
    idle = pings is not None and isinstance(pings.value, ast.Constant) and not pings.value.value
    return 1 <= value < policy.open_timeout and (idle or policy.open_timeout != Policy().open_timeout)


def _recv(draft: Draft, call: ast.Call) -> Edit:
    item = keyword(call, "timeout")
    assert item is not None
    evidence = (
        "`recv()` of an asyncio connection takes no `timeout`; a connection stays usable after `wait_for` expired"
    )
    if isinstance(item.value, ast.Constant) and item.value.value is None:
        return Edit([draft.drop_argument(call, item)], "drop `timeout=None` of `recv`", evidence)
    return Edit(_wrapped(draft, call, item), "bound `recv` by `asyncio.wait_for`", evidence)


def _wrapped(draft: Draft, call: ast.Call, item: ast.keyword) -> list[Splice]:
    local, splices = draft.bring("asyncio")
    limit = draft.source(item.value)
    return [
        draft.insert(draft.start(call), f"{local}.wait_for("),
        draft.drop_argument(call, item),
        draft.insert(draft.end(call), f", timeout={limit})"),
        *splices,
    ]


def _settimeout(draft: Draft, call: ast.Call) -> Edit:
    statement = draft.names.parents.get(call)
    assert isinstance(call.func, ast.Attribute)
    receiver = dotted(call.func.value)
    limit = call.args[0] if len(call.args) == 1 and not call.keywords else None
    function = next((node for node in draft.names.above(call) if isinstance(node, FunctionNode)), None)
    if not isinstance(statement, ast.Expr) or not receiver or function is None or limit is None:
        raise UndecidedError(
            "what should be bounded cannot be told from here", "which reads need a limit, and which one"
        )
    if not isinstance(limit, ast.Constant | ast.Name):
        raise UndecidedError(
            "the limit is computed here, and the reads are elsewhere", "which reads need a limit, and which one"
        )
    again = [
        other
        for other in draft.names.calls
        if isinstance(other.func, ast.Attribute)
        and other.func.attr == "settimeout"
        and dotted(other.func.value) == receiver
    ]
    if len(again) > 1:
        raise UndecidedError("the limit is set more than once", "which reads need which limit")
    text = draft.source(limit)
    local, splices = draft.bring("asyncio")
    reads = [read for read in draft.names.calls if _is_read(read, receiver, function, draft)]
    for read in reads:
        splices.append(draft.insert(draft.start(read), f"{local}.wait_for("))
        splices.append(draft.insert(draft.end(read), f", timeout={text})"))
    opening = _opening(draft, call.func.value) if isinstance(limit, ast.Constant) else None
    if opening is not None and keyword(opening, "open_timeout") is None and keyword(opening, "timeout") is None:
        splices.append(draft.append_arguments(opening, [f"open_timeout={text}"]))
        bounded = True
    else:
        bounded = opening is not None
    if not reads and not bounded:
        raise UndecidedError("no read and no connect call of this connection is in sight", "which reads need a limit")
    if not reads:
        splices = [item for item in splices if b"import" not in item.new]
    splices.append(_removed(draft, statement))
    return Edit(
        splices,
        "`settimeout()` → limits on the handshake and on each read",
        "no version of websockets has `settimeout()`: the statement is an AttributeError, so nothing behind it ever ran",
    )


def _is_read(read: ast.Call, receiver: str, function: ast.AST, draft: Draft) -> bool:
    return (
        isinstance(read.func, ast.Attribute)
        and read.func.attr == "recv"
        and dotted(read.func.value) == receiver
        and keyword(read, "timeout") is None
        and isinstance(draft.names.parents.get(read), ast.Await)
        and any(node is function for node in draft.names.above(read))
    )


def _opening(draft: Draft, receiver: ast.expr) -> ast.Call | None:
    """The connect call that a connection came from, where there is one only."""
    if not isinstance(receiver, ast.Name):
        return None
    found = draft.names.space(receiver).lookup(receiver.id)
    if found is None or len(found[0]) != 1:
        return None
    node = found[0][0].node
    while isinstance(node, ast.Await):
        node = node.value
    return node if isinstance(node, ast.Call) and connect_family(node, draft.names) else None


def _removed(draft: Draft, statement: ast.stmt) -> Splice:
    """The statement's line goes; a body that would be empty keeps a `pass`."""
    parent = draft.names.parents.get(statement)
    alone = any(getattr(parent, name, None) == [statement] for name in ("body", "orelse", "finalbody"))
    start, end = draft.start(statement), draft.end(statement)
    line = draft.text.line(statement.lineno)
    if alone or line.strip() != draft.text.source[start:end].strip():
        return Splice(draft.path, start, end, b"pass")
    assert statement.end_lineno is not None
    return Splice(
        draft.path, draft.text.line_start(statement.lineno), draft.text.line_start(statement.end_lineno + 1), b""
    )


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before, **more}, {"a.py": after, **more}


_TOP: Final = "import websockets\n\n\nasync def f(url):\n"
_BOTH: Final = "import asyncio\nimport websockets\n\n\nasync def f(url):\n"

EXAMPLES: Final = (
    Example("in async with", *_pair(
        _TOP + "    async with websockets.connect(url, timeout=10) as ws:  # slow\n        await ws.send('x')\n",
        _TOP + "    async with websockets.connect(url, open_timeout=10) as ws:  # slow\n        await ws.send('x')\n",
    )),
    Example("over several lines, aliased, in wait_for", *_pair(
        "import asyncio\nfrom websockets.asyncio.client import connect as c\n\n\nasync def f(u):\n    return await asyncio.wait_for(\n"
        "        c(\n            u,\n            timeout=10,\n            max_size=None,\n        ),\n        timeout=5,\n    )\n",
        "import asyncio\nfrom websockets.asyncio.client import connect as c\n\n\nasync def f(u):\n    return await asyncio.wait_for(\n"
        "        c(\n            u,\n            open_timeout=10,\n            max_size=None,\n        ),\n        timeout=5,\n    )\n",
    )),
    Example("two in one file", *_pair(
        _TOP + "    await websockets.connect(url, timeout=1.5)\n    await websockets.connect(url, timeout=T)\n",
        _TOP + "    await websockets.connect(url, open_timeout=1.5)\n    await websockets.connect(url, open_timeout=T)\n",
    )),
    Example("a range that allows 9", *_pair(
        _TOP + "    return await websockets.connect(url, timeout=10, max_size=1)\n",
        _BOTH + "    return await asyncio.wait_for(websockets.connect(url, max_size=1), timeout=10)\n",
        **{"requirements.txt": "websockets>=8\n"},
    )),
    Example("a range from 12 on", *_pair(
        _TOP + "    return await websockets.connect(url, timeout=10)\n",
        _TOP + "    return await websockets.connect(url, open_timeout=10)\n",
        **{"requirements.txt": "websockets>=12\n"},
    )),
    Example("open_timeout is there already", *_pair(
        _TOP + "    return await websockets.connect(url, open_timeout=20, timeout=10)\n",
        _TOP + "    return await websockets.connect(url, open_timeout=20)\n",
    )),
    Example("open_timeout is there already, before 14", *_pair(
        _TOP + "    return await websockets.connect(url, timeout=10, open_timeout=20)\n",
        _TOP + "    return await websockets.connect(url, close_timeout=10, open_timeout=20)\n",
        **{"requirements.txt": "websockets==12.0\n"},
    )),
    Example("recv with a timeout", *_pair(
        "'''Doc.'''\n\nfrom __future__ import annotations\n\nimport json\n\nimport websockets\n\n\nasync def f(url):\n"
        "    async with websockets.connect(url) as ws:\n        return json.loads(await ws.recv(timeout=5))\n",
        "'''Doc.'''\n\nfrom __future__ import annotations\n\nimport asyncio\nimport json\n\nimport websockets\n\n\nasync def f(url):\n"
        "    async with websockets.connect(url) as ws:\n        return json.loads(await asyncio.wait_for(ws.recv(), timeout=5))\n",
    )),
    Example("two reads share the import", *_pair(
        _TOP + "    ws = await websockets.connect(url)\n    await ws.recv(timeout=1)\n    await ws.recv(timeout=None)\n    await ws.recv(decode=True, timeout=2)\n",
        _BOTH + "    ws = await websockets.connect(url)\n    await asyncio.wait_for(ws.recv(), timeout=1)\n    await ws.recv()\n"
        "    await asyncio.wait_for(ws.recv(decode=True), timeout=2)\n",
    )),
    Example("asyncio is another name here", *_pair(
        "import websockets\n\nasyncio = None\n\n\nasync def f(url):\n    ws = await websockets.connect(url)\n    await ws.recv(timeout=1)\n",
        "import asyncio as _asyncio\nimport websockets\n\nasyncio = None\n\n\nasync def f(url):\n    ws = await websockets.connect(url)\n"
        "    await _asyncio.wait_for(ws.recv(), timeout=1)\n",
    )),
    Example("settimeout", *_pair(
        _TOP + "    async with websockets.connect(url) as ws:\n        ws.settimeout(10)\n        await ws.send('x')\n        return await ws.recv()\n",
        _BOTH + "    async with websockets.connect(url, open_timeout=10) as ws:\n        await ws.send('x')\n"
        "        return await asyncio.wait_for(ws.recv(), timeout=10)\n",
    )),
    Example("settimeout without a read", *_pair(
        _TOP + "    async with websockets.connect(url) as ws:\n        ws.settimeout(10)\n",
        _TOP + "    async with websockets.connect(url, open_timeout=10) as ws:\n        pass\n",
    )),
    Example("a policy of its own", *_pair(
        _TOP + "    return await websockets.connect(url, timeout=5)\n",
        _TOP + "    return await websockets.connect(url, open_timeout=20)\n",
        **{"pyproject.toml": "[tool.regreen]\nopen-timeout = 20\n"},
    )),
    Example("async with in a range that allows 9", {
        "a.py": _TOP + "    async with websockets.connect(url, timeout=10) as ws:\n        pass\n", "requirements.txt": "websockets>=8,<11\n",
    }, refuses=True),
    Example("a limit that someone chose", {
        "a.py": _TOP + "    await websockets.connect(url, open_timeout=None)\n    await websockets.connect(url, open_timeout=5, ping_interval=None)\n",
    }, refuses=True),
    Example("settimeout on a parameter that nobody reads", {
        "a.py": "from websockets.asyncio.client import ClientConnection\n\n\ndef f(ws: ClientConnection):\n    ws.settimeout(3)\n",
    }, refuses=True),
    Example("nothing to do", *_pair(
        _TOP + "    async with websockets.connect(url, open_timeout=10) as ws:\n        await ws.recv()\n",
        _TOP + "    async with websockets.connect(url, open_timeout=10) as ws:\n        await ws.recv()\n",
    )),
)  # fmt: skip
