"""Secrets reach containers by reference, never as plain values.

A plain value is readable by everybody who may view the service, and stays in every old revision. Found by name, by
what a value looks like, and by the environment file. The value itself never gets into a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import containers, finding, masked, references, secret_like, variables, verdict
from regreen.facts.cloud.secrets import secret_for
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cloud-run-secrets-by-reference"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/run/docs/configuring/services/secrets"
READS: Final = ("run.services", "run.jobs")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Secret-like variables with plain values, and references to another secret than the environment names."""
    examined = len(snapshot.of("run.services")) + len(snapshot.of("run.jobs"))
    return verdict(ID, snapshot, READS, examined, _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    for kind in ("run.services", "run.jobs"):
        for name, body in snapshot.of(kind):
            required = environment.service(name) if kind == "run.services" else None
            by_reference = dict(required.secrets) if required else {}
            for number, container in enumerate(containers(body)):
                at = f"/template/containers/{number}/env"
                for variable, value in variables(container).items():
                    named = variable in by_reference or bool(secret_for(environment, variable))
                    if value and (named or secret_like(variable, value)):
                        yield finding(
                            ID, SEVERITY, "run", name, f"{at}/{variable}", f"{variable}: {masked(value)}",
                            "a reference to a secret", variable=variable, secret=by_reference.get(variable, ""),
                        )  # fmt: skip
                for variable, (secret, _) in references(container).items():
                    wanted = by_reference.get(variable, secret)
                    if secret != wanted:
                        yield finding(
                            ID, SEVERITY, "run", name, f"{at}/{variable}", f"{variable} refers to {secret}",
                            f"it refers to {wanted}", variable=variable, secret=wanted,
                        )  # fmt: skip
