"""Smoke: would a demo work? Each service answers in its own protocol, and a trade can be looked at."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from regreen.facts.services.collect import collect
from regreen.facts.services.spec import State, Thresholds
from regreen.status import of_stack
from tests.staging.patient.conftest import Visitor, feed_socket
from tests.tiers.flow import Flow
from tests.tiers.tokens import Door, Refused, token, token_async
from twin.staging import SERVICES, Staging

HANDSHAKE = 5.0
"""Seconds that a handshake through the balancer may take: the success metric of the chat platform's plan."""


def test_every_service_answers_in_its_own_protocol(staging: Staging) -> None:
    facts = {
        "backing": staging.backing.endpoints,
        "services": {name: entry["url"] for name, entry in staging.endpoints["services"].items()},
    }
    specs = of_stack(facts, staging.admin("GET", "instances")["instances"])
    # How fast is for tier 1: other work may run on this machine.
    patient = [replace(spec, thresholds=Thresholds(10, 10)) for spec in specs]

    readings = collect(patient)

    assert {*staging.backing.endpoints} - {"graph_password"} | {*SERVICES} <= {each.spec.name for each in readings}
    assert {each.spec.name: each.detail for each in readings if each.state is not State.UP} == {}


@pytest.mark.parametrize("path", ["/api/health", "/api/ready", "/allocator/health"])
def test_the_balancer_leads_to_the_service(path: str, visitor: Visitor) -> None:
    answer = visitor.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["status"] in ("ok", "ready")


def test_a_handshake_through_the_balancer_is_quick(staging: Staging) -> None:
    began = time.monotonic()
    with feed_socket(staging, open_timeout=30, max_queue=None) as opened:
        taken = time.monotonic() - began
        opened.send(json.dumps({"from": 1}))
        assert json.loads(opened.recv(timeout=10))["sequence"] == 1
    assert taken < HANDSHAKE


def test_a_handshake_without_the_token_is_refused(staging: Staging) -> None:
    address = urlsplit(staging.balancer)
    opened = socket.create_connection((address.hostname, address.port), timeout=10)
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{staging.host}/ws", sock=opened, proxy=None):
        pass
    assert refused.value.response.status_code == 401


def test_a_trade_flows_from_the_feed_to_the_api(flow: Flow, visitor: Visitor) -> None:
    (sequence,) = flow.more(1)

    flow.wait(sequence)

    (trade,) = visitor.get("/api/trades", params={"from": sequence, "limit": 1}).json()
    assert trade["sequence"] == sequence


def test_the_graph_answers_a_query(flow: Flow, visitor: Visitor) -> None:
    flow.settled()

    answer = visitor.get("/api/graph/BTC-USD")

    assert answer.status_code == 200, answer.text
    found = [row["sequence"] for row in answer.json()]
    assert found == sorted(found)
    assert {sequence % 3 for sequence in found} == {0}, "symbols take turns, and BTC-USD has every third trade"


def test_a_stranger_is_turned_away(visitor: Visitor) -> None:
    assert visitor.get("/api/trades", known=False).status_code == 401


def test_a_staging_token_is_had_without_a_loop(door: Door) -> None:
    given = token(door, "desk-lead")

    assert _opens(door, given)


@pytest.mark.asyncio
async def test_a_staging_token_is_had_in_a_loop(door: Door) -> None:
    given = await token_async(door, "desk-lead")

    assert _opens(door, given)


def test_no_token_without_the_key(door: Door) -> None:
    with pytest.raises(Refused, match="401"):
        token(replace(door, bypass_key="not-the-key"), "desk-lead")


def _opens(door: Door, given: str) -> bool:
    headers = {"Host": door.host, "Authorization": f"Bearer {given}"}
    answer = httpx.get(f"{door.address}/api/trades", params={"limit": 1}, headers=headers, timeout=10, trust_env=False)
    return answer.status_code == 200
