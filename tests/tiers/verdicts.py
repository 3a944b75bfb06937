"""What every check of `checks/staging` says of a running system.

The checks run in a process of their own: Google's clients take their proxy, authority and account from the environment,
and keep connections open until the process ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from checks.staging import CATALOGUE
from twin.process import env
from twin.staging import Staging

ROOT: Final = Path(__file__).resolve().parents[2]
ELSEWHERE: Final = {"staging.drift"}
"""Judged against the stack's file and a record of it, which `invoke remediate` makes and the tiers do not."""
CHECKS: Final = [check for check in CATALOGUE if check.ID not in ELSEWHERE]
_LIMIT: Final = 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """A check's status (PASS, FAIL, UNKNOWN), and what it saw."""

    status: str
    why: str


def verdicts(staging: Staging) -> dict[str, Said]:
    """By the check's id. Raises AssertionError with the process's words when it breaks."""
    asked = {
        "balancer": staging.balancer,
        "database": staging.backing.endpoints["postgres"],
        "cache": staging.backing.endpoints["redis"],
        "token": staging.secret("feed-token"),
    }
    surroundings = {**os.environ, **env(staging.folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.tiers.verdicts"],
        cwd=ROOT, env=surroundings, input=json.dumps(asked), capture_output=True, text=True, timeout=_LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: Said(**said) for name, said in json.loads(done.stdout).items()}


def main() -> None:
    """Collect once, judge with every check, print JSON."""
    from regreen.environment import load_environment
    from regreen.facts.cloud import collect
    from regreen.facts.cloud.experiments import Reach

    asked: dict[str, Any] = json.loads(sys.stdin.read())
    environment = load_environment(ROOT / "environments" / "twin.toml")
    kinds = {kind for check in CHECKS for kind in check.READS}
    tries = {name for check in CHECKS for name in check.MEASURES}
    snapshot = collect(environment, kinds, tries, reach=Reach(**asked))
    found = {}
    for check in CHECKS:
        verdict = check.judge(snapshot, environment)
        why = verdict.error or "; ".join(f"{item.subject}: {item.observed}" for item in verdict.findings)
        found[check.ID] = {"status": verdict.status.name, "why": why}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
