"""Move the graph to AuraDB, with its data.

The stack makes an instance, its password goes to Secret Manager before anything else can fail, writers are paused, the data is
copied, both graphs are counted and digested, and only when they are equal the services' secrets get the new address. The
old graph is kept. Services begin to use it with `staging.use-new-graph`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.move-graph-to-aura"
CHECKS: Final = ("staging.aura-running",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.NONE
RISK: Final = Risk.HIGH


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """The instance in the stack, and then the move."""
    assert environment.aura is not None, "the check needs it"
    aura = environment.aura
    settings = {
        "api": aura.api, "clientSecret": aura.client_secret, "cloud": aura.cloud, "memory": aura.memory,
        "region": aura.region or environment.project.region, "tenant": aura.tenant, "type": aura.type, "version": aura.version,
    }  # fmt: skip
    values = [(("aura", aura.instance, key), value) for key, value in settings.items() if value]
    steps = (f"move-graph:{aura.instance}",)
    return change(ID, stack, f"the graph moves to {aura.instance}", findings, values, steps=steps)
