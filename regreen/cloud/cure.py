"""One remedy on an environment: intend, commit the file, apply the saved plan, verify; what does not verify is taken back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from regreen.apply import Author
from regreen.cloud.executor import ExecutorError, Outcome, Preview, too_much
from regreen.cloud.look import CloudSight
from regreen.cloud.work import CloudWork
from regreen.facts.cloud import CloudRemedy
from regreen.facts.cloud.edit import splices
from regreen.facts.cloud.stack import IMPORTS
from regreen.facts.source import GitTree
from regreen.journal import Entry, Step
from regreen.model import Change, Finding, Refusal, Undo, compose
from regreen.run.history import CommitNote, read_history, save_note
from regreen.run.hunks import change_diff
from regreen.run.message import commit_message
from regreen.run.record import AppliedChange, Dropped

if TYPE_CHECKING:
    from regreen.facts.cloud import StackFile

ADOPTION: Final = "staging.adopt"


def cure(run: CloudWork, remedy: CloudRemedy) -> None:
    findings = run.eye.curable(run.sight, remedy.CHECKS)
    if not findings:
        return
    by_fingerprint = {item.fingerprint: item for item in findings}
    document = run.document()
    if not document.adopted:
        run.foreseen = run.foreseen or _adopt(run, document)
        document = run.foreseen or run.document()
    try:
        proposal = remedy.propose(findings, run.sight.snapshot, document, run.environment)
    except Exception as error:  # noqa: BLE001 - a bug in one remedy must not stop the others; it is shown
        reason = f"the remedy itself failed: {type(error).__name__}: {error}"
        run.refusals[remedy.ID] = [
            (_refuse(remedy, item, reason, "report this as a bug of Regreen"), item) for item in findings
        ]
        return
    refused = [
        (item, by_fingerprint[item.fingerprint]) for item in proposal.refusals if item.fingerprint in by_fingerprint
    ]
    changes = []
    for change in proposal.changes:
        closes = [by_fingerprint[item] for item in change.closes if item in by_fingerprint]
        waiting = [item for item in closes if remedy.UNDO is Undo.NONE and run.eye.decisions.approval(item) is None]
        if waiting:
            reason = "the change cannot be taken back, so a person must agree to it first"
            decide = f'add a decision "approve" for {waiting[0].check} on {waiting[0].subject} to decisions.toml'
            refused += [(_refuse(remedy, item, reason, decide), item) for item in closes]
        else:
            changes.append(change)
    said = {item for change in proposal.changes for item in change.closes} | {
        item.fingerprint for item in proposal.refusals
    }
    refused += [
        (_refuse(remedy, item, "the remedy said nothing about this finding", "repair it by hand"), item)
        for item in findings
        if item.fingerprint not in said
    ]
    run.refusals[remedy.ID] = refused
    if changes and run.foreseen is not None:
        # The engine can plan a change of what it holds, and it holds nothing yet.
        run.messages += [f"then {remedy.ID} would change {item.subject}: {item.summary}" for item in changes]
    elif changes:
        _effect(run, remedy, changes, by_fingerprint)


def _refuse(remedy: CloudRemedy, finding: Finding, reason: str, decide: str) -> Refusal:
    return Refusal(remedy.ID, finding.fingerprint, finding.subject, finding.where, reason, decide)


def _adopt(run: CloudWork, document: StackFile) -> StackFile | None:
    """Take the live resources over as they are: import only, in a commit of its own, then drop the import options.

    A dry run changes nothing, and gets the file as it would be then.
    """
    snapshot = run.eye.read(run.executor.adopts(run.environment), ())
    content = run.executor.adopt(document, snapshot, run.environment)
    preview = run.executor.preview(content)
    _only_imports(preview)
    if run.options.dry_run:
        run.messages.append(f"would adopt {len(preview.changes)} live resources into {run.environment.stack.file}")
        return run.executor.document(document.path, content)
    old = run.tip
    _commit(
        run,
        ADOPTION,
        [_written(document, content, "take the live resources over into the stack, as they are")],
        {},
        preview,
    )
    try:
        run.executor.apply(preview)
    except ExecutorError:
        _back(run, old, ADOPTION)
        raise
    _settle_adoption(run, len(preview.changes))
    return None


def finish_adoption(run: CloudWork) -> bool:
    """Go on with an adoption that was interrupted, or that somebody began by hand; False where there is none."""
    if run.options.dry_run or not run.document().get(IMPORTS):
        return False
    preview = run.executor.preview(run.content())
    _only_imports(preview)
    if preview.changes:
        run.executor.apply(preview)
    _settle_adoption(run, len(preview.changes))
    return True


def _only_imports(preview: Preview) -> None:
    if preview.against:
        raise ExecutorError(f"adoption stopped: {'; '.join(preview.against)}")
    strange = [item for item in preview.changes if item.kind != "import" or item.properties]
    if strange:
        raise ExecutorError(
            f"adoption stopped: the engine would {strange[0]}; taking over may import and change nothing that is there"
        )


def _settle_adoption(run: CloudWork, count: int) -> None:
    """Drop the import options once a second preview is empty."""
    run.messages.append(f"{count} live resources were adopted into {run.environment.stack.file}; none was changed")
    taken = run.document()
    settled = run.executor.adopted(taken)
    again = run.executor.preview(settled)
    if again.changes:
        raise ExecutorError(
            f"adoption went through, and a second preview still holds {again.changes[0]}; nothing was repaired"
        )
    _commit(run, ADOPTION, [_written(taken, settled, "drop the import options of what is adopted")], {}, again)


def _written(document: StackFile, content: bytes, what: str) -> Change:
    """A change of the stack's file as a whole."""
    if not document.content:
        return Change(ADOPTION, document.path, what, (), creates=((document.path, content),))
    return Change(ADOPTION, document.path, what, (), splices=splices(document.path, document.content, content))


