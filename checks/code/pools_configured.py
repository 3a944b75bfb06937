"""Connection pools are sized, recycled and given back.

SQLAlchemy's queue of 5 and 10 more, with 30 s to wait, is the library's default; what it lacks is `pool_recycle` (or
`pool_pre_ping`): connections that the server dropped fail the next queries. An asyncio engine takes no `QueuePool`. An
`AsyncSession` that nothing closes on an error keeps its connection: exhaustion is usually a leaked session, so that comes
before any higher limit. An asyncio client of redis-py opens a connection for every waiting task unless told (a synchronous
one has as many as threads use it); `ConnectionPool` raises when it is full, `BlockingConnectionPool` waits. aioredis does not import on Python 3.11 and lives on as `redis.asyncio`. Since SQLAlchemy
2.1 a bare `postgresql://` means psycopg 3. Not judged: SQLite, `NullPool`,
`StaticPool`, calls with `**kwargs`, engines that the same function disposes of, scripts and tests.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from regreen.facts.libraries import pool_uses as pools
from regreen.facts.libraries.reading import names_in, reaches, through_reexports
from regreen.facts.libraries.versions import Side, side
from regreen.facts.source import Context, FileFacts, Index, Interests
from regreen.facts.source.aside import is_aside
from regreen.facts.source.context import last_name
from regreen.facts.source.metadata import metadata
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.pools-configured"
VERSION: Final = 1
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://docs.sqlalchemy.org/en/20/core/pooling.html"

_ROOTS: Final = {b"sqlalchemy", b"sqlmodel", b"redis", b"aioredis"}
_SUSPECT: Final = re.compile(
    rb"create_engine|create_async_engine|AsyncSession|sessionmaker|Redis\b|from_url|ConnectionPool|aioredis"
)
#: Programs that run once and end: what they open is closed with them.
_ONE_SHOT: Final = re.compile(
    r"(?:^|/)(?:scripts?|bin|tools?|migrations?|alembic|revisions|management|notebooks?|doctests?)/"
)
_EVERYWHERE: Final = frozenset({"aioredis", "async-queue-pool", "driver"})
_DEFAULTS: Final = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 30.0}


def _finish(context: Context) -> None:
    if pools.MEMORY.search(context.source):
        context.emit("memory")
    if context.roots.isdisjoint(_ROOTS):
        return
    if pools.BLOCKING.search(context.source):
        context.emit("blocking")
    if _SUSPECT.search(context.source) and (b"aioredis" in context.source or reaches(context, pools.ORIGINS)):
        for use in pools.uses(names_in(context)):
            context.emit(*_record(use))


def _record(use: pools.Use) -> tuple[Any, ...]:
    return (use.what, use.scope, use.at, use.detail, _text(use))


def _text(use: pools.Use) -> str:
    """What identifies a use. An address may hold a password: no literal is shown."""
    node = use.node
    if isinstance(node, ast.Call):
        first = node.args[0] if node.args else None
        shown = ast.unparse(first)[:80] if isinstance(first, ast.Name | ast.Attribute) else "…" if first else ""
        return f"{use.what}: {last_name(node.func)}({shown})"
    return ast.unparse(node)


INTERESTS: Final = Interests(needles=("sqlalchemy", "redis", "sqlmodel", "sqlite"), finish=_finish)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per engine, pool, client, session or import."""
    findings: list[Finding] = []
    memory = blocking = False
    records: list[tuple[FileFacts, tuple[Any, ...]]] = []
    for file, record in index.records(ID):
        memory = memory or record[0] == "memory"
        blocking = blocking or record[0] == "blocking"
        if len(record) > 1:
            records.append((file, record))
    for library in ("sqlalchemy", "redis"):
        for file, names in through_reexports(index, library, _SUSPECT):
            records += [(file, _record(use)) for use in pools.uses(names)]
    own = metadata(index).own
    for file, record in records:
        said = None
        if own & {"sqlalchemy", "redis"}:
            continue  # the library's own code
        if record[0] in _EVERYWHERE or not (is_aside(file.path) or _ONE_SHOT.search(file.path)):
            said = _said(index, policy, file, record)
        if said is not None:
            observed, expected, severity = said
            what, scope, position, detail, text = record
            findings.append(
                index.finding(
                    ID, severity, file, position, scope=scope, observed=observed, expected=expected, snippet=text,
                    data={"kind": what, "detail": detail, "memory": str(memory), "blocking": str(blocking)},
                )
            )  # fmt: skip
    return Verdict.of(ID, len(index.files), findings)


