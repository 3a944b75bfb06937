"""Encrypt existing tables with the team's key, by a copy job onto themselves.

No update can do this: an update only changes the key of a table that already has one. Writers are paused, the
streaming buffer is drained, the copy is compared with the moment before. A copy onto itself leaves no old copy
behind, so a person must agree first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.reencrypt-tables"
CHECKS: Final = ("staging.bigquery-tables-cmek",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.NONE
RISK: Final = Risk.HIGH


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """One step for each table; the stack stays as it is."""
    done, left = [], []
    for item in findings:
        if item.get("buffered") == "true":
            reason = "rows are still in the streaming buffer: a copy could leave them out"
            left.append(refuse(ID, item, reason, "stop the writers for up to 90 minutes, then run again"))
        else:
            done.append(item)
    steps = [f"reencrypt-table:{item.get('resource')}" for item in done]
    names = ", ".join(item.get("resource") for item in done)
    proposal = change(ID, stack, f"re-encrypt {names}", done, (), steps=steps)
    return Proposal(proposal.changes, tuple(left))
