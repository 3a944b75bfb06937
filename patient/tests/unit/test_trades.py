from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError

from test_tools.trades import changed, make_trades
from tidemark.feed.candles import candles
from tidemark.feed.digests import digest_of_all
from tidemark.feed.models import Trade, digest_of

pytestmark = pytest.mark.unit


def test_notional_is_price_times_quantity():
    trade = changed(make_trades(1)[0], price=Decimal("2.50"), quantity=4)
    assert trade.notional == Decimal("10.00")


@pytest.mark.parametrize(
    "fault",
    [{"sequence": 0}, {"symbol": "btc"}, {"price": "0"}, pytest.param({"quantity": -1}, marks=pytest.mark.v3)],
)
def test_a_faulty_trade_is_refused(fault):
    with pytest.raises(ValidationError):
        Trade.model_validate(make_trades(1)[0].model_dump() | fault)


def test_a_trade_without_a_zone_is_refused():
    with pytest.raises(ValidationError, match="needs a zone"):
        Trade.model_validate(make_trades(1)[0].model_dump() | {"traded_at": datetime(2026, 1, 5)})


def test_times_are_kept_in_utc():
    trade = Trade.model_validate(make_trades(1)[0].model_dump() | {"traded_at": "2026-01-05T10:00:00+02:00"})
    assert trade.traded_at == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert trade.traded_at.utcoffset().total_seconds() == 0


def test_the_feed_is_deterministic():
    assert make_trades(20) == make_trades(20)


def test_digest_changes_with_the_price():
    trade = make_trades(1)[0]
    assert digest_of(trade) != digest_of(changed(trade, price=trade.price + 1))


def test_digest_survives_a_round_trip():
    trade = make_trades(1)[0]
    again = Trade.model_validate_json(trade.model_dump_json())
    return digest_of(again) == digest_of(trade)


def test_digest_of_all_ignores_order():
    trades = make_trades(5)
    assert digest_of_all(trades) == digest_of_all(reversed(trades))


def test_candle_of_one_hour():
    hour = [trade for trade in make_trades(9) if trade.symbol == "BTC-USD"][:1]
    (candle,) = candles(hour)
    assert (candle.opened, candle.closed, candle.volume) == (hour[0].price, hour[0].price, hour[0].quantity)


def test_one_candle_per_symbol():
    """A day of trades in three symbols."""
    day = make_trades(72)
    assert len(candles(day)) == 3
