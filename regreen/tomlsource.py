"""TOML with places: every table, key and array element knows its line, so that an error can name it.

`tomllib` checks the syntax and gives the values; the walk here only finds lines, and may lean on the text
being valid TOML 1.0.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import PurePath
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR_END: Final = re.compile(r"[,\]}#\n]")
Key = tuple[str | int, ...]


class SourceError(ValueError):
    """A file that people write is not as it must be: `path:line: what is wrong and what to do`."""

    def __init__(self, path: str | PurePath, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")
        self.path, self.line, self.message = str(path), line, message


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a TOML file: its values, and where it and each of its keys stand."""

    path: str
    key: Key
    values: dict[str, Any]
    lines: dict[Key, int]
    name: str

    def line(self, *parts: str | int) -> int:
        """The line of a key or of an element below it; the table's own line when the key is absent."""
        for end in range(len(parts), -1, -1):
            found = self.lines.get((*self.key, *parts[:end]))
            if found is not None:
                return found
        return 1

    def fail(self, message: str, *parts: str | int) -> SourceError:
        """The error to raise about this table, or about a key of it."""
        return SourceError(self.path, self.line(*parts), f"{self.name}: {message}" if self.name else message)

    def only(self, *known: str) -> None:
        """Raises SourceError for a key that is not among the known ones."""
        for key in self.values:
            if key not in known:
                raise self.fail(f"unknown field {key!r}{meant(key, known)}", key)

    def text(self, key: str, default: str | None = None) -> str:
        """A string; with no default the field must be there and hold something."""
        value = self._get(key, str, "a string", default)
        if default is None and not value.strip():
            raise self.fail(f"{key!r} is empty", key)
        return str(value)

    def integer(self, key: str, default: int | None = None, least: int = 0) -> int:
        """A whole number, not below `least`."""
        value = self._get(key, int, "a whole number", default)
        if value < least:
            raise self.fail(f"{key!r} must be at least {least}, not {value}", key)
        return int(value)

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        return bool(self._get(key, bool, "true or false", default))

    def day(self, key: str) -> date | None:
        """A date, written as TOML writes dates or as text (2027-06-30)."""
        value = self.values.get(key)
        if isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                raise self.fail(f"{key!r} is not a date such as 2027-06-30: {value!r}", key) from None
        if value is None or type(value) is date:
            return value
        raise self.fail(f"{key!r} must be a date such as 2027-06-30", key)

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        value = self._get(key, list, "a list of strings", None if default is None else list(default))
        for number, item in enumerate(value):
            if not isinstance(item, str):
                raise self.fail(f"{key!r} must hold strings, not {item!r}", key, number)
        return tuple(value)

    def choice(self, key: str, known: Collection[str], default: str | None = None) -> str:
        """One of a few words."""
        value = self.text(key, default)
        if value not in known:
            raise self.fail(f"{key!r} must be one of {', '.join(known)}, not {value!r}", key)
        return value

    def tables(self, key: str, name: str) -> Iterator[Table]:
        """The tables of an array of tables, or of an array of inline tables."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.fail(f"{key!r} must be a list of tables", key)
        for number, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.fail(f"{key!r} must hold tables, not {item!r}", key, number)
            yield Table(self.path, (*self.key, key, number), item, self.lines, name.format(number=number + 1))

    def _get(self, key: str, kind: type, words: str, default: Any) -> Any:
        if key not in self.values:
            if default is None:
                raise self.fail(f"the field {key!r} is missing")
            return default
        value = self.values[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fail(f"{key!r} must be {words}, not {value!r}", key)
        return value


def meant(word: str, known: Collection[str]) -> str:
    """` (did you mean 'x'?)` when a known word is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def load(path: str, content: bytes) -> Table:
    """The root table of a file. Raises SourceError where it is not UTF-8 or not TOML."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(path, line, "is not UTF-8 text") from None
    text = text.replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise SourceError(path, line, f"is not valid TOML: {error}") from None
    return Table(path, (), values, _Walk(text).lines(), "")


class _Walk:
    """A walk through valid TOML that notes the line of every table, key and array element."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Key, int] = {(): 1}
        self.arrays: dict[Key, int] = {}

    def lines(self) -> dict[Key, int]:
        table: Key = ()
        while self._skip(newlines=True):
            if self.text.startswith("[[", self.at):
                self.at += 2
                parts = self._resolve(self._key(), last=False)
                self.arrays[parts] = self.arrays.get(parts, -1) + 1
                table = (*parts, self.arrays[parts])
                self.found.setdefault(parts, self._line())
                self.found[table] = self._line()
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._resolve(self._key(), last=True)
                self.found[table] = self._line()
                self.at += 1
            else:
                self._pair(table)
        return self.found

    def _pair(self, table: Key) -> None:
        line = self._line()
        key = (*table, *self._key())
        for end in range(len(table) + 1, len(key) + 1):
            self.found.setdefault(key[:end], line)
        self.at += 1  # the equals sign
        self._skip()
        self._value(key)

    def _value(self, key: Key) -> None:
        start = self.text[self.at]
        if start in "\"'":
            self._string()
        elif start == "[":
            self.at += 1
            number = 0
            while self._skip(newlines=True) and self.text[self.at] != "]":
                if self.text[self.at] == ",":
                    self.at += 1
                    continue
                self.found[(*key, number)] = self._line()
                self._value((*key, number))
                number += 1
            self.at += 1
        elif start == "{":
            self.at += 1
            while self._skip(newlines=True) and self.text[self.at] != "}":
                if self.text[self.at] == ",":
                    self.at += 1
                    continue
                self._pair(key)
            self.at += 1
        else:
            end = _SCALAR_END.search(self.text, self.at)
            self.at = end.start() if end else len(self.text)

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip()
            if self.text[self.at] in "\"'":
                start = self.at
                self._string()
                parts.append(str(tomllib.loads(f"k = {self.text[start : self.at]}")["k"]))
            else:
                found = _BARE.match(self.text, self.at)
                assert found is not None, "tomllib has accepted this text"
                parts.append(found[0])
                self.at = found.end()
            self._skip()
            if self.at >= len(self.text) or self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _resolve(self, parts: tuple[str, ...], *, last: bool) -> Key:
        """The full key of a header: a name that is an array of tables means its newest element."""
        key: Key = ()
        for number, part in enumerate(parts):
            key = (*key, part)
            if key in self.arrays and (last or number < len(parts) - 1):
                key = (*key, self.arrays[key])
        return key

    def _string(self) -> None:
        quote = self.text[self.at]
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(mark)
        while len(mark) == 3 and self.text.startswith(quote, self.at):
            self.at += 1  # up to two more quotes belong to a multi-line string

    def _skip(self, newlines: bool = False) -> bool:
        """Past blanks and comments; whether any text is left."""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif character in " \t" or (newlines and character == "\n"):
                self.at += 1
            else:
                return True
        return False

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1
