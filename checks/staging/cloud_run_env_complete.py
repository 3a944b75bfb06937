"""Every container that serves has the variables that it needs.

Every revision that gets traffic or has a tag is looked at, and the template of the next one: a variable that only
the newest revision has does not help whoever is served by an older one. Values are never read into a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import (
    containers,
    finding,
    not_required,
    present,
    references,
    served,
    variables,
    verdict,
)
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cloud-run-env-complete"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/run/docs/configuring/services/environment-variables"
READS: Final = ("run.services", "run.revisions")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Required variables that a serving container does not have."""
    required = [item for item in environment.services if item.variables or item.secrets]
    if not required:
        return not_required(ID, "service with variables or secrets")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "run.services", (item.name for item in required)),
        _findings(snapshot, environment),
    )


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    services, revisions = dict(snapshot.of("run.services")), dict(snapshot.of("run.revisions"))
    for required in environment.services:
        body = services.get(required.name)
        if body is None:
            continue
        bodies = {"template": body} | {name: revisions[name] for name in served(body) if name in revisions}
        for place, found in bodies.items():
            every = containers(found)
            names = {name for container in every for name in (*variables(container), *references(container))}
            blank = {name for container in every for name, value in variables(container).items() if value == ""}
            wanted = [*required.variables, *dict(required.secrets)]
            for name in wanted:
                if name in names and name not in blank:
                    continue
                seen = f"{name} is empty in {place}" if name in names else f"{name} is not set in {place}"
                secret = dict(required.secrets).get(name, "")
                yield finding(
                    ID, SEVERITY, "run", required.name, f"/{place}/env/{name}", seen, f"{name} reaches the container",
                    variable=name, secret=secret,
                )  # fmt: skip
