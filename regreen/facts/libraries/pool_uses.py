"""Connection pools of SQLAlchemy and redis-py: every engine, client, pool and session that a file makes.

Facts tried with SQLAlchemy 2.1 and redis-py 5 to 8.1; https://docs.sqlalchemy.org/en/20/core/pooling.html and
https://redis.readthedocs.io/en/stable/connections.html.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from regreen.facts.libraries.names import FunctionNode, Names, Space
from regreen.facts.libraries.values import Values, Vocabulary
from regreen.facts.source.context import last_name

ENGINES: Final = {
    "sqlalchemy.create_engine": "engine",
    "sqlalchemy.engine.create_engine": "engine",
    "sqlalchemy.engine.create.create_engine": "engine",
    "sqlmodel.create_engine": "engine",
    "sqlalchemy.ext.asyncio.create_async_engine": "async engine",
    "sqlalchemy.ext.asyncio.engine.create_async_engine": "async engine",
}
_HOMES: Final = ("redis", "redis.asyncio", "redis.client", "redis.asyncio.client", "aioredis", "aioredis.client")
#: Callee → what it makes: a client by keywords, a client from an address, a pool by keywords, a pool from an address.
REDIS: Final = {
    **{f"{home}.{name}": "client" for home in _HOMES for name in ("Redis", "StrictRedis")},
    **{f"{home}.{name}.from_url": "client from" for home in _HOMES for name in ("Redis", "StrictRedis")},
    **{f"{home}.from_url": "client from" for home in ("redis", "redis.asyncio", "aioredis", "redis.utils")},
    **{f"{home}.ConnectionPool": "pool" for home in (*_HOMES, "redis.connection", "redis.asyncio.connection")},
    **{
        f"{home}.ConnectionPool.from_url": "pool from"
        for home in (*_HOMES, "redis.connection", "redis.asyncio.connection")
    },
}
_SESSIONS: Final = Vocabulary(
    calls={
        "sqlalchemy.ext.asyncio.AsyncSession": "session",
        "sqlalchemy.ext.asyncio.session.AsyncSession": "session",
        "sqlmodel.ext.asyncio.session.AsyncSession": "session",
        "sqlalchemy.ext.asyncio.async_sessionmaker": "maker",
        "sqlalchemy.ext.asyncio.session.async_sessionmaker": "maker",
    },
    annotations={"sqlalchemy.ext.asyncio.async_sessionmaker": "maker"},
    methods={("maker", ""): "session"},
)
#: What a file must be able to call for a use to be in it.
ORIGINS: Final = frozenset({*ENGINES, *REDIS, *_SESSIONS.calls, *_SESSIONS.annotations})
#: Schemes of databases that are servers, with pools that a server's limits bound.
_SERVERS: Final = re.compile(r"(?:postgres(?:ql)?|mysql|mariadb|oracle|mssql|cockroachdb)\b")
_FILES: Final = re.compile(r"sqlite|duckdb|:memory:", re.IGNORECASE)
#: Pools that are no queue: nothing to size.
_QUEUES: Final = frozenset({"QueuePool", "AsyncAdaptedQueuePool"})
#: Text of a SQLite database. In memory, over aiosqlite (before 2.0.38), and as a file before 2.0 its pool takes no
#: `max_overflow`: TypeError when the engine is made.
MEMORY: Final = re.compile(rb"sqlite(?:\+\w+)?://|[\"']:memory:[\"']")
#: Commands that wait at the server: a socket time-out below their own would cut them.
BLOCKING: Final = re.compile(
    rb"\.(?:blpop|brpop\w*|bzpop\w*|bzmpop|blm\w+|xread\w*|pubsub|monitor|listen|get_message)\("
)


class Use(NamedTuple):
    """One place. `what`: engine async-queue-pool driver leaked-session client "client from" pool "pool from" aioredis."""

    what: str
    node: ast.AST
    scope: str
    detail: str

    @property
    def at(self) -> tuple[int, int, int, int]:
        """The node's position."""
        node: Any = self.node
        return (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def uses(names: Names) -> Iterator[Use]:
    """Every place in a file that a check may judge."""
    sessions = Values(names, _SESSIONS)
    for call in names.calls:
        scope = names.space(call).qualname
        origin = names.origin(call.func)
        kind = ENGINES.get(origin, "")
        if kind:
            yield from _engine(call, kind, scope, names)
        elif origin in REDIS:
            made = REDIS[origin]
            if not _is_bounded(call, made, origin):
                yield Use(made, call, scope, origin)
        elif sessions.kind(call) == "session" and _is_leaked(call, names):
            yield Use("leaked-session", call, scope, "")
    for statement, space in names.imports:
        roots = (
            [alias.name for alias in statement.names]
            if isinstance(statement, ast.Import)
            else [statement.module or ""]
            if not statement.level
            else []
        )
        if any(root.partition(".")[0] == "aioredis" for root in roots) and not _is_alternative(statement, names):
            yield Use("aioredis", statement, space.qualname, "")


def keywords(call: ast.Call) -> dict[str | None, ast.expr]:
    """The keyword arguments; None stands for `**rest`."""
    return {item.arg: item.value for item in call.keywords}


def _engine(call: ast.Call, kind: str, scope: str, names: Names) -> Iterator[Use]:
    given = keywords(call)
    pool = given.get("poolclass")
    if (
        kind == "async engine"
        and pool is not None
        and names.origin(pool).startswith("sqlalchemy.")
        and last_name(pool) == "QueuePool"
    ):
        yield Use("async-queue-pool", call, scope, "")
        return
    url = call.args[0] if call.args else given.get("url")
    if url is None or None in given or "pool" in given or (pool is not None and last_name(pool) not in _QUEUES):
        return
    where = address(url, names)
    if where.startswith(("postgresql://", "postgres://")) and kind == "engine":
        yield Use("driver", call, scope, "literal" if isinstance(url, ast.Constant) else "")
    if where and not _SERVERS.match(where):
        return
    if (not where and _knows_files(call, names)) or _is_disposed(call, names):
        return
    missing = [name for name in ("pool_size", "max_overflow", "pool_timeout", "pool_recycle") if name not in given]
    ping = given.get("pool_pre_ping")
    pinged = isinstance(ping, ast.Constant) and ping.value is True
    if missing:
        yield Use(
            "engine",
            call,
            scope,
            f"{','.join(missing)} {'server' if where else 'dynamic'} {'pinged' if pinged else ''}".rstrip(),
        )


def address(node: ast.expr, names: Names, depth: int = 0) -> str:
    """The beginning of a database's address where the file says it, else an empty string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr) and node.values:
        return address(node.values[0], names, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return address(node.left, names, depth)
    if isinstance(node, ast.Call) and last_name(node.func) in (
        "create",
        "make_url",
        "URL",
        "get",
        "getenv",
        "str",
        "format",
    ):
        if last_name(node.func) in ("get", "getenv"):
            return address(node.args[1], names, depth) if len(node.args) > 1 else ""
        first = node.args[0] if node.args else keywords(node).get("drivername")
        if last_name(node.func) == "format" and isinstance(node.func, ast.Attribute):
            first = node.func.value
        return address(first, names, depth) if first is not None else ""
    if isinstance(node, ast.Name) and depth < 4:
        found = names.space(node).lookup(node.id)
        texts = {
            address(binding.node, names, depth + 1)
            for binding in (found[0] if found is not None else ())
            if binding.how == "value" and isinstance(binding.node, ast.expr)
        }
        if found is not None and len(texts) == 1 and len(found[0]) >= 1 and all(b.how == "value" for b in found[0]):
            return texts.pop()
        return next((text for text in sorted(texts) if _FILES.search(text)), "")
    return ""


def _is_disposed(call: ast.Call, names: Names) -> bool:
    """Whether the function that makes an engine also disposes of it: it serves one task."""
    parent = names.parents.get(call)
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return False
    name, space = parent.targets[0].id, names.space(call)
    return space.kind == "function" and any(
        isinstance(other.func, ast.Attribute)
        and other.func.attr == "dispose"
        and isinstance(other.func.value, ast.Name)
        and other.func.value.id == name
        and names.space(other) is space
        for other in names.calls
    )


def _knows_files(call: ast.Call, names: Names) -> bool:
    """Whether the code around a call deals with SQLite: then its pool is a question of its own."""
    around: ast.AST = next((node for node in names.above(call) if isinstance(node, FunctionNode)), call)
    for node in ast.walk(around):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _FILES.search(node.value):
            if not isinstance(names.parents.get(node), ast.Expr):
                return True
        elif (isinstance(node, ast.Name | ast.Attribute) and _FILES.search(last_name(node))) or (
            isinstance(node, ast.Constant) and node.value == "check_same_thread"
        ):
            return True
    return False


def _is_bounded(call: ast.Call, made: str, origin: str) -> bool:
    """Whether nothing is wrong with a client or a pool, or its settings are not in sight.

    A synchronous client has as many connections as threads that use it; an asyncio client has one per waiting task.
    """
    given = keywords(call)
    if None in given or any(isinstance(argument, ast.Starred) for argument in call.args):
        return True
    asynchronous = ".asyncio" in origin or origin.startswith("aioredis")
    if made.startswith("client"):
        return not asynchronous or bool(
            {"connection_pool", "max_connections", "single_connection_client"} & given.keys()
        )
    return not asynchronous and "max_connections" not in given


def _is_leaked(call: ast.Call, names: Names) -> bool:
    """Whether a session is made for a local name, or for one expression, and nothing closes it on an error."""
    function = next((node for node in names.above(call) if isinstance(node, FunctionNode)), None)
    parent = names.parents.get(call)
    if function is None:
        return False
    if isinstance(parent, ast.Attribute):
        grand = names.parents.get(parent)
        return (
            isinstance(grand, ast.Call)
            and grand.func is parent
            and parent.attr not in ("begin", "close", "sync_session")
        )
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1 or not isinstance(parent.targets[0], ast.Name):
        return False
    name = parent.targets[0].id
    space = names.spaces[function]
    if name in space.globals or len(space.bound.get(name, ())) != 1:
        return False
    return all(_only_calls(node, names) for node in names.loads if node.id == name and _sees(names.space(node), space))


def _sees(inner: Space | None, space: Space) -> bool:
    while inner is not None:
        if inner is space:
            return True
        inner = inner.parent
    return False


def _only_calls(node: ast.Name, names: Names) -> bool:
    """Whether a use of a session is a call of one of its methods that does not close it for certain."""
    parent = names.parents.get(node)
    if not isinstance(parent, ast.Attribute):
        return False
    grand = names.parents.get(parent)
    if not isinstance(grand, ast.Call) or grand.func is not parent:
        return False
    if parent.attr not in ("close", "aclose"):
        return parent.attr not in ("begin", "begin_nested") or not isinstance(names.parents.get(grand), ast.withitem)
    inner: ast.AST = node
    for above in names.above(node):
        if isinstance(above, ast.Try) and any(inner is statement for statement in above.finalbody):
            return False
        inner = above
    return True


def _is_alternative(statement: ast.stmt, names: Names) -> bool:
    """Whether another import takes the place of one that fails, or this is the one that does."""
    for node in names.above(statement):
        if isinstance(node, ast.ExceptHandler):
            return True
        if isinstance(node, ast.Try):
            return any(
                isinstance(inner, ast.Import | ast.ImportFrom)
                for handler in node.handlers
                for inner in ast.walk(handler)
            )
    return False
