"""The form of the example tables: bodies of a test before and after a change, and what the ratchet says of them."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent, indent

import pytest

from regreen.ratchet import Comparison, TestVerdict, compare

PATH = "tests/test_product.py"
Judge = Callable[[str, str], TestVerdict]
Comparer = Callable[[str, str], Comparison]


def module_text(body: str) -> str:
    """A module around the body of a test; a text that defines tests already is taken as it is."""
    text = dedent(body).strip("\n")
    if "def test_" in text:
        return text + "\n"
    return "def test_it(client, tmp_path):\n" + indent(text or "pass", "    ") + "\n"


def compare_texts(before: str, after: str) -> Comparison:
    return compare({PATH: module_text(before).encode()}, {PATH: module_text(after).encode()})


@pytest.fixture
def compared() -> Comparer:
    """Compares one file given as two bodies or two module texts."""
    return compare_texts


@pytest.fixture
def judged() -> Judge:
    """The one verdict on the test of such a file; helpers are left out."""

    def judge(before: str, after: str) -> TestVerdict:
        found = [v for v in compare_texts(before, after).tests if v.test.rsplit("::", 1)[-1].startswith("test_")]
        assert len(found) == 1, [str(verdict) for verdict in found]
        return found[0]

    return judge
