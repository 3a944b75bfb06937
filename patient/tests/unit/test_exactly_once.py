from __future__ import annotations

import pytest

from src.tidemark.runtime.errors import SequenceGap
from test_tools.stores import FailingWarehouse, RecordingWarehouse
from test_tools.trades import changed, make_trades
from tidemark.feed.digests import digest_of, digest_of_all
from tidemark.feed.models import Trade
from tidemark.ingest.broker import MemoryBroker
from tidemark.ingest.wire import encode
from tidemark.runtime.errors import DigestMismatch
from tidemark.writer import ExactlyOnceWriter
from tidemark.writer.cache import MemoryCache
from tidemark.writer.graph import MemoryGraph


@pytest.fixture
def store() -> RecordingWarehouse:
    return RecordingWarehouse()


@pytest.fixture
def writer(broker: MemoryBroker, store: RecordingWarehouse, graph: MemoryGraph) -> ExactlyOnceWriter:
    return ExactlyOnceWriter(broker, store, MemoryCache(), graph)


async def publish(broker: MemoryBroker, trades: list[Trade]) -> None:
    for trade in trades:
        await broker.publish("trades", trade.symbol, encode(trade))


async def test_trades_arrive_unchanged(broker, writer, store):
    trades = make_trades(250)
    await publish(broker, trades)
    written = await writer.drain()
    assert written.stored == 250
    assert digest_of_all(store.trades()) == digest_of_all(trades)
    assert store.batches == [100, 100, 50]


async def test_repeated_records_are_stored_once(broker, writer, store):
    trades = make_trades(5)
    await publish(broker, [*trades, *trades[2:]])
    written = await writer.drain()
    assert (written.stored, written.repeated) == (5, 3)
    assert store.count() == 5


async def test_a_second_writer_goes_on_where_the_first_died(broker, writer, store, graph):
    trades = make_trades(8)
    await publish(broker, trades[:5])
    await writer.drain()
    await publish(broker, trades[5:])
    second = ExactlyOnceWriter(broker, store, MemoryCache(), graph)
    written = await second.drain()
    assert (written.stored, written.repeated) == (3, 5)


async def test_a_missing_trade_stops_the_writer(broker, writer, store):
    trades = make_trades(4)
    await publish(broker, [trades[0], trades[3]])
    with pytest.raises(SequenceGap, match="expected sequence 2, found 4"):
        await writer.drain()
    assert store.count() == 0


async def test_two_trades_with_one_sequence_stop_the_writer(broker, writer):
    (trade,) = make_trades(1)
    await publish(broker, [trade, changed(trade, quantity=trade.quantity + 1)])
    with pytest.raises(DigestMismatch):
        await writer.drain()


async def test_a_failing_warehouse_loses_nothing(broker, graph):
    store = FailingWarehouse(failures=1)
    writer = ExactlyOnceWriter(broker, store, MemoryCache(), graph)
    await publish(broker, make_trades(3))
    with pytest.raises(ConnectionError):
        await writer.drain()
    assert (await writer.drain()).stored == 3


async def test_graph_and_cache_follow_the_warehouse(
    broker: MemoryBroker, store: RecordingWarehouse, graph: MemoryGraph
) -> dict[str, object]:
    cache = MemoryCache()
    trades = make_trades(3)
    await publish(broker, trades)
    await ExactlyOnceWriter(broker, store, cache, graph).drain()
    last = await cache.last(trades[0].symbol)
    joined = graph.neighbours("Symbol", trades[0].symbol) == [("Trade", "1")]
    digest = graph.nodes["Trade", "1"]["digest"] == digest_of(trades[0])
    return {"success": last == trades[0] and joined and digest, "stored": store.count()}
