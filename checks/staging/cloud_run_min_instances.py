"""Services that must answer at once keep an instance warm.

With a minimum of 0 the first request after a quiet time waits for a cold start. The service-level minimum counts
(`scaling.minInstanceCount`), and that of the template where the service sets none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cloud-run-min-instances"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/run/docs/configuring/min-instances"
READS: Final = ("run.services",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services with fewer instances at least than the environment file asks for."""
    required = [item for item in environment.services if item.min_instances]
    if not required:
        return not_required(ID, "service with min_instances")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "run.services", (item.name for item in required)),
        _findings(snapshot, environment),
    )


def minimum(body: object) -> int:
    """The effective minimum of a service: its own, else that of its template."""
    own = field(body, "scaling", "minInstanceCount", default=0)
    return int(own or field(body, "template", "scaling", "minInstanceCount", default=0) or 0)


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    services = dict(snapshot.of("run.services"))
    for required in environment.services:
        body = services.get(required.name)
        if body is not None and minimum(body) < required.min_instances:
            yield finding(
                ID, SEVERITY, "run", required.name, "/scaling/minInstanceCount", f"at least {minimum(body)} instances",
                f"at least {required.min_instances}", want=str(required.min_instances),
            )  # fmt: skip
