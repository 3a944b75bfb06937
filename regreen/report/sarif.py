"""Findings as SARIF 2.1.0, the form that editors and code scanning services read.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0 Plus Errata 01.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Protocol

import regreen
from regreen.model import Change, Finding, Severity, Span, Splice, Suppressed, Verdict
from regreen.redact import redact
from regreen.report.regions import Reader, Source, artifact, deleted, region, source
from regreen.report.view import sentence
from regreen.report.visible import json_text, shown

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: The key of our fingerprints; the number goes up when the way to compute them changes (SARIF 3.27.17).
FINGERPRINT: Final = "regreen/v1"
_PLACEHOLDER: Final = re.compile(r"\{(\d+)\}")
_LINK: Final = re.compile(r"\[([^][]*)\]\(")


class Described(Protocol):
    """What a rule's text comes from: a check of the catalogue."""

    __doc__: str | None

    @property
    def ID(self) -> str: ...  # noqa: N802 - checks are modules, and these their constants
    @property
    def SEVERITY(self) -> Severity: ...  # noqa: N802
    @property
    def SOURCE(self) -> str: ...  # noqa: N802


@dataclass(frozen=True, slots=True)
class Tree:
    """One judged tree, and what is known beside its verdicts.

    `changes` are fixes, in offsets of the tree that `read_before` reads: the judged tree itself (then it may be
    left out), or the state before. `fixed` are findings of the state before that are gone; they are written as
    `absent`. `known` holds the fingerprints of the state before; None when there is nothing to compare with.
    """

    verdicts: Sequence[Verdict]
    about: Sequence[Described] = ()
    changes: Sequence[Change] = ()
    fixed: Sequence[Finding] = ()
    known: frozenset[str] | None = None
    read: Reader | None = None
    read_before: Reader | None = None
    category: str = "regreen/"
    properties: Mapping[str, str] = field(default_factory=dict)


def log(trees: Iterable[Tree]) -> str:
    """A whole SARIF log, one run for each tree."""
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(tree) for tree in trees]}
    return json_text(document)


def _run(tree: Tree) -> dict[str, Any]:
    texts = _Texts(tree.read)
    before = _Texts(tree.read_before) if tree.read_before is not None else texts
    ids = sorted({verdict.check for verdict in tree.verdicts} | {finding.check for finding in tree.fixed})
    rules = {check: number for number, check in enumerate(ids)}
    about = {check.ID: check for check in tree.about}
    fixes = _fixes(tree.changes, before)
    results: list[dict[str, Any]] = []
    for verdict in tree.verdicts:
        for finding in verdict.findings:
            result = _result(finding, rules, texts, fixes)
            if tree.known is not None:
                result["baselineState"] = "unchanged" if finding.fingerprint in tree.known else "new"
            results.append(result)
        results += [_suppressed(item, rules, texts) for item in verdict.suppressed]
    for finding in tree.fixed:
        # 3.27.9: a level other than "none" belongs to kind "fail" alone.
        gone = {"kind": "pass", "level": "none", "baselineState": "absent"}
        results.append(_result(finding, rules, before, fixes) | gone)
    return {
        "tool": {
            "driver": {
                "name": "Regreen",
                "version": regreen.__version__,
                "semanticVersion": regreen.__version__,
                "rules": [_rule(check, about.get(check), tree) for check in ids],
            }
        },
        "automationDetails": {"id": shown(tree.category)},
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The root of the target."}}},
        "columnKind": "unicodeCodePoints",
        "newlineSequences": ["\r\n", "\n", "\r"],
        "invocations": [_invocation(tree.verdicts, rules)],
        "results": results,
        "properties": {key: shown(value) for key, value in tree.properties.items()},
    }


class _Texts:
    """Every file is read and decoded once, and only where a finding needs it."""

    def __init__(self, read: Reader | None) -> None:
        self._read = read
        self._kept: dict[tuple[str, str], Source | None] = {}

    def of(self, path: str, digest: str = "") -> Source | None:
        if (path, digest) not in self._kept:
            self._kept[path, digest] = source(self._read, path, digest)
        return self._kept[path, digest]


def _rule(check: str, about: Described | None, tree: Tree) -> dict[str, Any]:
    condition = check.partition(".")[2].replace("-", " ") or check
    rule: dict[str, Any] = {"id": check, "shortDescription": {"text": f"Wanted: {condition}."}}
    seen = [f.severity for v in tree.verdicts if v.check == check for f in v.findings]
    level = about.SEVERITY if about is not None else (seen[0] if seen else None)
    if level is not None:
        rule["defaultConfiguration"] = {"level": level.value}
    if about is not None:
        text = (about.__doc__ or "").strip()
        if text:
            rule["shortDescription"] = {"text": text.splitlines()[0]}
            rule["fullDescription"] = {"text": text}
        if about.SOURCE.startswith(("https://", "http://")) and " " not in about.SOURCE:
            rule["helpUri"] = about.SOURCE
        elif about.SOURCE:
            rule["help"] = {"text": f"Source: {about.SOURCE}"}
    return rule


