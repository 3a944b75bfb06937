"""Take the asyncio client of Redis from redis-py, where aioredis lives on.

aioredis 2 became `redis.asyncio` in redis-py 4.2 with the same names: the imports change, the code stays. Safe: aioredis
does not import on Python 3.11 (TypeError, duplicate base class TimeoutError). Refused: the API of aioredis 1
(`create_redis_pool`, `wait_closed`), which has other semantics, and trees that declare no redis of 4.2 or later.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.versions import Side, declared, side
from regreen.facts.source import Index
from regreen.facts.source.metadata import requirement
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.aioredis-to-redis"
CHECK: Final = "code.pools-configured"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://github.com/aio-libs-abandoned/aioredis-py: aioredis is in redis-py 4.2.0rc1 and later"
#: Names of aioredis 2 that `redis.asyncio` has.
_NAMES: Final = frozenset(
    {
        "AuthenticationError", "AuthenticationWrongNumberOfArgsError", "BlockingConnectionPool", "BusyLoadingError",
        "ChildDeadlockedError", "Connection", "ConnectionError", "ConnectionPool", "DataError", "InvalidResponse",
        "PubSubError", "ReadOnlyError", "Redis", "RedisError", "ResponseError", "SSLConnection", "StrictRedis",
        "TimeoutError", "UnixDomainSocketConnection", "WatchError", "from_url",
    }
)  # fmt: skip
#: Submodules, and where they are.
_MODULES: Final = {
    "aioredis.client": "redis.asyncio.client", "aioredis.connection": "redis.asyncio.connection",
    "aioredis.exceptions": "redis.exceptions", "aioredis.lock": "redis.asyncio.lock",
    "aioredis.sentinel": "redis.asyncio.sentinel", "aioredis.utils": "redis.asyncio.utils",
}  # fmt: skip
_DECIDE_1: Final = "how this code looks on `redis.asyncio`: `from_url` needs no await, and `aclose()` takes the place of both closing calls"


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per import statement."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        if finding.get("kind") != "aioredis":
            raise UndecidedError("this pool is configured by code.pool-settings", "nothing, if that remedy is run")
        if requirement(index, "redis", draft.path) is None or side(index, "redis", "4.2", draft.path) in (
            Side.BEFORE,
            Side.EITHER,
        ):
            raise UndecidedError(f"`redis.asyncio` comes with redis 4.2, and the tree has {declared(index, 'redis', draft.path)}",
                                 "that redis>=4.2 becomes a dependency, in the place of aioredis")  # fmt: skip
        whole = draft.find(finding.where, ast.Import)
        if whole is not None:
            return _whole(draft, whole)
        return _names(draft, draft.the(finding.where, ast.ImportFrom))

    return one_by_one(ID, findings, index, edit)


def _whole(draft: Draft, statement: ast.Import) -> Edit:
    lines = []
    for alias in statement.names:
        if alias.name == "aioredis":
            _check_uses(draft, alias.asname or "aioredis")
            lines.append(f"import redis.asyncio as {alias.asname or 'aioredis'}")
        elif alias.name in _MODULES and alias.asname:
            lines.append(f"import {_MODULES[alias.name]} as {alias.asname}")
        elif alias.name.startswith("aioredis"):
            raise UndecidedError(f"`import {alias.name}` binds the package and the module", "which of them is used")
        else:
            lines.append(f"import {alias.name}{f' as {alias.asname}' if alias.asname else ''}")
    return Edit([draft.replace(statement, _joined(draft, statement, lines))], "aioredis → redis.asyncio", _SOURCE)


def _joined(draft: Draft, statement: ast.stmt, lines: list[str]) -> str:
    indent = draft.text.indent(statement.lineno).decode(draft.text.encoding)
    return f"\n{indent}".join(lines)


def _check_uses(draft: Draft, local: str) -> None:
    """Every name that the file takes from the module exists in its successor. Raises UndecidedError."""
    for node in draft.names.attributes:
        if isinstance(node.value, ast.Name) and node.value.id == local and draft.names.origin(node.value) == "aioredis":
            if node.attr == "exceptions":
                parent = draft.names.parents.get(node)
                if isinstance(parent, ast.Attribute) and parent.attr in _NAMES:
                    raise UndecidedError(
                        "`redis.asyncio` has no module `exceptions`", f"`{local}.{parent.attr}` in its place"
                    )
            if node.attr not in _NAMES and f"aioredis.{node.attr}" not in _MODULES:
                raise UndecidedError(f"`aioredis.{node.attr}` is of aioredis 1", _DECIDE_1)
    for name in draft.names.loads:
        if name.id == local and not isinstance(draft.names.parents.get(name), ast.Attribute):
            raise UndecidedError(
                "the module is handed around here", "whether what it reaches exists in `redis.asyncio`"
            )


def _names(draft: Draft, statement: ast.ImportFrom) -> Edit:
    module = statement.module or ""
    unknown = [alias.name for alias in statement.names if alias.name not in _NAMES]
    if module not in _MODULES and (module != "aioredis" or unknown):
        raise UndecidedError(f"`{module}.{unknown[0] if unknown else '*'}` is of aioredis 1", _DECIDE_1)
    start = draft.text.source.index(module.encode(), draft.start(statement))
    new = _MODULES.get(module, "redis.asyncio").encode()
    return Edit([Splice(draft.path, start, start + len(module), new)], "aioredis → redis.asyncio", _SOURCE)


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before, **more, **_R}, {"a.py": after, **more, **_R}


_R: Final = {"requirements.txt": "redis>=5\n"}
_P: Final = "max_connections=5"

EXAMPLES: Final = (
    Example("the module", *_pair(
        f"import aioredis\n\n\ndef f(u):\n    return aioredis.from_url(u, {_P})\n",
        f"import redis.asyncio as aioredis\n\n\ndef f(u):\n    return aioredis.from_url(u, {_P})\n",
    )),
    Example("in a function, under another name, beside another module", *_pair(
        f"def f(u):\n    import aioredis as r, json\n\n    return r.Redis.from_url(u, {_P})\n",
        f"def f(u):\n    import redis.asyncio as r\n    import json\n\n    return r.Redis.from_url(u, {_P})\n",
    )),
    Example("names and submodules", *_pair(
        "from aioredis import (\n    Redis,  # the client\n    RedisError as E,\n)\nfrom aioredis.client import PubSub\nfrom aioredis.exceptions import LockError\n",
        "from redis.asyncio import (\n    Redis,  # the client\n    RedisError as E,\n)\nfrom redis.asyncio.client import PubSub\nfrom redis.exceptions import LockError\n",
    )),
    Example("aioredis 1", {
        "a.py": "import aioredis\n\n\nasync def f(u):\n    return await aioredis.create_redis_pool(u)\n",
        "b.py": "from aioredis import create_redis\n", "requirements.txt": "redis>=5\n",
    }, refuses=True),
    Example("no redis is declared, or one without asyncio", {
        "a.py": "import aioredis\n\n\ndef f(u):\n    return aioredis.from_url(u, max_connections=1)\n", "requirements.txt": "aioredis>=2\nredis==3.5\n",
    }, refuses=True),
    Example("the module is handed around", {"a.py": "import aioredis\n\nBACKENDS = [aioredis]\n", **_R}, refuses=True),
    Example("redis.asyncio already", *_pair(*["import redis.asyncio as aioredis\n"] * 2)),
)  # fmt: skip
