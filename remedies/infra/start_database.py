"""Let the database run always.

`activationPolicy` NEVER is a stopped instance, whatever its state says. A slow or failing query is not repaired by
a setting and is left to a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.start-database"
CHECKS: Final = ("staging.sql-available",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.MEDIUM


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `activationPolicy` of the instances found."""
    held, refused = missing(stack, "databases", ID, [item for item in findings if item.observed == "NEVER"])
    values = [(("databases", item.get("resource"), "activationPolicy"), "ALWAYS") for item in held]
    names = ", ".join(sorted({item.get("resource") for item in held}))
    # An instance that never runs also answers nothing: that goes away with its cause.
    follows = [item for item in findings if item.observed != "NEVER" and held and item.snippet in ("/query", "/state")]
    alone = [item for item in findings if item.observed != "NEVER" and item not in follows]
    left = [refuse(ID, item, "no setting of the stack causes this", "look at the instance's own log") for item in alone]
    return joined(
        change(ID, stack, f"{names} runs always", [*held, *follows], values), refused, Proposal((), tuple(left))
    )
