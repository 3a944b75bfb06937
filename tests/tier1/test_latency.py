"""Latency from hop to hop and freshness, at ten trades a second; the figures are in the run's output and JUnit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.staging.patient.conftest import Visitor
from tests.tiers import latency, stores
from tests.tiers.flow import Flow
from twin.staging import Staging

RATE, COUNT = 20.0, 60


def test_hops_are_within_the_platform_s_limit(
    staging: Staging, flow: Flow, visitor: Visitor, record_property: Callable[[str, object], None]
) -> None:
    flow.settled()
    wanted = flow.more(COUNT, RATE)
    seen: dict[int, float] = {}
    fresh: list[float] = []
    next_one = wanted.start
    end = time.monotonic() + 60
    while next_one < wanted.stop and time.monotonic() < end:
        for trade in stores.served(visitor, range(next_one, wanted.stop)):
            seen[trade["sequence"]] = time.time()
            next_one = trade["sequence"] + 1
    flow.pace(rate=0)
    assert next_one == wanted.stop, f"{wanted.stop - next_one} of {COUNT} trades were not served within 60 s"

    warehouse = {row["sequence"]: row for row in stores.stored(staging, wanted)}
    published = {
        message.value["trade"]["sequence"]: message.timestamp
        for message in stores.topic(staging.backing.endpoints["kafka"], "trades")
        if message.value.get("trade", {}).get("sequence") in wanted
    }
    hops = {
        "feed to broker": latency.spread([published[each] - warehouse[each]["received_at"] for each in wanted]),
        "broker to warehouse": latency.spread([warehouse[each]["stored_at"] - published[each] for each in wanted]),
        "warehouse to api": latency.spread([seen[each] - warehouse[each]["stored_at"] for each in wanted]),
        "end to end": latency.spread([seen[each] - warehouse[each]["received_at"] for each in wanted]),
    }
    fresh = [seen[each] - warehouse[each]["received_at"] for each in wanted]
    print(latency.table(hops))
    for name, hop in hops.items():
        record_property(name, asdict(hop))
    record_property("freshness", [round(each, 3) for each in fresh])
    assert hops["end to end"].p99 < latency.LIMITS["end to end"]
    assert [row["sequence"] for row in warehouse.values()] == list(wanted), "a gap in the series"
    times = [warehouse[each]["stored_at"] for each in wanted]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("values", "share", "expected"), [([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.99, 99), ([5], 0.99, 5)]
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, expected: float) -> None:
    assert latency.percentile(values, share) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        latency.percentile([], 0.5)
