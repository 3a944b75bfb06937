"""One run of a phase on code: detect, repair and verify remedy by remedy, judge the gate, keep the record."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import regreen
from regreen.apply import Commits, GitError, Repository
from regreen.facts.testrun import InterpreterError
from regreen.gates import Evidence, TestEvidence, judge_gate, tick
from regreen.journal import Entry, Journal, JournalError, Step
from regreen.lock import LockedError, locked
from regreen.plan import Phase, Plan
from regreen.policy import PolicyError
from regreen.run.base import Base, abandon, find_base, fork_of, locate, require_free
from regreen.run.history import load_note, load_records, read_history, run_folder, save_record, settle
from regreen.run.look import Eye, Sight
from regreen.run.options import OptionError
from regreen.run.order import require_order
from regreen.run.record import (
    DecisionUsed,
    Dropped,
    GateResult,
    GateState,
    PhaseExcerpt,
    Refused,
    RunRecord,
    Timing,
    Usage,
)
from regreen.run.tests import compare_tests, ready, suites_of
from regreen.run.verify import new_findings
from regreen.run.work import Work, carry_out, planned, select
from regreen.tomlsource import SourceError

if TYPE_CHECKING:
    from regreen.decisions import Decision, Decisions
    from regreen.facts.source import CodeRemedy
    from regreen.facts.testrun import Interpreter
    from regreen.run.options import Catalogue, Options

OK: Final = 0
OPEN: Final = 1
#: What makes a command end with exit code 2: something that a person gave is wrong, and nothing was done.
WRONG: Final = (
    SourceError, OptionError, GitError, LockedError, JournalError, PolicyError, InterpreterError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run. `diff` is what `git diff BASE..BRANCH` prints, byte for byte, for a dry run too.

    `folder` holds the record and is the place for reports; None for a dry run, which writes nothing.
    """

    record: RunRecord
    diff: bytes
    folder: Path | None

    @property
    def exit_code(self) -> int:
        """0: nothing to do, or all verified and every open question answered; 1: something is left."""
        return self.record.exit_code


@dataclass(frozen=True, slots=True)
class _Setting:
    """What does not change during a run."""

    target: Path
    plan: Plan
    phase: Phase
    remedies: tuple[CodeRemedy, ...]
    catalogue: Catalogue
    options: Options
    repository: Repository
    python: Interpreter | None
    started: datetime
    clock: float
    timings: list[Timing]

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long a step took."""
        begun = time.perf_counter()
        yield
        self.timings.append(Timing(step, time.perf_counter() - begun))


def remediate(target: Path, plan: Plan, phase: int, catalogue: Catalogue, options: Options) -> RunResult:
    """Repair a target by one phase of the plan, on a branch of its own. Raises the errors in WRONG.

    With `options.dry_run` everything is done but the effects: the result's diff is what a real run commits.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    options = options if options.today else replace(options, today=date.today())
    chosen = plan.phase(phase)
    remedies = select(chosen, catalogue, options.only)
    python = ready(options)
    repository, messages = locate(target, options)
    setting = _Setting(target, plan, chosen, remedies, catalogue, options, repository, python, started, clock, [])
    what = f"remediate phase {phase} of {target}"
    with nullcontext("") if options.dry_run else locked(repository.state, what) as left:
        if left:
            messages.append(left)
        with Commits(repository, dry=options.dry_run, checkpoint=options.checkpoint) as commits:
            return _run(setting, commits, messages)


def _run(setting: _Setting, commits: Commits, messages: list[str]) -> RunResult:
    options, repository = setting.options, setting.repository
    journal = Journal(repository.state / "journal.jsonl", options.checkpoint)
    if not options.dry_run:
        messages += settle(journal, repository)
    fork = fork_of(repository, commits, options, messages)
    base = find_base(repository, journal, setting.phase.number, fork, options, messages)
    for message in base.messages:
        options.say(message)
    messages = list(base.messages)
    start = base.start
    messages += require_order(setting.phase, repository, journal, base.tip, options)
    eye = Eye.of(repository, start.base, setting.catalogue, options)
    with setting.timed("diagnose before"):
        before = eye.look(eye.tree(start.base))
        sight = before if base.tip == start.base else eye.look(eye.tree(base.tip))
    if not options.dry_run:
        messages += abandon(journal, start.run)
        if not base.resumed:
            _begin(journal, setting, base, before)
        require_free(repository, start.branch)
    work = Work(sight, base.tip, base.exists)
    history = read_history(journal)
    resumed = [item for item in history.active(start.branch) if item.run == start.run]
    for effect in resumed:
        note = load_note(repository.state, effect)
        work.applied += note.applied
        work.grades += note.grades
        work.api += note.api
    with setting.timed("repair and verify"):
        try:
            carry_out(
                setting.phase, setting.remedies, eye, work, commits,
                None if options.dry_run else journal, start, history,
            )  # fmt: skip
        except KeyboardInterrupt:
            options.say(
                f"interrupted: the same command goes on with run {start.run}; undo --run {start.run} takes it back"
            )
            raise
    return _finish(setting, commits, journal, base, eye, before, work, messages)


