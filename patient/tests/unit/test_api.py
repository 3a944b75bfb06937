from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from test_tools.asgi import follow_socket
from test_tools.trades import announce, make_trades
from tidemark.allocator.workflow import AllocationWorkflow
from tidemark.api.app import Services, create_app
from tidemark.api.auth import Tokens
from tidemark.runtime.clock import ManualClock
from tidemark.writer.cache import MemoryCache
from tidemark.writer.warehouse import MemoryWarehouse


@pytest.fixture
def services(warehouse: MemoryWarehouse, workflow: AllocationWorkflow, clock: ManualClock) -> Services:
    return Services(Tokens("test-key", clock=clock), warehouse, MemoryCache(clock=clock), workflow)


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_app(services)


@pytest.fixture
async def client(app: FastAPI, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {services.tokens.issue('ada')}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        yield client


async def test_health_tells_the_watermark(client, warehouse):
    warehouse.insert(make_trades(3))
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["watermark"] == 3


async def test_trades_need_a_token(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        assert (await client.get("/trades")).status_code == 401


async def test_trades_of_one_symbol(client, warehouse):
    warehouse.insert(make_trades(6))
    answer = await client.get("/trades", params={"symbol": "SOL-USD"})
    assert [trade["sequence"] for trade in answer.json()] == [2, 5]


async def test_the_last_trade(client, services):
    trade = make_trades(1)[0]
    await services.cache.put(trade)
    answer = await client.get(f"/trades/{trade.symbol}/last")
    announce(f"last trade: {answer.status_code}")
    assert answer.status_code == 200
    assert answer.json()["sequence"] == 1


async def test_no_recent_trade_is_404(client):
    assert (await client.get("/trades/BTC-USD/last")).status_code == 404


async def test_an_allocation_is_made(client):
    body = {"request_id": "r-7", "kind": "desk", "count": 2, "limit": "5000"}
    answer = await client.post("/allocations", json=body)
    assert answer.status_code == 201
    assert answer.json() == {"outcome": "allocated", "cost": "800", "reason": ""}


async def test_an_empty_allocation_is_422(client):
    body = {"request_id": "r-7", "kind": "desk", "count": 0, "limit": "5000"}
    assert (await client.post("/allocations", json=body)).status_code == 422


async def test_the_socket_greets_and_counts(app, services, warehouse):
    warehouse.insert(make_trades(2))
    messages, code = await follow_socket(app, f"/trades/follow?token={services.tokens.issue('ada')}")
    assert code == 1000
    assert messages[0] == {"hello": "ada"}
    assert messages[-1] == {"sent": 2}


async def test_the_socket_says_why_it_closes(app):
    messages, code = await follow_socket(app, "/trades/follow?token=forged")
    assert (messages, code) == ([], 1008)
