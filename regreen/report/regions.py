"""Places in files as SARIF 2.1.0 counts them.

A `Span` counts columns as `ast` does: UTF-8 bytes of the decoded line, from 0. SARIF counts characters from 1
(3.30.5 to 3.30.8; code points here, as the log's `columnKind` says), and byte offsets from the start of the
file, a byte order mark included. Both need the file's own text; without it a region keeps to whole lines.
"""

from __future__ import annotations

import io
import tokenize
from bisect import bisect_right
from collections.abc import Callable
from hashlib import sha1, sha256
from typing import Any, Final
from urllib.parse import quote

from regreen.model import Span, Splice

#: Reads the bytes of a file of the tree; raises FileNotFoundError (any OSError counts as "not there").
Reader = Callable[[str], bytes]

#: What `originalUriBaseIds` calls the root of the target (the name that code scanning services expect).
ROOT: Final = "%SRCROOT%"
_BOM: Final = b"\xef\xbb\xbf"


def artifact(path: str) -> dict[str, Any]:
    """The location of a file: relative to the root, percent-encoded byte by byte (RFC 3986, 2.1)."""
    return {"uri": quote(path.encode("utf-8", "surrogateescape"), safe="/~-._"), "uriBaseId": ROOT}


def blob_id(content: bytes, like: str) -> str:
    """Git's id of a blob, by the hash that a digest of `like`'s length comes from."""
    head = b"blob %d\0" % len(content)
    made = sha256(head + content) if len(like) == 64 else sha1(head + content, usedforsecurity=False)
    return made.hexdigest()


class Source:
    """The text of one file, with its lines and their places in the bytes."""

    def __init__(self, content: bytes) -> None:
        """Raises SyntaxError or UnicodeDecodeError for bytes that Python would not decode."""
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        self.encoding = "utf-8" if encoding == "utf-8-sig" else encoding
        body = content.removeprefix(_BOM)
        self._bom = len(content) - len(body)
        self.text = body.decode(self.encoding)
        self._content = content
        self._starts = [0]  # of every line, in characters
        position = 0
        for line in self.text.splitlines(keepends=True):
            position += len(line)
            # `str.splitlines` also breaks at form feeds and separators; Python's lines do not.
            if line.endswith(("\n", "\r")):
                self._starts.append(position)

    def line(self, number: int) -> str:
        """A line from 1, with its end; empty when there is none of that number."""
        if not 1 <= number <= len(self._starts):
            return ""
        following = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : following]

    def column(self, number: int, utf8_bytes: int) -> int:
        """A column as SARIF counts it, from `ast`'s."""
        return len(self.line(number).encode("utf-8")[:utf8_bytes].decode("utf-8", "ignore")) + 1

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a byte offset into the file."""
        before = len(self._content[self._bom : max(offset, self._bom)].decode(self.encoding))
        line = bisect_right(self._starts, before)
        return line, before - self._starts[line - 1] + 1


def source(read: Reader | None, path: str, digest: str = "") -> Source | None:
    """The file's text, or None without a reader, if it is gone, changed since, or does not decode."""
    if read is None:
        return None
    try:
        content = read(path)
        if digest and blob_id(content, digest) != digest:
            return None
        return Source(content)
    except (OSError, SyntaxError, ValueError, LookupError):
        return None


def region(span: Span, text: Source | None) -> dict[str, int] | None:
    """The region of a span; None when the span means the file as a whole."""
    if span.line < 1:
        return None
    found = {"startLine": span.line}
    end = max(span.end_line, span.line)
    if end > span.line:
        found["endLine"] = end
    exact = span.end_line >= span.line and (span.line, span.column) < (span.end_line, span.end_column)
    if text is not None and exact:
        found["startColumn"] = text.column(span.line, span.column)
        found["endColumn"] = text.column(end, span.end_column)
    return found


def deleted(item: Splice, text: Source | None) -> dict[str, int]:
    """The region that a splice replaces: bytes always, lines and columns where the text is known."""
    found = {"byteOffset": item.start, "byteLength": item.end - item.start}
    if text is None:
        return found
    try:
        start_line, start_column = text.position(item.start)
        end_line, end_column = text.position(item.end)
    except UnicodeDecodeError:  # an offset inside a character: the bytes alone are true
        return found
    return {
        "startLine": start_line,
        "startColumn": start_column,
        "endLine": end_line,
        "endColumn": end_column,
        **found,
    }
