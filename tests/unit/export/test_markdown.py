"""Markdown for step summaries, read back with a CommonMark parser: nothing that was printed becomes markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from regreen import report
from regreen.export.markdown import LIMIT, MarkdownError, fenced, of_junit
from regreen.run.record import RunRecord

COMMONMARK = MarkdownIt("commonmark").enable("table")


def blocks(text: str) -> list[Token]:
    return COMMONMARK.parse(text)


@given(st.text(st.sampled_from("`~ \n\r\t#<>|a\x1b\u202e\ud800")), st.text(st.sampled_from("`#\n<a>")))
def test_a_fence_holds_whatever_was_printed(printed: str, title: str) -> None:
    found = blocks(fenced(f"x{title}", printed))

    assert [token.type for token in found] == ["heading_open", "inline", "heading_close", "fence"]
    assert found[-1].info == "text"


def test_lines_stand_in_the_fence_as_they_were_printed() -> None:
    printed = "  two changes\r\n```\n````x\n"

    assert blocks(fenced("Preview", printed))[-1].content == "  two changes\n```\n````x\n"
    assert blocks(fenced("Preview", ""))[-1].content == "(nothing was printed)\n"


def test_a_long_text_keeps_its_ends_and_fits_a_comment() -> None:
    printed = "first\n" + "\x1b" * LIMIT + "\nlast"

    text = fenced("Preview", printed)

    assert len(text) < 65_536
    assert "first\n" in text
    assert "\nlast\n" in text
    assert "characters are left out" in text


def test_secrets_and_control_characters_do_not_get_in() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----"

    text = fenced("Preview", f"key sk_live_{'a' * 24} \x1b[31m\u202e\n{key}")

    assert "sk_live" not in text
    assert "MIIEvQIBADANBg" not in text
    assert "key [redacted] \\x1b[31m\\u202e" in text


def test_junit_totals_and_red_tests(record: RunRecord, tmp_path: Path) -> None:
    paths = report.write(record, tmp_path)

    text = of_junit("unit <b>", paths["junit"])

    found = blocks(text)
    assert [token.type for token in found if token.type.startswith("table")] == ["table_open", "table_close"]
    assert "| 11 | 3 | 3 | 4.5 |" in text, "five conditions of the gate and twelve tests"
    assert "html" not in "".join(token.type for token in found)
    inside = [child for token in found for child in token.children or ()]
    assert not [child.type for child in inside if child.type in ("html_inline", "link_open", "image")]


def test_a_file_without_tests_and_a_file_that_is_none_are_said(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text("<testsuite/>")
    assert "**No test ran.**" in of_junit("unit", path)

    path.write_text("<testsuite>")
    with pytest.raises(MarkdownError, match=r"junit\.xml: not a JUnit file"):
        of_junit("unit", path)
    with pytest.raises(MarkdownError, match="nowhere"):
        of_junit("unit", tmp_path / "nowhere")


def test_many_red_tests_are_counted_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    case = '<testcase classname="t" name="n`{}" time="0.1"><failure message="a `b` &#10;c"/></testcase>'
    path.write_text(f"<testsuite>{''.join(case.format(n) for n in range(40))}</testsuite>")

    lines = of_junit("unit", path).splitlines()

    assert "- ``t::n`0``: ``a `b` \\nc``" in lines
    assert lines[-1] == "- … and 15 more"
