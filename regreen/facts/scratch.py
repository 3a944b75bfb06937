"""A scratch repository: a folder copied into a fresh git repository, with its past replayed.

Remedies need a repository to work on, and some of their evidence lies in its history: where a module was before
it moved, what a file said before it was damaged. A folder that ships without its history can tell it in a
`history.toml` beside its files; the copy then has two commits, the tree as it was and the tree as found:

    omit = ["FAULTS.toml"]                    # not copied; neither are history.toml and the texts it names
    [[move]]                                  # a file, or a folder with all that is in it
    old = "src/app/common"
    new = "src/app/runtime"
    [[earlier]]                               # what a file said before (as found it may differ, or be gone)
    path = "tools/report.py"
    content = "history/report.py.txt"
    [[later]]                                 # a file that was not there before
    path = "src/app/digests.py"

Paths are those of the tree as found. Without a `history.toml` there is one commit. Author, date and messages are
fixed, so the commit ids depend on the files alone. The commits are written by `git fast-import`: no hook runs,
nothing is signed, and no configuration of the machine or of the user is read.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

HISTORY: Final = "history.toml"
SKIPPED: Final = frozenset(
    {".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".regreen", ".ruff_cache", ".venv", "__pycache__"}
)
AUTHOR: Final = b"Regreen <regreen@localhost.invalid>"
WHEN: Final = 1_767_603_600  # 2026-01-05 09:00 UTC, the first morning of the patient's own trades
HOUR: Final = 3600


class ScratchError(Exception):
    """The copy could not be made; the message says what to change."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as git keeps it: its mode and its bytes (of a symlink, where it points to)."""

    mode: str
    content: bytes


