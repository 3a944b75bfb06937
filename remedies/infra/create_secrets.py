"""Create missing secrets, bring their values from where they stand in plain text, and let only those read them who must.

The value goes from the live container straight to a new version; it is in no file, no journal and no report. A
secret whose value stands nowhere is created, and a person adds the version. Access that nobody asked for is refused
here: whom to lock out is a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, refuse
from regreen.facts.cloud.secrets import member_of, plain_source
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.create-secrets"
CHECKS: Final = ("staging.secrets-exist", "staging.secrets-accessors")
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.MEDIUM


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Describe secrets and their accessors in the stack; a step adds the versions."""
    values: list[tuple[tuple[str | int, ...], Any]] = []
    done, left, steps = [], [], []
    accessors = {
        secret.name: [member_of(account, environment) for account in secret.accessors] for secret in environment.secrets
    }
    for item in findings:
        name = item.get("resource")
        if item.check == CHECKS[1]:
            if item.get("surplus"):
                decide = f"gcloud secrets remove-iam-policy-binding {name} --member={item.get('member')} --role={item.get('surplus')}"
                left.append(refuse(ID, item, "somebody may rely on this access", decide))
                continue
            values.append((("secrets", name, "accessors"), accessors[name]))
            done.append(item)
            continue
        source = plain_source(snapshot, environment, name)
        if source is None:
            decide = f"gcloud secrets create {name}; gcloud secrets versions add {name} --data-file=-"
            left.append(refuse(ID, item, "its value stands nowhere that can be read", decide))
            continue
        values.append((("secrets", name, "accessors"), accessors[name]))
        steps.append(f"add-secret-version:{name}:{source[0]}:{source[1]}")
        done.append(item)
    names = ", ".join(sorted({item.get("resource") for item in done}))
    return joined(change(ID, stack, f"secrets: {names}", done, values, steps=steps), Proposal((), tuple(left)))
