"""Each secret is readable by the accounts that need it, and by no other.

Least privilege on the secret itself: an account without access cannot start its service, one with needless access
is a way to leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, members, not_required, present, verdict
from regreen.facts.cloud.secrets import member_of
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.secrets-accessors"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/secret-manager/docs/access-control"
READS: Final = ("secretmanager.secrets", "secretmanager.policies")
MEASURES: Final = ()


ROLE: Final = "roles/secretmanager.secretAccessor"


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Accounts without the access that they need, and accessors that nobody asked for."""
    if not environment.secrets:
        return not_required(ID, "[[secret]]")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "secretmanager.policies", (item.name for item in environment.secrets)),
        _findings(snapshot, environment),
    )


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    policies = dict(snapshot.of("secretmanager.policies"))
    for secret in environment.secrets:
        policy = policies.get(secret.name)
        if policy is None:
            continue  # that it is missing is another check's finding
        granted, wanted = members(policy, ROLE), {member_of(item, environment) for item in secret.accessors}
        for name in sorted(wanted - granted):
            yield finding(
                ID, SEVERITY, "secret", secret.name, f"/accessors/{name}", f"{name} may not read it", ROLE, member=name
            )
        for name in sorted(granted - wanted):
            yield finding(
                ID, SEVERITY, "secret", secret.name, f"/accessors/{name}", f"{name} may read it", "no such access",
                member=name, surplus=ROLE,
            )  # fmt: skip
