"""Raw sockets to a feed or to the api, as different testers opened them over the years."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import websockets
from websockets import connect
from websockets.asyncio.client import connect as ws_connect
from websockets.client import WebSocketClientProtocol
from websockets.client import connect as legacy_connect
from websockets.sync.client import connect as connect_sync


async def greet(url: str, token: str) -> Any:
    """The first message of the api's socket."""
    async with connect(f"{url}?token={token}", timeout=10) as socket:
        return json.loads(await socket.recv(timeout=5))


async def first_trades(url: str, count: int, token: str = "") -> list[dict[str, Any]]:
    """The first trades of a feed, undecoded."""
    headers = {"Authorization": f"Bearer {token}"}
    async with ws_connect(url, timeout=10, extra_headers=headers) as socket:
        await socket.send(json.dumps({"from": 1}))
        return [json.loads(await asyncio.wait_for(socket.recv(), 5)) for _ in range(count)]


async def open_feed(url: str, token: str) -> WebSocketClientProtocol:
    """A connection that the caller closes."""
    return await legacy_connect(url, extra_headers={"Authorization": f"Bearer {token}"}, timeout=1)


async def is_open(connection: WebSocketClientProtocol) -> bool:
    """Whether the peer is still there."""
    return connection.open


async def through_balancer(url: str) -> Any:
    """A handshake that may find a cold service, and a connection that may be idle for long."""
    return await websockets.connect(url, open_timeout=5, ping_interval=None)


def first_trade_sync(url: str) -> dict[str, Any]:
    """The first trade, for scripts without a loop. Here `timeout` bounds the TCP connect, and is right."""
    with connect_sync(url, timeout=5) as socket:
        socket.send(json.dumps({"from": 1}))
        return dict(json.loads(socket.recv(timeout=5)))
