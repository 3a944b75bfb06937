"""The record of one run: everything that a report needs, and nothing that it must look up.

Saved as `<state>/runs/<run>/record.json`. Times are in seconds, sizes in bytes, moments in ISO 8601 (UTC).
No secret value is in it: texts that came from the target are redacted when the record is saved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from regreen.facts.testrun.results import TestComparison
from regreen.model import Change, Diagnosis, Finding, Refusal, Severity, Suppressed
from regreen.run.codec import RecordError, decode, encode

SCHEMA: Final = 1


class GateState(StrEnum):
    """DECIDED: not green, and every open question of it is answered by a decision on file."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"
    DECIDED = "DECIDED"
    NOT_BUILT = "NOT BUILT"


@dataclass(frozen=True, slots=True)
class GateItem:
    """One condition of the phase's gate: a check id, `tests`, `public-api` or `assertion-ratchet`."""

    name: str
    state: GateState
    text: str = ""
    open: int = 0
    decided: int = 0


@dataclass(frozen=True, slots=True)
class GateResult:
    """The phase's gate: open only if every item passes or is decided."""

    state: GateState
    items: tuple[GateItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """One box of the phase's checklist. `state` PASS is a tick; `evidence` says what ticked it, or what is missing."""

    id: str
    text: str
    requirement: str
    state: GateState
    evidence: str


@dataclass(frozen=True, slots=True)
class PlannedRemedy:
    """A remedy as the plan lists it, and what became of it in this run.

    `outcome` is one of: applied, nothing to do, refused, dropped, not built, not selected, needs --unsafe.
    """

    id: str
    built: bool
    outcome: str = ""
    changes: int = 0
    refusals: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change that is on the branch (or, in a dry run, would be).

    `splices` inside `change` are offsets into the tree named `tree`. `diff` is a unified diff of the files of
    the whole commit that holds the change; `commit` is empty in a dry run. `closes` are the findings in full.
    """

    change: Change
    tree: str
    commit: str
    diff: str
    closes: tuple[Finding, ...]
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A change that was proposed and did not pass verification, so it is not on the branch."""

    change: Change
    reason: str
    closes: tuple[Finding, ...] = ()
    decided: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal of a remedy, its finding's severity, and the decision that answers it (empty: open)."""

    refusal: Refusal
    check: str
    observed: str
    severity: Severity
    decided: str = ""


@dataclass(frozen=True, slots=True)
class DecisionUsed:
    """A decision on file that answered something in this run; `answers` are subjects or tests."""

    check: str
    subject: str
    fingerprint: str
    decision: str
    reason: str
    who: str
    until: str
    line: int
    answers: tuple[str, ...] = ()
    expired: bool = False


@dataclass(frozen=True, slots=True)
class ApiChange:
    """A change of the public interface of a module that is not a test: it is said, never hidden."""

    path: str
    name: str
    kind: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TestGrade:
    """What the assertion ratchet says of a test that a remedy changed."""

    __test__ = False

    test: str
    grade: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a step took."""

    step: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What the run used: wall and CPU seconds (children included), the highest resident memory in bytes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_memory: int = 0


@dataclass(frozen=True, slots=True)
class PhaseExcerpt:
    """What the plan says about the phase that ran."""

    number: int
    title: str
    risk: str
    approval: str
    max_changes: int
    max_files: int
    plan: str
    remedies: tuple[PlannedRemedy, ...] = ()
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a phase on one target.

    `base` is the commit the run started from (the branch's own tip when it continued one), `fork` the commit
    of the user's that the branch grew from, `head` the branch's tip afterwards; in a dry run `head` is empty.
    `before` and `after` are diagnoses of `base` and `head`, with decisions and the baseline applied.
    `messages` are remarks for the reader (a dirty tree, a copy, a continued branch), `next_step` a command.
    """

    run: str
    target: str
    phase: PhaseExcerpt
    started: str
    finished: str
    base: str
    fork: str
    branch: str
    head: str
    before: Diagnosis
    after: Diagnosis
    gate: GateResult
    exit_code: int
    dry_run: bool = False
    continued: bool = False
    resumed: bool = False
    repository: str = ""
    checklist: tuple[Tick, ...] = ()
    changes: tuple[AppliedChange, ...] = ()
    refusals: tuple[Refused, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    decisions: tuple[DecisionUsed, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    api: tuple[ApiChange, ...] = ()
    ratchet: tuple[TestGrade, ...] = ()
    tests: TestComparison | None = None
    tests_note: str = ""
    not_built: tuple[str, ...] = ()
    remaining: tuple[Finding, ...] = ()
    timings: tuple[Timing, ...] = ()
    usage: Usage = Usage()
    messages: tuple[str, ...] = ()
    next_step: str = ""
    version: str = ""
    python: str = ""
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """A value that `json.dumps` takes, and that `from_json` reads back."""
        value: dict[str, Any] = encode(self)
        return value

    @classmethod
    def from_json(cls, data: object) -> RunRecord:
        """The record that `to_json` wrote. Raises RecordError for another schema or shape."""
        if isinstance(data, dict) and data.get("schema") != SCHEMA:
            raise RecordError(
                f"the record has schema {data.get('schema')!r}; this version of Regreen reads schema {SCHEMA}"
            )
        return decode(cls, data)

    def dumps(self) -> str:
        """The record as JSON text, ASCII only, one field a line at the top level."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=True) + "\n"
