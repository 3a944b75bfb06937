"""Say how a job gets the team's key.

A running job's key cannot be changed. How it was launched (its template and parameters) is not in the API's answer,
so the plan is printed and a person launches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.launch-dataflow-with-key"
CHECKS: Final = ("staging.dataflow-cmek",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.NONE
RISK: Final = Risk.HIGH


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Refuse, with the plan to relaunch."""
    assert environment.encryption is not None, "the check needs it"
    region, key = environment.project.region, environment.encryption.jobs_key

    def plan(item: Finding) -> str:
        stop = "drain" if item.get("type") == "JOB_TYPE_STREAMING" else "cancel"
        return (
            f"gcloud dataflow jobs {stop} {item.get('job')} --region={region}; launch it again as it was launched, "
            f"with --dataflow-kms-key={key}"
        )

    reason = "a running job keeps the key that it was launched with"
    return Proposal((), tuple(refuse(ID, item, reason, plan(item)) for item in findings))
