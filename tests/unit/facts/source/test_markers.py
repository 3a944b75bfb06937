"""Names of marks: how far apart, and which were meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.facts.source.markers import distance, meant, selected
from regreen.facts.source.pytest_config import ConfigFile


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("slow", "slow", 0), ("slow", "slows", 1), ("slow", "slwo", 1), ("resilence", "resilience", 1),
        ("intgrtion", "integration", 2), ("smoke", "slow", 3), ("a", "abcd", 3), ("", "ab", 2),
    ],
)  # fmt: skip
def test_distance(left: str, right: str, expected: int) -> None:
    assert distance(left, right) == expected
    assert distance(right, left) == expected


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_distance_is_zero_for_equal_names_only(left: str, right: str) -> None:
    assert (distance(left, right) == 0) == (left == right)


@pytest.mark.parametrize(
    ("name", "registered", "expected"),
    [
        ("resilence", {"resilience", "slow"}, ("resilience",)),
        ("tier1", {"tier2"}, ()),
        ("db", {"do"}, ()),
        ("unit", {"units", "unix"}, ("units", "unix")),
        ("parametrise", set(), ("parametrize",)),
        ("e2e", {"smoke"}, ()),
    ],
)
def test_what_was_meant(name: str, registered: set[str], expected: tuple[str, ...]) -> None:
    assert meant(name, registered) == expected


@pytest.mark.parametrize(
    ("addopts", "expected"),
    [
        ("-q -m 'not slow and e2e'", ("slow", "e2e")),
        ('-m "slow or not slow"', ("slow",)),
        ("-mslow", ("slow",)),
        ("--strict-markers -ra", ()),
        ("--import-mode=importlib --durations=3", ()),
        (["-m", "not e2e"], ("e2e",)),
    ],
)
def test_marks_that_addopts_select(addopts: object, expected: tuple[str, ...]) -> None:
    assert selected(ConfigFile("pytest.ini", "[pytest]", values={"addopts": addopts})) == expected
