"""What a comparison says: one grade for each test, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


class Grade(StrEnum):
    """How a test after the change relates to the same test before it."""

    STRONGER = "stronger"
    EQUAL = "equal"
    WEAKER = "weaker"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    ADDED = "added"
    REMOVED = "removed"

    @property
    def is_loss(self) -> bool:
        """Whether something that was checked before is provably checked no more."""
        return self in (Grade.WEAKER, Grade.REMOVED)


@dataclass(frozen=True, slots=True)
class TestVerdict:
    """The grade of one test.

    `test` is `path::Class::test_name` (the name after the change where it still exists); helpers, fixtures and
    hooks that tests share are graded under their own name. Lines count from 1; 0 means that there is none.
    """

    __test__: ClassVar[bool] = False  # pytest must not collect a record whose name begins with Test

    test: str
    grade: Grade
    reason: str
    line_before: int = 0
    line_after: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A changed file that could not be compared, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All verdicts on a change, in the order of the files and lines."""

    tests: tuple[TestVerdict, ...] = ()
    skipped: tuple[Skipped, ...] = field(default=())

    def of(self, *grades: Grade) -> tuple[TestVerdict, ...]:
        """The verdicts that carry one of these grades."""
        return tuple(verdict for verdict in self.tests if verdict.grade in grades)

    @property
    def weaker(self) -> tuple[TestVerdict, ...]:
        """Tests that lost something: weakened or removed."""
        return self.of(Grade.WEAKER, Grade.REMOVED)

    @property
    def unknown(self) -> tuple[TestVerdict, ...]:
        """Tests that could not be compared: a person must look."""
        return self.of(Grade.UNKNOWN)

    @property
    def changed(self) -> tuple[TestVerdict, ...]:
        """Tests that ask for something else, as precisely as before: a person must decide."""
        return self.of(Grade.CHANGED)

    @property
    def grade(self) -> Grade:
        """The grade of the change as a whole: the worst that any test got."""
        if self.weaker:
            return Grade.WEAKER
        if self.unknown:
            return Grade.UNKNOWN
        if self.changed:
            return Grade.CHANGED
        if self.of(Grade.STRONGER, Grade.ADDED):
            return Grade.STRONGER
        return Grade.EQUAL
