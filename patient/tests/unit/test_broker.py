import asyncio

import pytest

from test_tools.trades import changed, make_trades
from test_tools.polling import eventually
from tidemark.ingest.broker import BrokerUnavailable
from tidemark.ingest.wire import decode, encode
from tidemark.runtime.errors import DigestMismatch


async def test_offsets_count_from_zero(broker):
    assert [await broker.publish("trades", "k", b"x") for _ in range(3)] == [0, 1, 2]


async def test_reading_goes_on_from_an_offset(broker):
    for value in (b"a", b"b", b"c"):
        await broker.publish("trades", "k", value)
    assert [record.value for record in await broker.read("trades", 1)] == [b"b", b"c"]


async def test_an_unknown_topic_is_empty(broker):
    assert await broker.read("nothing", 0) == []


async def test_a_broker_that_is_down_refuses(broker):
    broker.down = True
    with pytest.raises(BrokerUnavailable, match="trades: the broker is down"):
        await broker.publish("trades", "k", b"x")


async def test_a_reader_sees_a_record_that_comes_later(broker):
    async def later() -> None:
        await broker.publish("trades", "k", b"late")

    task = asyncio.create_task(later())
    await asyncio.sleep(0.1)
    assert (await broker.read("trades", 0))[0].value == b"late"
    await task


async def test_a_record_wakes_a_waiting_reader(broker):
    task = asyncio.create_task(broker.publish("trades", "k", b"now"))
    await eventually(broker.arrived.is_set)
    assert await task == 0


async def test_the_next_record_wakes_it_again(broker):
    broker.arrived.clear()
    task = asyncio.create_task(broker.publish("trades", "k", b"next"))
    await asyncio.sleep(0.1)
    assert broker.arrived.is_set()
    assert await task == 0


@pytest.mark.v3
def test_a_record_survives_the_wire():
    trade = make_trades(1)[0]
    assert decode(encode(trade)) == trade


@pytest.mark.v3
def test_a_changed_record_is_noticed():
    trade = make_trades(1)[0]
    value = encode(trade).replace(str(trade.price).encode(), b"1.00")
    with pytest.raises(DigestMismatch, match="sequence 1"):
        decode(value)


@pytest.mark.v3
def test_an_older_schema_is_refused():
    refused, message = False, "an older record was read"
    try:
        decode(encode(make_trades(1)[0]).replace(b"trade/3", b"trade/2"))
    except ValueError as error:
        refused, message = "reads trade/3" in str(error), str(error)
    return (refused, message)


def test_two_trades_have_two_records():
    first, second = make_trades(2)
    assert encode(first) != encode(second)
    assert encode(first) != encode(changed(first, quantity=first.quantity + 1))
