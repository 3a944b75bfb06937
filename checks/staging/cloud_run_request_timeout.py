"""Requests and WebSockets may last as long as the environment asks for.

Behind a serverless backend the balancer has no time-out of its own: Cloud Run's request time-out cuts long
requests, and every WebSocket, idle or not. Session affinity is asked for here as well, since a client that
reconnects should find its instance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, present, seconds, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cloud-run-request-timeout"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/run/docs/configuring/request-timeout; https://cloud.google.com/run/docs/triggering/websockets"
READS: Final = ("run.services",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services with a shorter request time-out, or without the session affinity, that the environment asks for."""
    required = [item for item in environment.services if item.request_timeout or item.session_affinity]
    if not required:
        return not_required(ID, "service with request_timeout")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "run.services", (item.name for item in required)),
        _findings(snapshot, environment),
    )


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    services = dict(snapshot.of("run.services"))
    for required in environment.services:
        body = services.get(required.name)
        if body is None:
            continue
        limit = seconds(field(body, "template", "timeout", default="300s"))
        if limit < required.request_timeout:
            yield finding(
                ID, SEVERITY, "run", required.name, "/template/timeout", f"cut after {limit:g} s",
                f"at least {required.request_timeout} s", want=str(required.request_timeout), setting="requestTimeout",
            )  # fmt: skip
        if required.session_affinity and not field(body, "template", "sessionAffinity", default=False):
            yield finding(
                ID, SEVERITY, "run", required.name, "/template/sessionAffinity", "off", "on", want="true",
                setting="sessionAffinity",
            )  # fmt: skip
