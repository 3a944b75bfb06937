"""Parametrized cases: added, dropped, changed, written out, collected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regreen.ratchet import Comparison, Grade, TestVerdict

Judge = Callable[[str, str], TestVerdict]
Comparer = Callable[[str, str], Comparison]

EQUAL, WEAKER, STRONGER = Grade.EQUAL, Grade.WEAKER, Grade.STRONGER
CHANGED, UNKNOWN = Grade.CHANGED, Grade.UNKNOWN


def cases(rows: str, names: str = "'x, y'", body: str = "assert f(x) == y", args: str = "x, y") -> str:
    return f"@pytest.mark.parametrize({names}, {rows})\ndef test_it({args}):\n    {body}\n"


TWO = cases("[(1, 2), (3, 4)]")
PLAIN = "def test_it():\n    assert f(1) == 2\n    assert f(3) == 4\n"

EXAMPLES: list[tuple[str, str, str, Grade]] = [
    ("added", TWO, cases("[(1, 2), (3, 4), (5, 6)]"), STRONGER),
    ("dropped", TWO, cases("[(1, 2)]"), WEAKER),
    ("all dropped", TWO, cases("[]"), WEAKER),
    ("reordered", TWO, cases("[(3, 4), (1, 2)]"), EQUAL),
    ("layout", TWO, cases("(\n  [1, 2],\n  (3, 4),\n)"), EQUAL),
    ("as param with an id", TWO, cases("[pytest.param(1, 2, id='one'), (3, 4)]"), EQUAL),
    ("names as a list", TWO, cases("[(1, 2), (3, 4)]", "['x', 'y']"), EQUAL),
    ("names in other order", TWO, cases("[(2, 1), (4, 3)]", "'y, x'"), EQUAL),
    ("expectation changed", TWO, cases("[(1, 2), (3, 5)]"), CHANGED),
    ("input changed", TWO, cases("[(1, 2), (4, 4)]"), CHANGED),
    ("one swapped, one dropped", cases("[(1, 2), (3, 4), (5, 6)]"), cases("[(1, 2), (7, 8)]"), WEAKER),
    ("one now skipped", TWO, cases("[(1, 2), pytest.param(3, 4, marks=pytest.mark.skip)]"), WEAKER),
    ("one now expected to fail", TWO, cases("[(1, 2), pytest.param(3, 4, marks=[pytest.mark.xfail])]"), WEAKER),
    ("skip taken away", cases("[pytest.param(1, 2, marks=pytest.mark.skip)]"), cases("[(1, 2)]"), STRONGER),
    ("rows moved to a constant", TWO, "ROWS = [(1, 2), (3, 4)]\n" + cases("ROWS"), EQUAL),
    ("row dropped from a constant", "ROWS = [(1, 2), (3, 4)]\n" + cases("ROWS"), "ROWS = [(1, 2)]\n" + cases("ROWS"), WEAKER),
    ("rows joined", TWO, cases("[(1, 2)] + [(3, 4)]"), EQUAL),
    ("rows unpacked", TWO, "MORE = [(3, 4)]\n" + cases("[(1, 2), *MORE]"), EQUAL),
    ("rows from a range", cases("[0, 1, 2]", "'x'", "assert f(x)", "x"), cases("range(3)", "'x'", "assert f(x)", "x"), EQUAL),
    ("rows computed otherwise", cases("made(3)"), cases("made(2)"), UNKNOWN),
    ("rows computed the same", cases("made(3)"), cases("made(3)"), EQUAL),
    ("written out", TWO, PLAIN, EQUAL),
    ("collected", PLAIN, TWO, EQUAL),
    ("collected with a loss", PLAIN, cases("[(1, 2)]"), WEAKER),
    ("collected with a gain", PLAIN, cases("[(1, 2), (3, 4), (5, 6)]"), STRONGER),
    ("collected with a change", PLAIN, cases("[(1, 2), (3, 5)]"), CHANGED),
    ("turned into a loop", TWO, "def test_it():\n    for x, y in [(1, 2), (3, 4)]:\n        assert f(x) == y\n", EQUAL),
    ("parameters renamed", TWO, cases("[(1, 2), (3, 4)]", "'a, b'", "assert f(a) == b", "a, b"), EQUAL),
    ("one more dimension", TWO, "@pytest.mark.parametrize('z', [1, 2])\n" + TWO.replace("x, y):", "x, y, z):"), STRONGER),
    ("dimension dropped", "@pytest.mark.parametrize('z', [1, 2])\n" + cases("[(1, 2)]", body="assert f(x, z) == y", args="x, y, z"),
     cases("[(1, 2)]", body="assert f(x, 1) == y"), WEAKER),
    ("column added", cases("[1, 2]", "'x'", "assert f(x)", "x"), cases("[(1, 5), (2, 6)]", body="assert f(x)\n    assert g(x) == y"), STRONGER),
    ("assert dropped", TWO, cases("[(1, 2), (3, 4)]", body="f(x)"), WEAKER),
    ("condition on a parameter", cases("[1, 2]", "'x'", "assert f(x)", "x"), cases("[1, 2]", "'x'", "if x != 2:\n        assert f(x)", "x"), WEAKER),
    ("class mark", "@pytest.mark.parametrize('x', [1, 2])\nclass TestA:\n    def test_it(self, x):\n        assert f(x)\n",
     "@pytest.mark.parametrize('x', [1])\nclass TestA:\n    def test_it(self, x):\n        assert f(x)\n", WEAKER),
    ("raises widened in a case", cases("[(1, ValueError)]", body="with pytest.raises(y):\n        f(x)"),
     cases("[(1, Exception)]", body="with pytest.raises(y):\n        f(x)"), WEAKER),
    ("ids alone", cases("[1, 2]", "'x'", "assert f(x)", "x"), "@pytest.mark.parametrize('x', [1, 2], ids=['a', 'b'])\ndef test_it(x):\n    assert f(x)\n", EQUAL),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "grade"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_cases(judged: Judge, before: str, after: str, grade: Grade) -> None:
    assert judged(before, after).grade is grade


def test_reasons_show_the_case(judged: Judge) -> None:
    assert judged(TWO, cases("[(1, 2)]")).reason == "the case (3, 4) is gone"
    assert judged(TWO, cases("[(1, 2), (3, 4), (5, 6)]")).reason == "1 more case"
    assert judged(TWO, cases("[(1, 2), (3, 5)]")).reason == "the case (3, 4) was changed: a person decides"


@pytest.mark.parametrize("levels", [300, 900])
def test_a_sum_of_very_many_texts_is_compared_like_any_other(compared: Comparer, levels: int) -> None:
    """Each `+` is a level of the tree, so that a query glued together from lines goes deeper than Python recurses."""
    text = " + 'x'" * levels
    before = f"def check(a):\n    assert a == 'a'{text}\n\n\ndef test_it():\n    assert f() == 'a'{text}\n"
    assert {v.grade for v in compared(before, before + "\n\nOTHER = 1\n").tests} == {Grade.EQUAL}
    changed = compared(before, before.replace("f() == 'a'", "f() == 'b'")).tests
    assert [v.grade for v in changed if v.test.endswith("test_it")] == [Grade.CHANGED]


@pytest.mark.parametrize(
    ("old", "new", "grade"),
    [
        ("Slice(start=14, end=24)", "Slice(start=0, end=10)", Grade.CHANGED),
        ("m.Slice(14)", "m.Slice(0)", Grade.CHANGED),
        ("Slice(start=14)", "Other(start=14)", Grade.UNKNOWN),
        ("Slice(start=14)", "Slice(start=14, end=1)", Grade.UNKNOWN),
        ("Slice(start=14)", "Slice(start=None)", Grade.UNKNOWN),
        ("slice_of(14)", "slice_of(0)", Grade.UNKNOWN),
    ],
)
def test_a_case_with_another_object_of_the_same_class(judged: Judge, old: str, new: str, grade: Grade) -> None:
    assert judged(cases(f"[(1, 2), (3, {old})]"), cases(f"[(1, 2), (3, {new})]")).grade is grade
