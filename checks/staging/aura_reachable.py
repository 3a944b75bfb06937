"""The services' graph is the one on AuraDB.

Each service with a graph address must be given that of the instance, `neo4j+s://`, best by secret. A plain address of
anything else means that the move is not over; so does a revision that started before the secret got its newest version,
because Cloud Run reads a secret when an instance starts. Whether the driver connects is measured by `invoke status`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import containers, field, finding, last, not_required, references, variables, verdict
from regreen.facts.cloud.snapshot import Body
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.aura-reachable"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://neo4j.com/docs/aura/connecting-applications/overview/"
READS: Final = ("aura.instances", "run.services", "run.revisions", "secretmanager.versions")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services whose graph is not the instance's, or of which a revision still is on the one before."""
    if environment.aura is None:
        return not_required(ID, "[aura]")
    users = [name for name, body in snapshot.of("run.services") if _plain(body) or _referring(body, environment)]
    return verdict(ID, snapshot, READS, len(users), _findings(snapshot, environment))


def _plain(body: Body) -> dict[str, str]:
    """Variables that hold a graph's address in plain text."""
    found: dict[str, str] = {}
    for container in containers(body):
        plain = {name: value for name, value in variables(container).items() if value is not None}
        found |= {name: value for name, value in plain.items() if value.startswith(("bolt", "neo4j"))}
    return found


def _referring(body: Body, environment: Environment) -> dict[str, tuple[str, str]]:
    """Variables that refer to the graph's secrets: the secret and the version asked for."""
    assert environment.aura is not None
    ours = (environment.aura.uri_secret, environment.aura.password_secret)
    found = {}
    for container in containers(body):
        for name, (secret, version) in references(container).items():
            if last(secret) in ours:
                found[name] = (last(secret), version or "latest")
    return found


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.aura is not None
    instance = dict(snapshot.of("aura.instances")).get(environment.aura.instance)
    address = str(field(instance, "connection_url", default=""))
    newest = {name: _newest(body) for name, body in snapshot.of("secretmanager.versions")}
    revisions = dict(snapshot.of("run.revisions"))
    for name, body in snapshot.of("run.services"):
        for variable, value in _plain(body).items():
            if not address or value != address:
                yield finding(
                    ID, SEVERITY, "run", name, f"/template/containers/0/env/{variable}",
                    f"{variable} leads to {value.split('@')[-1]}", f"AuraDB: {address or environment.aura.instance}",
                    variable=variable, address=address,
                )  # fmt: skip
        started = str(revisions.get(last(body.get("latestReadyRevision")), {}).get("createTime", ""))
        for variable, (secret, version) in _referring(body, environment).items():
            number, made = newest.get(secret, ("", ""))
            stale = version != number if version != "latest" else bool(started) and started < made
            if number and stale:
                yield finding(
                    ID, SEVERITY, "run", name, f"/template/containers/0/env/{variable}",
                    f"{variable} was read before version {number} of {secret}" if version == "latest"
                    else f"{variable} is version {version} of {secret}",
                    f"version {number}", variable=variable, secret=secret, version=number,
                )  # fmt: skip


def _newest(body: Mapping[str, object]) -> tuple[str, str]:
    """Number and time of the newest enabled version; ('', '') where there is none."""
    listed = [item for item in field(body, "versions", default=()) if item.get("state") == "ENABLED"]
    found = max(listed, key=lambda item: int(last(item["name"])), default=None)
    return (last(found["name"]), str(found.get("createTime", ""))) if found else ("", "")
