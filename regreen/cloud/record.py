"""The record of an environment's run: the same as of a run on code, so that every report can show it."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import regreen
from regreen.cloud.look import DRIFT, CloudSight
from regreen.cloud.work import CloudWork
from regreen.facts.cloud import Measurement, Snapshot
from regreen.gates import Evidence, TestEvidence, judge_gate, tick
from regreen.model import Finding
from regreen.plan import Phase, Plan
from regreen.run.record import GateState, PhaseExcerpt, PlannedRemedy, Refused, RunRecord, Usage


def record_of(
    run: CloudWork,
    plan: Plan,
    closes: Sequence[str],
    before: CloudSight,
    after: CloudSight,
    no_engine: str,
    started: datetime,
    clock: float,
) -> RunRecord:
    """What was found, done and left. `closes` are the checks that a run of some remedies asks for; empty for all."""
    start, phase = run.base.start, run.phase
    closed = {finding.fingerprint for item in run.applied for finding in item.closes}
    fresh = tuple(
        finding for key, finding in after.raw.findings.items() if key not in before.raw.findings and key not in closed
    )
    evidence = Evidence(after.diagnosis, fresh, run.eye.decisions, TestEvidence(changed=False))
    gate = judge_gate(phase, evidence, closes)
    refusals = tuple(
        Refused(item, finding.check, finding.observed, finding.severity, _said(run, finding))
        for pairs in run.refusals.values()
        for item, finding in pairs
    )
    waiting = [item for item in refusals if not item.decided] + [item for item in run.dropped if not item.decided]
    needs_engine = any(entry.built for entry in phase.remedies)
    if no_engine and needs_engine:
        run.messages.append(f"not run: {no_engine}")
    if run.applied and not run.options.dry_run:
        run.messages += _behaviour(before.snapshot, after.snapshot)
    code = 0 if gate.state in (GateState.PASS, GateState.DECIDED) and not waiting else 1
    if phase.remedies == () and not phase.gate:
        code = 0  # a phase that only diagnoses: what it found is for later phases
    return RunRecord(
        run=start.run,
        target=f"{run.environment.name} ({run.environment.project.id})",
        phase=PhaseExcerpt(
            phase.number,
            phase.title,
            str(phase.risk),
            phase.approval,
            phase.max_changes,
            phase.max_files,
            plan.path,
            _planned(run, phase),
            tuple(entry.id for entry in phase.gate),
        ),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        base=start.base,
        fork=start.fork,
        branch=start.branch if run.exists else "",
        head="" if run.options.dry_run else run.tip,
        before=before.diagnosis,
        after=after.diagnosis,
        gate=gate,
        exit_code=code,
        dry_run=run.options.dry_run,
        continued=start.continued,
        resumed=run.base.resumed,
        repository=str(run.commits.repository.folder),
        checklist=tick(phase, gate, evidence, True if run.applied else None),
        changes=tuple(run.applied),
        refusals=refusals,
        dropped=tuple(run.dropped),
        suppressed=tuple(item for verdict in after.diagnosis.verdicts for item in verdict.suppressed),
        not_built=tuple(entry.id for entry in (*phase.remedies, *phase.gate) if not entry.built),
        remaining=tuple(after.diagnosis.findings.values()),
        timings=tuple(run.timings),
        usage=Usage(time.perf_counter() - clock),
        messages=tuple(run.messages),
        next_step=_next(run, plan, code),
        version=regreen.__version__,
        python=platform.python_version(),
    )


def _behaviour(before: Snapshot, after: Snapshot) -> list[str]:
    """What experiments saw before and after, one line each: settings can be right and nothing work."""
    pairs = ((name, before.measured(name), found) for name, found in after.measurements.items() if name != DRIFT)
    return [f"by behaviour, {name}: {_seen(old)} → {_seen(new)}" for name, old, new in sorted(pairs)]


def _seen(found: Measurement) -> str:
    if found.error:
        return f"not known ({found.error})"
    return found.seen if found.value < 0 else f"{found.seen} ({found.value:.3g} {found.unit})"


def _said(run: CloudWork, finding: Finding) -> str:
    answer = run.eye.decisions.on(finding)
    return f"{answer.decision}: {answer.reason} ({answer.who}, until {answer.until})" if answer else ""


def _planned(run: CloudWork, phase: Phase) -> tuple[PlannedRemedy, ...]:
    rows = []
    for entry in phase.remedies:
        changes = sum(1 for item in run.applied if item.change.remedy == entry.id)
        refused = len(run.refusals.get(entry.id, ()))
        dropped = any(item.change.remedy == entry.id for item in run.dropped)
        outcome = (
            "not built"
            if not entry.built
            else "applied"
            if changes
            else "dropped"
            if dropped
            else "refused"
            if refused
            else "nothing to do"
        )
        rows.append(PlannedRemedy(entry.id, entry.built, outcome, changes, refused, run.seconds.get(entry.id, 0.0)))
    return tuple(rows)


def _next(run: CloudWork, plan: Plan, code: int) -> str:
    if run.options.dry_run:
        return "run the same command without --dry-run to apply this"
    if code:
        return "read the report: what is left needs a person, or a later phase"
    later = [phase.number for phase in plan.phases if phase.number > run.phase.number]
    return f"invoke remediate --phase {later[0]} --environment {run.environment.name}" if later else "invoke status"
