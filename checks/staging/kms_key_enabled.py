"""The primary version of each key is enabled.

Everything under a key whose primary version is disabled or destroyed refuses to be read: an outage that looks like
missing permissions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.kms-key-enabled"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/kms/docs/key-states"
READS: Final = ("kms.keys",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """A primary version that is not ENABLED, or a key that is not there."""
    if environment.encryption is None:
        return not_required(ID, "[encryption]")
    return verdict(ID, snapshot, READS, len(environment.encryption.keys), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.encryption is not None
    for key in environment.encryption.keys:
        body = dict(snapshot.of("kms.keys")).get(key)
        if body is None:
            yield finding(ID, SEVERITY, "key", key, "", "there is no such key", "the key exists")
        elif body["primary"]["state"] != "ENABLED":
            state = body["primary"]["state"] or "no primary version"
            yield finding(
                ID, SEVERITY, "key", key, "/primary/state", state, "ENABLED", version=str(body["primary"]["name"])
            )
