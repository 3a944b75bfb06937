"""Give backends that have a time-out and draining those that their traffic needs.

Backends on serverless endpoint groups accept no time-out (Compute Engine refuses it), and drain by Cloud Run's
rules: they are never touched here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.set-balancer-timeouts"
CHECKS: Final = ("staging.load-balancer-timeouts", "staging.load-balancer-draining")
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `timeout` and `draining` of the backends found."""
    held, refused = missing(stack, "backends", ID, findings)
    setting = {CHECKS[0]: "timeout", CHECKS[1]: "draining"}
    values = [(("backends", item.get("resource"), setting[item.check]), int(item.get("want"))) for item in held]
    names = ", ".join(sorted({item.get("resource") for item in held}))
    return joined(change(ID, stack, f"time-outs and draining of {names}", held, values), refused)
