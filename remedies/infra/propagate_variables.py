"""Bring missing variables to the containers that need them.

A secret is referred to by its newest enabled version. A plain variable gets the value that every other service of
the environment has for it; where they disagree or none has it, only a person knows. All other variables of the
service are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.facts.cloud.secrets import newest_version
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.propagate-variables"
CHECKS: Final = ("staging.cloud-run-env-complete",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set `env` and `secrets` entries of the services found."""
    held, refused = missing(stack, "services", ID, findings)
    values: list[tuple[tuple[str | int, ...], Any]] = []
    done, left = [], []
    for item in held:
        name, variable, secret = item.get("resource"), item.get("variable"), item.get("secret")
        if secret:
            version = newest_version(snapshot, secret)
            if version:
                reference = {"secret": secret, "version": version}
                values.append((("services", name, "secrets", variable), reference))
                values.append((("services", name, "env", variable), None))
                done.append(item)
            else:
                decide = f"add a version: gcloud secrets versions add {secret} --data-file=-"
                left.append(refuse(ID, item, f"secret {secret} has no enabled version to refer to", decide))
            continue
        known = _elsewhere(stack, name, variable)
        if len(known) == 1:
            values.append((("services", name, "env", variable), known.pop()))
            done.append(item)
        else:
            reason = "other services disagree about its value" if known else "no other service has it"
            decide = f"set it: services.{name}.env.{variable} in {stack.path}"
            left.append(refuse(ID, item, f"{variable}: {reason}", decide))
    names = ", ".join(sorted({f"{item.get('variable')} of {item.get('resource')}" for item in done}))
    return joined(change(ID, stack, f"variables: {names}", done, values), refused, Proposal((), tuple(left)))


def _elsewhere(stack: StackFile, name: str, variable: str) -> set[str]:
    """The values that other services have for a variable."""
    found = {stack.get("services", other, "env", variable) for other in stack.names("services") if other != name}
    return {str(value) for value in found if value}
