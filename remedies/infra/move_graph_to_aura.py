"""Move the graph to AuraDB, with its data, and cut over.

An instance is made, its password goes to Secret Manager before anything else can fail, the data is exported and
imported, nodes, relationships, indexes and constraints are counted on both sides, and only when they are equal do
services get the new address. The old graph is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.move-graph-to-aura"
CHECKS: Final = ("staging.aura-running", "staging.aura-reachable")
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.NONE
RISK: Final = Risk.HIGH


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Steps: create, move, cut over."""
    assert environment.aura is not None, "the checks need it"
    aura = environment.aura
    values: list[tuple[tuple[str | int, ...], Any]] = []
    steps = [f"create-aura:{aura.instance}", f"move-graph:{aura.instance}"]
    for item in findings:
        if item.get("variable"):
            name, variable = item.get("resource"), item.get("variable")
            steps.append(f"cut-over-graph:{name}:{variable}")
    return joined(change(ID, stack, f"the graph moves to {aura.instance}", findings, values, steps=steps))
