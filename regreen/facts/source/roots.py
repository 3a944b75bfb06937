"""Where a tree's modules start: the folders that are, or may be, on `sys.path` when its code runs.

Evidence, strongest first: pytest's `pythonpath`, packaging configuration, `sys.path` edits and PYTHONPATH lines; folders
named `src`; folders of projects (with a pyproject.toml, setup.py …); folders that pytest inserts because they hold test
files or a conftest (its `rootdir/conftest.py` rule); and every folder above an importing file that is no package.
"""

from __future__ import annotations

import configparser
import posixpath
import re
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from regreen.facts.source.pathedits import UNKNOWN, place

if TYPE_CHECKING:
    from regreen.facts.source.index import Index

_PROJECT: Final = frozenset(
    {
        "pyproject.toml", "setup.py", "setup.cfg", "manage.py", "Pipfile", "requirements.txt", "Dockerfile", "tox.ini",
        "pytest.ini", "environment.yml", "poetry.lock", "uv.lock", "noxfile.py", "wsgi.py", "asgi.py", "app.yaml",
    }
)  # fmt: skip
_SOURCE_NAMES: Final = frozenset({"src", "lib", "python", "source", "Lib", "py"})
_PYTHONPATH: Final = re.compile(r"PYTHONPATH\s*[=:]\s*[\"']?([^\s\"']+)")
_TEXTS: Final = re.compile(
    r"(?:^|/)(?:Dockerfile[\w.-]*|Makefile|justfile|tox\.ini|\.envrc|\.env[\w.-]*|[\w.-]+\.sh|[\w.-]*compose[\w.-]*\.ya?ml)$"
    r"|^\.github/workflows/[^/]+$|^\.gitlab-ci\.yml$|(?:^|/)noxfile\.py$"
)
_LARGE: Final = 300_000


def _is_plain_module(path: str, name: str) -> bool:
    """Whether a path surely is none of `_TEXTS`: nearly all of a tree are, and a pattern for each of them is dear."""
    if not name.endswith((".py", ".pyi", ".rst", ".md", ".json")) or name == "noxfile.py":
        return False
    return not name.startswith(("Dockerfile", ".env")) and not path.startswith(".github/")


