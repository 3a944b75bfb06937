"""From the legacy names of the websockets library to their successors: the edits of one import, or of one dotted name.

What the successor does not have makes the answer a reason instead: a subclass of a protocol, a keyword that only the
legacy client takes, an exception that is raised by hand. See https://websockets.readthedocs.io/en/stable/howto/upgrade.html.
"""

from __future__ import annotations

import ast
import re
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.libraries.reading import renames
from regreen.facts.libraries.websocket_calls import ONLY_LEGACY, SUCCESSORS, is_old, keyword
from regreen.facts.source import Index, dotted
from regreen.model import Splice

_CLIENTS: Final = frozenset({"connect", "unix_connect"})
_SERVERS: Final = frozenset({"serve", "unix_serve"})
_TYPES: Final = frozenset({"WebSocketClientProtocol", "WebSocketServerProtocol", "WebSocketServer"})
#: Attributes of a legacy connection that its successor does not have.
_GONE: Final = frozenset(
    {"open", "closed", "request_headers", "response_headers", "host", "port", "secure", "messages", "ensure_open"}
)
_MOVED: Final = frozenset(
    {"status_code", "headers"}
)  # attributes of InvalidStatusCode that its successor's response has
#: What the successor of `serve` takes under the same name with the same meaning.
_SERVE: Final = frozenset({
    "host", "port", "origins", "subprotocols", "extensions", "compression", "open_timeout", "ping_interval", "ping_timeout",
    "close_timeout", "max_size", "ssl", "sock", "family", "reuse_port", "backlog", "path", "logger",
})  # fmt: skip


def import_edits(draft: Draft, statement: ast.ImportFrom, index: Index) -> list[Splice]:
    """Take the old names of an import from where they live now, and adapt their uses. Raises UndecidedError."""
    if b"#" in draft.text.source[draft.start(statement) : draft.end(statement)]:
        raise UndecidedError(
            "comments stand inside the import", "where they belong, once the names are taken from new places"
        )
    groups: dict[str, list[str]] = {}
    splices: list[Splice] = []
    for alias in statement.names:
        local = alias.asname or alias.name
        if not is_old(f"{statement.module}.{alias.name}"):
            groups.setdefault(statement.module or "", []).append(_spelled(alias.name, alias.asname or alias.name))
            continue
        module, name = _successor(alias.name)
        uses = [node for node in draft.names.loads if node.id == local and _means(draft, node, statement)]
        for use in uses:
            splices += use_edits(draft, alias.name, use)
        if local == name or alias.asname or _must_stay(draft, local, name, index):
            _not_through_others(draft, alias.name, f"{statement.module}.{alias.name}", index)
            groups.setdefault(module, []).append(_spelled(name, local))
        else:
            splices += [draft.replace(use, name) for use in uses]
            groups.setdefault(module, []).append(name)
    indent = draft.text.indent(statement.lineno).decode(draft.text.encoding)
    lines = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(groups.items())]
    return [draft.replace(statement, f"\n{indent}".join(lines)), *splices]


def name_edits(draft: Draft, node: ast.Attribute, origin: str) -> list[Splice]:
    """Replace a dotted old name by its successor, and adapt this use of it. Raises UndecidedError."""
    old = origin.rpartition(".")[2]
    module, name = _successor(old)
    root = draft.names.origin(_root(node))
    if root == "websockets":  # the package itself offers every successor
        text = f"{dotted(node).partition('.')[0]}.{name}"
        splices: list[Splice] = []
    elif origin.rpartition(".")[0] == module:
        text, splices = f"{dotted(node).rpartition('.')[0]}.{name}", []
    else:
        text, splices = draft.bring(module, name)
    return [draft.replace(node, text), *use_edits(draft, old, node), *splices]


def use_edits(draft: Draft, old: str, use: ast.expr) -> list[Splice]:
    """What else must change where an old name is used. Raises UndecidedError."""
    parent = draft.names.parents.get(use)
    if old in _CLIENTS:
        return _client(draft, use, parent)
    if old in _SERVERS:
        return _server(draft, use, parent)
    if old in _TYPES:
        called = isinstance(parent, ast.Call) and parent.func is use
        if called or isinstance(parent, ast.Attribute | ast.ClassDef):
            raise UndecidedError(
                f"{old} is subclassed or called here", "how this class looks on the current connection"
            )
        if isinstance(parent, ast.Call | ast.keyword | ast.Tuple | ast.List | ast.Compare):
            gone = next((node.attr for node in draft.names.attributes if node.attr in _GONE), "")
            if gone:  # behind isinstance(), or on a mock made from the type, it would become an AttributeError
                raise UndecidedError(
                    f"the type is used as a value, and `.{gone}` in this file is of the legacy connection alone",
                    f"what takes the place of `.{gone}`, together with the type",
                )
        return []
    if old == "InvalidStatusCode":
        return _status(draft, use, parent)
    return []


