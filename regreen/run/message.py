"""The message of a remedy's commit: which findings, what was done, and why it is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regreen.redact import redact
from regreen.run.record import ApiChange, AppliedChange

#: A message is read by people; what is left out stands in the run's record.
_MOST: Final = 60
_WIDTH: Final = 400


def commit_message(
    remedy: str, run: str, phase: int, applied: Sequence[AppliedChange], api: Sequence[ApiChange]
) -> str:
    """Subject line, one item for each change, trailers that `git log --grep` and `undo` can find."""
    findings = sum(len(item.closes) for item in applied)
    lines = [f"{remedy}: {_count(len(applied), 'change')}, {_count(findings, 'finding')} closed", ""]
    for item in applied[:_MOST]:
        lines.append(f"- {_one(item.change.summary)} ({_one(item.change.subject)})")
        lines += [
            f"  closes {closed.check} at {_one(str(closed.where))}: {_one(closed.observed)}"
            for closed in item.closes[:3]
        ]
        if len(item.closes) > 3:
            lines.append(f"  and {_count(len(item.closes) - 3, 'finding')} more")
        if item.change.evidence:
            lines.append(f"  evidence: {_one(item.change.evidence)}")
        if item.change.unmasks:
            lines.append(f"  can fail from now on: {', '.join(_one(test) for test in item.change.unmasks[:5])}")
    if len(applied) > _MOST:
        lines.append(f"- and {_count(len(applied) - _MOST, 'change')} more: see the record of the run")
    if api:
        lines += ["", "Public interface:", *(f"- {_one(item.path)}: {_one(item.text)}" for item in api[:_MOST])]
    lines += [
        "",
        "Verified before the commit: the findings are gone, no check finds anything new, every file parses,",
        "and no test got weaker.",
        "",
        f"Regreen-Run: {run}",
        f"Regreen-Phase: {phase}",
        f"Regreen-Remedy: {remedy}",
    ]
    return redact("\n".join(lines)) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _one(text: str) -> str:
    """One printable line, so that no text of a target can forge a trailer or a terminal sequence."""
    line = " ".join(text.split())
    shown = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in line)
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…"
