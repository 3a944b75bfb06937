"""An edit of the stack's file as a change of a code run has it: the smallest splice, or a new file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from regreen.model import Change, Finding, Proposal, Refusal, Splice

if TYPE_CHECKING:
    from regreen.facts.cloud.stack import Place, StackFile


def splices(path: str, before: bytes, after: bytes) -> tuple[Splice, ...]:
    """The one splice that turns `before` into `after`: nothing outside the lines that differ is touched."""
    if before == after:
        return ()
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    first = sum(map(len, old[:start]))
    last = len(before) - sum(map(len, old[len(old) - end :])) if end else len(before)
    return (Splice(path, first, last, b"".join(new[start : len(new) - end])),)


def change(
    remedy: str,
    stack: StackFile,
    summary: str,
    findings: Iterable[Finding],
    values: Iterable[tuple[Place, Any]],
    evidence: str = "",
    steps: Iterable[str] = (),
) -> Proposal:
    """One change that sets values in the stack's file and closes findings; nothing where there are no findings.

    A remedy makes one change of all its resources: they are one update of the stack, and are undone as one.
    """
    closed = tuple(findings)
    if not closed:
        return Proposal()
    after = stack.edited(values)
    return Proposal(
        (
            Change(
                remedy,
                stack.path,
                summary,
                tuple(item.fingerprint for item in closed),
                splices(stack.path, stack.content, after),
                evidence=evidence,
                steps=tuple(dict.fromkeys(steps)),
            ),
        )
    )


def refuse(remedy: str, finding: Finding, reason: str, decide: str) -> Refusal:
    """Why a finding is left alone, and what a person must decide."""
    return Refusal(remedy, finding.fingerprint, finding.subject, finding.where, reason, decide)


def joined(*proposals: Proposal) -> Proposal:
    """Several proposals as one."""
    return Proposal(
        tuple(item for proposal in proposals for item in proposal.changes),
        tuple(item for proposal in proposals for item in proposal.refusals),
    )


def missing(stack: StackFile, section: str, remedy: str, findings: Iterable[Finding]) -> tuple[list[Finding], Proposal]:
    """The findings whose resource the stack holds, and refusals of the others: what was not adopted is not changed."""
    known = set(stack.names(section))
    held, refused = [], []
    for finding in findings:
        if finding.get("resource") in known:
            held.append(finding)
        else:
            refused.append(
                refuse(
                    remedy, finding, f"{finding.get('resource')} is not in the stack",
                    "create it by hand, or describe it in the stack, then run again",
                )
            )  # fmt: skip
    return held, Proposal((), tuple(refused))
