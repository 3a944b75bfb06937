"""Every secret that services need exists, with an enabled version.

A service that refers to a secret without an enabled version does not start. Values are never read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.secrets-exist"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/secret-manager/docs/creating-and-accessing-secrets"
READS: Final = ("secretmanager.secrets", "secretmanager.versions")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Required secrets that are missing or have no enabled version."""
    if not environment.secrets:
        return not_required(ID, "[[secret]]")
    return verdict(ID, snapshot, READS, len(environment.secrets), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    there, versions = dict(snapshot.of("secretmanager.secrets")), dict(snapshot.of("secretmanager.versions"))
    for secret in environment.secrets:
        states = [item.get("state") for item in field(versions.get(secret.name), "versions", default=())]
        if secret.name not in there:
            yield finding(ID, SEVERITY, "secret", secret.name, "", "there is no such secret", "the secret exists")
        elif "ENABLED" not in states:
            seen = f"{len(states)} versions, none enabled" if states else "no version"
            yield finding(ID, SEVERITY, "secret", secret.name, "/versions", seen, "an enabled version")
