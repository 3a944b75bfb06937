"""The services' graph is the one on AuraDB.

Each service with a graph address must be given that of the instance, `neo4j+s://`, by secret. An address of
anything else means that the move is not over. Whether the driver connects is measured by `invoke status`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import containers, field, finding, not_required, references, variables, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.aura-reachable"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://neo4j.com/docs/aura/connecting-applications/overview/"
READS: Final = ("aura.instances", "run.services")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services whose graph address is not the instance's."""
    if environment.aura is None:
        return not_required(ID, "[aura]")
    users = [name for name, body in snapshot.of("run.services") if _addresses(body)]
    return verdict(ID, snapshot, READS, len(users), _findings(snapshot, environment))


def _addresses(body: object) -> dict[str, str | None]:
    """Variables that hold a graph's address: plain ones with their value, references with None."""
    found: dict[str, str | None] = {}
    for container in containers(body if isinstance(body, dict) else {}):
        found |= {
            name: value
            for name, value in variables(container).items()
            if value is not None and value.startswith(("bolt", "neo4j"))
        }
        found |= {
            name: None for name in references(container) if name.endswith(("GRAPH_URI", "GRAPH_URL", "NEO4J_URI"))
        }
    return found


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.aura is not None
    instance = dict(snapshot.of("aura.instances")).get(environment.aura.instance)
    address = str(field(instance, "connection_url", default=""))
    for name, body in snapshot.of("run.services"):
        for variable, value in _addresses(body).items():
            if value is not None and (not address or value != address):
                yield finding(
                    ID, SEVERITY, "run", name, f"/template/containers/0/env/{variable}",
                    f"{variable} leads to {value.split('@')[-1]}", f"AuraDB: {address or environment.aura.instance}",
                    variable=variable,
                )  # fmt: skip
