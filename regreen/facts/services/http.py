"""What speaks HTTP: any service, Prometheus, Grafana, a schema registry."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from regreen.facts.services.spec import Refused, Seen, ServiceSpec

_MOST: Final = 2**20


def _ask(spec: ServiceSpec, paths: tuple[str, ...], limit: float) -> tuple[float, float, list[bytes]]:
    """Connect once, ask each path; seconds to connect, seconds of the slowest answer, the bodies. Past any proxy."""
    parts = urlsplit(spec.address)
    headers = {"User-Agent": "regreen-status", "Host": parts.netloc.rpartition("@")[2]}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or spec.secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    elif spec.secret:
        headers["Authorization"] = f"Bearer {spec.secret}"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=limit, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=limit)
    try:
        begun = time.monotonic()
        connection.connect()
        connected = time.monotonic() - begun
        slowest, bodies = 0.0, []
        for path in paths:
            start = time.monotonic()
            connection.request("GET", parts.path.rstrip("/") + path if path else parts.path or "/", headers=headers)
            answer = connection.getresponse()
            bodies.append(answer.read(_MOST))
            slowest = max(slowest, time.monotonic() - start)
            if answer.status >= 400:
                raise Refused(
                    f"{path or parts.path or '/'} answered {answer.status}: {bodies[-1][:200].decode(errors='replace')}"
                )
    finally:
        connection.close()
    return connected, slowest, bodies


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(f"answered something that is not JSON: {body[:100].decode(errors='replace')}") from None


def probe(spec: ServiceSpec, limit: float) -> Seen:
    """GET of the address itself; Refused from status 400."""
    connect, query, bodies = _ask(spec, ("",), limit)
    return Seen(connect, query, f"{len(bodies[0])} bytes")


def prometheus(spec: ServiceSpec, limit: float) -> Seen:
    """https://prometheus.io/docs/prometheus/latest/management_api/ and a query of `up`."""
    connect, query, bodies = _ask(spec, ("/-/healthy", "/api/v1/query?query=up"), limit)
    answer = _json(bodies[1])
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise Refused("the query `up` failed")
    targets = answer.get("data", {}).get("result", [])
    down = [each for each in targets if str(each.get("value", [0, "1"])[1]) == "0"]
    poor = f"{len(down)} of {len(targets)} targets are down" if down else ""
    return Seen(connect, query, f"{len(targets)} targets", poor=poor)


def grafana(spec: ServiceSpec, limit: float) -> Seen:
    """https://grafana.com/docs/grafana/latest/developers/http_api/other/#health-api"""
    connect, query, bodies = _ask(spec, ("/api/health",), limit)
    answer = _json(bodies[0])
    database = answer.get("database", "") if isinstance(answer, dict) else ""
    poor = "" if database == "ok" else f"its database is {database or 'unknown'}"
    return Seen(connect, query, f"Grafana {answer.get('version', '?') if isinstance(answer, dict) else '?'}", poor=poor)


def registry(spec: ServiceSpec, limit: float) -> Seen:
    """A schema registry's subjects and its compatibility level."""
    connect, query, bodies = _ask(spec, ("/subjects", "/config"), limit)
    subjects, config = _json(bodies[0]), _json(bodies[1])
    if not isinstance(subjects, list) or not isinstance(config, dict):
        raise Refused("does not answer as a schema registry")
    return Seen(connect, query, f"{len(subjects)} subjects, {config.get('compatibilityLevel', '?')}")
