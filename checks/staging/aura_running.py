"""The graph lives on AuraDB: its instance is running, and the services' address leads there.

Read through the Aura API. An instance that is paused or still being created serves nobody; one that the address secret
does not lead to was made and never moved into.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.aura-running"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://neo4j.com/docs/aura/platform/api/specification/"
READS: Final = ("aura.instances", "aura.address")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """An instance that is missing, not running, or not where the services' address leads."""
    if environment.aura is None:
        return not_required(ID, "[aura]")
    return verdict(ID, snapshot, READS, 1, _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.aura is not None
    name = environment.aura.instance
    body = dict(snapshot.of("aura.instances")).get(name)
    if body is None:
        yield finding(ID, SEVERITY, "aura", name, "", "there is no such instance", "the instance exists and runs")
    elif body.get("status") != "running":
        yield finding(ID, SEVERITY, "aura", name, "/status", str(body.get("status")), "running")
    else:
        wanted = str(body.get("connection_url", ""))
        for secret, held in snapshot.of("aura.address"):
            if held["address"] != wanted:
                yield finding(
                    ID,
                    SEVERITY,
                    "aura",
                    name,
                    "/connection_url",
                    f"{secret} leads to {held['address']}",
                    wanted or name,
                )
