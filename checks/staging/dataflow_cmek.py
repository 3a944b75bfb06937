"""Running Dataflow jobs keep their state under the team's own key.

A job's key is fixed when it is launched; a running one must be drained and launched again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.data import key_name
from regreen.facts.cloud.reading import field, finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.dataflow-cmek"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/dataflow/docs/guides/customer-managed-encryption-keys"
READS: Final = ("dataflow.jobs",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Active jobs without the environment's key."""
    if environment.encryption is None or not environment.encryption.jobs:
        return not_required(ID, "[encryption] with jobs")
    return verdict(ID, snapshot, READS, len(snapshot.of("dataflow.jobs")), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.encryption is not None
    wanted = environment.encryption.jobs_key
    for name, body in snapshot.of("dataflow.jobs"):
        found = key_name(field(body, "environment", "serviceKmsKeyName", default=""))
        if found != wanted:
            yield finding(
                ID, SEVERITY, "dataflowJob", name, "/environment/serviceKmsKeyName",
                f"key {found}" if found else "Google's own key", wanted, job=str(body.get("id", "")),
                type=str(body.get("type", "")),
            )  # fmt: skip
