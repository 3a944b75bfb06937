"""How much goes through: at 10, 50 and 100 trades a second, and, when seeds are asked for, upward until it breaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.staging.patient.conftest import Visitor
from tests.tiers import latency, stores, system
from tests.tiers.audit import Problems
from tests.tiers.flow import Flow
from tests.tiers.recovery import problems
from twin.staging import Staging

SECONDS = 4
SLA = latency.LIMITS["end to end"]
UPWARD = (200, 400, 800, 1600, 3200, 6400)
WINDOW = 10


def through(staging: Staging, flow: Flow, rate: int, seconds: int) -> tuple[range, latency.Spread]:
    """Trades at a rate; which, and how long each took from its arrival to its row."""
    flow.settled(within=60)
    wanted = flow.more(rate * seconds, rate=rate)
    flow.wait(wanted[-1], within=seconds + 2 * SLA)
    flow.pace(rate=0)
    rows = stores.query(
        staging,
        f"SELECT received_at, stored_at FROM market.trades WHERE sequence BETWEEN {wanted.start} AND {wanted.stop - 1}",
    )
    assert len(rows) == len(wanted)
    return wanted, latency.spread([row["stored_at"] - row["received_at"] for row in rows])


@pytest.mark.parametrize("rate", [10, 50, 100])
def test_a_rate_is_held(
    rate: int, staging: Staging, flow: Flow, visitor: Visitor, record_property: Callable[[str, object], None]
) -> None:
    wanted, spread = through(staging, flow, rate, SECONDS)

    print(latency.table({f"{rate} a second": spread}))
    record_property(f"{rate} a second", asdict(spread))
    assert spread.p99 < SLA
    flow.settled(within=60)
    assert problems(staging, visitor, wanted) == Problems()


@pytest.mark.skipif(not system.thorough(), reason="until it breaks: nox -s tier3 -- --seeds N")
def test_until_it_breaks(staging: Staging, flow: Flow, record_property: Callable[[str, object], None]) -> None:
    """The first rate at which a trade takes longer than the SLA, or at which the rows come later than they were sent."""
    held, broke = 0, 0
    for rate in UPWARD:
        began = time.monotonic()
        wanted, spread = through(staging, flow, rate, WINDOW)
        sustained = len(wanted) / (time.monotonic() - began)
        print(latency.table({f"{rate} a second ({sustained:.0f} stored a second)": spread}))
        record_property(f"{rate} a second", {**asdict(spread), "stored a second": sustained})
        if spread.p99 >= SLA or sustained < rate / 2:
            broke = rate
            break
        held = rate
    print(f"holds {held} a second; breaks at {broke or 'none of these'}")
    record_property("holds", held)
    assert held >= 200
