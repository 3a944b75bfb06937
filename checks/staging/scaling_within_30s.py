"""Instances are there soon after the load that asks for them.

From Cloud Run's own metrics: the time from the first request of a burst to the first point with instances. Without
a burst in the window nothing is proven, and this is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.scaling-within-30s"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-run"
READS: Final = ("monitoring.instances", "monitoring.requests")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services whose instances came later than the environment allows."""
    trouble = snapshot.trouble(*READS)
    if trouble:
        return Verdict.unknown(ID, trouble)
    delays = _delays(snapshot)
    if not delays:
        return Verdict.unknown(ID, "no service went from no traffic to traffic in the window")
    return verdict(ID, snapshot, READS, len(delays), _findings(delays, environment))


def _first(snapshot: Snapshot, kind: str) -> dict[str, float]:
    """The first moment, in seconds, at which each service has a value above 0."""
    found: dict[str, float] = {}
    for _, series in snapshot.of(kind):
        name = str(field(series, "resource", "labels", "service_name", default=""))
        for point in series.get("points", ()):
            value = field(point, "value", default={})
            number = float(value.get("int64Value", value.get("doubleValue", 0)) or 0)
            end = str(field(point, "interval", "endTime", default=""))
            if number > 0 and end:
                moment = datetime.fromisoformat(end.replace("Z", "+00:00")).timestamp()
                found[name] = min(moment, found.get(name, moment))
    return found


def _delays(snapshot: Snapshot) -> dict[str, float]:
    asked, there = _first(snapshot, "monitoring.requests"), _first(snapshot, "monitoring.instances")
    return {name: max(0.0, there[name] - asked[name]) for name in asked.keys() & there.keys()}


def _findings(delays: dict[str, float], environment: Environment) -> Iterator[Finding]:
    for name, delay in sorted(delays.items()):
        if delay > environment.scaling_within:
            yield finding(
                ID, SEVERITY, "run", name, "/scaling", f"instances {delay:.0f} s after the first request",
                f"within {environment.scaling_within} s",
            )  # fmt: skip
