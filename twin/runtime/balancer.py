"""The load balancer: from a forwarding rule's port to whatever its url map says.

https://cloud.google.com/load-balancing/docs/https
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from twin.kernel.engine import Engine
from twin.kernel.names import last, segment_after
from twin.kernel.types import Body
from twin.runtime import buckets, pages, urlmap
from twin.runtime.cdn import Cdn, Passage
from twin.runtime.forward import Hop, Sink, UpstreamError, forward, is_upgrade
from twin.runtime.groups import Backends
from twin.runtime.invoke import Edit, Front, arriving, trace_of
from twin.runtime.service import Service
from twin.runtime.telemetry import Seen, Telemetry

_VIA = "1.1 google"
_DAY = 86_400.0
"""How long an active WebSocket lives on the global external balancer
(https://cloud.google.com/load-balancing/docs/https#websocket_support)."""
_MANAGED = "EXTERNAL_MANAGED"


def name_of(link: str) -> str:
    """The canonical name behind a compute link; '' for none."""
    path = link.partition("/compute/v1/")[2] or link.partition("/compute/beta/")[2] or link
    return f"compute/{path.lstrip('/')}" if path else ""


@dataclass(slots=True)
class _Trip:
    """One request's way through the balancer, gathered for its log entry."""

    rule: str
    url_map: str = ""
    proxy: str = ""
    scheme: str = "http"
    managed: bool = False
    backend: str = ""
    details: str = "response_sent_by_backend"
    cdn: Passage | None = None
    status: int = 0
    sent: int = 0
    logged: bool = True
    host: str = ""
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)


