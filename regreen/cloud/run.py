"""One run of a phase on an environment: each remedy edits the stack's file on the branch, is applied from a saved plan, and is
kept only if fresh facts show that it worked.

The branch's tip is what is desired. So a run that was killed goes on by applying the tip, and undo applies the older file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from regreen.apply import Commits
from regreen.cloud.cure import cure, finish_adoption
from regreen.cloud.drift import drifted, stack_at
from regreen.cloud.executor import Executor, ExecutorError, refusal, too_much
from regreen.cloud.look import DRIFT, CloudEye, Read
from regreen.cloud.record import record_of
from regreen.cloud.resume import take_up
from regreen.cloud.windows import outside
from regreen.cloud.work import CloudWork
from regreen.decisions import read_decisions
from regreen.facts.cloud import CloudCheck, CloudRemedy
from regreen.facts.source import GitTree
from regreen.journal import Entry, Journal, Step
from regreen.lock import locked
from regreen.model import Undo
from regreen.plan import Phase, Plan
from regreen.run.base import abandon, find_base, fork_of, locate, require_free
from regreen.run.history import run_folder, save_record, settle
from regreen.run.order import require_order
from regreen.run.record import RunRecord, Timing
from regreen.suppress import read_baseline

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.run.options import Options


@dataclass(frozen=True, slots=True)
class CloudCatalogue:
    """All staging checks and remedies that are built. Handed in, never discovered."""

    checks: Sequence[CloudCheck]
    remedies: Sequence[CloudRemedy]


def remediate_cloud(
    target: Path,
    plan: Plan,
    phase: int,
    catalogue: CloudCatalogue,
    environment: Environment,
    executor: Executor | None,
    read: Read,
    options: Options,
    no_engine: str = "",
) -> tuple[RunRecord, Path | None]:
    """Repair an environment by one phase of the plan. The record, and its folder (None for a dry run).

    Without an executor the phase is diagnosed, and what needs one is *not run*: `no_engine` says why and how to get it.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    options = options if options.today else replace(options, today=date.today())
    chosen = plan.phase(phase)
    repository, messages = locate(target, options)
    what = f"remediate phase {phase} of environment {environment.name}"
    with (
        nullcontext("") if options.dry_run else locked(repository.state, what) as left,
        Commits(repository, dry=options.dry_run, checkpoint=options.checkpoint) as commits,
    ):
        messages += [left] if left else []
        journal = Journal(repository.state / "journal.jsonl", options.checkpoint)
        if not options.dry_run:
            messages += settle(journal, repository)
        source = "twin" if environment.kind == "twin" else "staging"
        fork = fork_of(repository, commits, options, messages)
        base = find_base(repository, journal, phase, fork, options, messages, source)
        # Only phases that change an environment have an order here: the plan handed in is that part alone.
        earlier = replace(chosen, after=tuple(number for number in chosen.after if plan.phase(number).remedies))
        messages = [*base.messages, *require_order(earlier, repository, journal, base.tip, options, source)]
        tree = GitTree(repository.folder, repository.tree(base.tip))
        decisions, baseline = read_decisions(tree, options.today or date.today()), read_baseline(tree)
        tree.close()
        branch = f"refs/heads/{base.start.branch}"
        stack = partial(stack_at, repository, environment.stack.file)
        drift = partial(drifted, executor, lambda: stack(repository.commit(branch) or base.tip), no_engine)
        looked = [item for item in catalogue.checks if DRIFT not in item.MEASURES or item.ID in gated(chosen)]
        eye = CloudEye(environment, looked, read, decisions, baseline, drift)
        before = eye.look()
        run = CloudWork(
            chosen, environment, executor or cast("Executor", _Missing(no_engine)), options, eye, commits,
            None if options.dry_run else journal, base, before, base.tip, base.exists, messages=messages,
        )  # fmt: skip
        run.timings.append(Timing("diagnose before", before.diagnosis.seconds))
        if run.journal is not None:
            run.messages += abandon(journal, base.start.run, source)
            _begin(run)
            require_free(repository, base.start.branch)
        begun = time.perf_counter()
        if executor is not None:
            _repair(run, catalogue)
        run.timings.append(Timing("repair and verify", time.perf_counter() - begun))
        begun = time.perf_counter()
        after = eye.look() if run.applied and not options.dry_run else run.sight
        run.timings.append(Timing("diagnose after", time.perf_counter() - begun))
        only = [check for item in catalogue.remedies if item.ID in options.only for check in item.CHECKS]
        record = record_of(run, plan, only, before, after, no_engine, started, clock)
        if run.journal is None:
            return record, None
        save_record(repository.state, record)
        data = {"state": str(record.gate.state), "exit": record.exit_code}
        digests = {"base": base.start.base, "head": run.tip}
        run.journal.write(
            Entry(base.start.run, phase, Step.GATE, "", digests, data, time.perf_counter() - clock, source)
        )
        return record, run_folder(repository.state, base.start.run)


