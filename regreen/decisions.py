"""Decisions: what a person answered, in `decisions.toml` of the target, with a reason, a name and an end.

An expired decision answers nothing: what it stood for is a finding again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from regreen.model import Finding, TreeView
from regreen.tomlsource import SourceError, load

FILE: Final = "decisions.toml"
#: accept, wont-fix: it stays as it is. defer: later, so no remedy touches it now either.
#: product-defect: the test is right and the product is wrong; it does not keep a remedy away.
#: approve: go ahead with a change that cannot be taken back; it answers nothing else.
KINDS: Final = ("accept", "wont-fix", "defer", "product-defect", "approve")
#: The condition that a decision about a red test names.
TESTS_PASS: Final = "run.tests-pass"  # noqa: S105 - a condition, no password
_LEAVE: Final = frozenset({"accept", "wont-fix", "defer"})


class DecisionsError(SourceError):
    """`decisions.toml:7: decision 2: the field 'reason' is missing`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer. `check` and `subject` may be patterns (`*`, `?`); a fingerprint, where given, must match too.

    For a test that is red, `subject` is the test (`path::Class::name`) and `check` is `run.tests-pass`; a product
    defect may name the check of a finding instead, if it names the test itself and no pattern.
    """

    check: str
    subject: str
    fingerprint: str
    decision: str
    reason: str
    who: str
    until: date
    line: int

    def expired(self, today: date) -> bool:
        """Whether its last day has passed."""
        return today > self.until

    def answers(self, finding: Finding) -> bool:
        """Whether it speaks of this finding."""
        if self.fingerprint and self.fingerprint != finding.fingerprint:
            return False
        return _like(finding.check, self.check) and _like(finding.subject, self.subject or "*")

    def answers_test(self, test: str) -> bool:
        """Whether it speaks of this red test: as a whole, or as `path::Class::name` without its parameters."""
        if not self.subject or self.fingerprint or self.approves:
            return False
        bare = test.partition("[")[0]
        if not (_like(test, self.subject) or _like(bare, self.subject)):
            return False
        # What is said of findings says nothing of red tests: a broad subject would answer any of them.
        return _like(TESTS_PASS, self.check) or (self.decision == "product-defect" and self.subject in (test, bare))

    @property
    def approves(self) -> bool:
        """Whether it lets a one-way change happen."""
        return self.decision == "approve"

    @property
    def leaves(self) -> bool:
        """Whether remedies keep away from what it answers."""
        return self.decision in _LEAVE


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of a target on a given day."""

    entries: tuple[Decision, ...] = ()
    today: date = date.min

    def on(self, finding: Finding) -> Decision | None:
        """The first decision in force that answers a finding."""
        return self._first(entry for entry in self.entries if entry.answers(finding) and not entry.approves)

    def approval(self, finding: Finding) -> Decision | None:
        """The first decision in force that lets a one-way change close a finding."""
        return self._first(entry for entry in self.entries if entry.answers(finding) and entry.approves)

    def on_test(self, test: str) -> Decision | None:
        """The first decision in force that answers a red test."""
        return self._first(entry for entry in self.entries if entry.answers_test(test))

    def on_check(self, check: str) -> Decision | None:
        """The first decision in force about a check as a whole (its `subject` is `*`)."""
        return self._first(
            entry for entry in self.entries if entry.subject == "*" and _like(check, entry.check) and not entry.approves
        )

    @property
    def expired(self) -> tuple[Decision, ...]:
        """Those that answer nothing any more."""
        return tuple(entry for entry in self.entries if entry.expired(self.today))

    def _first(self, entries: Iterable[Decision]) -> Decision | None:
        return next((entry for entry in entries if not entry.expired(self.today)), None)


def read_decisions(tree: TreeView, today: date) -> Decisions:
    """The decisions of a target's tree; none where it has no file of them. Raises DecisionsError."""
    try:
        content = tree.read(FILE)
    except FileNotFoundError:
        return Decisions((), today)
    try:
        return Decisions(tuple(_parse(content)), today)
    except DecisionsError:
        raise
    except SourceError as error:
        raise DecisionsError(error.path, error.line, error.message) from None


def _parse(content: bytes) -> Iterable[Decision]:
    root = load(FILE, content)
    root.only("decision", "schema")
    for table in root.tables("decision", "decision {number}"):
        table.only("check", "subject", "fingerprint", "decision", "reason", "who", "until")
        subject, fingerprint = table.text("subject", ""), table.text("fingerprint", "")
        if not subject and not fingerprint:
            raise table.fail("names neither a 'subject' nor a 'fingerprint', so it would answer everything")
        until = table.day("until")
        if until is None:
            raise table.fail("the field 'until' is missing: a decision has a last day, such as 2027-06-30")
        yield Decision(
            table.text("check"), subject, fingerprint, table.choice("decision", KINDS),
            table.text("reason"), table.text("who"), until, table.line(),
        )  # fmt: skip


def _like(text: str, pattern: str) -> bool:
    """Equal, or matched by the pattern. Square brackets mean themselves: test ids hold them."""
    return text == pattern or fnmatchcase(text, pattern.replace("[", "[[]"))
