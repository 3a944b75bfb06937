"""Text that shows what it holds, and breaks no format that it is put into.

File names and messages come from repositories that nobody has checked. Three kinds of character lie or do
damage: bytes that are not UTF-8 (kept as lone surrogates, PEP 383; no strict JSON or XML reader takes them),
control characters (terminals obey them; most are illegal in XML 1.0, section 2.2), and invisible ones that
reorder or hide text (CVE-2021-42574, "Trojan Source"). All are written as the escape that Python would use.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from regreen.redact import redact

#: Control, format, surrogate, private use, unassigned (with the noncharacters), line and paragraph separators.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SUSPECT: Final = re.compile(r"[^\x20-\x7e\xa1-\xac\xae-\u02ff]")
_LONE: Final = re.compile(r"[\ud800-\udfff]")
_ESCAPED_BYTE: Final = range(0xDC80, 0xDD00)


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    code = ord(character)
    if code in _ESCAPED_BYTE:  # what os.fsdecode makes of the byte
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) not in _HIDDEN:
        return character
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str) -> str:
    """The text on one line, with everything that hides or reorders written as an escape."""
    return _SUSPECT.sub(lambda match: _shown(match.group()), text)


def shown(text: str) -> str:
    """What a report may show of a text: `visible`, and without secrets of a known shape."""
    return visible(redact(text))


def visible_block(text: str) -> str:
    """Like `visible`, but line feeds and tabs stay: for diffs and listings."""
    return _SUSPECT.sub(lambda match: m if (m := match.group()) in "\n\t" else _shown(m), text)


def encodable(text: str) -> str:
    """The text with lone surrogates written as escapes, all else as it is: for JSON, which has own escapes."""
    if text.isascii():
        return text
    return _LONE.sub(lambda match: _shown(match.group()), text)


def json_text(document: Mapping[str, object]) -> str:
    """A JSON object in ASCII, one line for each key.

    Not indented further: that takes the pure Python encoder, which is ten times slower, and a large tree has
    a hundred thousand findings.
    """
    lines = (f" {json.dumps(key)}: {json.dumps(plain(value))}" for key, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def plain(value: object) -> object:
    """A JSON value in which every text is `encodable`, keys included."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
