"""The team's key rotates by itself.

A new version every so many seconds limits what one version protects. A key without a rotation period never gets
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.kms-key-rotation"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://cloud.google.com/kms/docs/key-rotation"
READS: Final = ("kms.keys",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """A key that rotates too rarely or never, or is not there."""
    if environment.encryption is None:
        return not_required(ID, "[encryption]")
    return verdict(ID, snapshot, READS, len(environment.encryption.keys), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    encryption = environment.encryption
    assert encryption is not None
    for key in encryption.keys:
        body = dict(snapshot.of("kms.keys")).get(key)
        if body is None:
            yield finding(ID, SEVERITY, "key", key, "", "there is no such key", "the key exists")
            continue
        period = int(body["rotationPeriod"])
        if period == 0 or period > encryption.rotation:
            yield finding(
                ID, SEVERITY, "key", key, "/rotationPeriod", f"every {period} s" if period else "never",
                f"at most every {encryption.rotation} s", want=str(encryption.rotation),
            )  # fmt: skip
