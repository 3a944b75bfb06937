"""Trades over a WebSocket: a greeting, what is stored, and a count at the end."""

from __future__ import annotations

from fastapi import WebSocket

from tidemark.api.auth import Denied, Tokens
from tidemark.writer.warehouse import Warehouse

POLICY_VIOLATION = 1008


async def follow(socket: WebSocket, tokens: Tokens, warehouse: Warehouse, token: str) -> None:
    """Serve one reader. A bad token is told so (1008) after the handshake, so that browsers can read why."""
    await socket.accept()
    try:
        claims = tokens.verify(token)
        await socket.send_json({"hello": claims["sub"]})
    except Denied as denied:
        await socket.close(POLICY_VIOLATION, str(denied))
        return
    sent = 0
    for trade in warehouse.trades():
        await socket.send_text(trade.model_dump_json())
        sent += 1
    await socket.send_json({"sent": sent})
    await socket.close()
