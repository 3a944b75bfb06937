"""Looking at an environment: a snapshot, judged by the staging checks, with decisions and the baseline applied."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from regreen.decisions import Decisions
from regreen.environment import Environment
from regreen.facts.cloud import CloudCheck, Measurement, Snapshot
from regreen.model import Diagnosis, Finding, Verdict
from regreen.suppress import set_aside

#: Reads a snapshot: kinds of resources, names of experiments.
Read = Callable[[Sequence[str], Sequence[str]], Snapshot]
#: The experiment that only whoever holds the stack can make: what a refresh would change.
DRIFT: Final = "drift"


@dataclass(frozen=True, slots=True)
class CloudSight:
    """A snapshot and what the checks say about it: `raw` is everything, `diagnosis` has answered findings set aside."""

    snapshot: Snapshot
    raw: Diagnosis
    diagnosis: Diagnosis


@dataclass(frozen=True, slots=True)
class CloudEye:
    """How a run looks at its environment: always with the same checks, policy, baseline and decisions."""

    environment: Environment
    checks: Sequence[CloudCheck]
    read: Read
    decisions: Decisions
    baseline: Mapping[str, str]
    drift: Callable[[], Measurement] | None = None

    def look(self, only: Iterable[str] = (), experiments: bool = True) -> CloudSight:
        """Read and judge now. `only` names checks; without experiments, checks that need one are left out."""
        begun = time.perf_counter()
        wanted = set(only)
        chosen = [check for check in self.checks if not wanted or check.ID in wanted]
        if not experiments:
            chosen = [check for check in chosen if not check.MEASURES]
        kinds = sorted({kind for check in chosen for kind in check.READS})
        measures = sorted({name for check in chosen for name in check.MEASURES})
        snapshot = self.read(kinds, [name for name in measures if name != DRIFT])
        if DRIFT in measures and self.drift is not None:
            snapshot = replace(snapshot, measurements={**snapshot.measurements, DRIFT: self.drift()})
        raw = judge(snapshot, chosen, self.environment, begun)
        return CloudSight(snapshot, raw, set_aside(raw, self.baseline, self.decisions))

    def curable(self, sight: CloudSight, checks: Iterable[str]) -> tuple[Finding, ...]:
        """The findings that a remedy may have: those that nobody decided to leave as they are."""
        found = []
        for check in checks:
            verdict = next((item for item in sight.raw.verdicts if item.check == check), None)
            for finding in verdict.findings if verdict else ():
                answer = self.decisions.on(finding)
                if finding.fingerprint not in self.baseline and (answer is None or not answer.leaves):
                    found.append(finding)
        return tuple(found)


def judge(snapshot: Snapshot, checks: Sequence[CloudCheck], environment: Environment, begun: float) -> Diagnosis:
    """The verdicts of some checks on a snapshot. A check that breaks is UNKNOWN, with its words."""
    verdicts = []
    for check in checks:
        try:
            verdicts.append(check.judge(snapshot, environment))
        except Exception as error:  # noqa: BLE001 - a bug in one check must not blind the others; it is shown
            verdicts.append(Verdict.unknown(check.ID, f"the check itself failed: {type(error).__name__}: {error}"))
    seconds = time.perf_counter() - begun
    return Diagnosis(f"{snapshot.project} at {snapshot.taken}", tuple(verdicts), 0, 0, 0, 0, 0, seconds)
