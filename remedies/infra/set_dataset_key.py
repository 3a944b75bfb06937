"""Give datasets the team's key as their default.

Covers tables that are made from now on. Every access entry of the dataset stands in the stack, since the provider
takes away what is not declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.set-dataset-key"
CHECKS: Final = ("staging.bigquery-dataset-cmek",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `key` of the datasets found."""
    held, refused = missing(stack, "datasets", ID, findings)
    assert environment.encryption is not None, "the check needs it"
    values = [(("datasets", item.get("resource"), "key"), environment.encryption.key) for item in held]
    names = ", ".join(sorted({item.get("resource") for item in held}))
    return joined(change(ID, stack, f"default key of {names}", held, values), refused)
