"""Give services the least and the most instances that the environment asks for.

The minimum is set on the service, not on the template: it then holds across revisions, and changing it makes no new
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.size-cloud-run"
CHECKS: Final = ("staging.cloud-run-min-instances", "staging.cloud-run-max-instances")
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `minInstances` and `maxInstances` of the services found."""
    held, refused = missing(stack, "services", ID, findings)
    setting = {CHECKS[0]: "minInstances", CHECKS[1]: "maxInstances"}
    values = [(("services", item.get("resource"), setting[item.check]), int(item.get("want"))) for item in held]
    names = ", ".join(sorted({item.get("resource") for item in held}))
    return joined(change(ID, stack, f"instances of {names}", held, values, "policy of the environment file"), refused)
