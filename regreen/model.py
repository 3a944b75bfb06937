"""The nouns: findings, verdicts, changes, refusals and proposals.

Every record is frozen and slotted; everything here is pure. The rules that give these words their meaning
stand in `docs/decisions/contracts.md`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

_SPACE: Final = re.compile(r"\s+")


class Severity(StrEnum):
    """How bad a finding is, in SARIF's words (SARIF 2.1.0, 3.27.10)."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Status(StrEnum):
    """PASS, FAIL, or UNKNOWN: an error, or nothing examined. UNKNOWN opens no gate."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Safety(StrEnum):
    """SAFE: the meaning of the program is kept or the fault is proven. UNSAFE: only with `--unsafe`."""

    SAFE = "safe"
    UNSAFE = "unsafe"


class Undo(StrEnum):
    """EXACT restores bytes; FORWARD re-applies the earlier state; NONE needs a person's approval."""

    EXACT = "exact"
    FORWARD = "forward"
    NONE = "none"


class Risk(StrEnum):
    """The risk of a remedy or a phase; a HIGH phase runs only with an approval in the plan."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a file.

    `path` is relative to the target's root, with forward slashes; bytes that are not UTF-8 are kept as
    surrogates. Lines count from 1; columns are offsets in UTF-8 bytes from 0, as `ast` gives them.
    A line of 0 means the file as a whole. `digest` is the git blob id of the bytes that were read.
    """

    path: str
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Resource:
    """A cloud resource: its kind, its full name, and a JSON pointer into it."""

    kind: str
    name: str
    pointer: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}{self.pointer}"


