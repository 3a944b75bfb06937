"""Cloud Run's front: who may call a service, which revision answers, how long it may take.

https://cloud.google.com/run/docs/authenticating/overview, https://cloud.google.com/run/docs/securing/ingress
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from twin.frontdoor.mint import Mint
from twin.kernel.engine import Engine
from twin.runtime import pages
from twin.runtime.forward import Hop, Sink, UpstreamError, end_to_end, forward
from twin.runtime.pool import NoInstanceError, Pool
from twin.runtime.service import Service
from twin.runtime.telemetry import Seen, Telemetry

_COOKIE = "GAESA"
_COOKIE_AGE = 30 * 86_400
_INVOKE = "run.routes.invoke"
_ABORTED = (
    "The request was aborted because there was no available instance. Additional troubleshooting documentation can be "
    "found at: https://cloud.google.com/run/docs/troubleshooting#abort-request"
)
_BROKEN = (
    "The request failed because either the HTTP response was malformed or connection to the instance had an error."
)
Edit = Callable[[int, CIMultiDict[str]], Sink | None]


def trace_of(headers: CIMultiDict[str]) -> str:
    """The trace's id from `traceparent` (W3C) or `X-Cloud-Trace-Context`; a new one when neither is there."""
    parent = headers.get("traceparent", "").split("-")
    if len(parent) == 4 and len(parent[1]) == 32:
        return parent[1]
    context = headers.get("X-Cloud-Trace-Context", "").partition("/")[0]
    return context if len(context) == 32 else secrets.token_hex(16)


def arriving(request: web.BaseRequest, proto: str = "http") -> CIMultiDict[str]:
    """The request's headers as Google's front end hands them on."""
    headers = end_to_end(request.headers)
    peer = request.remote or "127.0.0.1"
    known = headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = f"{known},{peer}" if known else peer
    headers["X-Forwarded-Proto"] = proto
    trace = trace_of(headers)
    if "traceparent" not in headers:
        headers["traceparent"] = f"00-{trace}-{secrets.token_hex(8)}-00"
    if "X-Cloud-Trace-Context" not in headers:
        headers["X-Cloud-Trace-Context"] = f"{trace}/{secrets.randbits(62)}"
    return headers


@dataclass(slots=True, eq=False)
class Front:
    """Answers requests for services."""

    engine: Engine
    mint: Mint
    session: aiohttp.ClientSession
    telemetry: Telemetry

    async def answer(
        self,
        request: web.BaseRequest,
        service: Service,
        *,
        tag: str = "",
        balanced: bool = False,
        path: str = "",
        headers: CIMultiDict[str] | None = None,
        edit: Edit | None = None,
    ) -> web.StreamResponse:
        """One request for a service, from its own URL or (`balanced`) from the load balancer."""
        refused = self._refused(request, service, balanced)
        if refused is not None:
            return refused
        pool = service.choose(tag, request.cookies.get(_COOKIE, ""))
        if pool is None:
            return pages.plain(503, "Service Unavailable") if not tag else pages.not_found()
        begun = time.monotonic()
        until = begun + pool.revision.timeout
        sent_headers = headers if headers is not None else arriving(request)
        hop = Hop(self.session, "127.0.0.1", 0, path or request.raw_path, sent_headers, until, until, edit or _nothing)
        message, instance_id, status = "", "", 0
        try:
            async with pool.slot(request.cookies.get(_COOKIE, "")) as instance:
                hop.port, instance_id = instance.port, instance.id
                if pool.revision.affinity:
                    hop.edit = _affine(hop.edit, instance.id)
                response = await forward(request, hop)
        except NoInstanceError as error:
            message = _ABORTED
            response = pages.plain(error.status, str(error))
        except UpstreamError as error:
            if error.kind == "timeout":
                message = "The request has been terminated because it has reached the maximum request timeout."
                response = pages.plain(504, "upstream request timeout")
            else:
                message = _BROKEN
                response = pages.plain(503, "Service Unavailable")
        finally:
            status = hop.status if not message else response.status
            self._log(request, pool, instance_id, hop, status or 499, time.monotonic() - begun, message)
        return response

    def _log(
        self, request: web.BaseRequest, pool: Pool, instance: str, hop: Hop, status: int, latency: float, message: str
    ) -> None:
        seen = Seen(
            request.method,
            f"https://{request.headers.get('Host', '')}{request.raw_path}",
            status,
            hop.sent,
            request.content_length or 0,
            latency,
            request.headers.get("User-Agent", ""),
            trace_of(hop.headers),
        )
        self.telemetry.run_request(pool.revision, instance, seen, message)

    def _refused(self, request: web.BaseRequest, service: Service, balanced: bool) -> web.Response | None:
        record = service.record
        if not record:
            return pages.not_found()
        ingress = record.get("ingress", "INGRESS_TRAFFIC_ALL")
        inside = ingress == "INGRESS_TRAFFIC_ALL" or (balanced and ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER")
        if not inside or (record.get("defaultUriDisabled") and not balanced):
            return pages.not_found()
        if record.get("invokerIamDisabled") or self._allowed("allUsers", service):
            return None
        given = request.headers.get("X-Serverless-Authorization") or request.headers.get("Authorization", "")
        if not given:
            return pages.forbidden(request.path)
        principal = self.mint.principal(given)
        if not principal:
            return pages.unauthorized(request.path)
        if self._allowed("allAuthenticatedUsers", service) or self._allowed(principal, service):
            return None
        return pages.forbidden(request.path)

    def _allowed(self, principal: str, service: Service) -> bool:
        return self.engine.policies.allowed(principal, _INVOKE, service.name, self.engine.now())


def _nothing(_status: int, _headers: CIMultiDict[str]) -> None:
    return None


def _affine(edit: Edit, instance: str) -> Edit:
    """Best effort, by a cookie (https://cloud.google.com/run/docs/configuring/session-affinity)."""

    def with_cookie(status: int, headers: CIMultiDict[str]) -> Sink | None:
        headers.add("Set-Cookie", f"{_COOKIE}={instance}; Path=/; Max-Age={_COOKIE_AGE}; HttpOnly")
        return edit(status, headers)

    return with_cookie
