"""The api as it runs in staging: it reads warehouse, cache, graph and database, and asks the allocator."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any

import httpx
import redis.asyncio as redis
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from neo4j.exceptions import DriverError, Neo4jError
from starlette.websockets import WebSocketDisconnect

from tidemark import __version__
from tidemark.allocator.journal import Journal, engine_of
from tidemark.allocator.models import Kind
from tidemark.api.auth import Denied, Tokens
from tidemark.runtime.counters import CACHE, CONNECTIONS
from tidemark.runtime.outbound import TIMEOUT, CircuitOpen, Outbound, TooManyRequests, chunked
from tidemark.runtime.serving import health_routes, server
from tidemark.runtime.settings import Settings
from tidemark.runtime.telemetry import outgoing
from tidemark.writer.bigquery import BigQueryWarehouse
from tidemark.writer.neo4j_graph import Neo4jGraph

POLICY_VIOLATION = 1008
PAGE = 500
_LOG = logging.getLogger("tidemark.api")


class AllocationBody(BaseModel):
    """A request for desks or machines."""

    request_id: str = Field(min_length=1, max_length=128)
    kind: Kind
    count: int = Field(ge=1)
    limit: Decimal = Field(gt=0)


class TokenBody(BaseModel):
    """Whose token, and for how many seconds."""

    subject: str = Field(min_length=1)
    seconds: int = Field(3600, ge=1, le=86400)


class Stores:
    """What the api stands on. Nothing is contacted before it is needed."""

    def __init__(self, chosen: Settings) -> None:
        key, bypass = chosen.signing_key.get_secret_value(), chosen.e2e_bypass_key.get_secret_value()
        self.tokens = Tokens(key, chosen.environment, bypass)
        self.warehouse = BigQueryWarehouse(chosen.project, chosen.dataset)
        self.cache = redis.from_url(
            chosen.redis_url, max_connections=20, socket_timeout=5, socket_connect_timeout=10, decode_responses=True
        )
        self.graph = Neo4jGraph(chosen.graph_url, chosen.graph_user, chosen.graph_password.get_secret_value())
        self.journal = Journal(engine_of(chosen.database_url.get_secret_value(), size=2, overflow=3))
        self.client = httpx.AsyncClient(timeout=TIMEOUT)
        self.allocator = Outbound("allocator", per_second=200, failures=5, rest=5.0)
        self._settings = chosen
        self._identity = ("", 0.0)

    async def decide(self, body: Mapping[str, Any]) -> httpx.Response:
        """Ask the allocator, as ourselves, in the trace of whoever asked us."""
        headers = {**outgoing(), **await asyncio.to_thread(self._authorization)}
        url = f"{self._settings.allocator_url}/decisions"
        return await self.allocator.request(self.client, "POST", url, json=body, headers=headers)

    def _authorization(self) -> dict[str, str]:
        """The identity token that Cloud Run wants of a service that calls another."""
        audience = self._settings.allocator_audience
        if not audience:
            return {}
        token, until = self._identity
        if until < time.monotonic():
            from google.auth.transport.requests import Request as Transport
            from google.oauth2.id_token import fetch_id_token

            token = fetch_id_token(Transport(), audience)
            self._identity = (token, time.monotonic() + 1800)
        return {"Authorization": f"Bearer {token}"}

    async def ready(self) -> Mapping[str, Any]:
        """Seconds that each store takes to answer. Raises the first failure."""
        seconds: dict[str, float] = {}
        probes = {
            "warehouse": asyncio.to_thread(self.warehouse.stored_watermark),
            "cache": self.cache.ping(),
            "graph": self.graph.verify(),
            "database": asyncio.to_thread(self.journal.ping),
        }

        async def timed(name: str, probe: Any) -> None:
            started = time.perf_counter()
            try:
                await probe
            except Exception as error:
                raise ConnectionError(f"{name}: {type(error).__name__}: {error}") from error
            seconds[name] = round(time.perf_counter() - started, 4)

        results = await asyncio.gather(*(timed(*each) for each in probes.items()), return_exceptions=True)
        failures = [str(result) for result in results if isinstance(result, BaseException)]
        if failures:
            raise ConnectionError("; ".join(failures))
        return {"seconds": seconds}

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()
        await self.graph.close()
        await self.cache.aclose()
        self.journal.close()
        self.warehouse.close()


async def bearer(request: Request, authorization: Annotated[str, Header()] = "") -> str:
    """Who asks, from the Authorization header."""
    tokens: Tokens = request.app.state.stores.tokens
    try:
        claims = await tokens.verify(authorization.removeprefix("Bearer "))
    except (Denied, ValueError) as denied:
        raise HTTPException(401, str(denied)) from denied
    return str(claims["sub"])


Caller = Annotated[str, Depends(bearer)]


def routes(stores: Stores) -> APIRouter:
    """What is served at / and, for the balancer, at /api."""
    router = APIRouter()

    @router.get("/trades")
    async def trades(
        caller: Caller,
        first: Annotated[int, Query(alias="from", ge=1)] = 1,
        limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
        symbol: str | None = None,
    ) -> StreamingResponse:
        source = chunked(stores.warehouse.texts(first, limit, symbol), PAGE)
        ahead = await asyncio.to_thread(next, source, ())

        async def pieces() -> AsyncIterator[str]:
            yield "[" + ",".join(ahead)
            while chunk := await asyncio.to_thread(next, source, ()):
                yield "," + ",".join(chunk)
            yield "]"

        return StreamingResponse(pieces(), media_type="application/json")

    @router.get("/trades/{symbol}/last")
    async def last(symbol: str, caller: Caller) -> Any:
        text = await _cached(stores, symbol)
        CACHE.labels("hit" if text else "miss").inc()
        if text is None:
            text = await asyncio.to_thread(stores.warehouse.last_text, symbol)
        if text is None:
            raise HTTPException(404, f"{symbol}: no trade yet")
        return json.loads(text)

    @router.get("/watermark")
    async def watermark(caller: Caller) -> dict[str, int | None]:
        stored, number = await asyncio.to_thread(stores.warehouse.extent)
        try:
            behind: int | None = await stores.graph.watermark()
        except (DriverError, Neo4jError):
            behind = None
        return {"warehouse": stored, "count": number, "graph": behind}

    @router.get("/graph/{symbol}")
    async def graph(symbol: str, caller: Caller) -> list[dict[str, Any]]:
        try:
            return await stores.graph.trades(symbol)
        except (DriverError, Neo4jError) as error:
            raise HTTPException(503, f"the graph is away: {error}", {"Retry-After": "5"}) from error

    @router.post("/allocations", status_code=201)
    async def allocate(body: AllocationBody, caller: Caller) -> Any:
        asked = {**body.model_dump(mode="json"), "team": caller}
        try:
            answer = await stores.decide(asked)
        except (CircuitOpen, TooManyRequests) as refused:
            raise HTTPException(503, str(refused), {"Retry-After": "5"}) from refused
        except httpx.HTTPError as error:
            raise HTTPException(502, f"the allocator: {type(error).__name__}: {error}") from error
        if answer.status_code not in (201, 202):
            raise HTTPException(502, f"the allocator answered {answer.status_code}: {answer.text[:200]}")
        return answer.json()

    @router.get("/allocations/{request_id}")
    async def allocation(request_id: str, caller: Caller) -> Any:
        row = await asyncio.to_thread(stores.journal.find, request_id)
        if row is None:
            raise HTTPException(404, "no such request")
        return {name: row[name] for name in ("request_id", "asked", "stage", "facts")}

    @router.post("/token")
    async def token(body: TokenBody, caller: Caller) -> dict[str, Any]:
        if caller != "e2e":
            raise HTTPException(403, "only the tests of staging are given tokens here")
        if body.subject == "e2e":
            raise HTTPException(422, "e2e is the name of whoever brings the bypass key")
        return {"token": stores.tokens.issue(body.subject, body.seconds), "expires_in": body.seconds}

    @router.websocket("/trades/socket")
    async def follow(socket: WebSocket, token: str = "", first: Annotated[int, Query(alias="from")] = 1) -> None:
        await _follow(socket, stores, token, first)

    return router


async def _cached(stores: Stores, symbol: str) -> str | None:
    """What the cache has; None also while the cache is away: then the warehouse answers."""
    try:
        return await stores.cache.get(f"last:{symbol}")
    except (redis.RedisError, OSError) as error:
        _LOG.warning("the cache is away", extra={"reason": str(error)})
        return None


async def _follow(socket: WebSocket, stores: Stores, token: str, first: int) -> None:
    """Greet, send what is stored, and go on as more is stored. A bad token is told so after the handshake (1008)."""
    await socket.accept()
    try:
        claims = await stores.tokens.verify(token)
    except (Denied, ValueError) as denied:
        await socket.close(POLICY_VIOLATION, str(denied)[:100])
        return
    CONNECTIONS.inc()
    try:
        await socket.send_json({"hello": claims["sub"]})
        while True:
            texts = await asyncio.to_thread(lambda: list(stores.warehouse.texts(first, PAGE)))
            for text in texts:
                await socket.send_text(text)
            first += len(texts)
            if not texts:
                await asyncio.sleep(0.5)
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        CONNECTIONS.dec()


def create_service(chosen: Settings) -> FastAPI:
    """The application over the stores that the settings name. Raises ValueError for settings that must not be."""
    stores = Stores(chosen)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await stores.close()

    async def health() -> Mapping[str, Any]:
        return {"version": __version__, "environment": chosen.environment}

    app = FastAPI(title="Tidemark", version=__version__, lifespan=life)
    app.state.stores = stores
    app.include_router(routes(stores))
    app.include_router(routes(stores), prefix="/api")
    app.router.routes.extend(health_routes(health, stores.ready))
    app.router.routes.extend(health_routes(health, stores.ready, "/api"))
    return app


async def run(chosen: Settings) -> None:
    """Serve until SIGTERM."""
    await server(create_service(chosen), chosen).serve()
