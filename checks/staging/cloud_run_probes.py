"""Services have the probes that the environment asks for.

Without a startup probe of its own a container counts as started when its port is open, which is before it can work;
without a liveness probe one that hangs is never replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import containers, finding, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cloud-run-probes"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://cloud.google.com/run/docs/configuring/healthchecks"
READS: Final = ("run.services",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Required probes that the serving container does not have."""
    required = [item for item in environment.services if item.probes]
    if not required:
        return not_required(ID, "service with probes")
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
        main = next((item for item in containers(body) if item.get("ports")), next(iter(containers(body)), {}))
        for kind in required.probes:
            probe = main.get(f"{kind}Probe")
            # Cloud Run itself adds a TCP startup probe; it says no more than that the port is open.
            if not probe or (kind == "startup" and set(probe) & {"httpGet", "grpc"} == set()):
                seen = "only the default TCP probe" if probe else "no such probe"
                yield finding(
                    ID, SEVERITY, "run", required.name, f"/template/containers/0/{kind}Probe", seen,
                    f"a {kind} probe over HTTP or gRPC", probe=kind,
                )  # fmt: skip
