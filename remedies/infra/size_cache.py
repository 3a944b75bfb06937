"""Say what a cache of another tier would cost.

The tier of a Memorystore instance cannot be changed in place: the instance would be replaced, with another address
and without its data. So this remedy proposes nothing; it says how the move is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.size-cache"
CHECKS: Final = ("staging.redis-available",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.NONE
RISK: Final = Risk.HIGH


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Refuse, with the reason."""
    reason = "another tier replaces the instance: a new address, and no data"
    decide = (
        "gcloud redis instances export, create one of STANDARD_HA beside it, import, change the services' redis-url, "
        "then delete the old one"
    )
    other = "no setting of the stack causes this"
    return Proposal(
        (),
        tuple(
            refuse(ID, item, reason, decide)
            if item.snippet == "/tier"
            else refuse(ID, item, other, "look at the instance's own log")
            for item in findings
        ),
    )
