"""No service that says it is production has the key that lets tests in.

A test-bypass key in production is a way past authentication. A service is taken for production by its labels, its
name, or the value of a variable that names its environment. Nothing in production is ever changed from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment, looks_like_production
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import containers, finding, variables, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.no-bypass-key-in-production"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "requirements D1.1; OWASP ASVS 5.0, V13.4 (no test code paths in production)"
READS: Final = ("run.services", "run.jobs")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Production-looking services and jobs with the bypass variable."""
    examined = len(snapshot.of("run.services")) + len(snapshot.of("run.jobs"))
    return verdict(ID, snapshot, READS, examined, _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    for kind in ("run.services", "run.jobs"):
        for name, body in snapshot.of(kind):
            held = {
                variable: value for container in containers(body) for variable, value in variables(container).items()
            }
            stated = [
                value or "" for variable, value in held.items() if variable.upper().endswith(("ENVIRONMENT", "_ENV"))
            ]
            labels = [str(value) for value in body.get("labels", {}).values()]
            sign = looks_like_production(name, *stated, *labels)
            bypass = [
                variable for variable in held if variable == environment.bypass_variable or "BYPASS" in variable.upper()
            ]
            if sign and bypass:
                yield finding(
                    ID, SEVERITY, "run", name, f"/template/containers/0/env/{bypass[0]}",
                    f"{bypass[0]} is set on a service that calls itself {sign!r}", "no bypass key in production",
                    variable=bypass[0],
                )  # fmt: skip
