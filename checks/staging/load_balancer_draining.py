"""Endpoints that leave may finish their requests.

Without connection draining a deployment cuts requests in flight. It has no effect on serverless backends, which
drain by Cloud Run's own rules, so those are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checks.staging.load_balancer_timeouts import serverless
from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.load-balancer-draining"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://cloud.google.com/load-balancing/docs/enabling-connection-draining"
READS: Final = ("compute.backendServices", "compute.endpointGroups")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Backends that drain shorter than the environment asks for."""
    if environment.balancer is None or not environment.balancer.draining:
        return not_required(ID, "[balancer] with draining")
    names = {route.backend for route in environment.balancer.routes}
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "compute.backendServices", names),
        _findings(snapshot, environment, names),
    )


def _findings(snapshot: Snapshot, environment: Environment, names: set[str]) -> Iterator[Finding]:
    assert environment.balancer is not None
    wanted = environment.balancer.draining
    groups = dict(snapshot.of("compute.endpointGroups"))
    for name, body in snapshot.of("compute.backendServices"):
        if name not in names or serverless(body, groups):
            continue
        found = int(field(body, "connectionDraining", "drainingTimeoutSec", default=0))
        if found < wanted:
            yield finding(
                ID, SEVERITY, "backendService", name, "/connectionDraining/drainingTimeoutSec", f"{found} s",
                f"{wanted} s", want=str(wanted),
            )  # fmt: skip
