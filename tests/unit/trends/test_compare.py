"""A planted slow-down is caught and noise is not: simulated histories with fixed seeds."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.trends import Sample, TestHistory, compare
from regreen.trends.compare import SUITE
from regreen.trends.history import Run
from regreen.trends.rank import least_p, p_slower, significant


def history(seed: int, runs: int = 20, tests: int = 40, slow: float = 1.0, *, whole: float = 1.0) -> TestHistory:
    """Durations as they are on shared machines: log-normal, one in twenty disturbed, each run at its own pace.

    `slow` is how much test_0 slows in the newest five runs, `whole` how much everything does.
    """
    chance = random.Random(seed)
    samples = []
    for run in range(runs):
        pace = math.exp(chance.gauss(0, 0.1)) * (whole if run >= runs - 5 else 1.0)
        for number in range(tests):
            seconds = 0.05 * (1 + number % 7) * pace * math.exp(chance.gauss(0, 0.08))
            seconds *= chance.choice((1.5, 3.0)) if chance.random() < 0.05 else 1.0
            if number == 0 and run >= runs - 5:
                seconds *= slow
            samples.append(Sample(run, f"t.py::test_{number}", "passed", seconds, seconds, 1, 0, "", "", ""))
    return TestHistory(tuple(Run(str(n), n, "c", "") for n in range(runs)), tuple(samples))


def test_noise_is_no_slow_down() -> None:
    # 150 histories of 41 series each: by Holm's bound 1 in 100 histories may hold a false alarm, so 1 or 2 of these.
    alarms = [seed for seed in range(150) if compare(history(seed)).slower]

    assert len(alarms) <= 2


def test_a_planted_slow_down_is_caught_and_named() -> None:
    # Twice as slow, with one duration in twenty disturbed: 29 of 40 are found with 15 runs before, 37 with 40.
    found = [compare(history(seed, runs=45, slow=2.0)).slower for seed in range(40)]

    assert sum([item.test for item in slower] == ["t.py::test_0"] for slower in found) >= 36
    assert not [item for slower in found for item in slower if item.test != "t.py::test_0"]
    assert all(1.7 < item.factor < 2.4 for slower in found for item in slower if item.test == "t.py::test_0")


def test_a_slow_machine_slows_no_single_test() -> None:
    found = compare(history(7, whole=1.8)).slower

    assert [item.test for item in found] == [SUITE]


def test_too_few_runs_are_said() -> None:
    found = compare(history(1, runs=19, slow=9.0))

    assert found.slower == ()
    assert found.note == "19 runs are recorded; slow-downs are looked for from 20 on (5 new, 15 before)"


def test_flaky_is_red_and_green_on_one_clean_commit() -> None:
    def one(run: int, outcome: str, category: str = "code") -> Sample:
        return Sample(run, "t.py::a", outcome, 0.1, 0.1, 1, 0, category, "f1", "assert 1 == 2")

    def runs(*revisions: str) -> tuple[Run, ...]:
        return tuple(Run(str(number), number, revision, "") for number, revision in enumerate(revisions))

    torn = (one(0, "passed", ""), one(1, "failed"))
    assert [item.kind for item in compare(TestHistory(runs("c", "c"), torn)).flaky] == ["red and green on one commit"]
    assert compare(TestHistory(runs("c", "d"), torn)).flaky == ()  # a commit may well have mended it
    assert compare(TestHistory(runs("c+", "c+"), torn)).flaky == ()  # an unsaved edit too
    assert compare(TestHistory(runs("", ""), torn)).flaky == ()
    again = compare(TestHistory(runs("c"), (one(0, "passed", "flaky"),))).flaky
    assert [(item.test, item.kind) for item in again] == [("t.py::a", "passed when run again")]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True), st.lists(st.integers(51, 99), max_size=3))
@settings(max_examples=60)
def test_the_rank_test_counts_orders(before: list[int], extra: list[int]) -> None:
    after = sorted({value + 20 for value in before[:2]} - set(before)) + extra
    if not after:
        return
    everything = sorted({*before, *after})
    if len(everything) != len(before) + len(after):
        return
    wins = sum(a > b for a in after for b in before)
    ways = list(combinations(everything, len(after)))
    as_good = sum(sum(a > b for a in way for b in everything if b not in way) >= wins for way in ways)

    assert p_slower(before, after) == pytest.approx(as_good / len(ways))
    assert p_slower(before, after) >= least_p(len(before), len(after))


def test_ties_count_against_a_slow_down() -> None:
    assert p_slower([1.0] * 15, [1.0] * 5) == 1.0


def test_holm() -> None:
    assert significant([0.001, 0.2, 0.004], 0.01) == [True, False, True]
    assert significant([0.004, 0.004, 0.004], 0.01) == [False, False, False]
    assert significant([], 0.01) == []
