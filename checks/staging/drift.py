"""The environment is as its stack says.

A preview with a refresh, made by the Pulumi engine and handed in as a measurement; without an engine, or before
adoption, this is UNKNOWN.
"""

from __future__ import annotations

from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding
from regreen.model import Severity, Verdict

ID: Final = "staging.drift"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://www.pulumi.com/docs/iac/cli/commands/pulumi_refresh/"
READS: Final = ()
MEASURES: Final = ("drift",)


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Resources that were changed behind the stack's back."""
    found = snapshot.measured("drift")
    if found.error:
        return Verdict.unknown(ID, found.error)
    changed = [item for item in found.seen.split("; ") if item]
    return Verdict.of(
        ID, int(found.value),
        [finding(ID, SEVERITY, "stack", environment.stack.name, f"/{item}", item, "as the stack says") for item in changed],
    )  # fmt: skip
