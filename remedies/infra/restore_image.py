"""Give a service whose newest revision cannot start the image that its serving revision runs.

The old revision goes on serving while the newest one fails, so users see nothing and no later change reaches them. Only
where the image is what differs: a revision that fails for another reason needs a person with its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.facts.cloud.reading import containers, last
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.restore-image"
CHECKS: Final = ("staging.cloud-run-ready",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.MEDIUM


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `image` of the services found to that of the revision that serves."""
    required = {item.name for item in environment.services}
    ours = [item for item in findings if item.get("resource") in required]
    strange = [
        refuse(ID, item, "the environment file does not name this service", "its owner repairs it, or removes it")
        for item in findings
        if item not in ours
    ]
    held, refused = missing(stack, "services", ID, ours)
    done, left, values = [], [], []
    for item in held:
        name = item.get("resource")
        image = _serving(snapshot, name)
        if image and image != stack.get("services", name, "image"):
            values.append((("services", name, "image"), image))
            done.append(item)
        else:
            reason = (
                "no earlier revision serves" if not image else "its image is the one that the serving revision runs"
            )
            left.append(refuse(ID, item, reason, f"read the log of {name}'s newest revision"))
    names = ", ".join(sorted({item.get("resource") for item in done}))
    proposal = change(ID, stack, f"{names} runs the image that serves", done, values, "the serving revision's template")
    return joined(proposal, refused, Proposal((), (*strange, *left)))


def _serving(snapshot: Snapshot, service: str) -> str:
    """The first container's image of the newest revision that is ready; empty where there is none."""
    body = dict(snapshot.of("run.services")).get(service, {})
    name = last(body.get("latestReadyRevision"))
    revision = dict(snapshot.of("run.revisions")).get(name, {})
    found = containers(revision)
    return str(found[0].get("image", "")) if found else ""
