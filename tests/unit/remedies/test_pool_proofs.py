"""The rewrites of pools, run with the real SQLAlchemy and redis-py. Nothing connects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from sqlalchemy.pool import QueuePool

from checks.code import pools_configured
from remedies.code import aioredis_to_redis, pool_settings
from tests.unit.remedies.mending import mend

PAIRS = ((pools_configured, aioredis_to_redis), (pools_configured, pool_settings))


def made(source: str, name: str, **files: str) -> Any:
    """What the mended source binds a name to."""
    out, _ = mend({"a.py": source, "requirements.txt": "redis>=5\n", **files}, *PAIRS)
    space: dict[str, Any] = {}
    exec(compile(out["a.py"], "a.py", "exec", dont_inherit=True), space)
    return space[name]


ENGINE = "from sqlalchemy import create_engine\n\n\ndef f(url):\n    return create_engine(url)\n"


def test_an_engine_has_the_pool_of_the_policy(tmp_path: Path) -> None:
    engine = made(ENGINE, "f")(f"sqlite:///{tmp_path / 'a.db'}")

    assert isinstance(engine.pool, QueuePool)
    assert (engine.pool.size(), engine.pool._max_overflow, engine.pool._timeout, engine.pool._recycle) == (
        5,
        10,
        30,
        3600,
    )


def test_an_engine_that_tests_run_in_memory_still_can_be_made() -> None:
    test = {"tests/test_a.py": "from a import f\n\nENGINE = f('sqlite://')\n"}

    assert made(ENGINE, "f", **test)("sqlite://").pool._recycle == 3600
    with pytest.raises(TypeError, match="max_overflow"):  # what the other keywords would have done
        made(ENGINE, "f")("sqlite://")


REDIS = "import aioredis\n\n\ndef f(url):\n    return aioredis.from_url(url, decode_responses=True)\n"


def test_aioredis_becomes_a_bounded_client_of_redis_py() -> None:
    client = made(REDIS, "f")("redis://127.0.0.1:1/3")

    assert isinstance(client, redis.asyncio.Redis)
    assert isinstance(client.connection_pool, redis.asyncio.BlockingConnectionPool)
    assert client.connection_pool.max_connections == 20
    settings = client.connection_pool.connection_kwargs
    assert (settings["db"], settings["decode_responses"]) == (3, True)
    assert (settings["socket_timeout"], settings["socket_connect_timeout"]) == (5, 10)
    assert client.auto_close_connection_pool is True


def test_a_client_by_keywords_keeps_them() -> None:
    source = "from redis.asyncio import Redis\n\nclient = Redis('h', 6380, db=2, password='p')\n"
    settings = made(source, "client").connection_pool.connection_kwargs

    assert {key: settings[key] for key in ("host", "port", "db", "password")} == {
        "host": "h", "port": 6380, "db": 2, "password": "p",
    }  # fmt: skip


def test_every_name_that_is_taken_over_exists() -> None:
    missing = [name for name in aioredis_to_redis._NAMES if not hasattr(redis.asyncio, name)]

    assert missing == []
