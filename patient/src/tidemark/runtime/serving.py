"""What every HTTP service has: /health, /ready, /metrics, a trace a request, and a clean end on SIGTERM."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidemark.runtime.counters import REQUESTS, SECONDS, exposition
from tidemark.runtime.settings import Settings
from tidemark.runtime.telemetry import incoming, outgoing

QUIET = frozenset({"/health", "/ready", "/metrics"})
Facts = Callable[[], Awaitable[Mapping[str, Any]]]

_LOG = logging.getLogger("tidemark.requests")


class Traced:
    """Goes on with the caller's trace, names it in the answer, and counts the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path, method, started = scope["path"], scope["method"], time.perf_counter()
        status = 500

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name.encode(), value.encode()) for name, value in outgoing().items()),
                ]
            await send(message)

        tracer = trace.get_tracer("tidemark")
        with incoming(headers), tracer.start_as_current_span(f"{method} {path}", kind=trace.SpanKind.SERVER) as span:
            try:
                await self._app(scope, receive, answered)
            finally:
                route = getattr(scope.get("route"), "path", path if path in QUIET else "other")
                seconds = time.perf_counter() - started
                span.set_attributes({"http.route": route, "http.response.status_code": status})
                REQUESTS.labels(method, route, str(status)).inc()
                SECONDS.labels(route).observe(seconds)
                if path not in QUIET:
                    facts = {"method": method, "path": path, "status": status, "seconds": round(seconds, 4)}
                    _LOG.info("request", extra=facts | outgoing())


async def metrics(_: Request) -> Response:
    """/metrics."""
    text, kind = exposition()
    return Response(text, media_type=kind)


def health_routes(health: Facts, ready: Facts, prefix: str = "") -> list[Route]:
    """/health says that the process lives; /ready that what it stands on answers (503 with the reason otherwise)."""

    async def lives(_: Request) -> Response:
        return JSONResponse({"status": "ok", **await health()})

    async def is_ready(_: Request) -> Response:
        try:
            return JSONResponse({"status": "ready", **await ready()})
        except Exception as error:
            return JSONResponse({"status": "not ready", "reason": f"{type(error).__name__}: {error}"}, 503)

    served = (("/health", lives), ("/ready", is_ready), ("/metrics", metrics))
    return [Route(f"{prefix}{path}", endpoint) for path, endpoint in served]


async def nothing() -> Mapping[str, Any]:
    """No facts to tell."""
    return {}


def worker_app(health: Facts, ready: Facts, *routes: Route) -> Starlette:
    """The HTTP side of a worker."""
    return Starlette(routes=[*health_routes(health, ready), *routes])


def server(app: ASGIApp, chosen: Settings) -> uvicorn.Server:
    """A server on the port that Cloud Run names; SIGTERM lets open requests finish."""
    config = uvicorn.Config(
        Traced(app),
        host=chosen.api_host,
        port=chosen.port or chosen.api_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=9,
        ws_ping_interval=20.0,
    )
    return uvicorn.Server(config)
