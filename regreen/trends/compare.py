"""What changed between the newest runs and those before: slower tests, and tests that cannot make up their mind.

A test is slower when three things hold: a rank test over its durations says that chance would do this in fewer than
`ALPHA` of all comparisons (all tests together, Holm), the median grew by `FACTOR`, and by `SECONDS`. Each run's
durations are first divided by that run's own pace (the median over its tests), so that a slow machine slows no test;
the pace itself is tested in the same way and reported for the suite as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from .history import Sample, TestHistory
from .rank import least_p, p_slower, significant

WINDOW: Final = 5
"""How many of the newest runs are compared with those before."""
LEAST: Final = 15
"""How many runs must be before them: with 5 and 15 the rank test can tell 1 in 15,504."""
MOST: Final = 40
ALPHA: Final = 0.01
FACTOR: Final = 1.2
SECONDS: Final = 0.01
SUITE: Final = "(all tests)"


@dataclass(frozen=True, slots=True)
class Slowdown:
    """A test that got slower: medians in seconds before and after, and how likely chance is (uncorrected)."""

    test: str
    before: float
    after: float
    p: float

    @property
    def factor(self) -> float:
        """How many times as long it takes."""
        return self.after / self.before if self.before else float("inf")


@dataclass(frozen=True, slots=True)
class Flaky:
    """A test that was red and green without a change: `kind` is how that was seen, `runs` how often."""

    test: str
    kind: str
    runs: int
    fingerprint: str
    error: str


@dataclass(frozen=True, slots=True)
class Trends:
    """The comparison. `note` says why no slow-down could be looked for; `pace` is seconds of the suite in each run."""

    runs: int
    window: int
    compared: int
    slower: tuple[Slowdown, ...]
    flaky: tuple[Flaky, ...]
    note: str
    pace: tuple[float, ...]
    failures: tuple[tuple[str, int], ...]


def compare(history: TestHistory, window: int = WINDOW, alpha: float = ALPHA) -> Trends:
    """Compare the newest `window` runs with up to 40 before them."""
    count = len(history.runs)
    by_test: dict[str, dict[int, Sample]] = defaultdict(dict)
    for sample in history.samples:
        by_test[sample.test][sample.run] = sample
    pace = _pace(by_test, count)
    split = count - window
    first = max(0, split - MOST)
    slower: list[Slowdown] = []
    compared = 0
    note = ""
    if split < LEAST:
        need = window + LEAST
        note = f"{count} runs are recorded; slow-downs are looked for from {need} on ({window} new, {LEAST} before)"
    else:
        candidates = list(_candidates(by_test, pace, first, split, count, window))
        suite = _times({run: pace[run] for run in range(first, count)}, split)
        candidates.append((SUITE, *suite))
        compared = len(candidates)
        values = [p_slower(before, after) for _, before, after in candidates]
        kept = significant(values, alpha)
        for (test, before, after), p, sure in zip(candidates, values, kept, strict=True):
            old, new = median(before), median(after)
            least = SECONDS if test != SUITE else 0.0
            if sure and new >= FACTOR * old and new - old >= least:
                slower.append(Slowdown(test, old, new, p))
        if least_p(split - first, window) > alpha / max(1, compared):
            note = f"with {compared} tests and so few runs no slow-down could be told from chance; record more runs"
    slower.sort(key=lambda item: (item.test != SUITE, -(item.after - item.before)))
    failures: dict[str, int] = defaultdict(int)
    for sample in history.samples:
        if sample.run >= split and sample.outcome in ("failed", "error"):
            failures[sample.category or "code"] += 1
    seconds = tuple(sum(samples[run].seconds for samples in by_test.values() if run in samples) for run in range(count))
    return Trends(
        count, window, compared, tuple(slower), tuple(_flaky(by_test, history)), note, seconds,
        tuple(sorted(failures.items())),
    )  # fmt: skip


def _pace(by_test: Mapping[str, Mapping[int, Sample]], count: int) -> list[float]:
    """How fast each run was: the median over its tests of duration by the test's own median duration."""
    ratios: list[list[float]] = [[] for _ in range(count)]
    for samples in by_test.values():
        passed = [item for item in samples.values() if item.outcome == "passed" and item.seconds > 0]
        if len(passed) < 3:
            continue
        middle = median(item.seconds for item in passed)
        for item in passed:
            ratios[item.run].append(item.seconds / middle)
    return [median(values) if values else 1.0 for values in ratios]


def _candidates(
    by_test: Mapping[str, Mapping[int, Sample]], pace: Sequence[float], first: int, split: int, count: int, window: int
) -> Iterable[tuple[str, list[float], list[float]]]:
    for test, samples in sorted(by_test.items()):
        times = {
            run: samples[run].seconds / pace[run]
            for run in range(first, count)
            if run in samples and samples[run].outcome == "passed" and not samples[run].retries
        }
        before, after = _times(times, split)
        if len(before) >= LEAST and len(after) == window:
            yield test, before, after


def _times(times: Mapping[int, float], split: int) -> tuple[list[float], list[float]]:
    return [value for run, value in times.items() if run < split], [v for run, v in times.items() if run >= split]


def _flaky(by_test: Mapping[str, Mapping[int, Sample]], history: TestHistory) -> Iterable[Flaky]:
    """Red and green on one commit with a clean work tree, or green only after being run again."""
    for test, samples in sorted(by_test.items()):
        again = [item for item in samples.values() if item.category == "flaky"]
        if again:
            yield Flaky(test, "passed when run again", len(again), again[-1].fingerprint, again[-1].error)
            continue
        outcomes: dict[str, set[bool]] = defaultdict(set)
        for item in samples.values():
            revision = history.runs[item.run].revision
            if revision and not revision.endswith("+") and item.outcome in ("passed", "failed", "error"):
                outcomes[revision].add(item.outcome == "passed")
        torn = {revision for revision, seen in outcomes.items() if len(seen) == 2}
        if torn:
            red = [i for i in samples.values() if i.outcome != "passed" and history.runs[i.run].revision in torn]
            yield Flaky(test, "red and green on one commit", len(red), red[-1].fingerprint, red[-1].error)
