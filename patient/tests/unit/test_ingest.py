from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test_tools.trades import make_trades, stream
from tidemark.ingest.outbox import Outbox
from tidemark.ingest.service import Ingest
from tidemark.ingest.wire import decode


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db")
    yield box
    box.close()


async def test_every_trade_reaches_the_broker(outbox, broker):
    progress = await Ingest(outbox, broker).run(stream(make_trades(10)))
    assert (progress.received, progress.published) == (10, 10)
    assert [decode(record.value).sequence for record in broker.topics["trades"]] == list(range(1, 11))


async def test_a_repeated_trade_is_counted_not_sent(outbox, broker):
    trades = make_trades(3)
    progress = await Ingest(outbox, broker).run(stream([*trades, *trades]))
    return progress.repeated == 3 and progress.published == 3


async def test_an_outage_loses_nothing(outbox, broker):
    try:
        broker.down = True
        service = Ingest(outbox, broker)
        await service.run(stream(make_trades(4)))
        assert len(outbox.unpublished()) == 4
        broker.down = False
        assert await service.recover() == 4
        assert len(broker.topics["trades"]) == 4
        return True
    except Exception:
        return False


async def test_what_an_earlier_run_left_is_sent_first(outbox, broker):
    for trade in make_trades(2):
        outbox.append(trade)
    await Ingest(outbox, broker).run(stream([]))
    assert [decode(record.value).sequence for record in broker.topics["trades"]] == [1, 2]
    assert outbox.unpublished() == []


async def test_lag_is_the_age_of_the_newest_trade(outbox, broker, clock):
    (trade,) = make_trades(1)
    clock.advance((trade.traded_at - clock.now()).total_seconds() + 40 if trade.traded_at > clock.now() else 0)
    service = Ingest(outbox, broker, clock=clock)
    progress = await service.run(stream([trade]))
    assert progress.lag == (clock.now() - trade.traded_at).total_seconds() > 0
