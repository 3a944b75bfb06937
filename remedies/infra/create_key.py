"""Create the team's keys, let them rotate, enable them, and let the service agents use them.

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
    """Describe rings, keys, rotation and users in the stack; a step enables a version."""
    if environment.encryption is None:
        return Proposal(
            (), tuple(refuse(ID, item, "the environment file has no [encryption]", "add it") for item in findings)
        )
    values: list[tuple[tuple[str | int, ...], Any]] = []
    steps, done, left = [], [], []
    for key in dict.fromkeys(item.get("resource") for item in findings):
        name = key.rpartition("/")[2]
        held = []
        for item in findings:
            if item.get("resource") != key:
                continue
            if reason := _refused(item):
                left.append(refuse(ID, item, *reason))
                continue
            if item.get("version") and item.check == CHECKS[1]:
                steps.append(f"enable-key-version:{item.get('version')}")
            held.append(item)
        done += held
        values += _values(key, name, held, snapshot, stack, environment)
    told = "keys: made, rotated, enabled, granted"
    return joined(change(ID, stack, told, done, values, steps=steps), Proposal((), tuple(left)))


def _refused(item: Finding) -> tuple[str, str] | tuple[()]:
    """Why a finding is left alone and what a person must decide; nothing for one that can be closed."""
    if item.get("surplus"):
        decide = (
            f"gcloud kms keys remove-iam-policy-binding {item.get('resource')} --member={item.get('member')} --role=..."
        )
        return "a public member on a key: somebody may rely on it", decide
    if item.get("version") and item.check == CHECKS[1] and item.observed != "DISABLED":
        return f"a version that is {item.observed} does not come back", "restore or replace the key"
    return ()


def _values(
    key: str, name: str, held: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment
) -> list[tuple[tuple[str | int, ...], Any]]:
    """What the stack's file says of a key afterwards."""
    assert environment.encryption is not None
    _, _, _, location, _, ring, *_ = key.split("/")
    values: list[tuple[tuple[str | int, ...], Any]] = []
    new = not stack.get("keys", name)
    if new and held:
        values += [
            (("keyRings", ring), {"location": location}),
            (("keys", name, "ring"), key.rpartition("/cryptoKeys/")[0]),
            (("keys", name, "keep"), {"purpose": "ENCRYPT_DECRYPT"}),
        ]
    users = list(stack.get("keys", name, "users", default=[]))
    users += [item.get("member") for item in held if item.get("member") and item.get("member") not in users]
    if held and (new or any(item.get("member") for item in held)):
        values.append((("keys", name, "users"), users or _agents(snapshot, environment, key)))
    if any(item.check == CHECKS[0] for item in held):
        values.append((("keys", name, "rotation"), environment.encryption.rotation))
    return values


def _agents(snapshot: Snapshot, environment: Environment, key: str) -> list[str]:
    """The service agents that must be able to use a key that is only now made."""
    number, encryption, found = snapshot.number, environment.encryption, []
    assert encryption is not None
    if key == encryption.key:
        found.append(f"serviceAccount:bq-{number}@bigquery-encryption.iam.gserviceaccount.com")
    if encryption.jobs and key == encryption.jobs_key:
        found.append(f"serviceAccount:service-{number}@dataflow-service-producer-prod.iam.gserviceaccount.com")
        found.append(f"serviceAccount:service-{number}@compute-system.iam.gserviceaccount.com")
    return found
