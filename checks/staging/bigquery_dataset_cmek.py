"""New tables are encrypted with the team's own key.

The default key of a dataset covers tables that are made from then on, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.data import key_name
from regreen.facts.cloud.reading import field, finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.bigquery-dataset-cmek"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/bigquery/docs/customer-managed-encryption"
READS: Final = ("bigquery.datasets",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Datasets without the environment's key as their default."""
    if environment.encryption is None or not environment.encryption.datasets:
        return not_required(ID, "[encryption] with datasets")
    return verdict(ID, snapshot, READS, len(environment.encryption.datasets), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.encryption is not None
    there = dict(snapshot.of("bigquery.datasets"))
    for name in environment.encryption.datasets:
        body = there.get(name)
        if body is None:
            yield finding(ID, SEVERITY, "dataset", name, "", "there is no such dataset", "the dataset exists")
            continue
        found = key_name(field(body, "defaultEncryptionConfiguration", "kmsKeyName", default=""))
        if found != environment.encryption.key:
            yield finding(
                ID, SEVERITY, "dataset", name, "/defaultEncryptionConfiguration",
                f"default key {found}" if found else "Google's own key", environment.encryption.key,
            )  # fmt: skip
