"""The load balancer sends every path where the environment says.

The most specific path rule of the matcher that serves the environment's host is compared with the required one; a
route to a backend that does not exist is a finding too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, last, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.load-balancer-routes"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/load-balancing/docs/url-map-concepts"
READS: Final = ("compute.urlMaps", "compute.backendServices", "compute.backendBuckets")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Required routes that lead elsewhere, or nowhere."""
    if environment.balancer is None:
        return not_required(ID, "[balancer]")
    return verdict(ID, snapshot, READS, len(environment.balancer.routes), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    balancer = environment.balancer
    assert balancer is not None
    body = dict(snapshot.of("compute.urlMaps")).get(balancer.url_map)
    if body is None:
        yield finding(ID, SEVERITY, "urlMap", balancer.url_map, "", "there is no such URL map", "the URL map exists")
        return
    backends = {name for kind in READS[1:] for name, _ in snapshot.of(kind)}
    for route in balancer.routes:
        found = last(destination(body, balancer.host, route.path))
        if found != route.backend:
            yield finding(
                ID, SEVERITY, "urlMap", balancer.url_map, f"/routes{route.path}",
                f"{route.path} goes to {found or 'nothing'}", f"it goes to {route.backend}", path=route.path,
                backend=route.backend,
            )  # fmt: skip
        elif found not in backends:
            yield finding(
                ID, SEVERITY, "urlMap", balancer.url_map, f"/routes{route.path}",
                f"{route.path} goes to {found}, which does not exist", "a backend that exists", path=route.path,
                backend=route.backend,
            )  # fmt: skip


def destination(body: Mapping[str, Any], host: str, path: str) -> str:
    """The backend that a URL map gives a path pattern of a host: exact rule, else longest prefix, else default."""
    name = next(
        (rule["pathMatcher"] for rule in body.get("hostRules", ()) if host in rule["hosts"] or "*" in rule["hosts"]), ""
    )
    matcher = next((item for item in body.get("pathMatchers", ()) if item["name"] == name), None)
    if matcher is None:
        return str(body.get("defaultService", ""))
    best, found = -1, str(matcher.get("defaultService") or body.get("defaultService", ""))
    for rule in matcher.get("pathRules", ()):
        for pattern in rule["paths"]:
            prefix = pattern[:-1] if pattern.endswith("*") else pattern
            exact = pattern == path
            covers = pattern.endswith("*") and path.startswith(prefix)
            if (exact or covers) and len(prefix) + exact > best:
                best, found = len(prefix) + exact, str(rule.get("service", ""))
    return found
