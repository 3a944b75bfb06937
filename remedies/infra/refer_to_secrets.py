"""Replace plain secret values in containers by references.

Only where the secret has an enabled version to refer to; the value itself was brought there by `staging.create-
secrets`, and is in no file. Old revisions still hold it, so it must be rotated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.facts.cloud.secrets import newest_version, secret_for
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.refer-to-secrets"
CHECKS: Final = ("staging.cloud-run-secrets-by-reference",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.MEDIUM


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Move `env` entries to `secrets`."""
    held, refused = missing(stack, "services", ID, findings)
    values: list[tuple[tuple[str | int, ...], Any]] = []
    done, left = [], []
    for item in held:
        name, variable = item.get("resource"), item.get("variable")
        secret = item.get("secret") or secret_for(environment, variable)
        version = newest_version(snapshot, secret) if secret else ""
        if version:
            values.append((("services", name, "secrets", variable), {"secret": secret, "version": version}))
            values.append((("services", name, "env", variable), None))
            done.append(item)
        elif secret:
            decide = f"add a version: gcloud secrets versions add {secret} --data-file=-"
            left.append(refuse(ID, item, f"secret {secret} has no enabled version to refer to", decide))
        else:
            reason = f"the environment file names no secret for {variable}"
            left.append(refuse(ID, item, reason, f"name one: secrets = {{ {variable} = ... }} of the service"))
    names = ", ".join(sorted({f"{item.get('variable')} of {item.get('resource')}" for item in done}))
    evidence = "rotate these secrets: they stood in plain text, and old revisions still hold them"
    return joined(
        change(ID, stack, f"by reference: {names}", done, values, evidence), refused, Proposal((), tuple(left))
    )