@dataclass(frozen=True, slots=True)
class History:
    """What `history.toml` tells. `texts` are the files that hold earlier contents, by the path they belong to."""

    omit: frozenset[str] = frozenset()
    moves: tuple[tuple[str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    later: frozenset[str] = frozenset()

    def before(self, path: str) -> str:
        """Where a file of the tree as found was before it moved."""
        for old, new in self.moves:
            if path == new:
                return old
            if path.startswith(f"{new}/"):
                return f"{old}{path[len(new) :]}"
        return path


Tree = Mapping[str, File]


def materialize(source: Path, destination: Path) -> None:
    """Copy a folder into a new git repository on branch `main`, its past first, with a clean work tree.

    `destination` must be absent or empty, and appears only when it is complete.
    Raises FileNotFoundError for a missing source, FileExistsError for a destination in use, and ScratchError
    for a `history.toml` that does not fit the folder or a git that fails.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder to copy")
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise FileExistsError(f"{destination}: not empty; remove it or choose another folder")
    if destination.resolve().is_relative_to(source.resolve()):
        raise ScratchError(f"{destination} lies inside {source}: choose a folder outside the one to copy")
    trees = _trees(source)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f".{destination.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        _git(part.parent, "init", "--quiet", "--template=", "--object-format=sha1", "--initial-branch=main", str(part))
        _git(part, "fast-import", "--quiet", "--date-format=raw", feed=b"".join(_stream(trees)))
        _git(part, "-c", "core.autocrlf=false", "reset", "--quiet", "--hard", "main")
        part.replace(destination)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _trees(source: Path) -> list[tuple[str, Tree]]:
    """The commits to make, oldest first: message and whole tree."""
    history = _history(source)
    left_out = history.omit | {HISTORY} | {text for _, text in history.texts}
    found = {path: file for path, file in _files(source) if path not in left_out}
    trees: list[tuple[str, Tree]] = [("As found\n", found)]
    if (source / HISTORY).is_file():
        trees.insert(0, ("Before the move\n", _past(source, history, found)))
    return trees


def _past(source: Path, history: History, found: Tree) -> Tree:
    """The tree before the moves, with the earlier contents and without what came later."""
    for _, new in history.moves:
        if new not in found and not any(path.startswith(f"{new}/") for path in found):
            raise ScratchError(f"{source / HISTORY}: [[move]] new = {new!r} names no file; correct it or remove it")
    for path in history.later:
        if path not in found:
            raise ScratchError(f"{source / HISTORY}: [[later]] {path!r} names no file; correct it or remove it")
    past = {history.before(path): file for path, file in found.items() if path not in history.later}
    if len(past) < len(found.keys() - history.later):
        raise ScratchError(f"{source / HISTORY}: a [[move]] leads to a path that is still in use; give it another old")
    for path, text in history.texts:
        mode = found[path].mode if path in found else "100644"
        try:
            past[history.before(path)] = File(mode, (source / text).read_bytes())
        except OSError as error:
            raise ScratchError(f"{source / HISTORY}: the earlier content of {path}: {error}") from error
    return past


def _history(source: Path) -> History:
    """Read `history.toml`; the empty history where there is none. Raises ScratchError."""
    path = source / HISTORY
    if not path.is_file():
        return History()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(raw.keys() - {"omit", "move", "earlier", "later"})
        if unknown:
            raise ScratchError(f"{path}: unknown key {unknown[0]!r}; known are omit, move, earlier, later")
        return History(
            omit=frozenset(_inside(path, each) for each in raw.get("omit", [])),
            moves=tuple((_inside(path, each["old"]), _inside(path, each["new"])) for each in raw.get("move", [])),
            texts=tuple(
                (_inside(path, each["path"]), _inside(path, each["content"])) for each in raw.get("earlier", [])
            ),
            later=frozenset(_inside(path, each["path"]) for each in raw.get("later", [])),
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScratchError(f"{path}: not readable as TOML: {error}") from error
    except KeyError as error:
        raise ScratchError(f"{path}: an entry lacks {error}") from error
    except (TypeError, AttributeError) as error:
        raise ScratchError(f"{path}: an entry is not a table of texts: {error}") from error


def _inside(path: Path, name: Any) -> str:
    """A path that stays inside the folder, with forward slashes."""
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is not a path")
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ScratchError(f"{path}: {name!r} leaves the folder; write a path relative to it")
    return str(pure)


def _files(folder: Path) -> Iterator[tuple[str, File]]:
    """Every file below a folder by its path, without caches and without a repository of its own."""
    for root, folders, names in os.walk(folder):
        linked = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in SKIPPED and name not in linked)
        for name in sorted([*names, *linked]):
            path = Path(root) / name
            if name in SKIPPED or name.endswith(".pyc"):
                continue
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield path.relative_to(folder).as_posix(), File("120000", os.fsencode(path.readlink()))
            elif stat.S_ISREG(mode):
                executable = "100755" if mode & stat.S_IXUSR else "100644"
                yield path.relative_to(folder).as_posix(), File(executable, path.read_bytes())


def _stream(trees: list[tuple[str, Tree]]) -> Iterator[bytes]:
    """The commits in the format of git-fast-import(1)."""
    for number, (message, tree) in enumerate(trees):
        when = b"%s %d +0000" % (AUTHOR, WHEN + number * HOUR)
        yield b"commit refs/heads/main\nauthor %s\ncommitter %s\n%sdeleteall\n" % (when, when, _data(message.encode()))
        for path in sorted(tree):
            quoted = os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
            yield b'M %s inline "%s"\n%s' % (tree[path].mode.encode(), quoted, _data(tree[path].content))


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _git(folder: Path, *arguments: str, feed: bytes | None = None) -> None:
    """Run git as if this machine had no configuration. Raises ScratchError with what git said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    try:
        subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, input=feed, capture_output=True, check=True, timeout=120
        )
    except FileNotFoundError as error:
        raise ScratchError("git was not found: install git 2.29 or newer") from error
    except subprocess.TimeoutExpired as error:
        raise ScratchError(f"git {arguments[0]} took more than 120 s in {folder}") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise ScratchError(f"git {' '.join(arguments)} failed in {folder}: {said}") from error
