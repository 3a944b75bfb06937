"""Another value or input, as precisely as before, is "changed"; whatever could hide a loosening is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regreen.ratchet import Grade, TestVerdict, compare

Judge = Callable[[str, str], TestVerdict]

CHANGED: list[tuple[str, str, str]] = [
    ("number", "assert f(1) == 3", "assert f(1) == 4"),
    ("text", "assert 'no such user' in f(1)", "assert 'unknown user x' in f(1)"),
    ("input", "assert f(1) == 3", "assert f(2) == 3"),
    ("both", "assert client.get('/a').status == 3", "assert client.get('/b').status == 5"),
    ("f-string", "assert f(1) == f'a {x} b'", "assert f(1) == f'a {y} b'"),
    ("literal with a name", "assert f(1) == {'a': x}", "assert f(1) == {'a': x, 'b': y}"),
    ("expected arguments", "r.assert_outcomes(passed=1, warnings=2)", "r.assert_outcomes(passed=1, warnings=3)"),
    ("mock arguments", "m.assert_called_once_with('a', b=1)", "m.assert_called_once_with('c', b=1)"),
    ("items", "assert f(1) == (x, 3)", "assert f(1) == (x, 4)"),
    ("same tolerance", "assert f(1) == approx(2.0, rel=0.01)", "assert f(1) == approx(3.0, rel=0.01)"),
]

OTHER: list[tuple[str, str, str, Grade]] = [
    ("shorter text", "assert 'no such user' in f(1)", "assert 'bad' in f(1)", Grade.UNKNOWN),
    ("wider tolerance elsewhere", "assert f(1) == approx(2.0, rel=0.01)", "assert f(1) == approx(3.0, rel=0.5)", Grade.WEAKER),
    ("other predicate", "assert f(1) == 3", "assert f(1) != 4", Grade.WEAKER),
    ("anything equals ANY", "assert f(1) == [x, 3]", "assert f(1) == [ANY, 4]", Grade.UNKNOWN),
    ("argument became ANY", "m.assert_called_once_with('a', b=x)", "m.assert_called_once_with('c', b=ANY)", Grade.UNKNOWN),
    ("expected argument dropped", "r.assert_outcomes(passed=1, failed=2)", "r.assert_outcomes(passed=2)", Grade.UNKNOWN),
    ("tolerance of an assertion by name", "assert_alike(f(1), 2, rtol=0.01)", "assert_alike(f(1), 3, rtol=0.5)", Grade.UNKNOWN),
    ("more wildcards", "r.fnmatch_lines(['*Error: a b*'])", "r.fnmatch_lines(['*Error*: *'])", Grade.UNKNOWN),
    ("expected from the product", "assert f(1) == {'a': x}", "assert f(1) == g(1)", Grade.UNKNOWN),
    ("compared with itself", "assert f(1) == {'a': x}", "assert f(1) == f(1)", Grade.UNKNOWN),
    ("another function", "assert client.get(1) == 3", "assert client.post(1) == 4", Grade.WEAKER),
    ("one more argument", "r.assert_outcomes(passed=1)", "r.assert_outcomes(passed=2, strict=False)", Grade.UNKNOWN),
    ("a looser option", "assert_frame_equal(f(1), x)", "assert_frame_equal(f(1), x, check_dtype=False)", Grade.UNKNOWN),
    ("a wider option", "assert_frame_equal(f(1), x, rtol=1e-5)", "assert_frame_equal(f(1), x, rtol=1)", Grade.UNKNOWN),
    ("truth of a call", "assert alike(f(1), 3)", "assert alike(f(1), 4)", Grade.UNKNOWN),
    ("an input that is a mock", "r = client.get(x)\nassert r == 3", "r = client.get(Mock())\nassert r == 4", Grade.UNKNOWN),
    ("an unread exception", "with raises(NarrowError):\n    f(1)", "with raises(OtherError):\n    f(1)", Grade.UNKNOWN),
    ("negation", "assert 'a' not in f(1)", "assert 'b' not in f(1)", Grade.UNKNOWN),
    ("with a guard", "assert f(1) == 3", "if x:\n    assert f(1) == 4", Grade.UNKNOWN),
    ("inside a try", "assert f(1) == 3", "try:\n    assert f(1) == 4\nexcept AssertionError:\n    pass", Grade.UNKNOWN),
    ("with an alternative", "assert f(1) == 3", "assert f(1) == 4 or x", Grade.UNKNOWN),
    ("one changed, one gone", "assert f(1) == 3\nassert g(1)", "assert f(1) == 4", Grade.WEAKER),
    ("an alternative value", "r = f(1)\nassert r == 3", "r = f(1)\nassert r == (x or y)", Grade.WEAKER),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [row[1:] for row in CHANGED], ids=[row[0] for row in CHANGED])
def test_changed(judged: Judge, before: str, after: str) -> None:
    assert judged(before, after).grade is Grade.CHANGED


@pytest.mark.parametrize(("before", "after", "grade"), [row[1:] for row in OTHER], ids=[row[0] for row in OTHER])
def test_not_merely_changed(judged: Judge, before: str, after: str, grade: Grade) -> None:
    assert judged(before, after).grade is grade


def rows(text: str, names: str = "'x, y'", args: str = "x, y") -> str:
    return f"@pytest.mark.parametrize({names}, {text})\ndef test_it({args}):\n    assert f(x) == y\n"


@pytest.mark.parametrize(
    ("before", "after", "grade"),
    [
        ("[(1, 2), (3, 4)]", "[(1, 2), (3, 5)]", Grade.CHANGED),
        ("[(1, {'a': z})]", "[(1, {'a': z, 'b': w})]", Grade.CHANGED),
        ("[(1, 2), (3, 4)]", "[(1, 2), (3, ANY)]", Grade.UNKNOWN),
        ("[(1, 2), (3, 4)]", "[(1, 2), (3, f(3))]", Grade.UNKNOWN),
        ("[(1, 2), (3, 4)]", "[(1, 2), (3, None)]", Grade.UNKNOWN),
        ("[(1, 2), (3, 4)]", "[(1, 2), pytest.param(3, 5, marks=pytest.mark.xfail)]", Grade.UNKNOWN),
        ("[(1, 2), (3, 4), (5, 6)]", "[(1, 2), (3, 5)]", Grade.WEAKER),
        ("itertools.product([1, 2], [3, 4])", "[(1, 3), (1, 4), (2, 3), (2, 4)]", Grade.EQUAL),
        ("itertools.product([1, 2], [3, 4])", "itertools.product([1, 2], [3])", Grade.WEAKER),
    ],
)
def test_cases(judged: Judge, before: str, after: str, grade: Grade) -> None:
    assert judged(rows(before), rows(after)).grade is grade


def test_product_written_as_two_marks(judged: Judge) -> None:
    product = rows("itertools.product([1, 2], [3, 4])")
    stacked = "@pytest.mark.parametrize('x', [1, 2])\n" + rows("[3, 4]", "'y'")
    assert judged(product, stacked).grade is Grade.EQUAL
    assert judged(product, stacked.replace("[3, 4]", "[3]")).grade is Grade.WEAKER


def test_percent_and_format_are_the_f_string(judged: Judge) -> None:
    old = "assert f(1) == 'a %s, %r' % (str(x), y)"
    assert judged(old, "assert f(1) == f'a {x}, {y!r}'").grade is Grade.EQUAL
    assert judged(old, "assert f(1) == 'a {}, {!r}'.format(x, y)").grade is Grade.EQUAL
    assert judged(old, "assert f(1) == f'a {x}, {y}'").grade is Grade.CHANGED
    assert judged("assert f(1) == 'a ' + x + ' b'", "assert f(1) == f'a {x} b'").grade is Grade.EQUAL
    assert judged("assert f(1) == 'a %s' % x", "assert f(1) == f'a {x}'").grade is not Grade.EQUAL  # x may be a tuple


HOLES: list[tuple[str, str, str, Grade]] = [
    ("a fake in place of the import", "from product import f\ndef test_it():\n    r = f(1)\n    assert r == 3\n",
     "f = lambda x: 3\ndef test_it():\n    r = f(1)\n    assert r == 3\n", Grade.UNKNOWN),
    ("fewer examples", "@settings(max_examples=50)\n@given(x=ints())\ndef test_it(x):\n    assert f(x)\n",
     "@settings(max_examples=5)\n@given(x=ints())\ndef test_it(x):\n    assert f(x)\n", Grade.WEAKER),
    ("more examples", "@given(x=ints())\ndef test_it(x):\n    assert f(x)\n",
     "@settings(max_examples=500)\n@given(x=ints())\ndef test_it(x):\n    assert f(x)\n", Grade.EQUAL),
    ("assume", "from hypothesis import assume\ndef test_it(x):\n    assert f(x)\n",
     "from hypothesis import assume\ndef test_it(x):\n    assume(x > 3)\n    assert f(x)\n", Grade.WEAKER),
    ("a limit that ends in silence", "assert f(1) == 3", "with anyio.move_on_after(1):\n    assert f(1) == 3", Grade.WEAKER),
    ("only the first item", "for x in xs:\n    assert f(x)", "for x in xs:\n    assert f(x)\n    break", Grade.UNKNOWN),
    ("the process ends", "r = f(1)\nassert r", "r = f(1)\nos._exit(0)\nassert r", Grade.WEAKER),
    ("fewer cases under fewer names",
     "@pytest.mark.parametrize('x, y', [(1, 2), (1, 4)])\ndef test_it(x, y):\n    r = f(x, y)\n    assert r == 3\n",
     "@pytest.mark.parametrize('x', [1])\ndef test_it(x):\n    r = f(x)\n    assert r == 3\n", Grade.WEAKER),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "grade"), [row[1:] for row in HOLES], ids=[row[0] for row in HOLES])
def test_holes(judged: Judge, before: str, after: str, grade: Grade) -> None:
    assert judged(before, after).grade is grade


CONFTEST = "import pytest\nfrom product import f\n@pytest.fixture\ndef r():\n    return f(1)\n"


@pytest.mark.parametrize(
    ("after", "grade"),
    [
        (CONFTEST + "# a comment\n", Grade.EQUAL),
        (CONFTEST.replace("    return", "    pytest.skip('x')\n    return"), Grade.WEAKER),
        (CONFTEST.replace("    return", "    if f(2):\n        pytest.skip('x')\n    return"), Grade.WEAKER),
        (CONFTEST.replace("f(1)\n", "3\n"), Grade.UNKNOWN),
        (CONFTEST + "@pytest.fixture(autouse=True)\ndef z():\n    pytest.skip('x')\n", Grade.WEAKER),
        (CONFTEST + "@pytest.fixture(autouse=True)\ndef z():\n    f(3)\n", Grade.EQUAL),
        (CONFTEST + "@pytest.fixture\ndef z():\n    pytest.skip('x')\n", Grade.EQUAL),
        (CONFTEST + "def pytest_collection_modifyitems(items):\n    items[:] = []\n", Grade.UNKNOWN),
        (CONFTEST + "collect_ignore = ['test_a.py']\n", Grade.WEAKER),
        (CONFTEST + "collect_ignore_glob = made()\n", Grade.UNKNOWN),
    ],
)
def test_conftest_speaks_for_tests_that_did_not_change(after: str, grade: Grade) -> None:
    before, edited = {"tests/conftest.py": CONFTEST.encode()}, {"tests/conftest.py": after.encode()}
    assert compare(before, edited).grade is grade
    if "fixture(" in after or "pytest_" in after or "collect_ignore" in after:
        assert compare({}, edited).grade is grade  # a new conftest is no better