def _effect(run: CloudWork, remedy: CloudRemedy, changes: list[Change], findings: dict[str, Finding]) -> None:
    """Intend, apply, verify; what does not verify is taken back and listed."""
    tree = GitTree(run.commits.repository.folder, run.commits.repository.tree(run.tip))
    edits, waiting = compose(tree, changes)
    tree.close()
    changes = [item for item in changes if item not in waiting]
    before, content = run.content(), edits.get(run.environment.stack.file, run.content())
    try:
        preview = run.executor.preview(content)
    except ExecutorError as error:
        _drop(run, changes, f"the engine refuses the plan: {error}", findings)
        return
    why = too_much(preview, run.environment.stack.max_changes - run.operations)
    if why:
        _drop(run, changes, why, findings)
        return
    if run.options.dry_run:
        _applied(run, changes, findings, run.tip, [f"would {item}" for item in preview.changes])
        return
    old = run.tip
    _commit(run, remedy.ID, changes, findings, preview)
    done: list[str] = []
    step = ""
    try:
        outcome = run.executor.apply(preview) if preview.changes else Outcome(())
        evidence = [*map(str, outcome.operations), *outcome.evidence]
        for change in changes:
            for step in change.steps:
                evidence.append(run.executor.step(step))
                done.append(step)
    except ExecutorError as error:
        stays = take_back(run, old, before, remedy.ID, done)
        word = f"and what was done stays: {', '.join(stays)}" if stays else "and it was taken back"
        if step and step not in done and run.executor.one_way(step):
            word += f"; {step} itself may have done a part of its work, which nobody takes back"
        _drop(run, changes, f"applying it failed, {word}: {error}", findings)
        return
    run.operations += len(preview.changes)
    sight = run.eye.look(experiments=False)
    known = run.sight.raw.findings
    fresh = [key for key, item in sight.raw.findings.items() if key not in known and item.check not in run.later]
    open_ = [item for change in changes for item in change.closes if item in sight.raw.findings]
    if fresh or open_:
        first = sight.raw.findings[(fresh or open_)[0]]
        if remedy.UNDO is Undo.NONE:
            run.messages.append(f"{remedy.ID} is one-way and left {first.check} on {first.subject}: a person must look")
        else:
            take_back(run, old, before, remedy.ID, done)
            word = "something new is wrong" if fresh else "the finding is still there"
            _drop(run, changes, f"taken back: {word}: {first.check} on {first.where}: {first.observed}", findings)
            run.sight = joined(run.sight, run.eye.look(experiments=False))
            return
    run.sight = joined(run.sight, sight)
    if not open_:
        _verified(run, remedy.ID, evidence)
    _applied(run, changes, findings, old, evidence)


def joined(old: CloudSight, new: CloudSight) -> CloudSight:
    """The new sight, with the verdicts of checks that it left out as they were."""
    seen = {verdict.check for verdict in new.raw.verdicts}
    keep = tuple(item for item in old.raw.verdicts if item.check not in seen)
    aside = tuple(item for item in old.diagnosis.verdicts if item.check not in seen)
    snapshot = replace(
        new.snapshot,
        collections={**old.snapshot.collections, **new.snapshot.collections},
        measurements={**old.snapshot.measurements, **new.snapshot.measurements},
    )
    return CloudSight(
        snapshot,
        replace(new.raw, verdicts=(*new.raw.verdicts, *keep)),
        replace(new.diagnosis, verdicts=(*new.diagnosis.verdicts, *aside)),
    )


def _applied(
    run: CloudWork, changes: Sequence[Change], findings: dict[str, Finding], parent: str, evidence: Sequence[str]
) -> None:
    """Note changes that were made on a commit: on the tip of now in a dry run, else on the one before it."""
    commit = "" if run.options.dry_run else run.tip
    for change in changes:
        closes = tuple(findings[item] for item in change.closes if item in findings)
        diff = diff_on(run, change, parent)
        run.applied.append(AppliedChange(change, run.base.start.base, commit, diff, closes, proof(evidence, closes)))


