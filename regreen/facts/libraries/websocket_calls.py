"""The websockets library: what its names are, and every use of it in a file that a check may judge.

Facts tried with websockets 9.1 to 17.4; what changed when is in
https://websockets.readthedocs.io/en/stable/project/changelog.html and /howto/upgrade.html.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from regreen.facts.libraries.names import Binding, FunctionNode, Names
from regreen.facts.libraries.reading import through_reexports
from regreen.facts.libraries.values import Values, Vocabulary
from regreen.facts.source import FileFacts, Index
from regreen.facts.source.context import Position, dotted, last_name

#: Callee → family: `top` is the legacy client before 14 and the current one since; `current` and `legacy` say it.
CONNECTS: Final = {
    "websockets.connect": "top",
    "websockets.unix_connect": "top",
    "websockets.asyncio.client.connect": "current",
    "websockets.asyncio.client.unix_connect": "current",
    "websockets.client.connect": "legacy",
    "websockets.client.unix_connect": "legacy",
    "websockets.legacy.client.connect": "legacy",
    "websockets.legacy.client.unix_connect": "legacy",
}
SERVES: Final = {
    "websockets.serve": "top",
    "websockets.unix_serve": "top",
    "websockets.asyncio.server.serve": "current",
    "websockets.server.serve": "legacy",
    "websockets.legacy.server.serve": "legacy",
}
_SYNC: Final = ("websockets.sync.client.connect", "websockets.sync.client.unix_connect")

#: Names that are deprecated since 14.0, where their successor lives, and its name.
SUCCESSORS: Final = {
    "connect": ("websockets.asyncio.client", "connect"),
    "unix_connect": ("websockets.asyncio.client", "unix_connect"),
    "WebSocketClientProtocol": ("websockets.asyncio.client", "ClientConnection"),
    "WebSocketServerProtocol": ("websockets.asyncio.server", "ServerConnection"),
    "WebSocketServer": ("websockets.asyncio.server", "Server"),
    "serve": ("websockets.asyncio.server", "serve"),
    "unix_serve": ("websockets.asyncio.server", "unix_serve"),
    "broadcast": ("websockets.asyncio.server", "broadcast"),
    "InvalidStatusCode": ("websockets.exceptions", "InvalidStatus"),
    "WebSocketProtocolError": ("websockets.exceptions", "ProtocolError"),
}
_RENAMED: Final = frozenset(
    {
        "WebSocketClientProtocol", "WebSocketServerProtocol", "WebSocketServer", "InvalidStatusCode",
        "WebSocketProtocolError", "AbortHandshake", "RedirectHandshake", "BasicAuthWebSocketServerProtocol",
        "basic_auth_protocol_factory", "WebSocketCommonProtocol",
    }
)  # fmt: skip
#: Modules whose `connect` and `serve` are the legacy ones.
_OLD_MODULES: Final = ("websockets.client", "websockets.server")

#: Keywords that only the legacy client takes (create_connection, not create_protocol, is the current one).
ONLY_LEGACY: Final = frozenset({"create_protocol", "klass", "legacy_recv", "loop", "read_limit"})

_CONNECTION: Final = "connection"
WORDS: Final = Vocabulary(
    calls={
        **dict.fromkeys(CONNECTS, "connecting"),
        **dict.fromkeys(_SYNC, "sync connection"),
    },
    annotations={
        **{
            origin: _CONNECTION
            for name in ("WebSocketClientProtocol", "WebSocketServerProtocol", "WebSocketCommonProtocol")
            for origin in (
                f"websockets.{name}", f"websockets.client.{name}", f"websockets.server.{name}",
                f"websockets.legacy.client.{name}", f"websockets.legacy.server.{name}",
                f"websockets.legacy.protocol.{name}",
            )
        },
        "websockets.ClientConnection": _CONNECTION,
        "websockets.ServerConnection": _CONNECTION,
        "websockets.asyncio.client.ClientConnection": _CONNECTION,
        "websockets.asyncio.server.ServerConnection": _CONNECTION,
        "websockets.asyncio.connection.Connection": _CONNECTION,
        "websockets.sync.client.ClientConnection": "sync connection",
        "websockets.sync.server.ServerConnection": "sync connection",
        **dict.fromkeys(CONNECTS, "connecting"),
    },
    awaited={"connecting": _CONNECTION},
    entered={"connecting": _CONNECTION, _CONNECTION: _CONNECTION, "sync connection": "sync connection"},
    iterated={"connecting": _CONNECTION},
)  # fmt: skip

#: The part of a call that a finding is about, where it is not called like the use.
_AT_FAULT: Final = {
    "timeout": "timeout=", "recv": "timeout=", "settimeout": "", "open-none": "open_timeout=None",
    "open-short": "open_timeout=", "extra_headers": "extra_headers=", "additional_headers": "additional_headers=",
    "serve-headers": "extra_headers=",
}  # fmt: skip

#: Bytes without which a file holds nothing for either check.
SUSPECT: Final = re.compile(
    rb"timeout|extra_headers|additional_headers|\.open\b|\.closed\b|legacy|WebSocket\w*Protocol|WebSocketServer\b"
    rb"|InvalidStatusCode|AbortHandshake|RedirectHandshake|websockets\.client|websockets\.server|protocol_factory"
    rb"|from[ \t]+websockets[ \t]+import[^\n]*\b(?:client|server)\b|create_protocol|klass|read_limit|loop[ \t]*=|\*\*"
)


class Use(NamedTuple):
    """One use of the library. `what` is a word of this list, `detail` says more.

    `timeout` `open-none` `open-short` (keyword of connect; detail: family, or the value and `idle` without pings) · `recv` `settimeout` (on an async
    connection) · `extra_headers` `additional_headers` `legacy-keyword` (detail: family) · `serve-headers` ·
    `open` `closed` (attribute of an async connection) · `import` (detail: names) · `name` (detail: dotted origin) ·
    `dynamic` (a call with `**kwargs`) · `connect` (any other call).
    """

    what: str
    node: ast.AST
    scope: str
    detail: str

    @property
    def at(self) -> Position:
        """The node's position, as `Context.at` gives it."""
        node = self.node
        return (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def uses(names: Names) -> Iterator[Use]:
    """Every use in a file, in no particular order."""
    _mark_handlers(names)
    values = Values(names, WORDS)
    for call in names.calls:
        yield from _call(call, names, values)
    guarded = {
        (names.space(call).qualname, dotted(call.args[0]))
        for call in names.calls
        if dotted(call.func) in ("hasattr", "getattr") and call.args
    }
    for attribute in names.attributes:
        yield from _attribute(attribute, names, values, guarded)
    for statement, space in names.imports:
        if isinstance(statement, ast.ImportFrom) and statement.level == 0:
            old = [alias.name for alias in statement.names if is_old(f"{statement.module}.{alias.name}")]
            if old and not _optional(statement, names):
                yield Use("import", statement, space.qualname, ",".join(old))


def records(names: Names, memo: dict[str, Any], judged: frozenset[str]) -> Iterator[tuple[Any, ...]]:
    """What a check emits for a file: (what, scope, position, detail, text) of the uses that it judges."""
    found: list[Use] | None = memo.get("websocket uses")
    if found is None:
        found = memo["websocket uses"] = list(uses(names))
    for use in found:
        if use.what in judged:
            yield (use.what, use.scope, use.at, use.detail, text(use))


def every_record(index: Index, check: str, judged: frozenset[str]) -> Iterator[tuple[FileFacts, tuple[Any, ...]]]:
    """What the workers emitted for a check, and what the parent finds in files that use a re-export."""
    yield from index.records(check)
    for file, names in through_reexports(index, "websockets", SUSPECT):
        for record in records(names, {}, judged):
            yield file, record


def is_old(origin: str) -> bool:
    """Whether a name is deprecated since 14.0 by where it is taken from."""
    module, _, name = origin.rpartition(".")
    if module.startswith("websockets.legacy") or origin == "websockets.legacy":
        return True
    if module in _OLD_MODULES:
        return name in _RENAMED or name in SUCCESSORS
    return module in ("websockets", "websockets.exceptions", "websockets.auth") and name in _RENAMED


def connect_family(call: ast.Call, names: Names) -> str:
    """The family of the connect that a call, or a `functools.partial`, passes keywords to; else empty."""
    found = {CONNECTS.get(origin, "") for origin in names.origins(call.func)}
    if found == {""} and call.args and names.origin(call.func) == "functools.partial":
        found = {CONNECTS.get(origin, "") for origin in names.origins(call.args[0])}
    return found.pop() if len(found) == 1 else ""


def keyword(call: ast.Call, name: str) -> ast.keyword | None:
    """A keyword argument by its name."""
    return next((item for item in call.keywords if item.arg == name), None)


def _call(call: ast.Call, names: Names, values: Values) -> Iterator[Use]:
    scope = names.space(call).qualname
    family = connect_family(call, names)
    if family:
        yield from _connect(call, family, scope, names)
        return
    serving = {SERVES.get(origin, "") for origin in names.origins(call.func)} - {""}
    if serving and keyword(call, "extra_headers") is not None:
        yield Use("serve-headers", call, scope, serving.pop())
    elif isinstance(call.func, ast.Attribute) and call.func.attr in ("recv", "settimeout"):
        kind = values.kind(call.func.value)
        if call.func.attr == "settimeout" and kind in (_CONNECTION, "connecting"):
            yield Use("settimeout", call, scope, kind)
        elif kind == _CONNECTION and keyword(call, "timeout") is not None:
            yield Use("recv", call, scope, "")


def _connect(call: ast.Call, family: str, scope: str, names: Names) -> Iterator[Use]:
    if any(item.arg is None for item in call.keywords):
        yield Use("dynamic", call, scope, family)
        return
    yield Use("connect", call, scope, family)
    if keyword(call, "timeout") is not None:
        yield Use("timeout", call, scope, family)
    limit = keyword(call, "open_timeout")
    if limit is not None and isinstance(limit.value, ast.Constant) and not _bounded(call, names):
        value = limit.value.value
        if value is None:
            yield Use("open-none", call, scope, "")
        elif isinstance(value, int | float) and value >= 1 and not _expects(call, names):
            yield Use("open-short", call, scope, f"{value!r}{' idle' if _idle(call) else ''}")
    for name in ("extra_headers", "additional_headers"):
        if keyword(call, name) is not None:
            yield Use(name, call, scope, family)
    old = [item.arg for item in call.keywords if item.arg in ONLY_LEGACY]
    if old and family != "legacy":
        yield Use("legacy-keyword", call, scope, f"{family} {','.join(str(name) for name in old)}")


def _idle(call: ast.Call) -> bool:
    """Whether a connect call turns the keep-alive pings off."""
    pings = keyword(call, "ping_interval")
    return pings is not None and isinstance(pings.value, ast.Constant) and not pings.value.value


def _bounded(call: ast.Call, names: Names) -> bool:
    """Whether `wait_for` or `asyncio.timeout` around a call sets the limit instead."""
    for node in names.above(call):
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in ("wait_for", "fail_after", "timeout"):
            return True
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                inner = item.context_expr
                if isinstance(inner, ast.Call) and dotted(inner.func).rpartition(".")[2] in (
                    "timeout", "timeout_at", "fail_after", "move_on_after", "async_timeout",
                ):  # fmt: skip
                    return True
        if isinstance(node, FunctionNode):
            return False
    return False


def _expects(call: ast.Call, names: Names) -> bool:
    """Whether a call stands where a test expects it to fail: its time-out is the subject, not a limit."""
    for node in names.above(call):
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                inner = item.context_expr
                if isinstance(inner, ast.Call) and "raises" in dotted(inner.func).lower():
                    return True
    return False


def _attribute(node: ast.Attribute, names: Names, values: Values, guarded: set[tuple[str, str]]) -> Iterator[Use]:
    scope = names.space(node).qualname
    if node.attr in ("open", "closed"):
        if (
            isinstance(node.ctx, ast.Load)
            and values.kind(node.value) == _CONNECTION
            and (scope, dotted(node.value)) not in guarded
            and not _is_called(node, names)
        ):
            yield Use(node.attr, node, scope, "")
        return
    if not isinstance(names.parents.get(node), ast.Attribute):  # the whole chain, once
        chain: ast.expr = node
        while isinstance(chain, ast.Attribute):
            origin = names.origin(chain)
            last = origin.rpartition(".")[2]
            if origin and is_old(origin) and (last in _RENAMED or last in SUCCESSORS):
                if not _imported_old(names, dotted(chain).partition(".")[0], chain):
                    yield Use("name", chain, scope, origin)
                break
            chain = chain.value


def _imported_old(names: Names, root: str, node: ast.AST) -> bool:
    """Whether the root of a name was itself imported from an old place: then the import is the finding."""
    found = names.space(node).lookup(root)
    return found is not None and any(
        binding.how == "import" and isinstance(binding.node, ast.ImportFrom) and is_old(binding.origin)
        for binding in found[0]
    )


def _optional(statement: ast.stmt, names: Names) -> bool:
    """Whether an import is one of several that a try or a version test chooses from."""
    for node in names.above(statement):
        if isinstance(node, ast.ExceptHandler | ast.Try) or (
            isinstance(node, ast.If) and "ersion" in ast.unparse(node.test)
        ):
            return True
    return False


def _is_called(node: ast.Attribute, names: Names) -> bool:
    parent = names.parents.get(node)
    return isinstance(parent, ast.Call) and parent.func is node


def _mark_handlers(names: Names) -> None:
    """Bind the first parameter of every local function that is given to `serve`: it is a connection."""
    for call in names.calls:
        if not call.args or not {SERVES.get(origin, "") for origin in names.origins(call.func)} - {""}:
            continue
        given, skip = call.args[0], 0
        bindings: list[Binding] = []
        if isinstance(given, ast.Name):
            found = names.space(given).lookup(given.id)
            bindings = found[0] if found is not None else []
        elif isinstance(given, ast.Attribute) and isinstance(given.value, ast.Name):
            owner = names.space(given).owner
            bindings, skip = (owner.bound.get(given.attr, []) if owner is not None else []), 1
        if len(bindings) == 1 and isinstance(bindings[0].node, FunctionNode):
            arguments = bindings[0].node.args
            every = [*arguments.posonlyargs, *arguments.args]
            if len(every) > skip and every[skip].annotation is None:
                names.spaces[bindings[0].node].bound[every[skip].arg] = [Binding("kind", origin=_CONNECTION)]


def text(use: Use) -> str:
    """What identifies a use: the callee's last name and the keyword at fault. The repair of one finding in a call must
    not make another one of it look new."""
    node = use.node
    if isinstance(node, ast.Call):
        words = use.detail.split(" ")[-1] if use.what == "legacy-keyword" else _AT_FAULT.get(use.what, use.what)
        return f"{last_name(node.func)}({words})"
    return ast.unparse(node)[:200]
