"""The rank test behind a slow-down, exact for small samples, and its correction for looking at many tests."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence


def p_slower(before: Sequence[float], after: Sequence[float]) -> float:
    """How likely durations like these are if nothing changed: exact one-sided Mann-Whitney (Mann and Whitney 1947).

    It asks only in what order the values come, so that outliers and the shape of the noise do not matter. Ties count
    against a slow-down, which errs on the side of silence.
    """
    wins = sum(new > old for new in after for old in before)
    n, m = len(before), len(after)
    if not n or not m:
        return 1.0
    at_least = sum(_arrangements(n, m, count) for count in range(wins, n * m + 1))
    return at_least / math.comb(n + m, m)


@functools.cache
def _arrangements(n: int, m: int, wins: int) -> int:
    """In how many orders of n old and m new values the new ones win exactly so often."""
    if wins < 0 or wins > n * m:
        return 0
    if n == 0 or m == 0:
        return int(wins == 0)
    return _arrangements(n, m - 1, wins - n) + _arrangements(n - 1, m, wins)


def least_p(n: int, m: int) -> float:
    """The smallest value that `p_slower` can give: what cannot get below a threshold can never be found."""
    return 1 / math.comb(n + m, m)


def significant(values: Sequence[float], alpha: float) -> list[bool]:
    """Holm's correction (1979): with probability 1 - alpha not a single one of them is a false alarm."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    result = [False] * len(values)
    for step, index in enumerate(order):
        if values[index] > alpha / (len(values) - step):
            break
        result[index] = True
    return result