def proof(evidence: Sequence[str], closes: Sequence[Finding]) -> str:
    """What a report says of a change that was verified."""
    return "; ".join((*evidence, f"read again: {', '.join(sorted({item.check for item in closes}))} closed"))


def _verified(run: CloudWork, remedy: str, evidence: Sequence[str]) -> None:
    """Note that fresh facts showed that the tip works: whoever takes the run up need not try it again."""
    assert run.journal is not None
    start, data = run.base.start, {"verified": True, "evidence": list(evidence)}
    run.journal.write(Entry(start.run, start.phase, Step.DONE, remedy, {"new": run.tip}, data, source=run.source))


def diff_on(run: CloudWork, change: Change, commit: str) -> str:
    """What a change does to the files of a commit, as a unified diff."""
    tree = GitTree(run.commits.repository.folder, run.commits.repository.tree(commit))
    try:
        return change_diff(tree, change)
    finally:
        tree.close()


def _commit(
    run: CloudWork, remedy: str, changes: Sequence[Change], findings: dict[str, Finding], preview: Preview
) -> None:
    """Write the intent and move the branch: from here on the new file is what is desired."""
    assert run.journal is not None, "a dry run commits nothing"
    start, begun = run.base.start, time.perf_counter()
    edits = {start.prefix + run.environment.stack.file: preview.content}
    tree = run.commits.write_tree(run.tip, edits)
    noted = [
        AppliedChange(item, run.tip, "", "", tuple(findings[key] for key in item.closes if key in findings))
        for item in changes
    ]
    message = commit_message(remedy, start.run, start.phase, noted, ())
    new = run.commits.commit(tree, (run.tip,), message, Author.of(run.commits.repository), start.when)
    save_note(run.commits.repository.state, start.run, new, CommitNote(tuple(noted)))
    digests = {"old": run.tip, "new": new, "tree": tree, "preview": preview.digest}
    data = {
        "effect": "up", "branch": start.branch, "paths": sorted(edits), "changes": len(changes),
        "environment": run.environment.name, "operations": [str(item) for item in preview.changes],
        "steps": [step for change in changes for step in change.steps],
    }  # fmt: skip
    intent = run.journal.write(Entry(start.run, start.phase, Step.INTEND, remedy, digests, data, source=run.source))
    run.commits.move(start.branch, new, run.tip if run.exists else "", f"{start.run} {remedy}")
    run.journal.write(
        Entry(
            start.run, start.phase, Step.DONE, remedy, digests, {"intend": intent.sequence},
            time.perf_counter() - begun, run.source,
        )
    )  # fmt: skip
    run.tip, run.exists = new, True


def take_back(run: CloudWork, old: str, before: bytes, remedy: str, steps: Sequence[str]) -> list[str]:
    """The file and the environment as they were before a remedy that failed; the steps that stay, because they are one-way."""
    stays = [step for step in steps if run.executor.one_way(step)]
    for step in reversed(steps):
        if step not in stays:
            run.executor.unstep(step)
    _back(run, old, remedy)
    if before:
        run.messages += [f"{remedy}: {line}" for line in run.executor.restore(before).evidence]
    return stays


def _back(run: CloudWork, old: str, remedy: str) -> None:
    """Move the branch back, journaled as an undo."""
    assert run.journal is not None
    start = run.base.start
    done = [item for item in read_history(run.journal).active(start.branch) if item.new == run.tip]
    data = {"branch": start.branch, "undoes": [item.sequence for item in done], "remedies": [remedy], "whole": False}
    digests = {"old": run.tip, "new": old}
    intent = run.journal.write(Entry(start.run, start.phase, Step.INTEND, remedy, digests, data, source=run.source))
    gone = old == start.base and not start.continued
    run.commits.move(start.branch, "" if gone else old, run.tip, f"{start.run} undo {remedy}")
    run.journal.write(
        Entry(start.run, start.phase, Step.UNDONE, remedy, digests, {"intend": intent.sequence}, source=run.source)
    )
    run.tip, run.exists = old, not gone


def _drop(run: CloudWork, changes: Sequence[Change], reason: str, findings: dict[str, Finding]) -> None:
    for change in changes:
        closes = tuple(findings[item] for item in change.closes if item in findings)
        run.dropped.append(Dropped(change, reason, closes))
    if run.journal is not None:
        start = run.base.start
        data = {"dropped": [{"subject": item.subject, "reason": reason} for item in changes[:50]]}
        remedy = changes[0].remedy if changes else ""
        run.journal.write(Entry(start.run, start.phase, Step.FAILED, remedy, data=data, source=run.source))
