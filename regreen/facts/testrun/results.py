"""What a run of a target's tests came to, and how two runs differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How one test ended. ERROR: set-up or tear-down failed. COLLECTED: found, and not run."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    COLLECTED = "collected"


class Category(StrEnum):
    """What kind of thing went wrong, drawn from the exception and its message."""

    MISSING_MODULE = "missing module"
    MISSING_NAME = "missing name"
    MARKER = "marker"
    FIXTURE = "fixture"
    MRO = "MRO"
    SYNTAX = "syntax"
    ASSERTION = "assertion"
    OTHER = "other"


#: Outcomes that keep a suite from being green.
RED = frozenset({Outcome.FAILED, Outcome.ERROR})
#: Outcomes that let a suite be green.
GREEN = frozenset({Outcome.PASSED, Outcome.SKIPPED, Outcome.XFAILED, Outcome.XPASSED})


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test, or (`outcome` ERROR and no `::` in `test`) one module that could not be collected.

    `test` is `path::Class::name[case]`, the path relative to the target's root. `seconds` is the time of
    its set-up, call and tear-down together. `error` is the first line of what went wrong.
    """

    __test__ = False

    test: str
    outcome: Outcome
    category: Category | None = None
    error: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The test without its parameters: `path::Class::name`."""
        head, separator, rest = self.test.partition("::")
        return head + separator + rest.partition("[")[0]


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of a target's tests over one tree.

    `problem` says why the run does not count (a time-out, an interpreter without pytest); it is empty when
    it does. `isolated` says whether the network was really shut off. Memory in bytes, times in seconds.
    """

    __test__ = False

    tree: str
    command: tuple[str, ...] = ()
    interpreter: str = ""
    pytest: str = ""
    exit_code: int = 0
    collected: int = 0
    collection_errors: tuple[TestResult, ...] = ()
    results: tuple[TestResult, ...] = ()
    problem: str = ""
    isolated: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_memory: int = 0

    @property
    def errors_by_category(self) -> dict[str, int]:
        """How many collection errors and red tests there are of each category."""
        red = [*self.collection_errors, *(r for r in self.results if r.outcome in RED)]
        return dict(Counter(str(item.category or Category.OTHER) for item in red))

    def count(self, outcome: Outcome) -> int:
        """How many tests ended so."""
        return sum(1 for result in self.results if result.outcome is outcome)


@dataclass(frozen=True, slots=True)
class TestComparison:
    """Two runs, test by test. Every field names tests of the run after, but `lost`.

    `regressions` were green and are red; they block. `lost` were collected and are not (their module still
    is); they block too, whatever their colour was. `unmasked` could not fail before a change and now do:
    product defects, kept. `revealed` were not collected or not run before, and are red. `still_red` were red before.
    `fixed` were red, or not collected, and pass. `flaky` were red and, run again on the same tree, were not: they are
    neither regressions nor fixed.
    """

    __test__ = False

    before: TestRun
    after: TestRun
    regressions: tuple[TestResult, ...] = ()
    lost: tuple[str, ...] = ()
    unmasked: tuple[TestResult, ...] = ()
    revealed: tuple[TestResult, ...] = ()
    still_red: tuple[TestResult, ...] = ()
    fixed: tuple[str, ...] = ()
    flaky: tuple[TestResult, ...] = ()

    @property
    def problem(self) -> str:
        """Why the comparison proves nothing, or an empty string."""
        if self.before.problem:
            return f"before: {self.before.problem}"
        return f"after: {self.after.problem}" if self.after.problem else ""


def compare(
    before: TestRun,
    after: TestRun,
    unmasks: Iterable[str] = (),
    flaky: tuple[Collection[str], Collection[str]] = ((), ()),
) -> TestComparison:
    """The difference of two runs; `unmasks` are names of tests that could not fail before.

    `flaky` are the tests that were red in the run before, and in the run after, and passed when run again there.
    """
    old = {result.test: result for result in before.results}
    new = {result.test: result for result in after.results}
    unmaskable = frozenset(unmasks)
    regressions: list[TestResult] = []
    unmasked: list[TestResult] = []
    revealed: list[TestResult] = []
    still: list[TestResult] = []
    broken_before = {error.test for error in before.collection_errors}
    modules_before = {_module(test) for test in old}
    for error in after.collection_errors:
        if error.test in broken_before:
            still.append(error)
        elif _module(error.test) in modules_before:
            regressions.append(error)
        else:
            revealed.append(error)
    for test, result in new.items():
        earlier = old.get(test)
        if result.outcome not in RED or test in flaky[1]:
            continue
        if earlier is not None and earlier.outcome in RED:
            still.append(result)
        elif result.name in unmaskable:
            unmasked.append(result)
        elif earlier is None or earlier.outcome is Outcome.COLLECTED:
            revealed.append(result)
        else:
            regressions.append(result)
    broken_now = {_module(error.test) for error in after.collection_errors}
    return TestComparison(
        before,
        after,
        regressions=tuple(regressions),
        lost=tuple(test for test in old if test not in new and _module(test) not in broken_now),
        unmasked=tuple(unmasked),
        revealed=tuple(revealed),
        still_red=tuple(still),
        fixed=tuple(
            test
            for test, result in new.items()
            if result.outcome is Outcome.PASSED
            and (test not in old or (old[test].outcome in RED and test not in flaky[0]))
        ),
        flaky=tuple(
            result for test, result in {**old, **new}.items() if test in flaky[1] or (test in flaky[0] and test in new)
        ),
    )


def _module(test: str) -> str:
    return test.partition("::")[0]
