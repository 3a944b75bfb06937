"""The services that encrypt with a key may use it, and the public may not.

BigQuery's and Dataflow's service agents need the encrypter/decrypter role on their key. Public members on a key are a
finding whatever their role.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, members, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.kms-grants"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/bigquery/docs/customer-managed-encryption#grant_permission"
READS: Final = ("kms.keys",)
MEASURES: Final = ()


ROLE: Final = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Service agents without their grant."""
    if environment.encryption is None:
        return not_required(ID, "[encryption]")
    if not snapshot.number:
        return Verdict.unknown(ID, "the project's number could not be read, so its service agents have no names")
    examined = sum(len(agents(environment, snapshot.number, key)) for key in environment.encryption.keys)
    return verdict(ID, snapshot, READS, examined, _findings(snapshot, environment))


def agents(environment: Environment, number: str, key: str) -> tuple[str, ...]:
    """The service agents that must be able to use a key."""
    encryption, found = environment.encryption, []
    assert encryption is not None
    if key == encryption.key:
        found.append(f"serviceAccount:bq-{number}@bigquery-encryption.iam.gserviceaccount.com")
    if encryption.jobs and key == encryption.jobs_key:
        found.append(f"serviceAccount:service-{number}@dataflow-service-producer-prod.iam.gserviceaccount.com")
        found.append(f"serviceAccount:service-{number}@compute-system.iam.gserviceaccount.com")
    return tuple(found)


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    assert environment.encryption is not None
    for key in environment.encryption.keys:
        body = dict(snapshot.of("kms.keys")).get(key)
        if body is None:
            yield finding(ID, SEVERITY, "key", key, "", "there is no such key", "the key exists")
            continue
        granted = members(body, ROLE, "roles/owner")
        for member in agents(environment, snapshot.number, key):
            if member not in granted:
                yield finding(ID, SEVERITY, "key", key, f"/grants/{member}", "no grant on the key", ROLE, member=member)
        for binding in body["bindings"]:
            for member in binding["members"]:
                if member in ("allUsers", "allAuthenticatedUsers"):
                    yield finding(
                        ID, SEVERITY, "key", key, f"/grants/{member}", f"{member} has {binding['role']}",
                        "no public member on a key", member=member, surplus=binding["role"],
                    )  # fmt: skip
