"""Let services be invoked by those who must.

Missing invoker grants are added one by one, others stay. Access that nobody asked for, and a service under another
account, are left to a person: somebody may rely on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.grant-invokers"
CHECKS: Final = ("staging.service-auth",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Add to `invokers` of the services found."""
    held, refused = missing(stack, "services", ID, findings)
    wanted = [item for item in held if item.get("member") and not item.get("surplus")]
    values = []
    for name in sorted({item.get("resource") for item in wanted}):
        known = list(stack.get("services", name, "invokers", default=[]))
        known += [
            item.get("member") for item in wanted if item.get("resource") == name and item.get("member") not in known
        ]
        values.append((("services", name, "invokers"), known))
    left = []
    for item in held:
        if item.get("surplus"):
            decide = (
                f"gcloud run services remove-iam-policy-binding {item.get('resource')} --member={item.get('member')} "
                f"--role={item.get('surplus')}"
            )
            left.append(refuse(ID, item, "somebody may rely on this access", decide))
        elif not item.get("member"):
            left.append(refuse(ID, item, "another account needs its grants first", "give it its grants, then set it"))
    names = ", ".join(sorted({item.get("resource") for item in wanted}))
    return joined(change(ID, stack, f"invokers of {names}", wanted, values), refused, Proposal((), tuple(left)))
