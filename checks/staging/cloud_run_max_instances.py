"""Services cannot grow past what the environment allows.

Without a limit of its own a service may grow to the platform's default of 100 instances, and every instance opens
its own database connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cloud-run-max-instances"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://cloud.google.com/run/docs/configuring/max-instances"
READS: Final = ("run.services",)
MEASURES: Final = ()


#: What Cloud Run allows a revision that sets no limit (documentation of maximum instances).
DEFAULT_MAXIMUM: Final = 100


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services that may grow past the environment's limit."""
    if not environment.services:
        return not_required(ID, "service")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "run.services", (item.name for item in environment.services)),
        _findings(snapshot, environment),
    )


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    services = dict(snapshot.of("run.services"))
    for required in environment.services:
        body = services.get(required.name)
        if body is None:
            continue
        limits = [
            field(body, "template", "scaling", "maxInstanceCount", default=0),
            field(body, "scaling", "maxInstanceCount", default=0),
        ]
        effective = min((int(item) for item in limits if item), default=DEFAULT_MAXIMUM)
        if effective > required.max_instances:
            yield finding(
                ID, SEVERITY, "run", required.name, "/template/scaling/maxInstanceCount", f"up to {effective} instances",
                f"up to {required.max_instances}", want=str(required.max_instances),
            )  # fmt: skip