@dataclass(slots=True, eq=False)
class Balancer:
    """Answers for every forwarding rule. `services` finds a Cloud Run service by canonical name."""

    engine: Engine
    session: aiohttp.ClientSession
    front: Front
    telemetry: Telemetry
    cdn: Cdn
    services: Callable[[str], Service | None]
    backends: dict[str, Backends] = field(default_factory=dict)

    # Following the records

    def follow(self) -> None:
        """Take over endpoint groups and health checks."""
        store = self.engine.store
        wanted: dict[str, tuple[list[str], list[Body]]] = {}
        for collection in store.collections("compute/projects/", "backendServices"):
            for name, body in store.children(collection):
                groups = [name_of(item.get("group", "")) for item in body.get("backends", ())]
                groups = [
                    group
                    for group in groups
                    if (store.get(group) or {}).get("networkEndpointType") not in (None, "SERVERLESS")
                ]
                if groups:
                    found = [store.get(name_of(link)) for link in body.get("healthChecks", ())]
                    wanted[name] = (groups, [check for check in found if check])
        for name, (groups, checks) in wanted.items():
            known = self.backends.get(name)
            if known is None:
                known = self.backends[name] = Backends(name, self.engine, self.session)
            draining = float((store.get(name) or {}).get("connectionDraining", {}).get("drainingTimeoutSec", 0))
            known.follow(groups, checks, draining)
        for name in self.backends.keys() - wanted.keys():
            gone = self.backends.pop(name)
            gone.follow([], [], 0.0)

    def rules(self) -> dict[str, str]:
        """Forwarding rules that lead to a url map: canonical name by short name."""
        store = self.engine.store
        found = {}
        for collection in store.collections("compute/projects/", "forwardingRules"):
            for name, body in store.children(collection):
                if re.search(r"/target(Http|Https)Proxies/", body.get("target", "")):
                    found[last(name)] = name
        return found

    def hosts(self) -> dict[str, str]:
        """Exact hosts of url maps, each with a forwarding rule that leads there."""
        found: dict[str, str] = {}
        for rule in self.rules().values():
            url_map, _ = self._map(rule, _Trip(rule))
            for item in (url_map or {}).get("hostRules", ()):
                found.update({host: rule for host in item.get("hosts", ()) if "*" not in host})
        return found

    def _map(self, rule: str, trip: _Trip) -> tuple[Body | None, str]:
        store = self.engine.store
        record = store.get(rule) or {}
        target = name_of(record.get("target", ""))
        trip.managed = record.get("loadBalancingScheme") == _MANAGED
        trip.proxy = last(target)
        trip.scheme = "https" if "/targetHttpsProxies/" in target else "http"
        name = name_of((store.get(target) or {}).get("urlMap", ""))
        trip.url_map = last(name)
        return store.get(name), name

    # One request

    async def answer(self, request: web.BaseRequest, rule: str) -> web.StreamResponse:
        """A request that came in at a forwarding rule."""
        trip, begun = _Trip(rule), time.monotonic()
        trip.host = request.headers.get("Host", "")
        try:
            response = await self._routed(request, trip)
            trip.status = trip.status or response.status
            return response
        finally:
            if trip.logged:
                self._log(request, trip, time.monotonic() - begun)

    async def _routed(self, request: web.BaseRequest, trip: _Trip) -> web.StreamResponse:
        url_map, _ = self._map(trip.rule, trip)
        if url_map is None:
            trip.details = "internal_error"
            return pages.server_error(502)
        target = urlsplit(request.raw_path)
        headers = arriving(request, trip.scheme)
        trip.headers = headers
        headers["X-Forwarded-For"] += f",{(self.engine.store.get(trip.rule) or {}).get('IPAddress', '127.0.0.1')}"
        headers["Via"] = f"{headers['Via']}, {_VIA}" if "Via" in headers else _VIA
        route = urlmap.route(url_map, trip.host, target.path or "/", target.query, request.headers)
        if route.redirect is not None:
            status, where = urlmap.location(
                route.redirect, trip.scheme, trip.host, target.path or "/", target.query, route.matched
            )
            trip.details = "redirect"
            return web.Response(status=status, headers={"Location": where, "Via": _VIA})
        backend = name_of(route.backend)
        body = self.engine.store.get(backend)
        if body is None:
            trip.details = "internal_error"
            return pages.server_error(502)
        trip.backend = backend
        trip.managed = (
            body.get("loadBalancingScheme", "") == _MANAGED if "loadBalancingScheme" in body else trip.managed
        )
        rewrite = route.action.get("urlRewrite", {})
        path = urlmap.rewritten(route, target.path or "/") + (f"?{target.query}" if target.query else "")
        if rewrite.get("hostRewrite"):
            headers["Host"] = rewrite["hostRewrite"]
        for action in route.actions:
            _apply(headers, action, "request")
        for line in body.get("customRequestHeaders", ()):
            name, _, value = line.partition(":")
            headers[name.strip()] = self._filled(value.strip(), trip)
        edit = self._edit(trip, route, body)
        if "/backendBuckets/" in backend:
            return await self._bucket(request, trip, body, path, edit)
        return await self._service(request, trip, body, route, path, edit)

    def _edit(self, trip: _Trip, route: urlmap.Route, body: Body) -> Edit:
        def edit(status: int, headers: CIMultiDict[str]) -> Sink | None:
            trip.status = status
            headers["Via"] = f"{headers['Via']}, {_VIA}" if "Via" in headers else _VIA
            for action in reversed(route.actions):
                _apply(headers, action, "response")
            for line in body.get("customResponseHeaders", ()):
                name, _, value = line.partition(":")
                headers[name.strip()] = self._filled(value.strip(), trip)
            return None

        return edit

    def _filled(self, value: str, trip: _Trip) -> str:
        """https://cloud.google.com/load-balancing/docs/https/custom-headers"""
        known = {
            "cdn_cache_status": trip.cdn.status if trip.cdn else "disabled",
            "cdn_cache_id": "TWN-local",
            "client_region": "US",
            "client_city": "",
            "client_rtt_msec": "0",
            "client_ip_address": "127.0.0.1",
            "client_encrypted": "true" if trip.scheme == "https" else "false",
            "client_protocol": "HTTP/1.1",
            "server_ip_address": "127.0.0.1",
        }
        return re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], ""), value)

    # Backends

    async def _bucket(
        self, request: web.BaseRequest, trip: _Trip, body: Body, path: str, edit: Edit
    ) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            trip.details = "method_not_allowed"
            return web.Response(status=405)
        target = urlsplit(path)

        async def origin(headers: CIMultiDict[str], seen: Edit) -> web.StreamResponse:
            status, given, content = buckets.fetch(self.engine, body["bucketName"], target.path)
            if status == 200 and headers.get("If-None-Match") == given.get("ETag"):
                status, content = 304, b""
            sink = seen(status, given)
            if sink is not None:
                sink.feed(content)
                sink.done()
            trip.sent = len(content)
            return web.Response(status=status, headers=given, body=content if status != 304 else None)

        if not body.get("enableCdn"):
            return await origin(trip.headers, edit)
        return await self._cached(request, trip, body, target.path, target.query, origin, edit)

    async def _cached(
        self, request: web.BaseRequest, trip: _Trip, body: Body, path: str, query: str, origin: object, edit: Edit
    ) -> web.StreamResponse:
        assert callable(origin)
        trip.cdn = Passage(
            trip.backend, body.get("cdnPolicy", {}), trip.scheme, trip.host.partition(":")[0], path, query, trip.headers
        )
        return await self.cdn.answer(request, trip.cdn, origin, edit)

    async def _service(
        self, request: web.BaseRequest, trip: _Trip, body: Body, route: urlmap.Route, path: str, edit: Edit
    ) -> web.StreamResponse:
        async def origin(headers: CIMultiDict[str], seen: Edit) -> web.StreamResponse:
            serverless = self._serverless(body)
            if serverless is not None:
                service, tag = serverless
                return await self.front.answer(
                    request, service, tag=tag, balanced=True, path=path, headers=headers, edit=seen
                )
            return await self._endpoint(request, trip, body, route, path, headers, seen)

        trip.logged = body.get("logConfig", {}).get("enable", True)
        if body.get("enableCDN") and not is_upgrade(request):
            target = urlsplit(path)
            return await self._cached(request, trip, body, target.path, target.query, origin, edit)
        return await origin(trip.headers, edit)

    def _serverless(self, body: Body) -> tuple[Service, str] | None:
        for item in body.get("backends", ()):
            group = name_of(item.get("group", ""))
            run = (self.engine.store.get(group) or {}).get("cloudRun", {})
            if run.get("service"):
                place = f"projects/{segment_after(group, 'projects')}/locations/{segment_after(group, 'regions')}"
                service = self.services(f"run/{place}/services/{run['service']}")
                if service is not None:
                    return service, run.get("tag", "")
        return None

    async def _endpoint(
        self,
        request: web.BaseRequest,
        trip: _Trip,
        body: Body,
        route: urlmap.Route,
        path: str,
        headers: CIMultiDict[str],
        edit: Edit,
    ) -> web.StreamResponse:
        backends = self.backends.get(trip.backend)
        endpoint = backends.pick() if backends is not None else None
        if endpoint is None:
            trip.details = "failed_to_pick_backend"
            return pages.plain(503, "no healthy upstream") if trip.managed else pages.server_error(502)
        limit = float(body.get("timeoutSec", 30))
        own = route.action.get("timeout", {})
        if own.get("seconds") or own.get("nanos"):
            limit = float(own.get("seconds", 0)) + float(own.get("nanos", 0)) / 1e9
        now = time.monotonic()
        # The classic balancer closes a WebSocket at the time-out, idle or not; the global one lets it live.
        tunnel = now + (_DAY if trip.managed else limit)
        hop = Hop(self.session, endpoint.host, endpoint.port, path, headers, now + limit, tunnel, edit)
        try:
            with endpoint.request():
                response = await forward(request, hop)
            trip.sent = hop.sent
            return response
        except UpstreamError as error:
            return self._failed(trip, error)

    def _failed(self, trip: _Trip, error: UpstreamError) -> web.Response:
        if error.kind == "timeout":
            trip.details = "backend_timeout"
            return pages.plain(504, "upstream request timeout") if trip.managed else pages.server_error(504)
        if error.kind == "refused":
            trip.details = "failed_to_connect_to_backend"
            reason = "remote connection failure"
        else:
            trip.details = "backend_connection_closed_before_data_sent_to_client"
            reason = "connection termination"
        if trip.managed:
            return pages.plain(
                503, f"upstream connect error or disconnect/reset before headers. reset reason: {reason}"
            )
        return pages.server_error(502)

    # Log

    def _log(self, request: web.BaseRequest, trip: _Trip, latency: float) -> None:
        project = segment_after(trip.rule, "projects")
        labels = {
            "forwarding_rule_name": last(trip.rule),
            "url_map_name": trip.url_map,
            "target_proxy_name": trip.proxy,
            "backend_service_name": last(trip.backend),
            "zone": "global",
        }
        cache: Body = {}
        if trip.cdn is not None:
            hit = trip.cdn.status in ("hit", "stale", "revalidated")
            cache = {"cacheLookup": trip.cdn.status != "uncacheable"}
            cache.update({"cacheHit": True} if hit else {})
            cache.update({"cacheValidatedWithOriginServer": True} if trip.cdn.status == "revalidated" else {})
            cache.update({"cacheFillBytes": str(trip.cdn.fill)} if trip.cdn.fill else {})
            trip.details = "response_from_cache" if hit else trip.details
        seen = Seen(
            request.method,
            f"{trip.scheme}://{trip.host}{request.raw_path}",
            trip.status or 499,
            trip.sent,
            request.content_length or 0,
            latency,
            request.headers.get("User-Agent", ""),
            trace_of(trip.headers) if trip.headers else "",
            request.headers.get("Referer", ""),
        )
        self.telemetry.balanced(project, labels, seen, trip.details, cache)

    async def close(self) -> None:
        await asyncio.gather(*(backends.close() for backends in self.backends.values()))
        await self.cdn.close()


def _apply(headers: CIMultiDict[str], action: Body, which: str) -> None:
    """Header actions of a url map: removals, then additions."""
    for name in action.get(f"{which}HeadersToRemove", ()):
        headers.popall(name, None)
    for item in action.get(f"{which}HeadersToAdd", ()):
        if item.get("replace"):
            headers[item["headerName"]] = item.get("headerValue", "")
        else:
            headers.add(item["headerName"], item.get("headerValue", ""))
