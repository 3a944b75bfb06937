"""Every Cloud Run service is Ready, on its newest revision.

A service whose newest revision failed goes on serving the old one, so users see nothing and the deployment is lost.
Looked at: the terminal condition, and whether the newest created revision is the newest ready one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, last, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cloud-run-ready"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/run/docs/troubleshooting"
READS: Final = ("run.services",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services of the project that are not Ready, and required ones that are not there."""
    services = snapshot.of("run.services")
    return verdict(ID, snapshot, READS, len(services), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    services = dict(snapshot.of("run.services"))
    for name, body in services.items():
        condition = field(body, "terminalCondition", default={})
        state = condition.get("state", "CONDITION_PENDING")
        created, ready = last(body.get("latestCreatedRevision")), last(body.get("latestReadyRevision"))
        if state != "CONDITION_SUCCEEDED":
            observed = f"{state}: {condition.get('message') or condition.get('reason') or 'no message'}"
            yield finding(ID, SEVERITY, "run", name, "/terminalCondition", observed, "CONDITION_SUCCEEDED")
        elif created != ready:
            observed = f"revision {created} is not ready; {ready or 'none'} still serves"
            yield finding(ID, SEVERITY, "run", name, "/latestReadyRevision", observed, f"revision {created} is ready")
    for required in environment.services:
        if required.name not in services:
            yield finding(ID, SEVERITY, "run", required.name, "", "there is no such service", "the service exists")
