"""Where a line of pytest's configuration goes, and what it looks like there: ini files and TOML tables.

Nothing is parsed and written back: each edit is a splice, so that comments, order and layout stay.
"""

from __future__ import annotations

import re
from typing import Final

from regreen.facts.source import Index
from regreen.facts.source.inifile import IniKey, IniSection, parse
from regreen.facts.source.pytest_config import ConfigFile
from regreen.model import Splice
from regreen.tomlsource import Key, load

#: What `text_lines("markers")` is called, in both kinds of file.
MARKERS: Final = "markers"
_ITEM: Final = re.compile(r"(\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*')")


class UneditableError(Exception):
    """The file is written in a way that these edits do not know; the text says what a person can do."""


class ConfigText:
    """The text of one configuration file, for edits of its pytest table."""

    def __init__(self, index: Index, config: ConfigFile) -> None:
        self.path = config.path
        self.config = config
        self.source = index.tree.read(config.path)
        self.newline = "\r\n" if b"\r\n" in self.source else "\n"
        self.text = self.source.decode("utf-8")
        self.lines = self.text.splitlines(keepends=True)
        self.is_toml = config.path.endswith(".toml")

    def at(self, line: int, column: int = 0) -> int:
        """The byte offset of a line (from 1; one past the last is the end of the file) and a column in characters."""
        before = "".join(self.lines[: line - 1])
        part = self.lines[line - 1][:column] if line <= len(self.lines) else ""
        return len((before + part).encode("utf-8"))

    def insert(self, line: int, text: str) -> Splice:
        """Insert whole lines before a line; a missing line end before them is added."""
        place = self.at(line)
        gap = "" if place == 0 or self.source[:place].endswith((b"\n", b"\r")) else "\n"
        return Splice(self.path, place, place, self._encode(gap + text))

    def remove(self, first: int, after: int) -> Splice:
        """Take out the lines from `first` up to, not including, `after`."""
        return Splice(self.path, self.at(first), self.at(after), b"")

    def replace(self, line: int, start: int, end: int, new: str) -> Splice:
        """Replace the characters [start, end) of a line."""
        return Splice(self.path, self.at(line, start), self.at(line, end), self._encode(new))

    def _encode(self, text: str) -> bytes:
        return text.replace("\n", self.newline).encode("utf-8")

    def section(self) -> IniSection | None:
        """The ini section that pytest reads, if the file has it."""
        return parse(self.text).get(self.config.section.strip("[]"))

    def key(self, name: str) -> IniKey | None:
        """A key of that section."""
        section = self.section()
        return section.keys.get(name) if section else None

    def table(self) -> Key:
        """The TOML table that pytest reads, as a key path."""
        return tuple(self.config.section.strip("[]").split("."))

    def toml_line(self, *key: str) -> int | None:
        """The line of a key below that table, or of the table's own header."""
        return load(self.path, self.source).lines.get((*self.table(), *key))

    def add_key(self, text: str) -> Splice:
        """Insert `key = value` lines at the top of pytest's table. Raises UneditableError."""
        if self.is_toml:
            line = self.toml_line()
            if line is None or not self.lines[line - 1].strip().startswith(f"{self.config.section}"):
                raise UneditableError(f"{self.config.section} has no header of its own in {self.path}")
            return self.insert(line + 1, text)
        section = self.section()
        if section is None:
            return self.insert(len(self.lines) + 1, f"{self.config.section}\n{text}")
        last = max((key.last_line for key in section.keys.values()), default=section.line)
        return self.insert(last + 1, text)

    def add_items(self, name: str, items: list[str]) -> list[Splice]:
        """Add entries to a list-like key (ini: a line each; TOML: elements). Raises UneditableError."""
        if not self.is_toml:
            known = self.key(name)
            if known is None:
                return [self.add_key(f"{name} =\n" + "".join(f"    {item}\n" for item in items))]
            indent = self._indent(known)
            return [self.insert(known.last_line + 1, "".join(f"{indent}{item}\n" for item in items))]
        line = self.toml_line(name)
        if line is None:
            return [self.add_key(f"{name} = [\n" + "".join(f"    {quoted(item)},\n" for item in items) + "]\n")]
        return self._extend(name, line, [quoted(item) for item in items])

    def _indent(self, key: IniKey) -> str:
        for number in key.lines:
            line = self.lines[number - 1]
            if line[:1].isspace():
                return line[: len(line) - len(line.lstrip())]
        return "    "

    def _extend(self, name: str, line: int, items: list[str]) -> list[Splice]:
        start = self.at(line)
        text = self.source[start:].decode("utf-8")
        opening = re.match(rf"\s*(?:[\"']?{re.escape(name)}[\"']?)\s*=\s*\[", text)
        if opening is None:
            raise UneditableError(f"`{name}` of {self.path} is not a list")
        last, end = _array(text, opening.end())

        def offset(place: int) -> int:
            return start + len(text[:place].encode("utf-8"))

        inner = text[opening.end() : end]
        if "\n" not in inner:
            new = ", ".join(items)
            if last is None:
                return [Splice(self.path, offset(end), offset(end), self._encode(new))]
            return [Splice(self.path, offset(last), offset(last), self._encode(f", {new}"))]
        splices: list[Splice] = []
        indent = "    "
        if last is not None:
            rest = text[last:end]
            head = text[: _line_start(text, last)]
            body = text[len(head) : last]
            indent = body[: len(body) - len(body.lstrip())] if not body.lstrip().startswith(name) else "    "
            if not rest.lstrip().startswith(","):
                splices.append(Splice(self.path, offset(last), offset(last), b","))
        close = _line_start(text, end)
        if text[close:end].strip():  # the bracket shares a line with the last element
            close = end
            new = "\n" + "".join(f"{indent}{item},\n" for item in items)
        else:
            new = "".join(f"{indent}{item},\n" for item in items)
        splices.append(Splice(self.path, offset(close), offset(close), self._encode(new)))
        return splices

    def block(self, header: str) -> tuple[int, int] | None:
        """The lines of a table or section: its header's, and that of the next header (or one past the end)."""
        first = next((n for n, line in enumerate(self.lines, 1) if line.split("#")[0].strip() == header), None)
        if first is None:
            return None
        after = next((n for n in range(first + 1, len(self.lines) + 1) if self.lines[n - 1].startswith("[")), None)
        return first, after or len(self.lines) + 1


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, place) + 1


def _array(text: str, place: int) -> tuple[int | None, int]:
    """(end of the last element, place of the closing bracket) of a TOML array of strings that opens before `place`."""
    last: int | None = None
    while place < len(text):
        character = text[place]
        if character == "#":
            place = text.find("\n", place)
        elif character in "\"'":
            match = _ITEM.match(text, place)
            if match is None:
                break
            place = last = match.end()
            continue
        elif character == "]":
            return last, place
        elif character not in " \t\r\n,":
            break
        place += 1
    raise UneditableError("the list holds something else than plain strings")


def quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
