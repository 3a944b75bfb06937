"""The page: complete, escaped, and closed to the world. What a browser makes of it: test_browser.py."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

from regreen.report.pages import LISTED, SECTIONS, html
from regreen.report.view import build
from regreen.run.record import RunRecord

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page in order, with a check that each is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.found}


@pytest.fixture
def text(record: RunRecord) -> str:
    return html(build(record))


def test_every_element_is_closed_and_none_can_act(text: str) -> None:
    page = Page(text)

    assert page.stack == []
    assert page.tags().isdisjoint({"script", "img", "link", "iframe", "object", "form", "b", "base"})
    attributes = {name for _, attrs in page.found for name in attrs}
    assert not {name for name in attributes if name.startswith("on")} | (attributes & {"src", "style", "action"})
    assert {attrs["href"] for tag, attrs in page.found if "href" in attrs} == {f"#{anchor}" for anchor, _ in SECTIONS}


def test_the_policy_lets_in_one_style_sheet_and_nothing_else(text: str) -> None:
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    policy = next(a["content"] for _, a in Page(text).found if a.get("http-equiv") == "Content-Security-Policy")

    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_text_is_shown_not_obeyed(text: str) -> None:
    shown = "".join(Page(text).text)

    assert r"tests/</script><b>\xff\x1b[31m\n`|a`\u202e.py:1" in shown
    assert r"<img src=x onerror=alert(1)> ]]> {0} [x](javascript:alert(1)) `|` \x00\x08\ufffe\ud800" in shown
    assert r"-    return '</script><script>alert(1)</script>' == \u202ex" in shown
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text) is None


def test_headings_are_in_order_and_every_anchor_is_there(text: str) -> None:
    page = Page(text)
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(ids) == len(set(ids))
    assert {anchor for anchor, _ in SECTIONS} <= set(ids)


def test_what_scrolls_can_be_reached_by_keyboard_and_has_a_name(text: str) -> None:
    scrolling = [attrs for tag, attrs in Page(text).found if tag == "pre" or attrs.get("class") == "scroll"]

    assert len(scrolling) == 6
    assert all(attrs["tabindex"] == "0" and attrs["role"] == "region" and attrs["aria-label"] for attrs in scrolling)


def test_a_long_list_is_cut_and_says_so(record: RunRecord) -> None:
    many = tuple(replace(record.remaining[0], observed=f"number {n};") for n in range(LISTED + 3))

    text = html(build(replace(record, remaining=many)))

    assert f"number {LISTED - 1};" in text
    assert f"number {LISTED};" not in text
    assert "… and 3 more: all are in report.json." in text
    assert f"Remaining work ({LISTED + 3})" in text


def test_a_dry_run_says_that_nothing_was_written(record: RunRecord, text: str) -> None:
    assert "Nothing was written: these are the changes" not in text
    assert "Nothing was written: these are the changes" in html(build(replace(record, dry_run=True, head="")))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *((ink, paper) for ink in ("ink", "dim", "link") for paper in ("page", "card", "code")),
        *((mood, f"{mood}-back") for mood in ("good", "bad", "open")),
        *((mood, "card") for mood in ("good", "bad")),
        ("hunk", "code"),
    ],
)
def test_text_stands_out_from_what_it_is_on(scheme: int, ink: str, paper: str) -> None:
    style = files("regreen.report").joinpath("templates", "report.css").read_text("utf-8")
    palette = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]))

    low, high = sorted(luminance(palette[name]) for name in (ink, paper))

    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.2, 1.4.3, level AA
