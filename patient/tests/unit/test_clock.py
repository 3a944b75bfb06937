from datetime import UTC, datetime, timedelta

import pytest

from tidemark.common.clock import ManualClock, SystemClock, age

pytestmark = pytest.mark.unit


def test_manual_clock_moves_only_when_told():
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    assert clock.now() == clock.now() == datetime(2026, 3, 1, tzinfo=UTC)


def test_manual_clock_advances():
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    assert clock.advance(90) == datetime(2026, 3, 1, 0, 1, 30, tzinfo=UTC)


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="cannot go back by 5 s"):
        ManualClock().advance(-5)


def test_age_is_in_seconds(clock):
    assert age(clock, clock.now() - timedelta(minutes=2)) == 120.0


def test_system_clock_knows_its_zone():
    assert SystemClock().now().tzinfo is UTC