def _begin(journal: Journal, setting: _Setting, base: Base, before: Sight) -> None:
    start = base.start
    data = {
        "branch": start.branch, "prefix": start.prefix, "when": start.when, "continued": start.continued,
        "target": str(setting.target), "findings": len(before.diagnosis.findings),
        "remedies": [remedy.ID for remedy in setting.remedies],
    }  # fmt: skip
    digests = {"base": start.base, "fork": start.fork, "tree": before.tree.id}
    journal.write(Entry(start.run, start.phase, Step.DETECT, "", digests, data, before.diagnosis.seconds))


def _finish(
    setting: _Setting,
    commits: Commits,
    journal: Journal,
    base: Base,
    eye: Eye,
    before: Sight,
    work: Work,
    messages: list[str],
) -> RunResult:
    options, repository, start = setting.options, setting.repository, base.start
    after = work.sight
    with setting.timed("run tests"):
        tests = _tests(setting, commits, base, eye, work)
    closed = [finding for item in work.applied for finding in item.closes]
    evidence = Evidence(
        after.diagnosis, new_findings(before.raw, after.raw, closed), eye.decisions, tests,
        tuple(work.grades), setting.catalogue.ratchet is not None, tuple(work.api),
    )  # fmt: skip
    checks = tuple(sorted({remedy.CHECK for remedy in setting.remedies})) if options.only else ()
    gate = judge_gate(setting.phase, evidence, checks)
    refusals, dropped, used = _answered(eye.decisions, before, work, tests)
    waiting = [item for item in refusals if not item.decided] + [item for item in dropped if not item.decided]
    code = OK if gate.state in (GateState.PASS, GateState.DECIDED) and not waiting else OPEN
    if not work.applied:
        messages.append(
            "nothing was changed: " + ("nothing is left to do" if code == OK else "what is left needs a person")
        )
    undoable = _undoable(repository, journal, start.run) if not options.dry_run else None
    record = RunRecord(
        run=start.run,
        target=str(setting.target),
        phase=_excerpt(setting, work),
        started=setting.started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        base=start.base,
        fork=start.fork,
        branch=start.branch if work.exists else "",
        head="" if options.dry_run else work.tip,
        before=before.diagnosis,
        after=after.diagnosis,
        gate=gate,
        exit_code=code,
        dry_run=options.dry_run,
        continued=start.continued,
        resumed=base.resumed,
        repository=str(repository.folder),
        checklist=tick(setting.phase, gate, evidence, undoable),
        changes=tuple(work.applied),
        refusals=refusals,
        dropped=dropped,
        decisions=used,
        suppressed=tuple(item for verdict in after.diagnosis.verdicts for item in verdict.suppressed),
        api=tuple(work.api),
        ratchet=tuple(work.grades),
        tests=tests.comparison,
        tests_note=tests.note,
        not_built=tuple(entry.id for entry in (*setting.phase.remedies, *setting.phase.gate) if not entry.built),
        remaining=tuple(after.diagnosis.findings.values()),
        timings=tuple(setting.timings),
        usage=_usage(setting.clock),
        messages=tuple(messages),
        next_step=_next_step(setting, start.branch, work, code, gate),
        version=regreen.__version__,
        python=platform.python_version(),
    )
    diff = commits.diff(start.base, work.tip) if work.tip != start.base else b""
    if options.dry_run:
        return RunResult(record, diff, None)
    save_record(repository.state, record)
    data = {"state": str(gate.state), "exit": code, "open": [item.name for item in gate.items if item.open]}
    digests = {"base": start.base, "head": work.tip, "tree": after.tree.id}
    seconds = time.perf_counter() - setting.clock
    journal.write(Entry(start.run, start.phase, Step.GATE, "", digests, data, seconds))
    return RunResult(record, diff, run_folder(repository.state, start.run))


