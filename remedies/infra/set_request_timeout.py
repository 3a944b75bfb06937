"""Let requests and WebSockets last as long as the environment asks for.

Behind a serverless backend it is Cloud Run's own request time-out that cuts them; the balancer has none there to
set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.set-request-timeout"
CHECKS: Final = ("staging.cloud-run-request-timeout",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `requestTimeout` and `sessionAffinity` of the services found."""
    held, refused = missing(stack, "services", ID, findings)
    values: list[tuple[tuple[str | int, ...], Any]] = []
    for item in held:
        want = True if item.get("want") == "true" else int(item.get("want"))
        values.append((("services", item.get("resource"), item.get("setting")), want))
    names = ", ".join(sorted({item.get("resource") for item in held}))
    return joined(change(ID, stack, f"request time-out and affinity of {names}", held, values), refused)
