"""The REST side of the api, and the application that holds it all."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, WebSocket
from pydantic import BaseModel, Field

from tidemark import __version__
from tidemark.allocator import models
from tidemark.allocator.workflow import AllocationWorkflow
from tidemark.api.auth import Denied, Tokens
from tidemark.api.socket import follow
from tidemark.feed.models import Trade
from tidemark.writer.cache import Cache
from tidemark.writer.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Services:
    """What the api stands on."""

    tokens: Tokens
    warehouse: Warehouse
    cache: Cache
    workflow: AllocationWorkflow


class AllocationBody(BaseModel):
    """A request for desks or machines."""

    request_id: str = Field(min_length=1)
    kind: models.Kind
    count: int = Field(ge=1)
    limit: Decimal = Field(gt=0)


async def bearer(request: Request, authorization: Annotated[str, Header()] = "") -> str:
    """Who asks, from the Authorization header."""
    tokens: Tokens = request.app.state.services.tokens
    try:
        claims = await tokens.verify(authorization.removeprefix("Bearer "))
    except Denied as denied:
        raise HTTPException(401, str(denied)) from denied
    return str(claims["sub"])


def create_app(services: Services) -> FastAPI:
    """The application over these services."""
    app = FastAPI(title="Tidemark", version=__version__)
    app.state.services = services

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "watermark": services.warehouse.watermark()}

    @app.get("/trades")
    async def trades(caller: Annotated[str, Depends(bearer)], symbol: str | None = None) -> list[Trade]:
        return list(services.warehouse.trades(symbol))

    @app.get("/trades/{symbol}/last")
    async def last(symbol: str, caller: Annotated[str, Depends(bearer)]) -> Trade:
        trade = await services.cache.last(symbol)
        if trade is None:
            raise HTTPException(404, f"{symbol}: no recent trade")
        return trade

    @app.post("/allocations", status_code=201)
    async def allocate(body: AllocationBody, caller: Annotated[str, Depends(bearer)]) -> dict[str, str]:
        request = models.Request(body.request_id, caller, body.kind, body.count, body.limit)
        decision = await services.workflow.decide(request)
        return {"outcome": decision.outcome, "cost": str(decision.cost), "reason": decision.reason}

    @app.websocket("/trades/follow")
    async def followed(socket: WebSocket, token: str = "") -> None:
        await follow(socket, services.tokens, services.warehouse, token)

    return app
