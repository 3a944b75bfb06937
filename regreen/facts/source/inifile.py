"""An ini file as pytest reads it (the `iniconfig` grammar), with the line of every section, key and value.

`configparser` is another grammar: it lower-cases keys, interpolates and merges; pytest does none of that.
Source: https://github.com/pytest-dev/iniconfig (read with `strip_inline_comments=False`, as pytest does).
"""

from __future__ import annotations

from dataclasses import dataclass


class IniError(ValueError):
    """Text that `iniconfig` refuses; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class IniKey:
    """One key of a section: its value's parts, and the line each of them stands on. `lines[0]` is the key's own."""

    name: str
    parts: tuple[str, ...]
    lines: tuple[int, ...]
    line: int

    @property
    def value(self) -> str:
        """The value as one text; continuation lines are joined by line feeds."""
        return "\n".join(self.parts)

    @property
    def last_line(self) -> int:
        """The last line that belongs to the value."""
        return max((self.line, *self.lines))


@dataclass(frozen=True, slots=True)
class IniSection:
    """One section: the line of its header, and its keys in order."""

    name: str
    line: int
    keys: dict[str, IniKey]


def parse(text: str) -> dict[str, IniSection]:
    """The sections of an ini file. Raises IniError where pytest would stop with a usage error."""
    sections: dict[str, IniSection] = {}
    current: IniSection | None = None
    key = ""
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.rstrip()
        if not line or line.lstrip()[:1] in "#;":
            continue
        if line[0] == "[":
            header = line.split("#")[0].split(";")[0].rstrip()
            if header.endswith("]"):
                name = header[1:-1]
                if name in sections:
                    raise IniError(number, f"duplicate section {name!r}")
                current = sections[name] = IniSection(name, number, {})
                key = ""
                continue
        if line[0].isspace() or line[0] == "[":
            if current is None or not key:
                raise IniError(number, "a continuation line that continues nothing")
            known = current.keys[key]
            current.keys[key] = IniKey(key, (*known.parts, line.strip()), (*known.lines, number), known.line)
            continue
        name, found, value = _pair(line)
        if not found:
            raise IniError(number, f"neither a section nor a key: {line!r}")
        if current is None:
            raise IniError(number, "a key before any section")
        if name in current.keys:
            raise IniError(number, f"duplicate key {name!r} (first on line {current.keys[name].line})")
        key = name
        current.keys[key] = IniKey(key, (value,) if value else (), (number,) if value else (), number)
    return sections


def _pair(line: str) -> tuple[str, bool, str]:
    name, equals, value = line.partition("=")
    if not equals or ":" in name:
        name, equals, value = line.partition(":")
    return name.strip(), bool(equals), value.strip()
