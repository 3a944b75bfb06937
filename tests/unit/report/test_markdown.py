"""Markdown in which hostile text stays text, read by a real Markdown parser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from regreen.report.pages import markdown, markdown_cell, markdown_code, markdown_fence, markdown_text
from regreen.report.view import build
from regreen.report.visible import shown, visible_block
from regreen.run.record import RunRecord

PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
texts = st.text(st.sampled_from("ab_*`|[]()<>&#~!\\@:/\n-+. \t\"'{}=$1x\u202e"), max_size=30)


def tokens(text: str) -> list[Token]:
    found = []
    for token in PARSER.parse(text):
        found.append(token)
        found += token.children or []
    return found


def content(found: list[Token], kind: str = "text") -> str:
    return "".join(token.content for token in found if token.type == kind)


@given(texts)
def test_text_is_read_back_as_it_was(text: str) -> None:
    found = tokens(f"x {markdown_text(text)} x")

    assert {token.type for token in found} == {"paragraph_open", "inline", "paragraph_close", "text"} | (
        {"text_special"} & {token.type for token in found}
    )
    assert content(found) == f"x {shown(text)} x"


@given(texts)
def test_code_is_read_back_as_it_was(text: str) -> None:
    found = tokens(f"x {markdown_code(text)} x")

    assert content(found, "code_inline").strip(" ") == shown(text).strip(" ")
    assert content(found) == "x  x"


@given(texts)
def test_a_cell_stays_one_cell(text: str) -> None:
    found = tokens(f"| a | b |\n| --- | --- |\n| {markdown_cell(text)} | {markdown_text(text)} |\n")

    assert [token.type for token in found].count("td_open") == 2
    assert content(found, "code_inline").strip(" ") == shown(text).strip(" ")


@given(texts)
@example("```\nx")
@example("````\n```")
def test_nothing_closes_a_fence_but_its_end(text: str) -> None:
    found = tokens(str(markdown_fence(text, "diff")) + "\n\nafter\n")

    assert (found[0].type, content(found)) == ("fence", "after")
    assert found[0].content == visible_block(text) + "\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("snake_case_name stays", "snake_case_name stays"),
        ("_emphasis_", r"\_emphasis\_"),
        ("https://x.example www.x.example", "https:&#47;&#47;x.example www&#46;x.example"),
        ("@all <b>&", "&#64;all &#60;b&#62;&#38;"),
    ],
)
def test_only_what_would_act_is_escaped(text: str, written: str) -> None:
    assert markdown_text(text) == written


def test_a_report_holds_no_link_no_image_no_html(record: RunRecord) -> None:
    found = tokens(markdown(build(record)))

    assert {token.type for token in found}.isdisjoint({"link_open", "image", "html_block", "html_inline"})
    assert content([token for token in found if token.type == "text"]).count("<img src=x onerror=alert(1)>") >= 4


def test_a_report_ticks_by_evidence_and_says_what_stays_open(record: RunRecord) -> None:
    text = markdown(build(record))

    assert "- [x] Every test is collected (PASS; E1). Evidence: 12 of 12 collected\n" in text
    assert "- [ ] A pass without evidence (UNKNOWN; A8). Missing: no evidence was recorded\n" in text
    assert "| `code.tests-assert-not-return` | FAIL | 3 | 1 | −66.7 % |  |\n" in text
    assert "- `staging.x`: not built\n" in text
    assert "- Plan: low risk; at most 100 changes in 50 files\n" in text
    assert "took 5.00 s, CPU 8.50 s, memory 123 MB\n" in text
    assert "Next step: `invoke remediate --phase 2`\n" in text
    assert "\n-    return '</script><script>alert(1)</script>' == \\u202ex\n" in text


def test_an_empty_run_says_so_in_every_part(record: RunRecord) -> None:
    empty = replace(
        record, changes=(), refusals=(), dropped=(), decisions=(), suppressed=(), remaining=(), not_built=(), tests=None,
        checklist=(), after=replace(record.after, verdicts=()), before=replace(record.before, verdicts=()),
    )  # fmt: skip

    text = markdown(build(empty))

    for line in (
        "Nothing was changed.",
        "No remedy refused.",
        "No decision on file was used.",
        "No finding is set aside.",
        "No open finding remains.",
        "**Unknown**: changed, not executed.",
        "The plan lists no boxes for this phase.",
        "No earlier run of this target is on record, so there is no trend yet.",
    ):
        assert f"\n{line}\n" in text
    assert "\n\n\n" not in text