class Roots:
    """Source roots of a tree, as folders relative to it (an empty string is the tree itself)."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.packages: set[str] = set()  # folders with an __init__
        self.opaque: set[str] = set()  # folders with a sys.path edit that could not be told
        for path in (*index.files, *index.left_out):
            folder, _, name = path.rpartition("/")
            if name in ("__init__.py", "__init__.pyi"):
                self.packages.add(folder)
        self.configured: frozenset[str] = frozenset(self._configured())  # by pytest, packaging or PYTHONPATH
        self.explicit: set[str] = set(self.configured)  # these, and what `sys.path` edits add
        self._edited()
        self.inserted: set[str] = set()  # by pytest, for the test files in or below them
        projects: set[str] = {""}
        for path in index.tree.paths():
            folder, _, name = path.rpartition("/")
            if name in _PROJECT:
                projects.add(folder)
            if name == "conftest.py" or (
                name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
            ):
                self.inserted.add(self.base(folder))
        sources: set[str] = set()
        seen: set[str] = set()
        for path in index.files:
            folder = path.rpartition("/")[0]
            while folder and folder not in seen:
                seen.add(folder)
                if folder.rpartition("/")[2] in _SOURCE_NAMES and folder not in self.packages:
                    sources.add(folder)
                folder = folder.rpartition("/")[0]
        self.sources = sources
        self.projects = projects - self.packages | {""}
        self.known = self.explicit | self.sources | self.projects | self.inserted

    def base(self, folder: str) -> str:
        """The first folder, going up, that is no package: where the topmost package around it lies."""
        while folder and folder in self.packages:
            folder = folder.rpartition("/")[0]
        return folder

    def candidates(self, folder: str) -> list[str]:
        """The roots that the modules of a folder may be named from, the likeliest first."""
        base = self.base(folder)
        found: list[str] = []
        here = folder
        while True:  # an explicit root, also inside a package (`src/__init__.py`)
            if here in self.explicit:
                found.append(here)
            if not here:
                break
            here = posixpath.dirname(here)
        here = base
        while here:
            if here in self.sources or here in self.projects:
                found.append(here)
                break
            here = posixpath.dirname(here)
        found.append(base if base in self.inserted and folder in self.packages else "")
        return list(dict.fromkeys(root for root in found if root not in self.packages or root in self.explicit))

    def around(self, folder: str) -> Iterator[str]:
        """Folders above a file that may be on its path: its own, those above that are no packages, and their `src`."""
        here = folder
        while True:
            if here not in self.packages or here in self.explicit:
                yield here
                for name in ("src", "lib", "python"):
                    inner = f"{here}/{name}" if here else name
                    if inner in self.sources:
                        yield inner
            if not here:
                return
            here = posixpath.dirname(here)

    def _configured(self) -> Iterator[str]:
        tree = self._index.tree
        for path in tree.paths():
            folder, _, name = path.rpartition("/")
            if name not in (
                "pyproject.toml",
                "pytest.ini",
                "setup.cfg",
                "tox.ini",
                ".pytest.ini",
                "pytest.toml",
            ) and (_is_plain_module(path, name) or not _TEXTS.search(path)):
                continue
            try:
                source = tree.read(path)
            except OSError:
                continue
            if len(source) > _LARGE:
                continue
            text = source.decode("utf-8", "replace")
            entries = (
                [*_toml(text)] if name.endswith(".toml") else [*_ini(text)] if name.endswith((".ini", ".cfg")) else []
            )
            for entry in entries:
                yield from _inside(folder, entry)
            if "PYTHONPATH" in text:
                for match in _PYTHONPATH.finditer(text):
                    for entry in match[1].split(":"):
                        clean = re.sub(
                            r"^(?:\$\{?\{?[^}/]*\}?\}?|/app|/code|/src|/workspace|/opt/app)(?:/|$)", "./", entry
                        )
                        yield from _inside(folder, clean)
                        yield from _inside("", clean)

    def _edited(self) -> None:
        for path, file in self._index.files.items():
            for edit in file.path_edits:
                folder = place(edit, path)
                if folder is not None:
                    self.explicit.add(folder)
                elif edit == UNKNOWN or ".." in edit:
                    own = posixpath.dirname(path)
                    self.opaque.add(own if path.endswith(("conftest.py", "__init__.py")) else path)


def _inside(folder: str, entry: str) -> Iterator[str]:
    if not entry or entry.startswith(("/", "$", "~")):
        return
    joined = posixpath.normpath(posixpath.join(folder, entry))
    if not joined.startswith(".."):
        yield "" if joined == "." else joined


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _toml(text: str) -> Iterator[str]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    yield from _words(_dig(document, "tool", "pytest", "ini_options", "pythonpath"))
    yield from _words(_dig(document, "tool", "pytest", "pythonpath"))
    yield from _words(_dig(document, "pytest", "pythonpath"))
    yield from _words(_dig(document, "tool", "setuptools", "packages", "find", "where"))
    table = _dig(document, "tool", "setuptools", "package-dir")
    for name, folder in table.items() if isinstance(table, dict) else ():
        if isinstance(folder, str):
            yield folder if not name else posixpath.dirname(folder) or "."
    for package in _dig(document, "tool", "poetry", "packages") or ():
        if isinstance(package, dict) and isinstance(package.get("from"), str):
            yield package["from"]
    for folder in _words(_dig(document, "tool", "hatch", "build", "targets", "wheel", "packages")):
        yield posixpath.dirname(folder) or "."
    yield from _words(_dig(document, "tool", "hatch", "build", "sources"))


def _ini(text: str) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for section, key in (("pytest", "pythonpath"), ("tool:pytest", "pythonpath"), ("options.packages.find", "where")):
        if parser.has_option(section, key):
            yield from parser.get(section, key).split()
    if parser.has_option("options", "package_dir"):
        for line in parser.get("options", "package_dir").splitlines():
            name, _, folder = line.partition("=")
            if folder.strip():
                yield folder.strip() if not name.strip() else posixpath.dirname(folder.strip()) or "."


def roots(index: Index) -> Roots:
    """The source roots of the index's tree, found once."""
    return index.derive("roots", Roots)
