"""The diff of one change, checked against git applying it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.facts.source import MemoryTree
from regreen.model import Change, OverlapError, Splice, splice
from regreen.run.hunks import change_diff


def diff(before: bytes, *splices: tuple[int, int, bytes]) -> str:
    items = tuple(Splice("a.py", *item) for item in splices)
    return change_diff(MemoryTree({"a.py": before}), Change("r", "s", "t", (), items))


def test_one_line_with_its_context() -> None:
    text = b"".join(b"%d\n" % number for number in range(1, 10))

    assert diff(text, (8, 9, b"five")) == (
        "--- a/a.py\n+++ b/a.py\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
    )


def test_far_splices_make_two_hunks_with_shifted_numbers() -> None:
    text = b"".join(b"%02d\n" % number for number in range(1, 31))

    printed = diff(text, (3, 6, b"x\ny\n"), (75, 78, b""))

    assert [line for line in printed.splitlines() if line.startswith("@@")] == ["@@ -1,5 +1,6 @@", "@@ -23,7 +24,6 @@"]


def test_a_new_file_and_a_missing_newline() -> None:
    change = Change("r", "s", "t", (), (Splice("a.py", 0, 1, b"y"),), (("new.py", b"n\n"),))

    assert change_diff(MemoryTree({"a.py": "x"}), change) == (
        "--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,1 @@\n-x\n\\ No newline at end of file\n+y\n\\ No newline at end of file\n"
        "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1,1 @@\n+n\n"
    )


@pytest.mark.parametrize("content", [b"a\r\nb\r\n", b"a\rb\n", b"\xff\n"])
def test_odd_bytes_do_not_break_lines(content: bytes) -> None:
    printed = diff(content, (0, 1, b"z"))

    assert printed.count("\n-") == printed.count("\n+z") == 1


LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"\n", b"c d\n"]), max_size=30).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(LINES, st.booleans(), st.data())
def test_git_applies_it_and_gets_the_same_bytes(body: bytes, final: bool, data: st.DataObject) -> None:
    before = body if final else body.rstrip(b"\n")
    size = len(before)
    spans = data.draw(st.lists(st.tuples(st.integers(0, size), st.integers(0, size)), max_size=3))
    new = data.draw(st.lists(st.sampled_from([b"", b"X", b"X\nY\n", b"\n"]), min_size=3, max_size=3))
    items = [Splice("a.py", min(span), max(span), text) for span, text in zip(spans, new, strict=False)]
    try:
        after = splice(before, items)
    except OverlapError:
        return
    printed = change_diff(MemoryTree({"a.py": before}), Change("r", "s", "t", (), tuple(items)))

    if after == before:
        assert printed == ""
    elif after and before:  # an empty file on one side is said as /dev/null by git
        assert _applied(before, printed) == after


def _applied(before: bytes, printed: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.py").write_bytes(before)
        subprocess.run(
            ("git", "apply", "--unidiff-zero", "--whitespace=nowarn", "-"),
            cwd=folder, input=printed.encode(), check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        return (folder / "a.py").read_bytes()
