"""Which configuration pytest reads, and what it says: files, precedence, patterns, markers, strictness.

One file wins: the first of `pytest.toml`, `.pytest.toml`, `pytest.ini`, `.pytest.ini` (these four even when empty),
`pyproject.toml`, `tox.ini`, `setup.cfg` in the common ancestor of the arguments, then in the folders above it.
Source: https://docs.pytest.org/en/stable/reference/customize.html and `_pytest/config/findpaths.py` of pytest 9.2.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final, Literal

from regreen.facts.source.index import Index
from regreen.facts.source.inifile import IniError, parse
from regreen.model import TreeView

#: The files that pytest looks for, in the order in which it prefers them.
NAMES: Final = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
ALWAYS: Final = frozenset(NAMES[:4])  # chosen even when they are empty

Mode = Literal["ini", "toml"]
_LINE: Final = re.compile(r"at line (\d+)")
_BAD_SECTION: Final = "[pytest] in setup.cfg is an error since pytest 4: the section is [tool:pytest]"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file with pytest configuration, or one that pytest cannot read.

    `values` are texts or lists of texts, as pytest gets them (an empty mapping for a file that says nothing);
    `mode` "toml" means native types. `section` is the table's header; `error` says why pytest stops, `error_line`
    where. `both` tells that `[tool.pytest]` has content next to `[tool.pytest.ini_options]`, `stray` which keys.
    """

    path: str
    section: str
    mode: Mode = "ini"
    values: Mapping[str, object] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    error_line: int = 0
    stray: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The folder, empty for the root."""
        return self.path.rpartition("/")[0]

    def words(self, key: str) -> tuple[str, ...]:
        """A value of type `args`: blank-separated in ini mode, or a list."""
        value = self.values.get(key)
        if isinstance(value, str):
            return tuple(value.split())
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def text_lines(self, key: str) -> tuple[str, ...]:
        """A value of type `linelist`: one entry a line, or a list."""
        value = self.values.get(key)
        if isinstance(value, str):
            return tuple(line.strip() for line in value.split("\n") if line.strip())
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def flag(self, key: str) -> bool | None:
        """A value of type `bool`; None where it is not set."""
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        return str(value).strip().lower() in ("1", "yes", "true", "on")

    @property
    def markers(self) -> tuple[str, ...]:
        """The names of the registered markers, in order, repeated ones repeated."""
        return tuple(marker_name(line) for line in self.text_lines("markers"))


def marker_name(line: str) -> str:
    """The name in a `markers` line such as `slow(reason): takes long`, read as pytest reads it."""
    return line.split(":")[0].split("(")[0].strip()


def load(tree: TreeView, path: str) -> ConfigFile | None:
    """The pytest configuration in a file; None where pytest passes the file by."""
    name = path.rpartition("/")[2]
    try:
        text = tree.read(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        return ConfigFile(path, "", error="not UTF-8 text")
    except OSError:
        return None
    return _toml(path, name, text) if name.endswith(".toml") else _ini(path, name, text)


def _ini(path: str, name: str, text: str) -> ConfigFile | None:
    wanted = "tool:pytest" if name == "setup.cfg" else "pytest"
    try:
        sections = parse(text)
    except IniError as error:
        if name in ALWAYS or f"[{wanted}]" in text:
            return ConfigFile(path, f"[{wanted}]", error=str(error), error_line=error.line)
        return None
    section = sections.get(wanted)
    if section is None:
        if name == "setup.cfg" and "pytest" in sections:
            return ConfigFile(path, "[pytest]", error=_BAD_SECTION, error_line=sections["pytest"].line)
        return ConfigFile(path, "[pytest]") if name in ALWAYS else None
    values = {key.name: key.value for key in section.keys.values()}
    lines = {"": section.line, **{key.name: key.line for key in section.keys.values()}}
    return ConfigFile(path, f"[{wanted}]", "ini", values, lines)


def _toml(path: str, name: str, text: str) -> ConfigFile | None:
    own = name in ALWAYS
    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        return ConfigFile(path, "", error=f"not valid TOML: {error}", error_line=int(found[1]) if found else 0)
    if own:
        table = document.get("pytest")
        loose = [key for key, value in document.items() if not isinstance(value, dict)]
        if table is None and loose:
            message = f"options outside of the [pytest] table: {', '.join(loose)}"
            return ConfigFile(path, "[pytest]", "toml", error=message, error_line=1)
        return ConfigFile(path, "[pytest]", "toml", _table(table), _key_lines(text, "pytest"))
    tool = document.get("tool")
    pytest = tool.get("pytest") if isinstance(tool, dict) else None
    if not isinstance(pytest, dict):
        return None
    options = pytest.get("ini_options")
    native = {key: value for key, value in pytest.items() if key != "ini_options"}
    if isinstance(options, dict):
        values = {key: value if isinstance(value, list) else str(value) for key, value in options.items()}
        lines = _key_lines(text, "tool.pytest.ini_options")
        return ConfigFile(path, "[tool.pytest.ini_options]", "ini", values, lines, stray=tuple(native))
    if native:
        return ConfigFile(path, "[tool.pytest]", "toml", native, _key_lines(text, "tool.pytest"))
    return None


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _key_lines(text: str, table: str) -> dict[str, int]:
    """Lines of the bare keys of a table that is written with its header; good enough to point at."""
    lines: dict[str, int] = {}
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.startswith(f"[{table}]")
            if inside:
                lines[""] = number
        elif inside and (match := re.match(r"([\w-]+)\s*=", stripped)):
            lines.setdefault(match[1], number)
    return lines


class Configuration:
    """The pytest configuration of a whole tree. Get it with `Configuration.of(index)`."""

    def __init__(self, tree: TreeView) -> None:
        self._by_folder: dict[str, list[ConfigFile]] = {}
        self.passed_by: list[str] = []  # files of the right names that hold no pytest configuration
        for path in tree.paths():
            folder, _, name = path.rpartition("/")
            if name in _NAME_SET:
                file = load(tree, path)
                if file is None:
                    self.passed_by.append(path)
                else:
                    self._by_folder.setdefault(folder, []).append(file)
        for files in self._by_folder.values():
            files.sort(key=lambda file: NAMES.index(file.name))
        self._chosen: dict[str, ConfigFile | None] = {}

    @classmethod
    def of(cls, index: Index) -> Configuration:
        """The configuration of an index's tree, read once."""
        return index.derive("pytest-config", lambda index: cls(index.tree))

    @property
    def files(self) -> tuple[ConfigFile, ...]:
        """Every file with pytest configuration, root first."""
        return tuple(file for folder in sorted(self._by_folder) for file in self._by_folder[folder])

    def beside(self, folder: str) -> tuple[ConfigFile, ...]:
        """The configuration files of one folder in the order in which pytest prefers them."""
        return tuple(self._by_folder.get(folder, ()))

    @cached_property
    def root(self) -> ConfigFile | None:
        """What `pytest` reads when it is started in the root of the tree with no arguments."""
        return next(iter(self._by_folder.get("", ())), None)

    def nearest(self, path: str) -> ConfigFile | None:
        """What pytest reads when it is given just this file: the nearest folder upwards that has any."""
        folder = path.rpartition("/")[0]
        if folder not in self._chosen:
            files = self._by_folder.get(folder)
            self._chosen[folder] = files[0] if files else (self.nearest(folder) if folder else None)
        return self._chosen[folder]

    def governing(self, path: str) -> ConfigFile | None:
        """What pytest reads for a file in a run of the whole tree: the root's, else the nearest."""
        return self.root or self.nearest(path)

    def matches_file(self, path: str) -> bool:
        """Whether pytest takes this file for a test module (`python_files` of the governing or the nearest file)."""
        return any(
            _matches_path(path, config.words("python_files") if config and "python_files" in config.values else _FILES)
            for config in self._both(path)
        )

    def matches_class(self, path: str, name: str) -> bool:
        """Whether a class of this name is collected (`python_classes`); subclasses of TestCase always are."""
        return self._matches(path, "python_classes", name, ("Test",))

    def matches_function(self, path: str, name: str) -> bool:
        """Whether a function of this name is collected (`python_functions`)."""
        return self._matches(path, "python_functions", name, ("test",))

    def _both(self, path: str) -> tuple[ConfigFile | None, ...]:
        first, second = self.governing(path), self.nearest(path)
        return (first,) if first is second else (first, second)

    def _matches(self, path: str, key: str, name: str, default: tuple[str, ...]) -> bool:
        for config in self._both(path):
            patterns = config.words(key) if config and key in config.values else default
            if any(
                name.startswith(pattern) or (any(c in pattern for c in "*?[") and fnmatchcase(name, pattern))
                for pattern in patterns
            ):
                return True
        return False


_NAME_SET: Final = frozenset(NAMES)
_FILES: Final = ("test_*.py", "*_test.py")


def _matches_path(path: str, patterns: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    if not name.endswith(".py"):
        return False
    for pattern in patterns:
        if "/" in pattern:
            if fnmatchcase(f"/{path}", pattern if pattern.startswith("/") else f"*/{pattern}"):
                return True
        elif fnmatchcase(name, pattern):
            return True
    return False
