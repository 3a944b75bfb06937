"""Findings that are set aside before they count: by the baseline file, or by a person's decision.

(Inline comments are read by the source engine, which sees the lines.) Nothing set aside disappears: it moves to
the verdict's `suppressed`, with the reason, and every report shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from regreen.decisions import Decision, Decisions
from regreen.model import Diagnosis, Finding, Suppressed, TreeView, Verdict
from regreen.tomlsource import SourceError

FILE: Final = "regreen-baseline.json"


class BaselineError(SourceError):
    """`regreen-baseline.json: finding 3: …`."""


def read_baseline(tree: TreeView) -> dict[str, str]:
    """Reasons by fingerprint; empty where there is no file. Raises BaselineError."""
    try:
        content = tree.read(FILE)
    except FileNotFoundError:
        return {}
    try:
        data = json.loads(content)
    except UnicodeDecodeError:
        raise BaselineError(FILE, 0, "is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise BaselineError(FILE, error.lineno, f"is not valid JSON: {error.msg}") from None
    entries: Any = data.get("findings") if isinstance(data, dict) and data.get("schema") == 1 else None
    if not isinstance(entries, list):
        raise BaselineError(FILE, 1, 'must be an object with "schema": 1 and a list "findings"')
    reasons: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        fingerprint = entry.get("fingerprint") if isinstance(entry, dict) else None
        reason = entry.get("reason") if isinstance(entry, dict) else None
        if not isinstance(fingerprint, str) or not isinstance(reason, str) or not reason.strip():
            raise BaselineError(
                FILE, _line(content, str(fingerprint)), f'finding {number} needs a "fingerprint" and a "reason"'
            )
        reasons[fingerprint] = reason
    return reasons


def baseline_text(findings: Iterable[Finding], reason: str) -> str:
    """A baseline that sets these findings aside for one reason."""
    entries = [
        {"fingerprint": item.fingerprint, "check": item.check, "subject": item.subject, "reason": reason}
        for item in findings
    ]
    return json.dumps({"schema": 1, "findings": entries}, indent=2) + "\n"


def set_aside(diagnosis: Diagnosis, baseline: Mapping[str, str], decisions: Decisions) -> Diagnosis:
    """The diagnosis with every finding that the baseline or a decision answers moved to `suppressed`."""
    if not baseline and not decisions.entries:
        return diagnosis
    return replace(diagnosis, verdicts=tuple(_verdict(verdict, baseline, decisions) for verdict in diagnosis.verdicts))


def _verdict(verdict: Verdict, baseline: Mapping[str, str], decisions: Decisions) -> Verdict:
    kept: list[Finding] = []
    aside: list[Suppressed] = []
    for finding in verdict.findings:
        answer = decisions.on(finding)
        if finding.fingerprint in baseline:
            aside.append(Suppressed(finding, "baseline", baseline[finding.fingerprint]))
        elif answer is not None:
            aside.append(Suppressed(finding, "decision", words(answer)))
        else:
            kept.append(finding)
    if not aside:
        return verdict
    return replace(verdict, findings=tuple(kept), suppressed=(*verdict.suppressed, *aside))


def words(decision: Decision) -> str:
    """A decision in one line."""
    return f"{decision.decision} by {decision.who} until {decision.until}: {decision.reason}"


def _line(content: bytes, fingerprint: str) -> int:
    at = content.find(fingerprint.encode())
    return content.count(b"\n", 0, at) + 1 if at >= 0 else 1