def gated(phase: Phase) -> frozenset[str]:
    """The checks of a phase's gate."""
    return frozenset(entry.id for entry in phase.gate)


class _Missing:
    """Stands where an executor would: everything that is asked of it says why it is not there."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __getattr__(self, name: str) -> Callable[..., object]:
        def refuse(*_: object, **__: object) -> object:
            raise ExecutorError(self._why)

        return refuse


def _begin(run: CloudWork) -> None:
    start = run.base.start
    if run.base.resumed or run.journal is None:
        return
    data = {
        "branch": start.branch, "prefix": start.prefix, "when": start.when, "continued": start.continued,
        "environment": run.environment.name, "project": run.environment.project.id,
        "findings": len(run.sight.diagnosis.findings),
    }  # fmt: skip
    digests = {"base": start.base, "fork": start.fork}
    run.journal.write(
        Entry(start.run, start.phase, Step.DETECT, "", digests, data, run.sight.diagnosis.seconds, run.source)
    )


def _repair(run: CloudWork, catalogue: CloudCatalogue) -> None:
    """Every remedy of the phase, in the plan's order; before the first effect the environment is proven to be the right one."""
    known = {remedy.ID: remedy for remedy in catalogue.remedies}
    remedies = [known[entry.id] for entry in run.phase.remedies if entry.built and entry.id in known]
    only = set(run.options.only)
    remedies = [item for item in remedies if not only or item.ID in only or only & set(item.CHECKS)]
    if not remedies:
        return
    why = refusal(run.executor.identify(), run.environment) or outside(
        run.environment.change_windows, datetime.now(UTC)
    )
    if why:
        raise ExecutorError(f"nothing was changed in {run.environment.name}: {why}")
    if run.document().adopted:
        if not finish_adoption(run):
            _converge(run)
        take_up(run, frozenset(item.ID for item in catalogue.remedies if item.UNDO is Undo.NONE))
    for number, remedy in enumerate(remedies, 1):
        begun = time.perf_counter()
        run.later = frozenset(check for item in remedies[number:] for check in item.CHECKS)
        cure(run, remedy)
        run.seconds[remedy.ID] = time.perf_counter() - begun
        if run.options.progress is not None:
            run.options.progress.step("remedies", len(run.seconds), len(remedies))


def _converge(run: CloudWork) -> None:
    """Apply what the branch's tip asks for and an interrupted run, or an interrupted undo, did not get to."""
    preview = run.executor.preview(run.content())
    if not preview.changes or run.options.dry_run:
        return
    if preview.losing and _undone_last(run):
        # What a remedy made and an undo no longer asks for leaves the stack, and lives on.
        run.messages += run.executor.restore(run.content()).evidence
    else:
        why = too_much(preview, run.environment.stack.max_changes)
        if why:
            raise ExecutorError(f"the environment is not as its stack says, and {why}; look at `invoke infra.drift`")
        run.executor.apply(preview)
    run.messages.append(
        f"an earlier run was interrupted, or the environment was changed by hand: {len(preview.changes)} operations were made up for"
    )
    run.sight = run.eye.look()


def _undone_last(run: CloudWork) -> bool:
    """Whether the last thing that happened to the branch was an undo."""
    assert run.journal is not None, "a dry run converges nothing"
    steps = [entry.step for entry in run.journal.entries() if "intend" in entry.data and entry.step is not Step.FAILED]
    return bool(steps) and steps[-1] is Step.UNDONE
