"""A trade goes from the feed to the api, unchanged and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tidemark.feed.client import FeedClient
from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade

if TYPE_CHECKING:
    from test_tools.stack import StackSettings

pytestmark = [pytest.mark.integration, pytest.mark.tier1]


@pytest.fixture
async def client(stack: StackSettings) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {stack.token}"}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=10) as client:
        yield client


@pytest.mark.slow
async def test_a_trade_reaches_the_api_unchanged(client, stack):
    sent = [trade async for trade in FeedClient(stack.feed_url).trades(limit=5)]
    stored = [Trade.model_validate(trade) for trade in (await client.get("/trades")).json()[:5]]
    assert [digest_of(trade) for trade in stored] == [digest_of(trade) for trade in sent]


@pytest.mark.slow
async def test_no_trade_is_doubled(client):
    sequences = [trade["sequence"] for trade in (await client.get("/trades")).json()]
    assert len(set(sequences)) == len(sequences)


async def test_an_allocation_is_answered(client):
    body = {"request_id": "pipeline-1", "kind": "desk", "count": 1, "limit": "5000"}
    answer = await client.post("/allocations", json=body)
    assert answer.status_code == 201


async def test_the_trace_has_every_step(client):
    from tidemark.runtime import tracing

    if tracing.trace is None:
        return pytest.skip("tracing is not installed here")
    assert (await client.get("/health")).headers["traceparent"]