Where = Span | Resource


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `subject` is the qualified scope (`path::Class::function`, `path`, or a module name); `snippet` is the
    text at fault; `data` carries what the remedy needs. `ordinal` tells apart findings that are otherwise
    equal and is set by `Verdict.of`. The fingerprint never depends on a line number.
    """

    check: str
    subject: str
    where: Where
    observed: str
    expected: str
    severity: Severity
    snippet: str = ""
    data: tuple[tuple[str, str], ...] = ()
    ordinal: int = 0

    @property
    def fingerprint(self) -> str:
        """A stable identity: check, subject, normalised snippet, ordinal (20 hex digits)."""
        text = "\0".join((self.check, self.subject, _SPACE.sub(" ", self.snippet).strip(), str(self.ordinal)))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:20]

    def get(self, key: str, default: str = "") -> str:
        """The value that `data` holds for a key."""
        return next((value for name, value in self.data if name == key), default)

    @property
    def path(self) -> str:
        """The file of the finding, or an empty string for a cloud resource."""
        return self.where.path if isinstance(self.where, Span) else ""


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    where = finding.where
    if isinstance(where, Span):
        return (where.path, where.line, where.column, finding.subject, finding.observed)
    return (str(where), 0, 0, finding.subject, finding.observed)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that an inline comment, the baseline or a decision sets aside, with its reason."""

    finding: Finding
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says. `examined` counts the subjects looked at; `error` says why it could not judge."""

    check: str
    examined: int
    findings: tuple[Finding, ...] = ()
    error: str = ""
    suppressed: tuple[Suppressed, ...] = ()
    note: str = ""

    @property
    def status(self) -> Status:
        """FAIL with findings; else UNKNOWN on an error or when nothing was examined; else PASS."""
        if self.findings:
            return Status.FAIL
        if self.error or self.examined == 0:
            return Status.UNKNOWN
        return Status.PASS

    @classmethod
    def of(cls, check: str, examined: int, findings: Iterable[Finding], note: str = "") -> Verdict:
        """A verdict with its findings in source order and their ordinals set."""
        seen: Counter[tuple[str, str]] = Counter()
        numbered: list[Finding] = []
        for finding in sorted(findings, key=_order):
            key = (finding.subject, _SPACE.sub(" ", finding.snippet).strip())
            numbered.append(replace(finding, ordinal=seen[key]) if seen[key] else finding)
            seen[key] += 1
        return cls(check, examined, tuple(numbered), note=note)

    @classmethod
    def unknown(cls, check: str, error: str) -> Verdict:
        """A verdict that could not be reached, and why."""
        return cls(check, 0, error=error)


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace the bytes [start, end) of a file by `new`. An insertion has start == end."""

    path: str
    start: int
    end: int
    new: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One indivisible repair: splices and new files that are applied together or not at all.

    Offsets are into the file as the tree that was given to `propose` holds it. Two changes of a proposal
    may touch the same file: equal splices are merged (a shared import), insertions at one point are joined
    in order, and of two that overlap otherwise the later change waits for the next pass.
    `subject` says what is repaired; `closes` holds fingerprints of findings; `evidence` says why it is right.
    `unmasks` names tests (`path::Class::test`) that could not fail before and can now.
    `steps` are what must be done to an environment beside applying its stack (`reencrypt-table:market.trades`).
    """

    remedy: str
    subject: str
    summary: str
    closes: tuple[str, ...]
    splices: tuple[Splice, ...] = ()
    creates: tuple[tuple[str, bytes], ...] = ()
    safety: Safety = Safety.SAFE
    evidence: str = ""
    unmasks: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that this change touches, sorted."""
        return tuple(sorted({splice.path for splice in self.splices} | {path for path, _ in self.creates}))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a remedy leaves a finding alone, and what a person must decide."""

    remedy: str
    fingerprint: str
    subject: str
    where: Where
    reason: str
    decide: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a remedy would do: the same value is previewed and applied."""

    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A small tree before and after a remedy (paths to text); equal trees make a no-op example.

    `refuses` says that the remedy must refuse every finding of it. In a check's examples `after` is unused
    and `fires` counts the findings it must report.
    """

    title: str
    before: Mapping[str, str]
    after: Mapping[str, str] = field(default_factory=dict)
    refuses: bool = False
    fires: int = 0


class OverlapError(Exception):
    """Two changes want to replace the same bytes by different ones."""


def splice(before: bytes, splices: Iterable[Splice]) -> bytes:
    """Apply splices of one file. Equal ones count once; insertions at one point keep their order.

    Raises `OverlapError` when two different replacements meet.
    """
    unique = list(dict.fromkeys(splices))
    unique.sort(key=lambda s: (s.start, s.end))  # stable: insertions at one point stay in order
    out: list[bytes] = []
    position = 0
    for item in unique:
        if item.start < position or item.end < item.start or item.end > len(before):
            raise OverlapError(f"{item.path}: bytes {item.start}-{item.end} are already being replaced")
        out += (before[position : item.start], item.new)
        position = item.end
    out.append(before[position:])
    return b"".join(out)


class TreeView(Protocol):
    """A readable tree of files: a folder, a git commit, or either with edits laid over it."""

    @property
    def id(self) -> str:
        """A stable name for exactly this content, or an empty string if it may change."""

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""

    def exists(self, path: str) -> bool:
        """Whether a file of that path is in the tree."""

    def paths(self) -> Sequence[str]:
        """Every file that the ignore rules leave, sorted."""


def compose(tree: TreeView, changes: Sequence[Change]) -> tuple[dict[str, bytes], tuple[Change, ...]]:
    """The new bytes of every file that the changes touch, and the changes that had to wait.

    Changes are taken in order; one that overlaps an earlier one waits whole.
    """
    taken: dict[str, list[Splice]] = {}
    created: dict[str, bytes] = {}
    waiting: list[Change] = []
    for change in changes:
        trial = {path: [*taken.get(path, ())] for path in {s.path for s in change.splices}}
        for item in change.splices:
            trial[item.path].append(item)
        clash = any(created.get(path, content) != content for path, content in change.creates)
        try:
            if clash:
                raise OverlapError("a file of that name is being created with other content")
            for path, items in trial.items():
                splice(tree.read(path), items)
        except OverlapError:
            waiting.append(change)
            continue
        taken.update(trial)
        created.update(change.creates)
    result = {path: splice(tree.read(path), items) for path, items in taken.items()}
    result.update(created)
    return result, tuple(waiting)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What all the checks say about one tree.

    `files`, `parsed` and `unreadable` count Python sources; `functions` and `modules` count tests;
    `seconds` is wall time.
    """

    tree: str
    verdicts: tuple[Verdict, ...]
    files: int
    parsed: int
    unreadable: int
    functions: int
    modules: int
    seconds: float

    def verdict(self, check: str) -> Verdict:
        """The verdict of one check. Raises KeyError."""
        for verdict in self.verdicts:
            if verdict.check == check:
                return verdict
        raise KeyError(check)

    @property
    def findings(self) -> dict[str, Finding]:
        """Every finding by its fingerprint."""
        return {finding.fingerprint: finding for verdict in self.verdicts for finding in verdict.findings}
