"""One remedy on one tree: propose, keep what is allowed, verify, and again while something waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from regreen.model import Change, Finding, Proposal, Refusal, Safety, compose
from regreen.public_api import breaking_changes
from regreen.run.admit import Bench, admit
from regreen.run.hunks import change_diff
from regreen.run.look import Eye, Sight
from regreen.run.record import ApiChange, AppliedChange, Dropped, TestGrade

if TYPE_CHECKING:
    from regreen.facts.source import CodeRemedy

#: A remedy that still finds work after so many passes is going in circles.
PASSES: Final = 12


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a run may write. `guard` gives the reason why a path is out of bounds, or an empty string;
    `changes` and `files` are what the phase's limits have left, `touched` the files already counted."""

    guard: Callable[[str], str]
    changes: int
    files: int
    touched: frozenset[str] = frozenset()
    unsafe: bool = False


@dataclass(slots=True)
class Repair:
    """What became of one remedy: the new sight, the edits since the old one, and every word about it."""

    sight: Sight
    edits: dict[str, bytes | None] = field(default_factory=dict)
    applied: list[AppliedChange] = field(default_factory=list)
    refusals: list[tuple[Refusal, Finding]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    grades: list[TestGrade] = field(default_factory=list)
    api: list[ApiChange] = field(default_factory=list)


def repair(eye: Eye, remedy: CodeRemedy, sight: Sight, bounds: Bounds) -> Repair:
    """Bring a remedy to its end on a tree. Nothing is written anywhere."""
    result = Repair(sight)
    given_up: Counter[tuple[str, ...]] = Counter()
    base = sight
    for _ in range(PASSES):
        findings = eye.curable(result.sight, remedy.CHECK)
        if not findings:
            result.refusals = []
            break
        by_fingerprint = {finding.fingerprint: finding for finding in findings}
        proposal = _propose(eye, remedy, findings, result.sight)
        changes, refusals = _allowed(proposal, result, _permitted(bounds, remedy, eye), by_fingerprint, given_up)
        said = {item for change in proposal.changes for item in change.closes}
        said |= {refusal.fingerprint for refusal in proposal.refusals}
        refusals += [
            _refusal(remedy.ID, finding, "the remedy said nothing about this finding", "repair it by hand")
            for finding in findings
            if finding.fingerprint not in said
        ]
        result.refusals = [
            (item, by_fingerprint[item.fingerprint]) for item in refusals if item.fingerprint in by_fingerprint
        ]
        if not changes:
            break
        batch, waiting = _first_batch(result.sight, changes)
        accepted, trial, rejected = admit(Bench(eye, remedy.ID, result.sight, by_fingerprint), batch)
        for change, reason in rejected:
            given_up[_identity(change)] += 1
            closes = tuple(by_fingerprint[item] for item in change.closes if item in by_fingerprint)
            result.dropped.append(Dropped(change, reason, closes))
        if trial is not None and trial.sight is not None:
            for change in accepted:
                closes = tuple(by_fingerprint[item] for item in change.closes if item in by_fingerprint)
                diff = change_diff(result.sight.tree, change)
                result.applied.append(AppliedChange(change, result.sight.tree.id, "", diff, closes, _proof(closes)))
            result.edits.update(trial.edits)
            result.grades += trial.grades
            result.sight = trial.sight
        elif not waiting and not rejected:
            break
    if result.edits:
        result.api += breaking_changes(base.tree.read, result.edits, remedy.ID)
    return result


def _permitted(bounds: Bounds, remedy: CodeRemedy, eye: Eye) -> Bounds:
    """The bounds, with unsafe changes let in where the target's own policy names the remedy."""
    return replace(bounds, unsafe=bounds.unsafe or remedy.ID in eye.policy.unsafe)


def _propose(eye: Eye, remedy: CodeRemedy, findings: Sequence[Finding], sight: Sight) -> Proposal:
    try:
        return remedy.propose(findings, sight.index, eye.policy)
    except Exception as error:  # noqa: BLE001 - a bug in one remedy must not stop the others; it is shown
        reason = f"the remedy itself failed: {type(error).__name__}: {error}"
        return Proposal(
            (), tuple(_refusal(remedy.ID, item, reason, "report this as a bug of Regreen") for item in findings)
        )


def _refusal(remedy: str, finding: Finding, reason: str, decide: str) -> Refusal:
    return Refusal(remedy, finding.fingerprint, finding.subject, finding.where, reason, decide)


def _allowed(
    proposal: Proposal,
    result: Repair,
    bounds: Bounds,
    findings: dict[str, Finding],
    given_up: Counter[tuple[str, ...]],
) -> tuple[list[Change], list[Refusal]]:
    """The changes that may be tried, and the proposal's refusals with one more for each that may not."""
    changes: list[Change] = []
    refusals = list(proposal.refusals)
    tree = result.sight.tree
    files = set(bounds.touched) | set(result.edits)
    room = bounds.changes - len(result.applied)
    seen = Counter(given_up)
    for change in proposal.changes:
        if seen[_identity(change)]:
            seen[_identity(change)] -= 1  # dropped in an earlier pass, and recorded there
            continue
        reason, decide = "", ""
        guarded = next((why for path in change.paths if (why := bounds.guard(path))), "")
        missing = next((item.path for item in change.splices if not tree.exists(item.path)), "")
        existing = next((path for path, _ in change.creates if tree.exists(path)), "")
        if guarded:
            reason, decide = guarded, "repair it where it comes from, or leave it"
        elif change.safety is Safety.UNSAFE and not bounds.unsafe:
            reason, decide = (
                "the change is graded unsafe: it may alter behaviour",
                "look at it, then run with --unsafe, or name the remedy in `unsafe` of [tool.regreen]",
            )
        elif missing or existing:
            reason = f"{missing} is not in the tree" if missing else f"{existing} exists already"
            decide = "report this as a bug of Regreen"
        elif len(changes) >= room:
            reason, decide = (
                "the phase's limit of changes (max_changes) is reached",
                "review the branch, then raise the limit",
            )
        elif len(files | set(change.paths)) > bounds.files:
            reason, decide = (
                "the phase's limit of files (max_files) is reached",
                "review the branch, then raise the limit",
            )
        if reason:
            refusals += [
                _refusal(change.remedy, findings[item], reason, decide) for item in change.closes if item in findings
            ]
        else:
            files |= set(change.paths)
            changes.append(change)
    return changes, refusals


def _first_batch(sight: Sight, changes: Sequence[Change]) -> tuple[list[Change], tuple[Change, ...]]:
    _, waiting = compose(sight.tree, changes)
    late = {id(change) for change in waiting}
    return [change for change in changes if id(change) not in late], waiting


def _identity(change: Change) -> tuple[str, ...]:
    """A change without its offsets, which move as other changes are made."""
    return (change.remedy, change.subject, change.summary, *(item.new.hex() for item in change.splices))


def _proof(closes: Sequence[Finding]) -> str:
    checks = ", ".join(sorted({finding.check for finding in closes})) or "the checks"
    return f"{checks} on the changed tree: closed; no other check found anything new; every file parses"