def _client(draft: Draft, use: ast.expr, parent: ast.AST | None) -> list[Splice]:
    call = parent if isinstance(parent, ast.Call) else None
    if call is None or (call.func is not use and draft.names.origin(call.func) != "functools.partial"):
        return []
    for item in call.keywords:
        if item.arg is None:
            raise UndecidedError(
                "the call passes **kwargs", "which keywords they hold: the current client takes other ones"
            )
        if item.arg in ONLY_LEGACY:
            raise UndecidedError(
                f"the current client takes no `{item.arg}=`", "what replaces it (see the upgrade guide)"
            )
    headers = keyword(call, "extra_headers")
    return [draft.rename_keyword(headers, "additional_headers")] if headers is not None else []


def _server(draft: Draft, use: ast.expr, parent: ast.AST | None) -> list[Splice]:
    decide = "how the server looks on `websockets.asyncio.server.serve` (see the upgrade guide)"
    if not isinstance(parent, ast.Call) or parent.func is not use or not parent.args:
        raise UndecidedError("`serve` is handed around here", decide)
    unknown = [item.arg or "**kwargs" for item in parent.keywords if item.arg not in _SERVE]
    if unknown:
        raise UndecidedError(f"the current server takes no `{unknown[0]}`, or means something else by it", decide)
    handler = parent.args[0]
    found = draft.names.space(handler).lookup(handler.id) if isinstance(handler, ast.Name) else None
    node = found[0][0].node if found is not None and len(found[0]) == 1 else None
    if not isinstance(node, FunctionNode) or len(node.args.posonlyargs + node.args.args) != 1 or node.args.vararg:
        raise UndecidedError(
            "the handler may take a second parameter, the path, which the current server does not pass", decide
        )
    return []


def _status(draft: Draft, use: ast.expr, parent: ast.AST | None) -> list[Splice]:
    if isinstance(parent, ast.Tuple):
        parent = draft.names.parents.get(parent)
    if isinstance(parent, ast.ExceptHandler):
        name = parent.name
        inside: ast.AST = parent
        through = ""
    elif isinstance(parent, ast.Call) and dotted(parent.func).rpartition(".")[2] == "raises" and parent.func is not use:
        item = draft.names.parents.get(parent)
        if not isinstance(item, ast.withitem):
            return []
        name = item.optional_vars.id if isinstance(item.optional_vars, ast.Name) else None
        inside = next((n for n in draft.names.above(item) if isinstance(n, FunctionNode)), draft.tree)
        through = "value"
    elif (
        isinstance(parent, ast.Call) and dotted(parent.func) in ("isinstance", "issubclass") and parent.func is not use
    ):
        raise UndecidedError("what follows `isinstance` may read `.status_code`, which is now `.response.status_code`",
                         "what is read of the exception here")  # fmt: skip
    else:
        raise UndecidedError("InvalidStatusCode is made or handed around here, and its successor takes a response",
                         "what stands for it in this place")  # fmt: skip
    if name is None:
        return []
    splices = []
    for node in ast.walk(inside):
        if isinstance(node, ast.Attribute) and node.attr in _MOVED:
            wanted = f"{name}.{through}" if through else name
            if dotted(node.value) == wanted:
                if draft.in_fstring(node):
                    raise UndecidedError(
                        f"`.{node.attr}` is read inside an f-string", "`.response` comes before it; edit it by hand"
                    )
                splices.append(draft.insert(draft.end(node.value), ".response"))
    return splices


def _successor(old: str) -> tuple[str, str]:
    found = SUCCESSORS.get(old)
    if found is None:
        raise UndecidedError(f"{old} has no successor of the same shape", "what replaces it (see the upgrade guide)")
    return found


def _spelled(name: str, local: str) -> str:
    return name if name == local else f"{name} as {local}"


def _means(draft: Draft, node: ast.Name, statement: ast.ImportFrom) -> bool:
    found = draft.names.space(node).lookup(node.id)
    return found is not None and any(binding.node is statement for binding in found[0])


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node


def _must_stay(draft: Draft, local: str, name: str, index: Index) -> bool:
    """Whether the old local name must go on existing: text or other files name it, or the new one is taken."""
    if any(name in space.bound for space in set(draft.names.spaces.values())):
        return True
    word = re.compile(rf"\b{re.escape(local)}\b")
    for node in ast.walk(draft.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and word.search(node.value):
            if not isinstance(draft.names.parents.get(node), ast.Expr):
                return True
        elif isinstance(node, ast.Name) and node.id == local and draft.in_fstring(node):
            return True
    return any(
        item[4] >= 0 and not item[5].startswith("websockets") and any(given == local for given, _ in item[6])
        for path, file in index.files.items()
        if path != draft.path
        for item in file.raw_imports
    )


def _not_through_others(draft: Draft, old: str, origin: str, index: Index) -> None:
    if old in _CLIENTS | _SERVERS and any(
        origin in pairs.values() for path, pairs in renames(index).items() if path != draft.path
    ):
        raise UndecidedError(
            f"other files take `{old}` from this one, with the legacy keywords", "that they change together"
        )