def _said(index: Index, policy: Policy, file: FileFacts, record: tuple[Any, ...]) -> tuple[str, str, Severity] | None:
    what, _, _, detail, _ = record
    if what == "engine":
        return _engine(policy, *detail.split(" "))
    if what == "async-queue-pool":
        return (
            "an asyncio engine takes no QueuePool: ArgumentError when it is made",
            "AsyncAdaptedQueuePool, the default",
            Severity.ERROR,
        )
    if what == "driver":
        known = metadata(index).names
        if side(index, "sqlalchemy", "2.1", file.path) in (Side.BEFORE, Side.EITHER) or "psycopg" in known:
            return None
        if not known & {"psycopg2", "psycopg2-binary"}:
            return None
        return (
            "`postgresql://` means psycopg 3 since SQLAlchemy 2.1, and psycopg2 is what is declared",
            "`postgresql+psycopg2://`",
            Severity.ERROR,
        )
    if what == "leaked-session":
        return (
            "nothing closes the session when a statement fails: its connection never returns to the pool",
            "`async with` around its use",
            SEVERITY,
        )
    if what == "aioredis":
        return (
            "aioredis does not import on Python 3.11: TypeError, duplicate base class TimeoutError",
            "`redis.asyncio`",
            Severity.ERROR,
        )
    if what.startswith("client"):
        return (
            "the client opens a connection for every waiting task, without end",
            f"a BlockingConnectionPool of {policy.redis_connections}",
            SEVERITY,
        )
    return (
        "the pool raises when it is full, and has no limit by default",
        f"a BlockingConnectionPool of {policy.redis_connections}, which waits",
        SEVERITY,
    )


def _engine(policy: Policy, missing: str, where: str, pinged: str = "") -> tuple[str, str, Severity] | None:
    wanted = {"pool_size": policy.pool_size, "max_overflow": policy.pool_overflow, "pool_timeout": policy.pool_timeout}
    names = missing.split(",")
    differ = [name for name in names if name in wanted and wanted[name] != _DEFAULTS[name]]
    if not differ and ("pool_recycle" not in names or pinged):
        return None
    observed = f"the pool is not configured: no {', '.join(names)}"
    if "pool_recycle" in names and not pinged:
        observed += "; connections that the server dropped fail the next query"
    expected = (
        f"pool_size={policy.pool_size}, max_overflow={policy.pool_overflow}, pool_timeout={policy.pool_timeout:g}, "
        f"pool_recycle={policy.pool_recycle} (policy)"
    )
    return observed, expected, SEVERITY


_SQL: Final = "from sqlalchemy import create_engine\nfrom sqlalchemy.pool import NullPool, QueuePool, StaticPool\n\n"
_ASYNC: Final = "from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine\n\n"

