"""Backends that have a time-out give plain requests their limit and WebSockets a long one.

A backend service on serverless endpoint groups accepts no time-out: Cloud Run's request time-out governs there, so
it is left alone. On the classic balancer the time-out of any other backend also ends WebSockets, idle or not, so a
WebSocket backend needs a long one and 30 seconds would be wrong for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, last, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.load-balancer-timeouts"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/load-balancing/docs/https/request-distribution#backend_service_timeout; terraform-google-lb-http issue 358"
READS: Final = ("compute.backendServices", "compute.endpointGroups")
MEASURES: Final = ()


#: What Compute Engine gives a backend service that sets none.
DEFAULT_TIMEOUT: Final = 30


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Backends whose time-out is not what their kind of traffic needs."""
    if environment.balancer is None:
        return not_required(ID, "[balancer]")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "compute.backendServices", _needs(environment)),
        _findings(snapshot, environment),
    )


def _needs(environment: Environment) -> dict[str, int]:
    balancer = environment.balancer
    assert balancer is not None
    needs: dict[str, int] = {}
    for route in balancer.routes:
        wanted = balancer.websocket_timeout if route.scheme == "websocket" else balancer.http_timeout
        needs[route.backend] = max(wanted, needs.get(route.backend, 0))
    return needs


def serverless(body: Mapping[str, Any], groups: Mapping[str, Any]) -> bool:
    """Whether a backend service stands on serverless endpoint groups, by their type or, unseen, by their regional link."""
    names = [last(item.get("group")) for item in body.get("backends", ())]
    kinds = {groups[name].get("networkEndpointType") for name in names if name in groups}
    return "SERVERLESS" in kinds


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    bodies, groups = dict(snapshot.of("compute.backendServices")), dict(snapshot.of("compute.endpointGroups"))
    for name, wanted in _needs(environment).items():
        body = bodies.get(name)
        if body is None or serverless(body, groups):
            continue
        found = int(body.get("timeoutSec", DEFAULT_TIMEOUT))
        if found != wanted:
            yield finding(
                ID, SEVERITY, "backendService", name, "/timeoutSec", f"{found} s", f"{wanted} s", want=str(wanted)
            )
