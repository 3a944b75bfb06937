"""Columns are characters from 1, whatever the encoding, the line ends and the marks of the file."""

from __future__ import annotations

import hashlib

import pytest

from regreen.model import Span, Splice
from regreen.report.regions import Source, artifact, deleted, region, source


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("src/app.py", "src/app.py"),
        ("a b/ü%.py", "a%20b/%C3%BC%25.py"),
        ("a\udcff.py", "a%FF.py"),
        ("c:x?#.py", "c%3Ax%3F%23.py"),  # RFC 3986, 4.2: a colon in a first segment would start a scheme
        ("</script>\n.py", "%3C/script%3E%0A.py"),
    ],
)
def test_a_path_becomes_a_relative_reference(path: str, uri: str) -> None:
    assert artifact(path) == {"uri": uri, "uriBaseId": "%SRCROOT%"}


@pytest.mark.parametrize(
    ("content", "span", "columns"),
    [
        ("x = 'ä€😀'; y\n".encode(), Span("f", 1, 17, 1, 18), (12, 13)),
        (b"\xef\xbb\xbfab\n", Span("f", 1, 1, 1, 2), (2, 3)),
        ("# coding: latin-1\né = a\n".encode("latin-1"), Span("f", 2, 5, 2, 6), (5, 6)),
        (b"a\r\nbcd\r\n", Span("f", 2, 1, 2, 3), (2, 4)),
        (b"a\rbcd\r", Span("f", 2, 1, 2, 3), (2, 4)),
        (b"a\x0cb\x1cc\nxyz\n", Span("f", 2, 0, 2, 3), (1, 4)),
    ],
)
def test_columns_count_characters_from_one(content: bytes, span: Span, columns: tuple[int, int]) -> None:
    found = region(span, Source(content))

    assert found == {"startLine": span.line, "startColumn": columns[0], "endColumn": columns[1]}


def test_a_region_over_several_lines_has_its_last_column_on_the_last_line() -> None:
    found = region(Span("f", 1, 1, 2, 3), Source("aé\nüb\n".encode()))

    assert found == {"startLine": 1, "endLine": 2, "startColumn": 2, "endColumn": 3}


def test_without_text_or_extent_a_region_keeps_to_lines() -> None:
    assert region(Span("f", 2, 1, 3, 3), None) == {"startLine": 2, "endLine": 3}
    assert region(Span("f", 2), Source(b"a\nb\n")) == {"startLine": 2}
    assert region(Span("f"), Source(b"a\nb\n")) is None


def test_a_file_that_changed_since_is_not_believed() -> None:
    content = b"a = 1\n"
    digest = hashlib.sha1(b"blob 6\0" + content).hexdigest()
    long = hashlib.sha256(b"blob 6\0" + content).hexdigest()

    assert source(lambda _: content, "f", digest) is not None
    assert source(lambda _: content, "f", long) is not None
    assert source(lambda _: content + b"#", "f", digest) is None


@pytest.mark.parametrize("content", [b"\xff\xfe", b"# coding: no-such-codec\n", b"# coding: utf-8\n\xe9\n"])
def test_a_file_that_does_not_decode_has_no_text(content: bytes) -> None:
    assert source(lambda _: content, "f") is None


def test_a_file_that_is_gone_has_no_text() -> None:
    def gone(path: str) -> bytes:
        raise FileNotFoundError(path)

    assert source(gone, "f") is None
    assert source(None, "f") is None


def test_a_splice_is_placed_in_bytes_and_in_characters() -> None:
    content = b"\xef\xbb\xbf" + "ä = 1\r\nreturn ü\r\n".encode()
    start = content.index(b"return")

    found = deleted(Splice("f", start, start + len("return ü".encode()), b""), Source(content))

    assert found == {
        "startLine": 2,
        "startColumn": 1,
        "endLine": 2,
        "endColumn": 9,
        "byteOffset": 11,
        "byteLength": 9,
    }
    assert deleted(Splice("f", 4, 4, b""), Source(content)) == {"byteOffset": 4, "byteLength": 0}
    assert deleted(Splice("f", 4, 6, b""), None) == {"byteOffset": 4, "byteLength": 2}
