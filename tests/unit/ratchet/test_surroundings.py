"""Helpers, fixtures, classes and files around a test; tests that moved."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

from regreen.ratchet import Comparison, Grade, TestVerdict, compare

Judge = Callable[[str, str], TestVerdict]

EQUAL, WEAKER, STRONGER = Grade.EQUAL, Grade.WEAKER, Grade.STRONGER
CHANGED, UNKNOWN = Grade.CHANGED, Grade.UNKNOWN
ADDED, REMOVED = Grade.ADDED, Grade.REMOVED


def files(**texts: str) -> dict[str, bytes]:
    return {f"tests/{name}.py": dedent(text).encode() for name, text in texts.items()}


def grades(comparison: Comparison) -> dict[str, Grade]:
    return {verdict.test.removeprefix("tests/"): verdict.grade for verdict in comparison.tests}


CALLS = "def test_it():\n    check(f(1), 3)\n"
HELPER = "def check(actual, expected):\n    assert actual == expected\n"

SAME_FILE: list[tuple[str, str, str, Grade]] = [
    ("inlined", HELPER + CALLS, "def test_it():\n    assert f(1) == 3\n", EQUAL),
    ("extracted", "def test_it():\n    assert f(1) == 3\n", HELPER + CALLS, EQUAL),
    ("weakened", HELPER + CALLS, HELPER.replace("==", ">=") + CALLS, WEAKER),
    ("emptied", HELPER + CALLS, "def check(actual, expected):\n    pass\n" + CALLS, WEAKER),
    ("strengthened", HELPER + CALLS, HELPER + "    assert actual.ok\n" + CALLS, STRONGER),
    ("two levels", "def test_it():\n    assert f(1) == 3\n", HELPER + "def outer(x):\n    check(x, 3)\ndef test_it():\n    outer(f(1))\n", EQUAL),
    ("argument changed", HELPER + CALLS, HELPER + CALLS.replace("3", "4"), CHANGED),
    ("keyword arguments", HELPER + CALLS, HELPER + "def test_it():\n    check(expected=3, actual=f(1))\n", EQUAL),
    ("default argument", "def check(x, n=3):\n    assert x == n\ndef test_it():\n    check(f(1))\n", "def test_it():\n    assert f(1) == 3\n", EQUAL),
    ("default changed", "def check(x, n=3):\n    assert x == n\ndef test_it():\n    check(f(1))\n", "def check(x, n=4):\n    assert x == n\ndef test_it():\n    check(f(1))\n", CHANGED),
    ("return helper extracted", "def test_it():\n    assert f(1).y == 3\n", "def get(n):\n    r = f(n)\n    return r.y\ndef test_it():\n    assert get(1) == 3\n", EQUAL),
    ("return helper constant", "def get(n):\n    return f(n)\ndef test_it():\n    assert get(1) == 3\n", "def get(n):\n    return 3\ndef test_it():\n    assert get(1) == 3\n", WEAKER),
    ("return helper negates", "def get(n):\n    return f(n)\ndef test_it():\n    assert get(1)\n", "def get(n):\n    return not f(n)\ndef test_it():\n    assert get(1)\n", UNKNOWN),
    ("local double", "def test_it():\n    c = Client()\n    assert c.get()\n", "class FakeClient:\n    def get(self):\n        return 1\ndef test_it():\n    c = FakeClient()\n    assert c.get()\n", UNKNOWN),
    ("module constant", "WANT = 3\ndef test_it():\n    assert f(1) == WANT\n", "def test_it():\n    assert f(1) == 3\n", EQUAL),
    ("module constant changed", "WANT = 3\ndef test_it():\n    assert f(1) == WANT\n", "WANT = 4\ndef test_it():\n    assert f(1) == WANT\n", CHANGED),
    ("import alias", "import product as p\ndef test_it():\n    assert p.f(1) == 3\n", "from product import f\ndef test_it():\n    assert f(1) == 3\n", EQUAL),
    ("import elsewhere in the product", "from product.a import f\ndef test_it():\n    x = f(1)\n    assert x == 3\n", "from product.b import f\ndef test_it():\n    x = f(1)\n    assert x == 3\n", EQUAL),
    ("import of a fake", "from product import f\ndef test_it():\n    x = f(1)\n    assert x == 3\n", "from product.fakes import f\ndef test_it():\n    x = f(1)\n    assert x == 3\n", UNKNOWN),
    ("backport", "import mock\ndef test_it():\n    assert f(mock.ANY) == 3\n", "from unittest import mock\ndef test_it():\n    assert f(mock.ANY) == 3\n", EQUAL),
    ("import unused", "import os\ndef test_it():\n    assert f(1) == 3\n", "def test_it():\n    assert f(1) == 3\n", EQUAL),
    ("fixture extracted", "def test_it():\n    c = Client(1)\n    assert c.get() == 3\n", "@pytest.fixture\ndef c():\n    return Client(1)\ndef test_it(c):\n    assert c.get() == 3\n", EQUAL),
    ("fixture of a constant changed", "@pytest.fixture\ndef want():\n    return 3\ndef test_it(want):\n    assert f(1) == want\n", "@pytest.fixture\ndef want():\n    return 4\ndef test_it(want):\n    assert f(1) == want\n", CHANGED),
    ("fixture that checks", "@pytest.fixture\ndef c():\n    yield f(1)\n    assert clean()\ndef test_it(c):\n    assert c == 3\n", "@pytest.fixture\ndef c():\n    yield f(1)\ndef test_it(c):\n    assert c == 3\n", WEAKER),
    ("setUp", "class T(TestCase):\n    def setUp(self):\n        self.c = Client(1)\n    def test_it(self):\n        self.assertEqual(self.c.get(), 3)\n",
     "class T(TestCase):\n    def test_it(self):\n        c = Client(1)\n        self.assertEqual(c.get(), 3)\n", EQUAL),
    ("setUp constant", "class T(TestCase):\n    def setUp(self):\n        self.c = Client(1).get()\n    def test_it(self):\n        self.assertEqual(self.c, 3)\n",
     "class T(TestCase):\n    def setUp(self):\n        self.c = 3\n    def test_it(self):\n        self.assertEqual(self.c, 3)\n", WEAKER),
    ("method helper", "class T(TestCase):\n    def same(self, a, b):\n        self.assertEqual(a, b)\n    def test_it(self):\n        self.same(f(1), 3)\n",
     "class T(TestCase):\n    def test_it(self):\n        self.assertEqual(f(1), 3)\n", EQUAL),
    ("inherited helper weakened", "class B(TestCase):\n    def same(self, a, b):\n        self.assertEqual(a, b)\nclass T(B):\n    def test_it(self):\n        self.same(f(1), 3)\n",
     "class B(TestCase):\n    def same(self, a, b):\n        self.assertTrue(a)\nclass T(B):\n    def test_it(self):\n        self.same(f(1), 3)\n", WEAKER),
    ("tearDown check dropped", "class T(TestCase):\n    def tearDown(self):\n        self.assertFalse(leaks())\n    def test_it(self):\n        self.assertTrue(f(1))\n",
     "class T(TestCase):\n    def test_it(self):\n        self.assertTrue(f(1))\n", WEAKER),
    ("class to functions", "class TestA:\n    def test_it(self):\n        assert f(1) == 3\n", "def test_it():\n    assert f(1) == 3\n", EQUAL),
    ("renamed", "def test_it():\n    assert f(1) == 3\n", "def test_three():\n    assert f(1) == 3\n", EQUAL),
    ("renamed and more", "def test_it():\n    assert f(1) == 3\n", "def test_three():\n    assert f(1) == 3\n    assert g(2)\n", STRONGER),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "grade"), [row[1:] for row in SAME_FILE], ids=[row[0] for row in SAME_FILE]
)
def test_same_file(judged: Judge, before: str, after: str, grade: Grade) -> None:
    assert judged(before, after).grade is grade


IMPORTING = "from .support import check\n" + CALLS


def test_a_helper_in_another_file_counts() -> None:
    weaker = compare(
        files(test_a=IMPORTING, support=HELPER), files(test_a=IMPORTING, support=HELPER.replace("==", ">="))
    )
    assert grades(weaker) == {"test_a.py::test_it": WEAKER, "support.py::check": WEAKER}
    inlined = compare(files(test_a=IMPORTING, support=HELPER), files(test_a="def test_it():\n    assert f(1) == 3\n"))
    assert grades(inlined)["test_a.py::test_it"] is EQUAL


def test_an_unchanged_helper_is_read_from_the_context() -> None:
    context = files(support=HELPER).get
    after = files(test_a="def test_it():\n    assert f(1) == 3\n")
    assert grades(compare(files(test_a=IMPORTING), after, context_before=context)) == {"test_a.py::test_it": EQUAL}
    assert grades(compare(files(test_a=IMPORTING), after)) == {"test_a.py::test_it": UNKNOWN}


def test_a_changed_helper_is_graded_for_the_tests_of_other_files() -> None:
    result = compare(files(support=HELPER), files(support="def check(actual, expected):\n    actual\n"))
    assert grades(result) == {"support.py::check": WEAKER}


def test_a_fixture_that_hands_out_a_mock() -> None:
    before = "@pytest.fixture\ndef client():\n    return Client()\n"
    after = "@pytest.fixture\ndef client():\n    return MagicMock()\n"
    assert grades(compare(files(conftest=before), files(conftest=after))) == {"conftest.py::client": WEAKER}
    assert grades(compare(files(conftest=after), files(conftest=before))) == {}


def test_a_collection_hook_needs_a_person() -> None:
    hook = "def pytest_collection_modifyitems(items):\n    items[:] = items[{}:]\n"
    result = compare(files(conftest=hook.format(0)), files(conftest=hook.format(1)))
    assert grades(result) == {"conftest.py::pytest_collection_modifyitems": UNKNOWN}


TEST = "def test_it():\n    assert f(1) == 3\n"
OTHER = "def test_other():\n    assert g(2) == 4\n"


def test_moved_to_another_file() -> None:
    result = compare(files(test_a=TEST + OTHER, test_b=""), files(test_a=OTHER, test_b=TEST))
    assert grades(result) == {"test_a.py::test_other": EQUAL, "test_b.py::test_it": EQUAL}
    moved = next(v for v in result.tests if v.test.endswith("test_it"))
    assert moved.reason == "moved from tests/test_a.py::test_it; the same obligations"


def test_removed_and_added() -> None:
    result = compare(files(test_a=TEST), files(test_a=OTHER))
    assert grades(result) == {"test_a.py::test_it": REMOVED, "test_a.py::test_other": ADDED}
    assert (
        next(v for v in result.tests if v.grade is REMOVED).reason == "the test is gone, and with it `assert f(1) == 3`"
    )


def test_renamed_with_another_expectation_is_removed() -> None:
    result = compare(files(test_a=TEST), files(test_a="def test_four():\n    assert f(1) == 4\n"))
    assert grades(result) == {"test_a.py::test_it": REMOVED, "test_a.py::test_four": ADDED}


def test_a_deleted_file_removes_its_tests() -> None:
    assert grades(compare(files(test_a=TEST + OTHER), {})) == {
        "test_a.py::test_it": REMOVED,
        "test_a.py::test_other": REMOVED,
    }


def test_a_new_file_adds_tests() -> None:
    assert grades(compare({}, files(test_a=TEST))) == {"test_a.py::test_it": ADDED}


def test_two_tests_merged_into_cases() -> None:
    before = files(test_a="def test_one():\n    assert f(1) == 2\ndef test_two():\n    assert f(3) == 4\n")
    after = files(
        test_a="@pytest.mark.parametrize('x, y', [(1, 2), (3, 4)])\ndef test_all(x, y):\n    assert f(x) == y\n"
    )
    assert set(grades(compare(before, after)).values()) <= {EQUAL, STRONGER}
    short = files(test_a="@pytest.mark.parametrize('x, y', [(1, 2)])\ndef test_all(x, y):\n    assert f(x) == y\n")
    assert REMOVED in grades(compare(before, short)).values()


@pytest.mark.parametrize(
    "after",
    [
        "def _test_it():\n    assert f(1) == 3\n",
        "def check_it():\n    assert f(1) == 3\n",
        TEST + "del test_it\n",
        TEST + "test_it = None\n",
        "def outer():\n    def test_it():\n        assert f(1) == 3\n",
        "if False:\n    def test_it():\n        assert f(1) == 3\n",
        "@pytest.fixture\ndef test_it():\n    assert f(1) == 3\n",
        "class Suite:\n    def test_it(self):\n        assert f(1) == 3\n",
        "class TestSuite:\n    __test__ = False\n    def test_it(self):\n        assert f(1) == 3\n",
    ],
)
def test_no_longer_collected(after: str) -> None:
    assert grades(compare(files(test_a=TEST), files(test_a=after))) == {"test_a.py::test_it": REMOVED}


def test_a_second_test_of_the_same_name_hides_the_first() -> None:
    hidden = compare(files(test_a=TEST), files(test_a=TEST + "def test_it():\n    assert g(2)\n"))
    assert grades(hidden) == {"test_a.py::test_it": WEAKER}


def test_files_that_do_not_parse_are_unknown() -> None:
    result = compare(files(test_a=TEST, test_b=TEST), files(test_a="def test_it(:\n", test_b=TEST))
    assert grades(result) == {"test_a.py": UNKNOWN, "test_b.py::test_it": EQUAL}
    assert "does not parse" in result.tests[0].reason
    assert "after the change" in result.tests[0].reason


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"# coding: nonsense\n", b"x = '\xff'\n", b"a\0b"])
def test_bytes_that_cannot_be_read_are_unknown(data: bytes) -> None:
    assert grades(compare(files(test_a=TEST), {"tests/test_a.py": data})) == {"test_a.py": UNKNOWN}


def test_encodings_and_line_ends_change_nothing() -> None:
    text = "def test_it():\n    assert f('é') == 'ü'\n"
    variants = [
        text.encode(), b"\xef\xbb\xbf" + text.encode(), text.replace("\n", "\r\n").encode(),
        b"# -*- coding: latin-1 -*-\n" + text.encode("latin-1"),
    ]  # fmt: skip
    for variant in variants:
        assert grades(compare({"tests/test_a.py": variants[0]}, {"tests/test_a.py": variant})) == {
            "test_a.py::test_it": EQUAL
        }


def test_files_that_are_no_tests_are_said() -> None:
    result = compare({"product/core.py": b"x = 1\n"}, {"product/core.py": b"x = 2\n"})
    assert (result.tests, [(s.path, s.reason) for s in result.skipped]) == (
        (),
        [("product/core.py", "not a Python test file")],
    )
