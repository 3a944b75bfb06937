"""Taking up an interrupted run: what it had proven is its own again; a change that nobody saw working is taken back first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from regreen.cloud.cure import ADOPTION, diff_on, joined, proof, take_back
from regreen.cloud.drift import stack_at
from regreen.cloud.work import CloudWork
from regreen.run.history import Effect, load_note, read_history
from regreen.run.record import AppliedChange


def take_up(run: CloudWork, one_way: Collection[str]) -> None:
    """Notes of the changes that the interrupted run made. Each but the newest was verified before the next began.

    `one_way` are remedies that are never taken back: they are proposed again, on top of what they did.
    """
    if run.journal is None or not run.base.resumed:
        return
    start = run.base.start
    active = read_history(run.journal).active(start.branch)
    effects = [item for item in active if item.run == start.run and item.remedy != ADOPTION]
    if not effects:
        return
    run.sight = joined(run.sight, run.eye.look(experiments=False))
    newest = effects[-1]
    if newest.new == run.tip and _unproven(run, newest):
        effects.pop()
        if newest.remedy not in one_way:
            _retract(run, newest)
    for effect in effects:
        run.applied += [_applied(run, effect, item) for item in load_note(run.commits.repository.state, effect).applied]


def _retract(run: CloudWork, newest: Effect) -> None:
    before = stack_at(run.commits.repository, run.environment.stack.file, newest.old)
    take_back(run, newest.old, before, newest.remedy, _steps(run, newest))
    run.messages.append(
        f"{newest.remedy}: nobody had seen it working when the run was interrupted; it was taken back, and is tried again"
    )
    run.sight = joined(run.sight, run.eye.look(experiments=False))


def _unproven(run: CloudWork, effect: Effect) -> bool:
    """Whether nobody saw a commit working, and fresh facts do not show it: a step may not have been taken at all."""
    if _evidence(run, effect) is not None:
        return False
    note = load_note(run.commits.repository.state, effect)
    open_ = any(key in run.sight.raw.findings for item in note.applied for key in item.change.closes)
    return open_ or any(item.change.steps for item in note.applied)


def _evidence(run: CloudWork, effect: Effect) -> list[str] | None:
    """What the interrupted run noted when a commit was verified; None where it did not come to that."""
    assert run.journal is not None
    for entry in run.journal.of(run.base.start.run):
        if entry.data.get("verified") and entry.digests.get("new") == effect.new:
            return [str(line) for line in entry.data["evidence"]]
    return None


def _steps(run: CloudWork, effect: Effect) -> list[str]:
    """The steps that a commit may have taken, and that can be taken back."""
    assert run.journal is not None
    entry = next(item for item in run.journal.entries() if item.sequence == effect.sequence)
    return [step for step in map(str, entry.data.get("steps", ())) if not run.executor.one_way(step)]


def _applied(run: CloudWork, effect: Effect, item: AppliedChange) -> AppliedChange:
    told = _evidence(run, effect) or ["applied before the run was interrupted"]
    return replace(item, commit=effect.new, diff=diff_on(run, item.change, effect.old), proof=proof(told, item.closes))
