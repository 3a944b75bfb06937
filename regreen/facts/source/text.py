"""From bytes to what the parser counts in, and back: encodings, byte order marks, line ends, offsets."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from functools import cached_property
from typing import Final

_COOKIE: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK: Final = re.compile(rb"^[ \t\f]*(?:#.*)?$")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


class UndecodableError(ValueError):
    """The bytes are not text in the encoding that the file declares (PEP 263)."""


def encoding(source: bytes) -> str:
    """The encoding of a Python file by its byte order mark or its PEP 263 comment; UTF-8 without either.

    Raises UndecodableError for an unknown encoding, or a mark that contradicts the comment.
    """
    marked = source.startswith(codecs.BOM_UTF8)
    head = _LINE_END.split(source[3:] if marked else source, maxsplit=2)[:2]
    for number, line in enumerate(head):
        match = _COOKIE.match(line)
        if match:
            name = match[1].decode("ascii", "replace")
            try:
                codec = codecs.lookup(name).name
            except (LookupError, ValueError):
                raise UndecodableError(f"unknown encoding {name!r}") from None
            if marked and codec not in ("utf-8", "utf-8-sig"):
                raise UndecodableError(f"a UTF-8 byte order mark, but the comment says {name!r}")
            return "utf-8" if codec == "utf-8-sig" else codec
        if number == 0 and not _BLANK.match(line):
            break
    return "utf-8"


def utf8(source: bytes) -> bytes:
    """The file as UTF-8 without a byte order mark: what `ast` counts columns in.

    Raises UndecodableError with the offset of the first bad byte.
    """
    body = source.removeprefix(codecs.BOM_UTF8)
    if body.isascii() and b"coding" not in body[:400]:
        return body
    name = encoding(source)
    try:
        text = body.decode(name)
    except (UnicodeDecodeError, LookupError) as error:
        raise UndecodableError(f"not {name}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a codec may raise what it likes; the file is then unreadable
        raise UndecodableError(f"codec {name!r} failed: {error}") from None
    if not isinstance(text, str):  # pragma: no cover - codecs such as rot13 are refused by decode()
        raise UndecodableError(f"{name!r} is not a text encoding")
    return body if name == "utf-8" else text.encode("utf-8", "surrogatepass")


class SourceText:
    """A Python file's bytes with offsets for `ast` positions. All offsets are into the original bytes."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.encoding = encoding(source)
        self._bom = len(codecs.BOM_UTF8) if source.startswith(codecs.BOM_UTF8) else 0

    @cached_property
    def _starts(self) -> list[int]:
        return [self._bom, *(match.end() for match in _LINE_END.finditer(self.source))]

    @cached_property
    def newline(self) -> bytes:
        """The file's first line end, or a line feed where there is none."""
        match = _LINE_END.search(self.source)
        return match[0] if match else b"\n"

    def offset(self, line: int, column: int) -> int:
        """The byte offset of an `ast` position (line from 1, column in UTF-8 bytes from 0)."""
        start = self._starts[line - 1]
        if self.encoding in ("utf-8", "ascii", "iso8859-1") and self.encoding != "iso8859-1":
            return start + column
        text = self.line(line).decode(self.encoding)
        return start + len(text.encode("utf-8")[:column].decode("utf-8").encode(self.encoding))

    def line(self, number: int) -> bytes:
        """One line's bytes without its line end."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self.source)
        return self.source[start:end].rstrip(b"\r\n")

    def line_start(self, number: int) -> int:
        """The offset of a line's first byte; one past the last line is the end of the file."""
        return self._starts[number - 1] if number <= len(self._starts) else len(self.source)

    def line_of(self, offset: int) -> int:
        """The line (from 1) that holds a byte offset."""
        return max(1, bisect_right(self._starts, offset))

    def indent(self, number: int) -> bytes:
        """The leading white space of a line."""
        line = self.line(number)
        return line[: len(line) - len(line.lstrip(b" \t\f"))]

    def between(self, start: tuple[int, int], end: tuple[int, int]) -> bytes:
        """The bytes between two `ast` positions."""
        return self.source[self.offset(*start) : self.offset(*end)]

    def encode(self, text: str) -> bytes:
        """Text in the file's encoding, with the file's line ends."""
        return text.replace("\n", self.newline.decode()).encode(self.encoding)
