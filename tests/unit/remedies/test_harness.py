"""The harness of every remedy: its check fires before, the result is as promised, the check is then clean,
a second run changes nothing, and undoing restores the first state to the byte."""

from __future__ import annotations

import pytest

import checks.code
import remedies.code
from regreen.facts.source import CodeCheck, CodeRemedy, Index, MemoryTree, OverlayTree, Tree, survey
from regreen.model import Example, Proposal, Verdict, compose, splice
from regreen.policy import Policy

CHECKS: dict[str, CodeCheck] = {check.ID: check for check in checks.code.CATALOGUE}
CASES = [
    pytest.param(remedy, example, id=f"{remedy.ID}: {example.title}")
    for remedy in remedies.code.CATALOGUE
    for example in remedy.EXAMPLES
]
#: Line ends and a byte order mark that each example must survive as well.
DRESSES = {
    "as written": lambda text: text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
}


def _judge(remedy: CodeRemedy, tree: Tree) -> tuple[Verdict, Index]:
    result = survey(tree, [CHECKS[remedy.CHECK]], Policy.of(tree))
    return result.diagnosis.verdicts[0], result.index


def _propose(remedy: CodeRemedy, tree: Tree) -> tuple[Verdict, Proposal]:
    verdict, index = _judge(remedy, tree)
    return verdict, remedy.propose(verdict.findings, index, Policy.of(tree))


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize(("remedy", "example"), CASES)
def test_remedy(remedy: CodeRemedy, example: Example, dress: str) -> None:
    def dressed(files: dict[str, str]) -> dict[str, bytes]:
        return {path: DRESSES[dress](text) if path.endswith(".py") else text.encode() for path, text in files.items()}

    before = dressed(dict(example.before))
    expected = dressed(dict(example.after))
    tree = MemoryTree(before)

    verdict, proposal = _propose(remedy, tree)
    if example.after != example.before or example.refuses:
        assert verdict.findings, "the check does not fire before"
    if example.refuses:
        assert not proposal.changes
        assert {refusal.fingerprint for refusal in proposal.refusals} == {f.fingerprint for f in verdict.findings}
        assert all(refusal.reason and refusal.decide for refusal in proposal.refusals)
        return
    edits, waiting = compose(tree, proposal.changes)
    assert not waiting
    after = {**before, **edits}
    assert {path: content.decode() for path, content in after.items()} == {
        path: content.decode() for path, content in expected.items()
    }
    if example.after == example.before:
        assert not proposal.changes
        return
    closed = {fingerprint for change in proposal.changes for fingerprint in change.closes}
    refused = {refusal.fingerprint for refusal in proposal.refusals}
    fired = {finding.fingerprint for finding in verdict.findings}
    assert closed | refused == fired
    assert not closed & refused

    overlay = OverlayTree(tree, dict(edits))
    second, again = _propose(remedy, overlay)
    left = {finding.fingerprint for finding in second.findings}
    assert not closed & left, "the check still fires"
    assert not left - fired, "the change made new findings"
    assert not again.changes, "a second run changes something"

    for change in proposal.changes:  # undo: the bytes between the splices are the original ones
        for path in {item.path for item in change.splices}:
            own = [item for item in change.splices if item.path == path]
            assert splice(before[path], own) != before[path]
            assert all(before[path][item.start : item.end] != item.new for item in own)


@pytest.mark.parametrize("remedy", remedies.code.CATALOGUE, ids=lambda remedy: str(remedy.ID))
def test_a_remedy_closes_a_known_check_and_has_no_op_examples(remedy: CodeRemedy) -> None:
    assert remedy.CHECK in CHECKS
    assert remedy.__doc__ is not None
    assert remedy.__doc__.splitlines()[0].endswith(".")
    changing = [e for e in remedy.EXAMPLES if e.after != e.before and not e.refuses]
    quiet = [e for e in remedy.EXAMPLES if e.after == e.before or e.refuses]
    assert changing or quiet
    assert len(quiet) >= 2
