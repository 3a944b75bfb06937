"""The cache: time to live, hits and misses. Tokens: issued, expired, forged; the feed's own token."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import stores
from tests.tiers.flow import Flow
from tests.tiers.tokens import Door, Renewing, token
from twin.staging import Staging

TTL = 60


def lookups(staging: Staging) -> dict[str, float]:
    """The api's own counters of hits and misses."""
    text = httpx.get(f"{staging.direct('api')}/metrics", timeout=10, trust_env=False).text
    found = re.findall(r'^tidemark_cache_lookups_total\{result="(\w+)"\} ([\d.]+)', text, re.MULTILINE)
    return {"hit": 0.0, "miss": 0.0} | {name: float(value) for name, value in found}


def test_a_cached_trade_ends_after_its_time(staging: Staging, flow: Flow) -> None:
    flow.more(3)
    flow.settled()

    with stores.cache(staging) as client:
        left: Any = [client.ttl(f"last:{symbol}") for symbol in stores.SYMBOLS]

    assert all(0 < seconds <= TTL for seconds in left), left


def test_hits_and_misses_are_counted_and_a_miss_is_answered_by_the_warehouse(
    staging: Staging, flow: Flow, visitor: Visitor
) -> None:
    flow.more(3)
    flow.settled()
    before = lookups(staging)
    cached = visitor.get("/api/trades/BTC-USD/last").json()
    with stores.cache(staging) as client:
        client.delete("last:BTC-USD")

    from_warehouse = visitor.get("/api/trades/BTC-USD/last").json()

    after = lookups(staging)
    assert from_warehouse == cached
    assert {name: after[name] - before[name] for name in after} == {"hit": 1.0, "miss": 1.0}


def test_the_hit_rate_of_a_busy_symbol_is_high(staging: Staging, flow: Flow, visitor: Visitor) -> None:
    flow.more(3)
    flow.settled()
    before = lookups(staging)

    for _ in range(20):
        assert visitor.get("/api/trades/ETH-USD/last").status_code == 200

    after = lookups(staging)
    assert (after["hit"] - before["hit"]) / 20 >= 0.95


def test_an_unknown_symbol_is_not_found(visitor: Visitor) -> None:
    assert visitor.get("/api/trades/DOGE-USD/last").status_code == 404


def status(door: Door, given: str) -> int:
    headers = {"Host": door.host, "Authorization": f"Bearer {given}".strip()}
    address = f"{door.address}/api/trades?limit=1"
    return httpx.get(address, headers=headers, timeout=10, trust_env=False).status_code


def test_a_token_opens_until_it_ends(door: Door) -> None:
    short = token(door, "desk-lead", seconds=1)

    eventually(lambda: status(door, short) == 401, within=10)

    assert status(door, token(door, "desk-lead", seconds=60)) == 200


@pytest.mark.parametrize("change", ["cut", "other body", "nothing"])
def test_a_forged_token_is_refused(change: str, door: Door) -> None:
    genuine, other = token(door, "desk-lead"), token(door, "somebody")
    forged = {
        "cut": genuine[:-1],
        "other body": f"{other.partition('.')[0]}.{genuine.partition('.')[2]}",
        "nothing": "",
    }[change]

    assert status(door, genuine) == 200
    assert status(door, forged) == 401


def test_only_the_tests_get_tokens_for_others(door: Door) -> None:
    given = token(door, "desk-lead")
    headers = {"Host": door.host, "Authorization": f"Bearer {given}"}

    answer = httpx.post(
        f"{door.address}/api/token", json={"subject": "boss"}, headers=headers, timeout=10, trust_env=False
    )

    assert answer.status_code == 403


def test_a_token_that_ends_during_a_run_is_renewed(door: Door) -> None:
    source = Renewing(door, "runner", seconds=2)
    first = source.current()
    assert source.current() == first

    eventually(lambda: source.current() != first, within=10)

    assert source.fetched == 2
    assert status(door, source.current()) == 200


def test_a_socket_of_the_api_greets_by_name_and_sends_what_is_stored(staging: Staging, door: Door) -> None:
    given = token(door, "desk-lead")
    address = staging.url("api").replace("http://", "ws://") + f"/trades/socket?token={given}"
    with connect(address, proxy=None, max_queue=None) as opened:
        assert opened.recv(timeout=10) == '{"hello":"desk-lead"}'
        assert '"sequence":1,' in str(opened.recv(timeout=10))


def test_a_socket_with_a_bad_token_is_told_why(staging: Staging) -> None:
    address = staging.url("api").replace("http://", "ws://") + "/trades/socket?token=wrong"
    with connect(address, proxy=None) as opened, pytest.raises(ConnectionClosed) as closed:
        opened.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason == "the token is not ours"
