"""One pass finds exactly what looking for each text alone finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regreen.facts.source.needles import Needles

BYTES = st.binary(max_size=60) | st.text(alphabet="abc.(", max_size=60).map(str.encode)


@given(BYTES, st.lists(st.text(alphabet="abcé.(*\\", min_size=1, max_size=4), max_size=8))
def test_found_is_what_in_says(source: bytes, texts: list[str]) -> None:
    assert Needles(texts).found(source) == {text.encode() for text in texts if text.encode() in source}


def test_texts_are_literal_and_bytes_are_bytes() -> None:
    needles = Needles(["a.c", "é", "(", "abc", "bc"])

    assert needles.found(b"xabcx") == {b"abc", b"bc"}
    assert needles.found("a.c é (".encode()) == {b"a.c", "é".encode(), b"("}
    assert needles.found("é".encode("latin-1")) == frozenset()
    assert needles.found(b"") == frozenset()
    assert Needles([]).found(b"abc") == frozenset()


def test_many_texts_in_a_large_file() -> None:
    texts = [f"word_{number}_" for number in range(300)]

    assert Needles(texts).found(b"x" * 2_000_000 + b"word_7_ word_299_") == {b"word_7_", b"word_299_"}
