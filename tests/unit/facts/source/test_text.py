"""Encodings, byte order marks, line ends and offsets."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.facts.source.text import SourceText, UndecodableError, encoding, utf8

LATIN = "# -*- coding: latin-1 -*-\nname = 'Zoë'; other = 1\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"x = 1\n", "utf-8"),
        (b"\xef\xbb\xbfx = 1\n", "utf-8"),
        (b"# coding: latin-1\n", "iso8859-1"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n", "cp1252"),
        (b"\xef\xbb\xbf# coding: utf-8\n", "utf-8"),
        (b"x = 1\n# coding: latin-1\n", "utf-8"),  # the first line is code: the second no longer counts
        (b"\n\n# coding: latin-1\n", "utf-8"),  # third line
        (b"# coding: utf-8-sig\n", "utf-8"),
        (b"\r\n# coding: latin-1\r\n", "iso8859-1"),
    ],
)
def test_encoding_by_pep_263(source: bytes, expected: str) -> None:
    assert encoding(source) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"# coding: no-such-codec\n", "no-such-codec"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "byte order mark"),
        (b"x = '\xff'\n", "not utf-8"),
        (b"# coding: ascii\nx = '\xc3\xa9'\n", "not ascii"),
        (b"# coding: rot13\nx = 1\n", "not a text encoding"),
    ],
)
def test_what_cannot_be_decoded_says_why(source: bytes, message: str) -> None:
    with pytest.raises(UndecodableError, match=message):
        utf8(source)


def test_utf8_drops_the_mark_and_transcodes() -> None:
    assert utf8(b"\xef\xbb\xbfx = 1\n") == b"x = 1\n"
    assert utf8(LATIN.encode("latin-1")) == LATIN.encode()


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("codec", "mark", "cookie"),
    [
        ("utf-8", b"", ""),
        ("utf-8", b"\xef\xbb\xbf", ""),
        ("latin-1", b"", "# coding: latin-1\n"),
    ],
)
def test_offsets_find_the_same_text_in_every_dress(newline: str, codec: str, mark: bytes, cookie: str) -> None:
    text = f"{cookie}a = 'é' + ünder\nif a:\n    b = f(a, 'ö')\n"
    source = mark + text.replace("\n", newline).encode(codec)
    subject = SourceText(source)

    tree = ast.parse(utf8(source).decode())
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]

    for node in names:
        start = subject.offset(node.lineno, node.col_offset)
        end = subject.offset(node.end_lineno or 0, node.end_col_offset or 0)
        assert source[start:end].decode(codec) == node.id
    assert len(names) == 6
    assert subject.newline == newline.encode()
    assert subject.indent(3 + bool(cookie)) == b"    "
    assert subject.line_of(subject.line_start(2)) == 2


@given(st.text(alphabet="ab é\t'ü\U0001f600", max_size=20), st.sampled_from(["\n", "\r\n"]))
def test_an_offset_in_a_line_is_where_the_text_before_it_ends(before: str, newline: str) -> None:
    line = f"x = ({before!r}, here)"
    subject = SourceText(f"# first{newline}{line}{newline}".encode())
    column = len(line[: line.index("here)")].encode())

    start = subject.offset(2, column)

    assert subject.source[start : start + 4] == b"here"