def _result(
    finding: Finding, rules: Mapping[str, int], texts: _Texts, fixes: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    message = shown(f"{sentence(finding.observed)} Expected: {finding.expected}")
    result: dict[str, Any] = {
        "ruleId": finding.check,
        "ruleIndex": rules[finding.check],
        "kind": "fail",
        "level": finding.severity.value,
        "message": {"text": _literal(message)},
        "locations": [_location(finding, texts)],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
    }
    if finding.fingerprint in fixes:
        result["fixes"] = fixes[finding.fingerprint]
    return result


def _literal(text: str) -> str:
    """Text in which no reader finds a placeholder `{0}` (3.11.5) or a link `[text](target)` (3.11.6).

    Only what would be misread is escaped: few viewers undo the escapes that the standard asks for elsewhere.
    """
    return _LINK.sub(r"\\[\1\\](", _PLACEHOLDER.sub(r"{{\1}}", text))


def _location(finding: Finding, texts: _Texts) -> dict[str, Any]:
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": shown(finding.subject)}]}
    if isinstance(finding.where, Span) and finding.where.path:
        physical: dict[str, Any] = {"artifactLocation": artifact(finding.where.path)}
        place = region(finding.where, texts.of(finding.where.path, finding.where.digest))
        if place is not None:
            physical["region"] = place
        location["physicalLocation"] = physical
    else:
        location["logicalLocations"].append({"fullyQualifiedName": shown(str(finding.where)), "kind": "resource"})
    return location


def _suppressed(item: Suppressed, rules: Mapping[str, int], texts: _Texts) -> dict[str, Any]:
    kind = "inSource" if "inline" in item.by or "comment" in item.by else "external"
    reason = f"{item.by}: {item.reason}" if item.reason else item.by
    suppression = {"kind": kind, "status": "accepted", "justification": shown(reason)}
    return _result(item.finding, rules, texts, {}) | {"suppressions": [suppression]}


def _invocation(verdicts: Sequence[Verdict], rules: Mapping[str, int]) -> dict[str, Any]:
    """A check that could not judge is said aloud: a log with no results must not look like health."""
    notes = [
        {
            "level": "error" if verdict.error else "warning",
            "message": {"text": _literal(shown(f"{verdict.check}: {verdict.error or 'nothing was examined'}"))},
            "associatedRule": {"id": verdict.check, "index": rules[verdict.check]},
        }
        for verdict in verdicts
        if verdict.error or verdict.examined == 0
    ]
    failed = any(verdict.error for verdict in verdicts)
    found: dict[str, Any] = {"executionSuccessful": not failed}
    if notes:
        found["toolExecutionNotifications"] = notes
    return found


def _fixes(changes: Sequence[Change], texts: _Texts) -> dict[str, list[dict[str, Any]]]:
    """The fixes of every finding, by its fingerprint. A change that closes several stands at each."""
    found: dict[str, list[dict[str, Any]]] = {}
    for change in changes:
        try:
            parts = _parts(change, texts)
        except _SecretError:
            continue
        if parts:
            fix = {"description": {"text": _literal(shown(change.summary))}, "artifactChanges": parts}
            for fingerprint in change.closes:
                listed = found.setdefault(fingerprint, [])
                if fix not in listed:  # the schema wants them unique
                    listed.append(fix)
    return found


class _SecretError(Exception):
    """The new text holds a secret: it may not be printed, and altered it would be no fix."""


def _parts(change: Change, texts: _Texts) -> list[dict[str, Any]]:
    splices = sorted(dict.fromkeys(change.splices), key=lambda item: (item.path, item.start, item.end))
    parts = []
    for path, items in groupby(splices, key=lambda item: item.path):
        text = texts.of(path)
        replacements = [_replacement(item, text) for item in items]
        parts.append({"artifactLocation": artifact(path), "replacements": replacements})
    for path, content in change.creates:
        whole = _replacement(Splice(path, 0, 0, content), None)
        parts.append({"artifactLocation": artifact(path), "replacements": [whole]})
    return parts


def _replacement(item: Splice, text: Source | None) -> dict[str, Any]:
    found: dict[str, Any] = {"deletedRegion": deleted(item, text)}
    if item.new:
        found["insertedContent"] = _inserted(item.new, text.encoding if text is not None else "utf-8")
    return found


def _inserted(new: bytes, encoding: str) -> dict[str, str]:
    """The new bytes as text; those that are none go as they are (3.3.3)."""
    try:
        text = new.decode(encoding)
    except UnicodeDecodeError:
        return {"binary": base64.b64encode(new).decode("ascii")}
    if redact(text) != text:
        raise _SecretError
    return {"text": text}
