"""Findings, diagnoses and runs as JSON documents for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.model import Diagnosis, Finding, Span, Suppressed, Verdict
from regreen.redact import redact_json
from regreen.report.trend import pass_rate
from regreen.report.view import Row, View
from regreen.report.visible import json_text
from regreen.run.codec import encode
from regreen.run.record import AppliedChange

#: The version of the run's document; it goes up when a key changes its meaning or goes away.
SCHEMA: Final = 1


def dumps(document: dict[str, Any]) -> str:
    """JSON text: ASCII only, no lone surrogates, no secret of a known shape, a line for each key."""
    return json_text(redact_json(document))


def finding_form(finding: Finding) -> dict[str, Any]:
    """One finding. Never its snippet or its data: those may hold a secret's value."""
    found: dict[str, Any] = {
        "check": finding.check,
        "subject": finding.subject,
        "where": str(finding.where),
        "observed": finding.observed,
        "expected": finding.expected,
        "severity": finding.severity.value,
        "fingerprint": finding.fingerprint,
    }
    if isinstance(finding.where, Span):
        found["path"] = finding.where.path
        if finding.where.line:
            found["line"] = finding.where.line
    return found


def suppressed_form(item: Suppressed) -> dict[str, Any]:
    """A finding that was set aside, by what and why."""
    return {**finding_form(item.finding), "by": item.by, "reason": item.reason}


def verdict_form(verdict: Verdict) -> dict[str, Any]:
    """One verdict; `suppressed`, `error` and `note` only where there is something to say."""
    found: dict[str, Any] = {
        "check": verdict.check,
        "status": verdict.status.value,
        "examined": verdict.examined,
        "findings": [finding_form(finding) for finding in verdict.findings],
    }
    if verdict.suppressed:
        found["suppressed"] = [suppressed_form(item) for item in verdict.suppressed]
    if verdict.error:
        found["error"] = verdict.error
    if verdict.note:
        found["note"] = verdict.note
    return found


def diagnosis_form(diagnosis: Diagnosis) -> dict[str, Any]:
    """One diagnosis: its verdicts, and how much was read."""
    return {
        "verdicts": [verdict_form(verdict) for verdict in diagnosis.verdicts],
        "source": {
            "files": diagnosis.files,
            "parsed": diagnosis.parsed,
            "unreadable": diagnosis.unreadable,
        },
        "tests": {"functions": diagnosis.functions, "modules": diagnosis.modules},
        "seconds": round(diagnosis.seconds, 3),
        "tree": diagnosis.tree,
    }


def run_form(view: View) -> dict[str, Any]:
    """One run, as its report tells it: numbers first, then every part in full.

    The bytes of changes are not in it (the diffs are, and the run's own record is what undo reads).
    """
    record = view.record
    return {
        "schema": SCHEMA,
        "run": record.run,
        "target": record.target,
        "repository": record.repository,
        "branch": record.branch,
        "base": record.base,
        "fork": record.fork,
        "head": record.head,
        "dry_run": record.dry_run,
        "continued": record.continued,
        "resumed": record.resumed,
        "started": record.started,
        "finished": record.finished,
        "exit_code": record.exit_code,
        "next_step": record.next_step,
        "messages": list(record.messages),
        "phase": encode(record.phase),
        "gate": encode(record.gate),
        "checklist": [{**encode(tick), "ticked": done} for done, tick in view.ticks],
        "summary": _summary(view),
        "before": diagnosis_form(record.before),
        "after": diagnosis_form(record.after),
        "tests": encode(record.tests),
        "tests_note": record.tests_note,
        "commits": [
            {
                "remedy": commit.remedy,
                "commit": commit.commit,
                "diff": commit.changes[0].diff,
                "changes": [_change(applied) for applied in commit.changes],
            }
            for commit in view.commits
        ],
        "refusals": [
            {
                **encode(one.refusal),
                "where": str(one.refusal.where),
                "check": one.check,
                "observed": one.observed,
                "severity": one.severity.value,
                "decided": one.decided,
            }
            for one in record.refusals
        ],
        "dropped": [
            {
                "remedy": one.change.remedy,
                "subject": one.change.subject,
                "summary": one.change.summary,
                "closes": list(one.change.closes),
                "reason": one.reason,
                "decided": one.decided,
            }
            for one in record.dropped
        ],
        "decisions": encode(record.decisions),
        "suppressed": [suppressed_form(item) for item in view.suppressed],
        "remaining": [finding_form(finding) for finding in record.remaining],
        "not_built": list(record.not_built),
        "api": encode(record.api),
        "ratchet": encode(record.ratchet),
        "timings": encode(record.timings),
        "usage": encode(record.usage),
        "version": record.version,
        "python": record.python,
    }


def _summary(view: View) -> dict[str, Any]:
    found: dict[str, Any] = {
        "findings": _row(view.total),
        "checks": {row.name: _row(row) for row in view.checks},
        "checklist": {"ticked": sum(done for done, _ in view.ticks), "boxes": len(view.ticks)},
    }
    if view.tests is not None:
        tests = view.tests.comparison
        found["tests"] = {row.name: _row(row) for row in view.tests.rows}
        found["errors"] = {row.name: _row(row) for row in view.tests.errors}
        found["pass_rate"] = {"before": pass_rate(tests.before), "after": pass_rate(tests.after)}
    return found


def _row(row: Row) -> dict[str, Any]:
    share = row.reduction
    return {
        "before": row.before,
        "after": row.after,
        "reduction_percent": None if share is None else round(share, 2),
    }


def _change(applied: AppliedChange) -> dict[str, Any]:
    change = applied.change
    return {
        "subject": change.subject,
        "summary": change.summary,
        "safety": change.safety.value,
        "files": list(change.paths),
        "closes": [finding_form(finding) for finding in applied.closes],
        "evidence": change.evidence,
        "proof": applied.proof,
        "unmasks": list(change.unmasks),
        "tree": applied.tree,
    }


def fleet_form(views: Sequence[View]) -> dict[str, Any]:
    """Runs on several targets, side by side."""
    return {
        "schema": SCHEMA,
        "targets": len({view.record.target for view in views}),
        "runs": [run_form(view) for view in views],
    }
