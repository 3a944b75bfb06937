"""Each service can be invoked by those who must, and by nobody else.

The invoker role on the service itself: a caller without it gets 403, and `allUsers` on an internal service makes it
public.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, members, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.service-auth"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/run/docs/authenticating/service-to-service"
READS: Final = ("run.services", "run.policies")
MEASURES: Final = ()


ROLE: Final = "roles/run.invoker"


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Callers without the invoker role, public services that must not be, and services under another account."""
    if not environment.services:
        return not_required(ID, "service")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "run.services", (item.name for item in environment.services)),
        _findings(snapshot, environment),
    )


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    services, policies = dict(snapshot.of("run.services")), dict(snapshot.of("run.policies"))
    for required in environment.services:
        if required.name not in services:
            continue
        granted = members(policies.get(required.name, {}), ROLE)
        for caller in required.invokers:
            if caller not in granted:
                yield finding(
                    ID, SEVERITY, "run", required.name, f"/invokers/{caller}", f"{caller} may not invoke it", ROLE,
                    member=caller,
                )  # fmt: skip
        for caller in sorted(granted & {"allUsers", "allAuthenticatedUsers"} - set(required.invokers)):
            yield finding(
                ID, SEVERITY, "run", required.name, f"/invokers/{caller}", f"{caller} may invoke it", "not public",
                member=caller, surplus=ROLE,
            )  # fmt: skip
        account = services[required.name].get("template", {}).get("serviceAccount", "")
        if required.account and account != required.account:
            yield finding(
                ID, SEVERITY, "run", required.name, "/template/serviceAccount",
                f"runs as {account or 'the default account'}", required.account,
            )  # fmt: skip
