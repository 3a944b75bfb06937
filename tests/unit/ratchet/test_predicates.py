"""What is asserted of a value: chains of predicates from strong to weak, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regreen.ratchet import Grade, TestVerdict

Judge = Callable[[str, str], TestVerdict]

EQUAL, WEAKER, STRONGER = Grade.EQUAL, Grade.WEAKER, Grade.STRONGER
CHANGED, UNKNOWN = Grade.CHANGED, Grade.UNKNOWN

# before, after, grade; where `back` is given, the grade of the change in the other direction
EXAMPLES: list[tuple[str, str, Grade, Grade]] = [
    ("assert f(1) == 3", "assert f(1) in {3, 4}", WEAKER, STRONGER),
    ("assert f(1) in {3, 4}", "assert 3 <= f(1) <= 4", WEAKER, STRONGER),
    ("assert 3 <= f(1) <= 4", "assert f(1) >= 3", WEAKER, STRONGER),
    ("assert f(1) >= 3", "assert f(1) is not None", WEAKER, STRONGER),
    ("assert f(1) is not None", "f(1)", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert f(1) >= 1", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert f(1)", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert isinstance(f(1), int)", WEAKER, STRONGER),
    ("assert f(1) == 'x'", "assert isinstance(f(1), (str, bytes))", WEAKER, STRONGER),
    ("assert isinstance(f(1), bool)", "assert isinstance(f(1), int)", WEAKER, STRONGER),
    ("assert isinstance(f(1), Dog)", "assert isinstance(f(1), (Dog, Cat))", WEAKER, STRONGER),
    ("assert isinstance(f(1), Dog)", "assert isinstance(f(1), Cat)", UNKNOWN, UNKNOWN),
    ("assert isinstance(f(1), Dog)", "assert f(1) is not None", UNKNOWN, UNKNOWN),
    ("assert f(1) is True", "assert f(1)", WEAKER, STRONGER),
    ("assert f(1) is True", "assert f(1) == True", WEAKER, STRONGER),
    ("assert f(1)", "assert f(1) is not None", WEAKER, STRONGER),
    ("assert f(1) is None", "assert not f(1)", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert f(1) == 4", CHANGED, CHANGED),
    ("assert f(1) == 3", "assert f(1) == '3'", CHANGED, CHANGED),
    ("assert f(1) == 3", "assert f(1) != 4", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert f(1) != 3", UNKNOWN, UNKNOWN),
    ("assert f(1) == 3", "assert g(1) == 3", UNKNOWN, UNKNOWN),
    ("assert f(1) == 3", "assert f(2) == 3", CHANGED, CHANGED),
    ("assert f(1) == 3", "assert f == 3", UNKNOWN, UNKNOWN),
    ("assert len(f(1)) > 2", "assert len(f(1)) >= 3", EQUAL, EQUAL),
    ("assert len(f(1)) == 0", "assert len(f(1)) < 1", EQUAL, EQUAL),
    ("assert len(f(1)) == 2", "assert len(f(1)) > 0", WEAKER, STRONGER),
    ("assert f(1) >= 3", "assert f(1) > 2", WEAKER, STRONGER),  # 2.5 is a number too
    ("assert f(1).status_code == 200", "assert f(1).status_code in (200, 201)", WEAKER, STRONGER),
    ("assert f(1).status_code == 200", "assert f(1).status_code < 400", WEAKER, STRONGER),
    ("assert 0 < f(1) < 10", "assert 0 < f(1) < 100", WEAKER, STRONGER),
    ("assert 0 < f(1) < 10", "assert 5 < f(1) < 20", WEAKER, WEAKER),
    ("assert f(1) == [1, 2]", "assert len(f(1)) == 2", WEAKER, STRONGER),
    ("assert f(1) == [1, 2]", "assert 2 in f(1)", WEAKER, STRONGER),
    ("assert f(1) == [1, 2]", "assert f(1)[0] == 1", WEAKER, STRONGER),
    ("assert f(1) == [1, 2]", "assert sorted(f(1)) == [1, 2]", WEAKER, STRONGER),
    ("assert f(1) == [1, 2]", "assert f(1) == [1, 2, 3]", CHANGED, CHANGED),
    ("assert f(1) == 'abc'", "assert f(1).startswith('a')", WEAKER, STRONGER),
    ("assert f(1) == 'abc'", "assert 'b' in f(1)", WEAKER, STRONGER),
    ("assert f(1) == 'abc'", "assert re.search('a.c', f(1))", WEAKER, STRONGER),
    ("assert 'b c' in f(1).text", "assert 'b' in f(1).text", WEAKER, STRONGER),
    ("assert 'b c' in f(1)", "assert 'b' in f(1)", UNKNOWN, CHANGED),  # of a list this would be another item
    ("assert 'b' not in f(1).text", "assert 'b c' not in f(1).text", WEAKER, STRONGER),
    ("assert {1, 2} == f(1)", "assert f(1) == {2, 1}", EQUAL, EQUAL),
    ("assert f(1) == {'a': 1, 'b': 2}", "assert f(1) == {'b': 2, 'a': 1}", EQUAL, EQUAL),
    ("assert f(1) == 1 and g(2) == 2", "assert f(1) == 1 or g(2) == 2", WEAKER, STRONGER),
    ("assert f(1) == 1", "assert f(1) == 1 or g(2)", WEAKER, STRONGER),
    ("assert f(1) == 1", "assert f(1) == 1 or True", WEAKER, STRONGER),
    ("assert f(1) == 1 and g(2) == 2", "assert f(1) == 1", WEAKER, STRONGER),
    ("assert f(1) == 1 and g(2) == 2", "assert f(1) == 1\nassert g(2) == 2", EQUAL, EQUAL),
    ("assert not (f(1) == 1 or g(2) == 2)", "assert f(1) != 1\nassert g(2) != 2", EQUAL, EQUAL),
    ("assert not f(1) != 1", "assert f(1) == 1", EQUAL, EQUAL),
    ("assert all(p(x) for x in (1, 2))", "assert p(1)\nassert p(2)", EQUAL, EQUAL),
    ("assert all([p(1), p(2)])", "assert any([p(1), p(2)])", WEAKER, STRONGER),
    ("assert all(p(x) for x in f(1))", "assert any(p(x) for x in f(1))", UNKNOWN, UNKNOWN),
    ("assert all(p(x) for x in f(1))", "assert all(p(item) for item in f(1))", EQUAL, EQUAL),
    ("assert (f(1), g(2)) == (3, 4)", "assert f(1) == 3\nassert g(2) == 4", EQUAL, EQUAL),
    ("assert (f(1), g(2)) == (3, 4)", "assert f(1) == 3", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert (f(1) == 3, 'message')", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert 'f(1) == 3'", WEAKER, STRONGER),
    ("assert f(1) == 3", "assert True", WEAKER, STRONGER),
    ("assert len(f(1)) == 3", "assert len(f(1)) >= 0", WEAKER, STRONGER),
    ("assert f(1) == approx(2.0, abs=0.01)", "assert f(1) == approx(2.0, abs=0.1)", WEAKER, STRONGER),
    ("assert f(1) == approx(2.0, rel=1e-6)", "assert f(1) == approx(2.0, rel=1e-3)", WEAKER, STRONGER),
    ("assert f(1) == approx(g(), abs=0.01)", "assert f(1) == approx(g(), abs=0.1)", WEAKER, STRONGER),
    ("assert f(1) == 2.0", "assert f(1) == approx(2.0)", WEAKER, STRONGER),
    ("assert f(1) == g(1)", "assert f(1) == approx(g(1))", WEAKER, STRONGER),
    ("assert f(1) == approx(2.0)", "assert f(1) == approx(3.0)", CHANGED, CHANGED),
    ("assert math.isclose(f(1), g(), rel_tol=1e-9)", "assert math.isclose(f(1), g(), rel_tol=0.1)", WEAKER, STRONGER),
    ("np.testing.assert_allclose(f(1), g(), rtol=1e-7)", "np.testing.assert_allclose(f(1), g(), rtol=0.1)", WEAKER, STRONGER),
    ("assert f(1) == g(1)", "assert g(1) == f(1)", EQUAL, EQUAL),
    ("assert f(1) < g(1)", "assert g(1) > f(1)", EQUAL, EQUAL),
    ("assert f(1) < g(1)", "assert f(1) <= g(1)", WEAKER, STRONGER),
    ("assert f(1) == g(1)", "assert f(1) >= g(1)", WEAKER, STRONGER),
    ("assert f(1) < g(1)", "assert f(1) != g(1)", WEAKER, STRONGER),
    ("assert type(f(1)) == int", "assert type(f(1)) is int", EQUAL, EQUAL),
    ("assert f(1).x if a else f(1).y", "assert f(1).x if a else True", WEAKER, STRONGER),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "grade", "_back"), EXAMPLES, ids=lambda v: str(v)[:60])
def test_forwards(judged: Judge, before: str, after: str, grade: Grade, _back: Grade) -> None:
    assert judged(before, after).grade is grade


@pytest.mark.parametrize(("before", "after", "_grade", "back"), EXAMPLES, ids=lambda v: str(v)[:60])
def test_backwards(judged: Judge, before: str, after: str, _grade: Grade, back: Grade) -> None:
    assert judged(after, before).grade is back


def test_reason_shows_both_sides(judged: Judge) -> None:
    found: TestVerdict = judged("x = 1\nassert f(x) == 3", "assert f(1) >= 1")
    assert found.reason == "`assert f(x) == 3` became `assert f(1) >= 1`, which accepts more"
    assert (found.line_before, found.line_after) == (3, 2)
    assert found.test == "tests/test_product.py::test_it"


def test_a_predicate_split_in_two_is_proven_together(judged: Judge) -> None:
    assert judged("assert 3 <= f(1) <= 5", "assert f(1) >= 3\nassert f(1) <= 5").grade is Grade.EQUAL
    assert judged("assert 3 <= f(1) <= 5", "assert f(1) >= 3\nassert f(1) <= 6").grade is Grade.WEAKER