EXAMPLES: Final = (
    Example("an engine without a word on its pool", {"a.py": _SQL + "e = create_engine('postgresql+psycopg://h/d')\n\n\ndef f(url):\n    return create_engine(url)\n"}, fires=2),
    Example("an asyncio engine", {"a.py": _ASYNC + "e = create_async_engine(f'postgresql+asyncpg://{h}/d', pool_size=5)\n"}, fires=1),
    Example("an address from elsewhere in the file", {
        "a.py": "import os\nimport sqlalchemy as sa\n\nURL = os.getenv('DB', 'mysql+pymysql://h/d')\ne = sa.create_engine(URL)\n",
    }, fires=1),
    Example("a policy that differs from the library", {
        "a.py": _SQL + "e = create_engine(URL, pool_pre_ping=True)\n", "pyproject.toml": "[tool.regreen]\npool-size = 20\n",
    }, fires=1),
    Example("a queue for asyncio", {
        "tests/a.py": _ASYNC + "from sqlalchemy.pool import QueuePool\n\ne = create_async_engine(u, poolclass=QueuePool)\n",
    }, fires=1),
    Example("the driver that 2.1 changed", {
        "a.py": _SQL + "e = create_engine('postgresql://h/d', pool_recycle=3600)\n",
        "requirements.txt": "sqlalchemy>=2.1\npsycopg2-binary\n",
    }, fires=1),
    Example("leaked sessions", {
        "a.py": _ASYNC + "Make = async_sessionmaker()\n\n\nasync def f(e):\n    s = AsyncSession(e)\n    await s.execute(1)\n    await s.commit()\n    await s.close()\n\n\n"
        "async def g():\n    s = Make()\n    await s.commit()\n\n\nasync def h(e):\n    return await AsyncSession(e).execute(1)\n",
    }, fires=3),
    Example("redis clients and pools", {
        "a.py": "import redis\nimport redis.asyncio as r\nfrom redis.asyncio import ConnectionPool, Redis\n\na = r.Redis(host='h')\nb = r.from_url('u')\n"
        "c = Redis.from_url('u')\nd = ConnectionPool()\ne = redis.ConnectionPool.from_url('u', max_connections=9)\n",
    }, fires=5),
    Example("aioredis", {"a.py": "import aioredis\n\n\ndef f():\n    from aioredis import Redis\n    import aioredis as r\n"}, fires=3),
    Example("a factory that the tree re-exports", {
        "app/__init__.py": "", "app/db.py": "from sqlalchemy import create_engine\n",
        "app/a.py": "from app.db import create_engine\n\ne = create_engine('postgresql+psycopg://h')\n",
    }, fires=1),
    Example("a configured engine", {
        "a.py": _SQL + "a = create_engine(u, pool_size=9, max_overflow=1, pool_timeout=3, pool_recycle=99)\nb = create_engine(u, pool_recycle=1800)\n"
        "c = create_engine(u, pool_pre_ping=True)\n",
    }),
    Example("SQLite and pools that are no queue", {
        "a.py": _SQL + "URL = 'sqlite:///x.db'\na = create_engine(URL)\nb = create_engine('sqlite://')\nc = create_engine(u, poolclass=NullPool)\n"
        "d = create_engine(u, poolclass=StaticPool)\ne = create_engine(u, connect_args={'check_same_thread': False})\n\n\n"
        "def f(url):\n    if url.startswith('sqlite'):\n        return create_engine(url)\n",
    }),
    Example("keywords that are not known", {"a.py": _SQL + "a = create_engine(u, **options)\n"}),
    Example("engines of one run", {
        "scripts/load.py": _SQL + "e = create_engine('postgresql+psycopg://h/d')\n",
        "a.py": _SQL + "def f(url):\n    e = create_engine(url)\n    work(e)\n    e.dispose()\n",
    }),
    Example("in a test", {"tests/test_a.py": _SQL + "import redis\n\na = create_engine('postgresql+psycopg://h')\nb = redis.Redis()\n"}),
    Example("the driver is named, or psycopg 3 is there", {
        "a.py": _SQL + "e = create_engine('postgresql+psycopg2://h/d', pool_recycle=1)\nf = create_engine('postgresql://h/d', pool_recycle=1)\n",
        "requirements.txt": "sqlalchemy>=2.1\npsycopg2\npsycopg\n",
    }),
    Example("sessions that are closed, or handed on", {
        "a.py": _ASYNC + "Make = async_sessionmaker()\n\n\nasync def f(e):\n    async with AsyncSession(e) as s:\n        await s.commit()\n    s2 = Make()\n    try:\n"
        "        await s2.commit()\n    finally:\n        await s2.close()\n\n\nasync def g(e):\n    s = AsyncSession(e)\n    async with s:\n        pass\n    async with Make.begin() as x:\n        pass\n\n\n"
        "def h(e):\n    s = AsyncSession(e)\n    return Repository(s)\n\n\nasync def dep():\n    async with Make() as s:\n        yield s\n",
    }),
    Example("bounded redis clients", {
        "a.py": "import redis.asyncio as redis\n\np = redis.BlockingConnectionPool.from_url('u')\na = redis.Redis(connection_pool=p)\nb = redis.Redis.from_pool(p)\n"
        "c = redis.from_url('u', max_connections=5)\nd = redis.Redis(**options)\n",
        "b.py": "import redis\n\na = redis.Redis(host='h')\nb = redis.ConnectionPool()\n",
    }),
    Example("either aioredis or redis", {
        "a.py": "try:\n    from redis import asyncio as aioredis\nexcept ImportError:\n    import aioredis\n",
        "b.py": "try:\n    import aioredis\nexcept ImportError:\n    from redis import asyncio as aioredis\n",
    }),
)  # fmt: skip
