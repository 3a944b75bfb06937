"""Whether changes did what they said and nothing else, judged on the tree that they would make."""

from __future__ import annotations

import ast
import configparser
import hashlib
import json
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from regreen.model import Change, Diagnosis, Finding, Span, Status

if TYPE_CHECKING:
    from regreen.model import TreeView

_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the changes brought: where, and the words for the report. `closes` names a finding that
    a change was to close and did not; `lines` (first, last; 0 for unknown) are of the file afterwards."""

    path: str
    subject: str
    text: str
    closes: str = ""
    lines: tuple[int, int] = (0, 0)


def new_findings(before: Diagnosis, after: Diagnosis, closed: Iterable[Finding] = ()) -> tuple[Finding, ...]:
    """Findings of `after` that no finding of `before` explains.

    A finding that moved, that was renumbered among equals, whose text another repair rewrote, or whose scope
    was renamed is not new. `closed` are findings that are claimed to be gone: they explain nothing.
    """
    claimed = Counter(_exact(finding) for finding in closed)
    fresh: list[Finding] = []
    for verdict in after.verdicts:
        try:
            old = _all(before, verdict.check)
        except KeyError:
            old = ()
        left: list[Finding] = []
        for finding in old:
            if claimed[_exact(finding)]:
                claimed[_exact(finding)] -= 1
            else:
                left.append(finding)
        unexplained = list(verdict.findings)
        # Loosest last: equal in all; equal text in the same file; any other text in the same scope.
        for key in (_exact, _in_file, _in_scope):
            pool = Counter(key(finding) for finding in left)
            rest: list[Finding] = []
            for finding in unexplained:
                if pool[key(finding)]:
                    pool[key(finding)] -= 1
                else:
                    rest.append(finding)
            kept: list[Finding] = []
            for finding in reversed(left):
                if pool[key(finding)]:
                    pool[key(finding)] -= 1
                    kept.append(finding)
            left, unexplained = kept[::-1], rest
        fresh += unexplained
    return tuple(fresh)


def _all(diagnosis: Diagnosis, check: str) -> tuple[Finding, ...]:
    """Findings of a check, those set aside included: one that loses its comment is not a new fault."""
    verdict = diagnosis.verdict(check)
    return (*verdict.findings, *(item.finding for item in verdict.suppressed))


def _text(finding: Finding) -> str:
    return _SPACE.sub(" ", finding.snippet).strip()


def _exact(finding: Finding) -> tuple[str, ...]:
    return (finding.check, finding.subject, _text(finding))


def _in_file(finding: Finding) -> tuple[str, ...]:
    return (finding.check, finding.path, _text(finding))


def _in_scope(finding: Finding) -> tuple[str, ...]:
    return (finding.check, finding.subject)


def verdict_problems(
    before: Diagnosis, after: Diagnosis, changes: Sequence[Change], findings: Mapping[str, Finding]
) -> list[Problem]:
    """Findings that were to be closed and are not, findings that are new, checks that went blind."""
    problems: list[Problem] = []
    closed = [findings[fingerprint] for change in changes for fingerprint in change.closes if fingerprint in findings]
    for verdict in after.verdicts:
        old = next((item for item in before.verdicts if item.check == verdict.check), None)
        if verdict.error and (old is None or not old.error):
            problems.append(Problem("", verdict.check, f"{verdict.check} can no longer judge: {verdict.error}"))
        if old is not None and old.status is not Status.UNKNOWN and not verdict.examined and old.examined:
            problems.append(Problem("", verdict.check, f"{verdict.check} finds nothing left to examine"))
    counts = Counter(_exact(finding) for finding in _findings(before))
    counts.subtract(Counter(_exact(finding) for finding in closed))
    now: dict[tuple[str, ...], list[Finding]] = {}
    for finding in _findings(after):
        now.setdefault(_exact(finding), []).append(finding)
    unclosed: set[int] = set()
    for finding in closed:
        same = now.get(_exact(finding), [])
        if len(same) > max(counts[_exact(finding)], 0):
            unclosed.update(id(item) for item in same)
            problems.append(
                Problem(
                    finding.path, finding.subject, f"{finding.check} still finds it afterwards", finding.fingerprint
                )
            )
    for finding in new_findings(before, after, closed):
        if id(finding) not in unclosed:
            text = f"it would bring a new finding: {finding.check} at {finding.where}: {finding.observed}"
            problems.append(Problem(finding.path, finding.subject, text, lines=_lines(finding)))
    return problems


def _lines(finding: Finding) -> tuple[int, int]:
    where = finding.where
    return (where.line, max(where.line, where.end_line)) if isinstance(where, Span) else (0, 0)


def _findings(diagnosis: Diagnosis) -> list[Finding]:
    return [finding for verdict in diagnosis.verdicts for finding in verdict.findings]


def parse_problems(
    tree: TreeView, edits: Mapping[str, bytes], known: dict[tuple[str, bytes], str] | None = None
) -> list[Problem]:
    """Files that could be parsed before and cannot after. `known` remembers the answers between calls."""
    known = {} if known is None else known
    problems: list[Problem] = []
    for path, content in edits.items():
        parse = parser(path)
        if parse is None:
            continue
        key = (path, hashlib.sha256(content).digest())
        if key not in known:
            known[key] = parse_error(parse, content)
        error = known[key]
        if error and not (tree.exists(path) and parse_error(parse, tree.read(path))):
            problems.append(Problem(path, path, f"the file would no longer parse: {error}"))
    return problems


def parser(path: str) -> Callable[[bytes], object] | None:
    name = path.rpartition("/")[2]
    if path.endswith((".py", ".pyi")):
        return lambda content: compile(content, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    if path.endswith(".toml"):
        return lambda content: tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
    if path.endswith(".json"):
        return json.loads
    if name.endswith(".ini") or name == "setup.cfg":
        return _ini
    return None


def _ini(content: bytes) -> None:
    configparser.RawConfigParser(strict=False).read_string(content.decode("utf-8-sig"))


def parse_error(parse: Callable[[bytes], object], content: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are the target's own affair
            parse(content)
    except (SyntaxError, ValueError, configparser.Error, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
