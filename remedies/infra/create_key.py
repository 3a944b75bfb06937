"""Create the team's key, let it rotate, enable it, and let the service agents use it.

A key ring and a key can be made but never really unmade, so both are protected. A disabled version is enabled again
by a step, which is undone by disabling it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.create-key"
CHECKS: Final = ("staging.kms-key-rotation", "staging.kms-key-enabled", "staging.kms-grants")
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.MEDIUM


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Describe ring, key, rotation and users in the stack; a step enables a version."""
    if environment.encryption is None:
        return Proposal(
            (), tuple(refuse(ID, item, "the environment file has no [encryption]", "add it") for item in findings)
        )
    key = environment.encryption.key
    _, _, _, location, _, ring, _, name = key.split("/")
    values: list[tuple[tuple[str | int, ...], Any]] = []
    steps, done, left = [], [], []
    if not stack.get("keys", name):
        values += [
            (("keyRings", ring), {"location": location}),
            (("keys", name, "ring"), key.rpartition("/cryptoKeys/")[0]),
            (("keys", name, "keep"), {"purpose": "ENCRYPT_DECRYPT"}),
        ]
    for item in findings:
        if item.get("surplus"):
            decide = f"gcloud kms keys remove-iam-policy-binding {key} --member={item.get('member')} --role=..."
            left.append(refuse(ID, item, "a public member on a key: somebody may rely on it", decide))
            continue
        if item.get("version") and item.check == CHECKS[1]:
            if item.observed != "DISABLED":
                left.append(
                    refuse(
                        ID, item, f"a version that is {item.observed} does not come back", "restore or replace the key"
                    )
                )
                continue
            steps.append(f"enable-key-version:{item.get('version')}")
        done.append(item)
    users = list(stack.get("keys", name, "users", default=[]))
    users += [item.get("member") for item in done if item.get("member") and item.get("member") not in users]
    if not stack.get("keys", name) or any(item.get("member") for item in done):
        values.append((("keys", name, "users"), users or _agents(snapshot, environment)))
    if any(item.check == CHECKS[0] for item in done):
        values.append((("keys", name, "rotation"), environment.encryption.rotation))
    return joined(
        change(ID, stack, f"key {name}: made, rotated, enabled, granted", done, values, steps=steps),
        Proposal((), tuple(left)),
    )


def _agents(snapshot: Snapshot, environment: Environment) -> list[str]:
    """The service agents that must be able to use a key that is only now made."""
    number = snapshot.number
    found = [f"serviceAccount:bq-{number}@bigquery-encryption.iam.gserviceaccount.com"]
    if environment.encryption is not None and environment.encryption.jobs:
        found.append(f"serviceAccount:service-{number}@dataflow-service-producer-prod.iam.gserviceaccount.com")
        found.append(f"serviceAccount:service-{number}@compute-system.iam.gserviceaccount.com")
    return found
