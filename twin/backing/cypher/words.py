"""From text to words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from twin.backing.cypher.errors import SYNTAX, CypherError

_WORD: Final = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<number>0[xX][0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+)
  | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<quoted>`(?:[^`]|``)*`)
  | (?P<name>[^\W\d]\w*)
  | (?P<sign><>|<=|>=|=~|\+=|\.\.|[-+*/%^=<>()\[\]{},.:;|$!&])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Word:
    kind: str
    """number, string, name, quoted, sign or end."""
    text: str
    at: int
    value: Any = None

    def is_(self, *texts: str) -> bool:
        """Whether it is one of these keywords (any case) or signs."""
        return self.kind in ("name", "sign") and self.text.upper() in texts


def split(text: str) -> list[Word]:
    """The words of a query and an end. CypherError for what is none."""
    found: list[Word] = []
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise CypherError(SYNTAX, f"Invalid input {text[at]!r} {place(text, at)}")
        kind, piece = str(match.lastgroup), match.group()
        if kind == "number":
            # `1..3` is a span, not a broken float.
            value: Any = (
                int(piece, 16)
                if piece[:2] in ("0x", "0X")
                else float(piece)
                if re.search(r"[.eE]", piece)
                else int(piece)
            )
            found.append(Word(kind, piece, at, value))
        elif kind == "string":
            found.append(Word(kind, piece, at, _unescape(piece[1:-1])))
        elif kind == "quoted":
            found.append(Word("quoted", piece[1:-1].replace("``", "`"), at))
        elif kind != "space":
            found.append(Word(kind, piece, at))
        at = match.end()
    found.append(Word("end", "", len(text)))
    return found


def place(text: str, at: int) -> str:
    """`(line 1, column 8 (offset: 7))`, as Neo4j says it."""
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f"(line {line}, column {column} (offset: {at}))"


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        word = match.group(1)
        return chr(int(word[1:], 16)) if word[0] in "uU" and len(word) > 1 else _ESCAPES.get(word, word)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", one, text, flags=re.DOTALL)
