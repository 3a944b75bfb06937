from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from test_tools.sockets import first_trades, is_open, open_feed
from test_tools.trades import make_trades
from test_tools.waiting import eventually
from tidemark.feed.client import FeedClient, probe
from tidemark.feed.server import TradeFeed


@pytest.fixture
async def feed() -> AsyncIterator[str]:
    async with TradeFeed(make_trades(12), token="feed-token") as served:
        port = await served.start()
        yield f"ws://127.0.0.1:{port}"


async def test_the_client_reads_in_order(feed):
    client = FeedClient(feed, "feed-token")
    assert [trade.sequence async for trade in client.trades(limit=12)] == list(range(1, 13))


async def test_the_client_goes_on_where_it_left_off(feed):
    client = FeedClient(feed, "feed-token", next_sequence=10)
    assert [trade.sequence async for trade in client.trades(limit=3)] == [10, 11, 12]
    assert client.next_sequence == 13


async def test_a_silent_feed_is_noticed(feed):
    client = FeedClient(feed, "feed-token", next_sequence=12, idle=0.05)
    with pytest.raises(TimeoutError):
        async for trade in client.trades():
            assert trade.sequence == 12


async def test_connected_says_so(feed):
    client = FeedClient(feed, "feed-token")
    assert not client.connected
    stream = client.trades(limit=2)
    await anext(stream)
    assert client.connected
    await stream.aclose()


async def test_raw_trades_come_as_json(feed):
    raw = await first_trades(feed, 2, "feed-token")
    assert [trade["sequence"] for trade in raw] == [1, 2]


async def test_a_wrong_token_is_turned_away(feed):
    assert not await probe(feed, "wrong")
    assert await probe(feed, "feed-token")


async def test_a_connection_opens_and_closes(feed):
    connection = await open_feed(feed, "feed-token")
    assert is_open(connection)
    await connection.close()
    await eventually(lambda: connection.state.name == "CLOSED")
    assert not is_open(connection)
