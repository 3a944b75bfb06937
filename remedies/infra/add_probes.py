"""Give services probes over HTTP, on the path that they already answer.

The path is that of another probe of the same container, else the environment's `health`; the port is the
container's. A startup probe allows two minutes, a liveness probe three misses, ten seconds apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.add-probes"
CHECKS: Final = ("staging.cloud-run-probes",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `startupProbe` and `livenessProbe` of the services found."""
    held, refused = missing(stack, "services", ID, findings)
    values: list[tuple[tuple[str | int, ...], Any]] = []
    for item in held:
        name, kind = item.get("resource"), item.get("probe")
        if kind == "readiness":
            refused = joined(
                refused, Proposal((), (refuse(ID, item, "readiness probes are a preview", "add it by hand"),))
            )
            continue
        required = environment.service(name)
        path = _path(stack, name) or (required.health if required else "/health")
        values.append((("services", name, f"{kind}Probe"), _probe(kind, path)))
    done = [item for item in held if item.get("probe") != "readiness"]
    names = ", ".join(sorted({item.get("resource") for item in done}))
    return joined(change(ID, stack, f"probes of {names}", done, values), refused)


def _path(stack: StackFile, name: str) -> str:
    for kind in ("startupProbe", "livenessProbe"):
        found = stack.get("services", name, kind, "httpGet", "path", default="")
        if found:
            return str(found)
    return ""


def _probe(kind: str, path: str) -> dict[str, Any]:
    if kind == "startup":
        return {"httpGet": {"path": path}, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 24}
    return {"httpGet": {"path": path}, "periodSeconds": 10, "timeoutSeconds": 3, "failureThreshold": 3}
