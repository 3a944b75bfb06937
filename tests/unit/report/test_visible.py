"""Nothing hides in a report, and nothing breaks its format."""

from __future__ import annotations

import json
import unicodedata
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.report.visible import encodable, plain, shown, visible, visible_block


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\udcffb", r"a\xffb"),  # the byte 0xff of a file name
        ("\ud800", r"\ud800"),
        ("a\u202eb\u2066", r"a\u202eb\u2066"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("\x1b[31m\x00\x7f", r"\x1b[31m\x00\x7f"),
        ("\x85\u2028", r"\u0085\u2028"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\ue000\ufffe\U000e0041", r"\ue000\ufffe\U000e0041"),
        ("\xad", r"\u00ad"),
        ("plain / ünïcode 漢字 🎉 <&>", "plain / ünïcode 漢字 🎉 <&>"),
        ("", ""),
    ],
)
def test_hidden_characters_show_as_escapes(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_block_keeps_its_lines_and_tabs_only() -> None:
    assert visible_block("a\tb\r\n\x0c\u202e") == "a\tb\\r\n\\x0c\\u202e"


def test_a_secret_does_not_show() -> None:
    key = "sk_live_" + "a1B2" * 6

    assert shown(f"key {key}\n") == "key [redacted]\\n"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"], include_characters="\udc80\u202e\x00")))
def test_whatever_comes_in_what_goes_out_is_printable_and_fits_xml(text: str) -> None:
    out = visible(text)

    out.encode("utf-8")
    assert {unicodedata.category(c) for c in out}.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
    element = ET.Element("a", b=out)
    assert ET.fromstring(ET.tostring(element, "utf-8")).get("b") == out


def test_json_loses_lone_surrogates_and_nothing_else() -> None:
    value = {"a\udcff": ["\ud800", ("é\u202e\x00", 1, None, True)]}

    assert plain(value) == {r"a\xff": [r"\ud800", ["é\u202e\x00", 1, None, True]]}
    assert encodable("é\u202e\x00") == "é\u202e\x00"
    assert "\\ud800" not in json.dumps(plain(["\ud800"])).replace("\\\\", "")
