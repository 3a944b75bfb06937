"""A WebSocket session with an ASGI application, without a server or a thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI


async def follow_socket(app: FastAPI, url: str) -> tuple[list[Any], int]:
    """Open the URL, read to the end: the messages, and the close code (1011 when the application failed)."""
    path = urlsplit(url)
    scope = {
        "type": "websocket",
        "path": path.path,
        "query_string": path.query.encode(),
        "headers": [],
        "subprotocols": [],
        "client": ("test", 1),
        "server": ("test", 80),
        "scheme": "ws",
        "root_path": "",
        "app": app,
    }
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    messages: list[Any] = []
    codes: list[int] = []

    async def send(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "websocket.send":
            messages.append(json.loads(event["text"]))
        elif event["type"] == "websocket.close":
            codes.append(event.get("code", 1000))

    try:
        await asyncio.wait_for(app(scope, incoming.get, send), timeout=5)
    except TypeError:
        return messages, 1011
    return messages, codes[0] if codes else 1000