def _tests(setting: _Setting, commits: Commits, base: Base, eye: Eye, work: Work) -> TestEvidence:
    """What is known of the target's tests: run now, or in the run that made this branch's tip."""
    options, start = setting.options, base.start
    if work.tip == start.base and options.dry_run:
        return TestEvidence(changed=False)
    if options.dry_run:
        return TestEvidence(changed=True, note="changed, not executed: a dry run does not run tests")
    if work.tip == start.fork:
        return TestEvidence(changed=False)
    if work.tip == start.base:  # this run changed nothing; an earlier one made the branch what it is
        for record in reversed(list(load_records(setting.repository.state))):
            if record.head == work.tip and record.branch == start.branch and record.tests is not None:
                return TestEvidence(True, record.tests, note=f"executed in run {record.run}, on this very commit")
    if setting.python is None:
        return TestEvidence(changed=True, accepted=options.static_only)
    old = start.base if work.tip != start.base else start.fork
    unmasks = {test for item in work.applied for test in item.change.unmasks}
    suites = suites_of(options, eye.policy, setting.plan.tests)
    found = compare_tests(commits, setting.python, old, work.tip, suites, setting.plan.tests, unmasks)
    return TestEvidence(True, found)


def _answered(
    decisions: Decisions, before: Sight, work: Work, tests: TestEvidence
) -> tuple[tuple[Refused, ...], tuple[Dropped, ...], tuple[DecisionUsed, ...]]:
    """Refusals and dropped changes with the decisions that answer them, and every decision that was used."""
    answers: dict[int, tuple[Decision, list[str]]] = {}

    def note(decision: Decision | None, what: str) -> str:
        if decision is None:
            return ""
        named = answers.setdefault(decision.line, (decision, []))[1]
        if what not in named:
            named.append(what)
        return f"{decision.decision}: {decision.reason} ({decision.who}, until {decision.until})"

    refused = tuple(
        Refused(
            refusal, finding.check, finding.observed, finding.severity, note(decisions.on(finding), finding.subject)
        )
        for pairs in work.refusals.values()
        for refusal, finding in pairs
    )
    dropped = []
    for item in work.dropped:
        said = [note(decisions.on(finding), finding.subject) for finding in item.closes]
        dropped.append(replace(item, decided=said[0] if said and all(said) else ""))
    for sight in (before, work.sight):
        for verdict in sight.diagnosis.verdicts:
            for aside in verdict.suppressed:
                if aside.by == "decision":
                    note(decisions.on(aside.finding), aside.finding.subject)
    if tests.comparison is not None:
        found = tests.comparison
        for result in (*found.unmasked, *found.revealed, *found.still_red):
            note(decisions.on_test(result.test), result.test)
    used = [
        DecisionUsed(
            item.check, item.subject, item.fingerprint, item.decision, item.reason, item.who, item.until.isoformat(),
            item.line, tuple(answers[item.line][1]) if item.line in answers else (), item.expired(decisions.today),
        )
        for item in decisions.entries
        if item.line in answers or item.expired(decisions.today)
    ]  # fmt: skip
    return refused, tuple(dropped), tuple(used)


def _undoable(repository: Repository, journal: Journal, run: str) -> bool | None:
    """Whether each commit of the run stands on the very commit that undo would go back to."""
    effects = [item for item in read_history(journal).effects if item.run == run]
    if not effects:
        return None
    return all(repository.ask("rev-parse", "--verify", f"{item.new}^") == item.old for item in effects)


def _excerpt(setting: _Setting, work: Work) -> PhaseExcerpt:
    phase = setting.phase
    return PhaseExcerpt(
        phase.number, phase.title, str(phase.risk), phase.approval, phase.max_changes, phase.max_files,
        setting.plan.path, planned(phase, setting.remedies, work), tuple(entry.id for entry in phase.gate),
    )  # fmt: skip


def _usage(clock: float) -> Usage:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes, but bytes on macOS
    return Usage(time.perf_counter() - clock, cpu, max(own.ru_maxrss, children.ru_maxrss) * unit)


def _next_step(setting: _Setting, branch: str, work: Work, code: int, gate: GateResult) -> str:
    where = setting.repository.folder
    if setting.options.dry_run:
        return "run the same command without --dry-run to commit this" if work.applied else "nothing to do here"
    following = [item.number for item in setting.plan.phases if setting.phase.number in item.after]
    review = f"review with: git -C {where} log -p {branch}" if work.exists else ""
    if code == OK and following:
        return "; ".join(part for part in (review, f"then: remediate --phase {following[0]}") if part)
    if code == OK:
        return f"{review}; then merge {branch}" if review else "nothing: every phase's conditions hold"
    tests = next((item for item in gate.items if item.name == "tests"), None)
    if tests is not None and tests.state is GateState.UNKNOWN and "not executed" in tests.text:
        advice = (
            "run again with --python PATH (the target's interpreter) to execute its tests, or --static-only to accept"
        )
    else:
        advice = "read the report's open questions; answer them in code or in decisions.toml, then run this phase again"
    return "; ".join(part for part in (review, advice) if part)


__all__ = ["OK", "OPEN", "WRONG", "RunResult", "remediate"]
