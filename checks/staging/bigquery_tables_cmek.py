"""Every table is encrypted with the team's own key.

Tables that existed before the dataset got its key keep Google's until a copy job onto themselves gives them the
team's. Views, external tables and snapshots hold no data of their own under a key and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.data import key_name
from regreen.facts.cloud.reading import field, finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.bigquery-tables-cmek"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/bigquery/docs/customer-managed-encryption#change_to_kms"
READS: Final = ("bigquery.tables",)
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Tables under another key, or under Google's."""
    if environment.encryption is None or not environment.encryption.datasets:
        return not_required(ID, "[encryption] with datasets")
    own = [name for name, body in snapshot.of("bigquery.tables") if body.get("type", "TABLE") == "TABLE"]
    return verdict(ID, snapshot, READS, len(own), _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.encryption is not None
    for name, body in snapshot.of("bigquery.tables"):
        if body.get("type", "TABLE") != "TABLE":
            continue
        found = key_name(field(body, "encryptionConfiguration", "kmsKeyName", default=""))
        if found != environment.encryption.key:
            yield finding(
                ID, SEVERITY, "table", name, "/encryptionConfiguration",
                f"key {found}" if found else "Google's own key", environment.encryption.key,
                buffered=str("streamingBuffer" in body).lower(), keyed=str(bool(found)).lower(),
            )  # fmt: skip
