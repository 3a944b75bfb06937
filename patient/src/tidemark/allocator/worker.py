"""The allocator as a service: decisions over HTTP, and the ones that an earlier process left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tidemark.allocator.durable import DurableWorkflow, body_of
from tidemark.allocator.journal import Journal, engine_of
from tidemark.allocator.models import Kind
from tidemark.allocator.pricing import FixedPrices
from tidemark.ingest.broker import BrokerUnavailable
from tidemark.ingest.kafka import TopicWriter
from tidemark.runtime.serving import server, worker_app
from tidemark.runtime.settings import Settings

STALE = 5.0
PRICES = {Kind.DESK: Decimal(400), Kind.MACHINE: Decimal(1500)}
_LOG = logging.getLogger("tidemark.allocator")


class AllocatorWorker:
    """Answers requests and, beside that, finishes what was interrupted."""

    def __init__(self, chosen: Settings) -> None:
        self._journal = Journal(engine_of(chosen.database_url.get_secret_value()))
        self._broker = TopicWriter(chosen.kafka_bootstrap)
        topic, pause = chosen.allocations_topic, chosen.council_pause
        self.workflow = DurableWorkflow(self._journal, FixedPrices(PRICES), self._broker, topic, pause)
        self._environment = chosen.environment
        self._prepared = False
        self.resumed = 0

    def routes(self) -> list[Route]:
        """What is served, with and without the balancer's prefix."""
        return [
            Route(f"{prefix}{path}", endpoint, methods=methods)
            for prefix in ("", "/allocator")
            for path, endpoint, methods in (
                ("/decisions", self._decide, ["POST"]),
                ("/decisions/{request_id}", self._tell, ["GET"]),
                ("/stock", self._restock, ["PUT"]),
            )
        ] + [Route("/allocator/health", self._alive)]

    async def _decide(self, request: Request) -> Response:
        try:
            asked = body_of(await request.body())
            pause = self._pause_of(request)
        except ValueError as error:
            return JSONResponse({"detail": str(error)}, 422)
        await self._prepare()
        try:
            return JSONResponse(await self.workflow.decide(asked, pause), 201)
        except BrokerUnavailable as error:
            reason = f"decided, and not announced yet: {error}"
            return JSONResponse({"request_id": asked.request_id, "detail": reason}, 202)

    def _pause_of(self, request: Request) -> float | None:
        """`?think=` makes the council slow, so that tests can be there while it thinks; never in production."""
        asked = request.query_params.get("think")
        return None if asked is None or self._environment == "production" else min(float(asked), 60.0)

    async def _tell(self, request: Request) -> Response:
        row = await asyncio.to_thread(self._journal.find, request.path_params["request_id"])
        if row is None:
            return JSONResponse({"detail": "no such request"}, 404)
        return JSONResponse({name: row[name] for name in ("request_id", "asked", "stage", "facts")})

    async def _restock(self, request: Request) -> Response:
        if self._environment == "production":
            return JSONResponse({"detail": "the stock of production is counted, not set"}, 403)
        wanted = {str(Kind(kind)): int(free) for kind, free in (await request.json()).items()}
        await self._prepare()
        await asyncio.to_thread(self._journal.restock, wanted)
        return JSONResponse(wanted)

    async def _alive(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", **await self.health()})

    async def _prepare(self) -> None:
        if not self._prepared:
            await asyncio.to_thread(self._journal.prepare)
            self._prepared = True

    async def watch(self) -> None:
        """Finish what nobody has touched for a while; until it is cancelled."""
        while True:
            try:
                await self._prepare()
                for request_id in await asyncio.to_thread(self._journal.unfinished, STALE):
                    await self.workflow.resume(request_id)
                    self.resumed += 1
            except Exception as error:
                _LOG.warning("waiting", extra={"reason": f"{type(error).__name__}: {error}"})
            await asyncio.sleep(1.0)

    async def health(self) -> Mapping[str, Any]:
        """How many decisions were taken up again, and what this process takes itself for."""
        return {"resumed": self.resumed, "environment": self._environment}

    async def ready(self) -> Mapping[str, Any]:
        """Ready is: the database answers."""
        await asyncio.to_thread(self._journal.ping)
        await self._prepare()
        return await self.health()

    def close(self) -> None:
        """Close every connection."""
        self._journal.close()


async def run(chosen: Settings) -> None:
    """Serve until SIGTERM."""
    worker = AllocatorWorker(chosen)
    http = server(worker_app(worker.health, worker.ready, *worker.routes()), chosen)
    watching = asyncio.create_task(worker.watch())
    try:
        await http.serve()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        worker.close()
