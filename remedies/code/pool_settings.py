"""Configure connection pools by policy.

An engine gets the pool keywords that it lacks; those that it has stay as they are. Where the address is not known and the
tree also uses SQLite, whose pools may take no `max_overflow`, only `pool_recycle` is added: the other three then
rest on the library's defaults. A redis client gets a `BlockingConnectionPool` with the policy's limits, which waits for a
connection where `ConnectionPool` raises; a socket time-out only where the tree uses no command that waits at the server.
Safe: the sizes of an engine are those in force by default, the rest bounds what had no bound. Refused: leaked sessions.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.pool_uses import keywords
from regreen.facts.source import Index, dotted, last_name
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.pool-settings"
CHECK: Final = "code.pools-configured"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SQL: Final = "https://docs.sqlalchemy.org/en/20/core/pooling.html"
_REDIS: Final = "https://redis.readthedocs.io/en/stable/connections.html#redis.connection.BlockingConnectionPool"
_POSITIONS: Final = ("host", "port", "db", "password")
#: Keywords of a client that its connections take under the same name and with the same meaning.
_CONNECTION: Final = frozenset(
    {
        *_POSITIONS, "username", "decode_responses", "encoding", "encoding_errors", "socket_timeout",
        "socket_connect_timeout", "socket_keepalive", "health_check_interval", "client_name", "protocol",
    }
)  # fmt: skip


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per engine, client or pool."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        kind = finding.get("kind")
        if kind == "aioredis":
            raise UndecidedError(
                "aioredis is replaced by code.aioredis-to-redis", "nothing, if that remedy is run first"
            )
        if kind == "leaked-session":
            raise UndecidedError("where the session's work ends is not certain", "the block of `async with` around it")
        call = draft.the(finding.where, ast.Call)
        if kind == "engine":
            return _engine(finding, draft, call, policy)
        if kind == "async-queue-pool":
            return _queue(draft, call)
        if kind == "driver":
            return _driver(finding, draft, call)
        return _redis(finding, draft, call, policy)

    return one_by_one(ID, findings, index, edit)


def _engine(finding: Finding, draft: Draft, call: ast.Call, policy: Policy) -> Edit:
    missing, where, *_ = finding.get("detail").split(" ")
    values = {
        "pool_size": policy.pool_size, "max_overflow": policy.pool_overflow, "pool_timeout": policy.pool_timeout,
        "pool_recycle": policy.pool_recycle,
    }  # fmt: skip
    names = [name for name in values if name in missing.split(",")]
    evidence = f"policy of the target; {_SQL}"
    if where == "dynamic" and finding.get("memory") == "True":
        names = [name for name in names if name == "pool_recycle"]
        evidence = f"the tree also uses SQLite, whose pools may take no max_overflow: sizes stay the default's; {_SQL}"
        if not names:
            raise UndecidedError("the address may be SQLite, whose pool may take no sizes", "where the sizes are set")
    return Edit(
        [draft.append_arguments(call, [f"{name}={values[name]:g}" for name in names], wrap=True)],
        "configure the pool",
        evidence,
    )


def _queue(draft: Draft, call: ast.Call) -> Edit:
    pool = keywords(call)["poolclass"]
    local, splices = draft.bring("sqlalchemy.pool", "AsyncAdaptedQueuePool")
    uses = [node for node in draft.names.loads if isinstance(pool, ast.Name) and node.id == pool.id]
    if splices and len(uses) == 1:
        for statement, _ in draft.names.imports:
            for alias in statement.names:
                if isinstance(statement, ast.ImportFrom) and alias.name == "QueuePool" and alias.asname is None:
                    splices = [draft.replace(alias, "AsyncAdaptedQueuePool")]
    return Edit(
        [draft.replace(pool, local), *splices],
        "a queue pool for asyncio",
        f"QueuePool is refused by asyncio engines; {_SQL}",
    )


def _driver(finding: Finding, draft: Draft, call: ast.Call) -> Edit:
    url = call.args[0] if call.args else keywords(call)["url"]
    if finding.get("detail") != "literal":
        raise UndecidedError(
            "the address is put together elsewhere", "that it names its driver: postgresql+psycopg2://"
        )
    start = draft.start(url)
    offset = draft.text.source.index(b"://", start, draft.end(url))
    head = draft.text.source[start:offset].rpartition(b"post")
    return Edit(
        [Splice(draft.path, offset - len(b"post" + head[2]), offset, b"postgresql+psycopg2")],
        "name the driver",
        "https://docs.sqlalchemy.org/en/21/changelog/migration_21.html: the default driver of postgresql:// is psycopg since 2.1",
    )


def _redis(finding: Finding, draft: Draft, call: ast.Call, policy: Policy) -> Edit:
    kind, origin = finding.get("kind"), finding.get("detail")
    if origin.startswith("aioredis"):
        raise UndecidedError("aioredis comes first", "nothing, if code.aioredis-to-redis is run before this remedy")
    given = keywords(call)
    limits = {"max_connections": f"{policy.redis_connections}"}
    if finding.get("blocking") != "True":
        limits["socket_timeout"] = f"{policy.redis_socket_timeout:g}"
    limits["socket_connect_timeout"] = f"{policy.redis_connect_timeout:g}"
    fresh = [f"{name}={value}" for name, value in limits.items() if name not in given]
    evidence = f"policy of the target; {_REDIS}"
    if finding.get("blocking") == "True":
        evidence += "; no socket time-out, because the tree uses commands that wait at the server"
    if kind.startswith("pool"):
        return Edit(
            [*_blocking(draft, call, kind, origin), draft.append_arguments(call, fresh)],
            "a pool that waits, with a limit",
            evidence,
        )
    package = "redis.asyncio" if ".asyncio" in origin else "redis"
    client, first = _name(draft, call.func, package, "Redis", kind)
    pool, second = _name(draft, call.func, package, "BlockingConnectionPool", kind)
    splices = [*first, *second]
    if kind == "client":
        unknown = [str(name) for name in given if name not in _CONNECTION]
        if unknown or len(call.args) > len(_POSITIONS):
            raise UndecidedError(f"a pool takes `{unknown[0] if unknown else 'positional arguments'}` in another way",
                                 "how the pool is made from these settings")  # fmt: skip
        splices += [
            draft.insert(draft.start(argument), f"{name}=")
            for name, argument in zip(_POSITIONS, call.args, strict=False)
        ]
        maker = pool
    else:
        maker = f"{pool}.from_url"
    splices += [
        draft.replace(call.func, f"{client}.from_pool({maker}"),
        draft.append_arguments(call, fresh, wrap=kind == "client from"),
        draft.insert(draft.end(call), ")"),
    ]
    return Edit(splices, "a blocking pool with a limit", f"{evidence}; the client owns its pool, as before")


def _blocking(draft: Draft, call: ast.Call, kind: str, origin: str) -> list[Splice]:
    """`ConnectionPool` → `BlockingConnectionPool` in a callee."""
    node: ast.expr = call.func
    if kind == "pool from" and isinstance(node, ast.Attribute):
        node = node.value
    if isinstance(node, ast.Attribute):
        return [Splice(draft.path, draft.end(node) - len(node.attr), draft.end(node), b"BlockingConnectionPool")]
    package = "redis.asyncio" if ".asyncio" in origin else "redis"
    local, splices = draft.bring(package, "BlockingConnectionPool")
    return [draft.replace(node, local), *splices]


def _name(draft: Draft, callee: ast.expr, package: str, name: str, kind: str) -> tuple[str, list[Splice]]:
    """How the file can call a name of the redis package: through the module that the callee names, else imported."""
    chain = dotted(callee)
    parts = chain.split(".")
    module = parts[:-1]
    if kind == "client from" and len(parts) > 1 and parts[-2] in ("Redis", "StrictRedis"):
        module = parts[:-2]
    if module and draft.names.origin(_part(callee, len(parts) - len(module))) in ("redis", "redis.asyncio"):
        return f"{'.'.join(module)}.{name}", []
    if name == "Redis" and last_name(callee) == "Redis" and isinstance(callee, ast.Name):
        return callee.id, []
    return draft.bring(package, name)


def _part(node: ast.expr, steps: int) -> ast.expr:
    for _ in range(steps):
        if isinstance(node, ast.Attribute):
            node = node.value
    return node


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before, **more}, {"a.py": after, **more}


_E: Final = "from sqlalchemy import create_engine\n\n\ndef f(url):\n"
_ALL: Final = "pool_size=5, max_overflow=10, pool_timeout=30, pool_recycle=3600"

EXAMPLES: Final = (
    Example("an engine", *_pair(_E + "    return create_engine(url)\n", _E + f"    return create_engine(url, {_ALL})\n")),
    Example("an engine with some settings, over lines", *_pair(
        _E + "    return create_engine(\n        url,\n        echo=True,\n        pool_size=20,  # measured\n    )\n",
        _E + "    return create_engine(\n        url,\n        echo=True,\n        pool_size=20,  # measured\n        max_overflow=10,\n"
        "        pool_timeout=30,\n        pool_recycle=3600,\n    )\n",
    )),
    Example("tests use SQLite in memory", *_pair(
        _E + "    return create_engine(url)\n", _E + "    return create_engine(url, pool_recycle=3600)\n",
        **{"tests/test_a.py": "from a import f\n\nengine = f('sqlite://')\n"},
    )),
    Example("tests use SQLite in a file", *_pair(
        _E + "    return create_engine(url)\n", _E + "    return create_engine(url, pool_recycle=3600)\n",
        **{"tests/test_a.py": "from a import f\n\ndef test_a(tmp_path):\n    assert f(f'sqlite+aiosqlite:///{tmp_path}/a.db')\n"},
    )),
    Example("tests use SQLite in memory, and the address is a server's", *_pair(
        "import sqlalchemy as sa\n\ne = sa.create_engine(('mysql+pymysql://h/d'))\n",
        f"import sqlalchemy as sa\n\ne = sa.create_engine(\n    ('mysql+pymysql://h/d'), {_ALL}\n)\n",
        **{"tests/test_a.py": "from a import f\n\nengine = f('sqlite://')\n"},
    )),
    Example("a policy of its own", *_pair(
        _E + "    return create_engine(url, pool_recycle=60)\n",
        _E + "    return create_engine(url, pool_recycle=60, pool_size=9, max_overflow=1, pool_timeout=2.5)\n",
        **{"pyproject.toml": "[tool.regreen]\npool-size = 9\npool-overflow = 1\npool-timeout = 2.5\n"},
    )),
    Example("a queue for asyncio", *_pair(
        "from sqlalchemy.ext.asyncio import create_async_engine\nfrom sqlalchemy.pool import QueuePool\n\ne = create_async_engine(u, poolclass=QueuePool, pool_recycle=9)\n",
        "from sqlalchemy.ext.asyncio import create_async_engine\nfrom sqlalchemy.pool import AsyncAdaptedQueuePool\n\n"
        "e = create_async_engine(u, poolclass=AsyncAdaptedQueuePool, pool_recycle=9)\n",
    )),
    Example("the driver that 2.1 changed", *_pair(
        "from sqlalchemy import create_engine\n\ne = create_engine('postgresql://h/d', pool_recycle=9)\n",
        "from sqlalchemy import create_engine\n\ne = create_engine('postgresql+psycopg2://h/d', pool_recycle=9)\n",
        **{"requirements.txt": "sqlalchemy>=2.1\npsycopg2\n"},
    )),
    Example("a redis client from an address", *_pair(
        "import redis.asyncio as redis\n\nc = redis.from_url(url, decode_responses=True)\n",
        "import redis.asyncio as redis\n\nc = redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(\n"
        "    url, decode_responses=True, max_connections=20, socket_timeout=5, socket_connect_timeout=10\n))\n",
    )),
    Example("a redis client by keywords, names imported", *_pair(
        "from redis.asyncio import Redis\n\nc = Redis('h', 6379, db=2, socket_timeout=1)\n",
        "from redis.asyncio import Redis, BlockingConnectionPool\n\nc = Redis.from_pool(BlockingConnectionPool(host='h', port=6379, db=2, socket_timeout=1, "
        "max_connections=20, socket_connect_timeout=10))\n",
    )),
    Example("commands that wait at the server", *_pair(
        "from redis import asyncio as redis\n\nc = redis.Redis.from_url(url)\nc.blpop('q', 60)\n",
        "from redis import asyncio as redis\n\nc = redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(url, max_connections=20, socket_connect_timeout=10))\n"
        "c.blpop('q', 60)\n",
    )),
    Example("pools", *_pair(
        "import redis\nfrom redis.asyncio import ConnectionPool\n\na = redis.ConnectionPool.from_url(url, max_connections=7)\nb = ConnectionPool()\n",
        "import redis\nfrom redis.asyncio import ConnectionPool, BlockingConnectionPool\n\n"
        "a = redis.BlockingConnectionPool.from_url(url, max_connections=7, socket_timeout=5, socket_connect_timeout=10)\n"
        "b = BlockingConnectionPool(max_connections=20, socket_timeout=5, socket_connect_timeout=10)\n",
    )),
    Example("a leaked session", {
        "a.py": "from sqlalchemy.ext.asyncio import AsyncSession\n\n\nasync def f(e):\n    s = AsyncSession(e)\n    await s.commit()\n",
    }, refuses=True),
    Example("a client whose settings a pool takes in another way", {"a.py": "import redis.asyncio as redis\n\nc = redis.Redis(host='h', ssl=True)\n"}, refuses=True),
    Example("aioredis is another remedy's", {"a.py": "import aioredis\n\nc = aioredis.from_url('u')\n"}, refuses=True),
    Example("configured already", *_pair(*[f"from sqlalchemy import create_engine\n\ne = create_engine(u, {_ALL})\n"] * 2)),
)  # fmt: skip
