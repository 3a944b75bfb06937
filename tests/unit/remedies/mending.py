"""Run checks and remedies on a small tree until nothing is left, for tests that then run the result."""

from __future__ import annotations

from collections.abc import Mapping

from regreen.facts.source import CodeCheck, CodeRemedy, MemoryTree, OverlayTree, Tree, survey
from regreen.model import Finding, Refusal, compose
from regreen.policy import Policy


def findings(tree: Tree, check: CodeCheck) -> tuple[Finding, ...]:
    """What a check finds in a tree."""
    return survey(tree, [check], Policy.of(tree)).diagnosis.verdicts[0].findings


def mend(
    files: Mapping[str, str | bytes], *pairs: tuple[CodeCheck, CodeRemedy]
) -> tuple[dict[str, bytes], list[Refusal]]:
    """The files after the remedies, and what was refused in the end."""
    base = MemoryTree(dict(files))
    tree: Tree = base
    edits: dict[str, bytes] = {}
    refusals: list[Refusal] = []
    for check, remedy in pairs:
        for _ in range(6):
            result = survey(tree, [check], Policy.of(tree))
            proposal = remedy.propose(result.diagnosis.verdicts[0].findings, result.index, Policy.of(tree))
            if not proposal.changes:
                refusals += proposal.refusals
                break
            new, _ = compose(tree, proposal.changes)
            edits.update(new)
            tree = OverlayTree(base, dict(edits))
        else:
            raise AssertionError(f"{remedy.ID} does not come to an end")
    return {path: tree.read(path) for path in files}, refusals
