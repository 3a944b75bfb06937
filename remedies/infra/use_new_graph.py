"""Let services use the graph that their secret leads to by now: a new revision, which reads the newest versions.

Cloud Run reads a secret when an instance starts, so a revision that started before the newest version goes on with the old
graph. A reference to `latest` gets a new revision by a label; a pinned one is pinned to the newest version; an address in
plain text is replaced by the instance's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.use-new-graph"
CHECKS: Final = ("staging.aura-reachable",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.MEDIUM


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Edit the template of each service found."""
    held, refused = missing(stack, "services", ID, findings)
    values: list[tuple[tuple[str | int, ...], Any]] = []
    for item in held:
        service = ("services", item.get("resource"))
        variable, secret, version = item.get("variable"), item.get("secret"), item.get("version")
        if item.get("address"):
            values.append(((*service, "env", variable), item.get("address")))
        elif stack.get(*service, "secrets", variable, "version", default="latest") == "latest":
            values.append(((*service, "keep", "template", "labels", f"{secret}-version"), version))
        else:
            values.append(((*service, "secrets", variable, "version"), version))
    names = ", ".join(sorted({item.get("resource") for item in held}))
    return joined(change(ID, stack, f"{names} use the graph on AuraDB", held, values), refused)
