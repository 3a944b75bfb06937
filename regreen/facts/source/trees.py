"""Trees of files: a folder, a git commit, either with edits laid over it. One interface for dry run, verify, undo."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from regreen.facts.source.ignore import Ignore

#: Never entered, whatever the ignore rules say: version control, caches, environments, installed packages.
NEVER: Final = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox",
        ".venv", ".eggs", "node_modules", "__pypackages__", ".pants.d", ".direnv", ".ipynb_checkpoints", ".hypothesis",
    }
)  # fmt: skip


class Entry(NamedTuple):
    """A file of a tree. `digest` is its git blob id where known without reading; `stamp` its stat, on disk."""

    path: str
    digest: str
    stamp: tuple[int, int, int, int] | None


def blob_id(content: bytes) -> str:
    """The git (SHA-1) blob id of some bytes: a content key that trees on disk and in git share."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def git(repo: Path, *arguments: str, data: bytes | None = None) -> bytes:
    """Run a read-only git command in a repository. Raises subprocess.CalledProcessError."""
    command = ("git", "-c", "core.quotepath=off", "-c", "core.fsmonitor=false", "-C", str(repo), *arguments)
    return subprocess.run(command, input=data, capture_output=True, check=True, env=_environment()).stdout


def _environment() -> dict[str, str]:
    # Inside a hook git sets variables such as GIT_DIR, which would lead to another repository.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


class FolderTree:
    """The files of a folder as they are now. Symbolic links are not followed: their targets count once."""

    def __init__(self, root: Path, exclude: Sequence[str] = ()) -> None:
        self.root = root.resolve()
        self._exclude = tuple(exclude)

    @property
    def id(self) -> str:
        """Empty: a folder may change at any time."""
        return ""

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self._scan()}

    def _listed(self) -> list[str] | None:
        """Paths that git would show, tracked or not ignored; None where the folder is not in a work tree."""
        try:
            out = git(self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", ".")
        except (subprocess.CalledProcessError, FileNotFoundError):
            return None
        return [os.fsdecode(name) for name in out.split(b"\0") if name]

    def _scan(self) -> Iterator[Entry]:
        listed = self._listed()
        # A folder that git ignores as a whole (an installed package, say) lists nothing: then look for ourselves.
        paths = sorted(listed) if listed else sorted(self._walk())
        prefix = os.fsencode(self.root) + b"/"
        ignore = Ignore(self._exclude) if self._exclude else None
        for path in paths:
            if not NEVER.isdisjoint(path.split("/")) or (ignore is not None and ignore.match(path)):
                continue
            try:
                info = os.lstat(prefix + os.fsencode(path))
            except OSError:
                continue  # listed by git, gone from the disk
            if stat.S_ISREG(info.st_mode):
                yield Entry(path, "", (info.st_size, info.st_mtime_ns, info.st_ino, info.st_ctime_ns))

    def _walk(self) -> Iterator[str]:
        stack: list[tuple[str, tuple[tuple[str, Ignore], ...]]] = [("", ())]
        while stack:
            folder, rules = stack.pop()
            try:
                with os.scandir(self.root / folder if folder else self.root) as found:
                    entries = list(found)
            except OSError:
                continue
            names = {entry.name for entry in entries}
            if folder and "pyvenv.cfg" in names:
                continue
            if ".gitignore" in names:
                try:
                    text = (self.root / folder / ".gitignore").read_bytes()
                except OSError:
                    text = b""
                rules = (*rules, (folder, Ignore(text.decode("utf-8", "replace").splitlines())))
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name in NEVER or entry.is_symlink():
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                if any(
                    rule.match((path[len(base) + 1 :] if base else path) + ("/" if is_folder else ""))
                    for base, rule in rules
                ):
                    continue
                if is_folder:
                    stack.append((path, rules))
                else:
                    yield path

    def entries(self) -> Sequence[Entry]:
        """Every file, with its stat."""
        return tuple(self._entries.values())

    def paths(self) -> Sequence[str]:
        """Every file that the ignore rules leave, sorted."""
        return tuple(self._entries)

    def exists(self, path: str) -> bool:
        """Whether the tree holds a file of that path."""
        return path in self._entries

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError; other OSErrors for files that cannot be read."""
        with open(os.fsencode(self.root) + b"/" + os.fsencode(path), "rb") as file:  # noqa: PTH123 - bytes paths
            return file.read()


class GitTree:
    """The files of a commit (or any tree-ish), read with git plumbing: no checkout, no filters, no hooks.

    With a prefix (`services/api/`) only the files of that folder, their paths counted from it; the commit stays known.
    """

    def __init__(self, repo: Path, commit: str, exclude: Sequence[str] = (), prefix: str = "") -> None:
        self.repo = repo
        self.commit = commit
        self.prefix = prefix
        self._exclude = tuple(exclude)
        self._process: subprocess.Popen[bytes] | None = None

    @cached_property
    def id(self) -> str:
        """The id of the git tree."""
        where = f"{self.commit}:{self.prefix.rstrip('/')}" if self.prefix else f"{self.commit}^{{tree}}"
        return git(self.repo, "rev-parse", "--verify", where).decode().strip()

    @property
    def relative(self) -> tuple[str, ...]:
        """The option that makes `git log` and `git show` name files as this tree does, and leave out all others."""
        return (f"--relative={self.prefix}",) if self.prefix else ()

    @cached_property
    def _blobs(self) -> dict[str, tuple[str, str]]:
        blobs: dict[str, tuple[str, str]] = {}
        ignore = Ignore(self._exclude) if self._exclude else None
        for line in git(self.repo, "ls-tree", "-r", "-z", "--full-tree", self.id).split(b"\0"):
            if not line:
                continue
            meta, _, name = line.partition(b"\t")
            mode, kind, digest = meta.decode().split(" ")
            path = os.fsdecode(name)
            if kind != "blob" or mode == "120000" or not NEVER.isdisjoint(path.split("/")):
                continue
            if ignore is None or not ignore.match(path):
                blobs[path] = (digest, mode)
        return dict(sorted(blobs.items()))

    def entries(self) -> Sequence[Entry]:
        """Every file, with its blob id."""
        return tuple(Entry(path, digest, None) for path, (digest, _) in self._blobs.items())

    def paths(self) -> Sequence[str]:
        """Every file, sorted; symbolic links and submodules are left out."""
        return tuple(self._blobs)

    def exists(self, path: str) -> bool:
        """Whether the commit holds a file of that path."""
        return path in self._blobs

    def mode(self, path: str) -> str:
        """The file's git mode, such as `100644`. Raises KeyError."""
        return self._blobs[path][1]

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        try:
            digest = self._blobs[path][0]
        except KeyError:
            raise FileNotFoundError(path) from None
        return self.blob(digest)

    def blob(self, digest: str) -> bytes:
        """The bytes of a blob, through one long-lived `git cat-file --batch`."""
        if self._process is None:
            self._process = subprocess.Popen(
                ("git", "-C", str(self.repo), "cat-file", "--batch"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(),
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(digest.encode() + b"\n")
        process.stdin.flush()
        header = process.stdout.readline().split()
        if len(header) != 3:
            raise FileNotFoundError(f"git object {digest} is missing from {self.repo}")
        size = int(header[2])
        content = process.stdout.read(size)
        process.stdout.read(1)
        return content

    def close(self) -> None:
        """End the reading process. The tree opens a new one if it is read again."""
        if self._process is not None:
            process, self._process = self._process, None
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            process.wait()

    def __del__(self) -> None:
        self.close()


class OverlayTree:
    """Another tree with some files replaced, added, or (None) removed."""

    def __init__(
        self, base: FolderTree | GitTree | OverlayTree | MemoryTree, edits: Mapping[str, bytes | None]
    ) -> None:
        self.base = base
        self.edits = dict(edits)

    @cached_property
    def id(self) -> str:
        """Derived from the base's id and the edits; empty if the base may change."""
        if not self.base.id:
            return ""
        digest = hashlib.sha256(self.base.id.encode())
        for path, content in sorted(self.edits.items()):
            digest.update(os.fsencode(path) + b"\0" + (blob_id(content).encode() if content is not None else b"-"))
        return digest.hexdigest()[:40]

    def entries(self) -> Sequence[Entry]:
        """Every file; edited ones with the blob id of their new content."""
        kept = [entry for entry in self.base.entries() if entry.path not in self.edits]
        kept += [Entry(path, blob_id(content), None) for path, content in self.edits.items() if content is not None]
        return tuple(sorted(kept))

    def paths(self) -> Sequence[str]:
        """Every file, sorted."""
        return tuple(entry.path for entry in self.entries())

    def exists(self, path: str) -> bool:
        """Whether the tree holds a file of that path."""
        return self.edits[path] is not None if path in self.edits else self.base.exists(path)

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        if path in self.edits:
            content = self.edits[path]
            if content is None:
                raise FileNotFoundError(path)
            return content
        return self.base.read(path)


class MemoryTree:
    """A small tree held in memory: examples and tests."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self._files = {path: text.encode() if isinstance(text, str) else text for path, text in sorted(files.items())}

    @cached_property
    def id(self) -> str:
        """Derived from the content."""
        digest = hashlib.sha256()
        for path, content in self._files.items():
            digest.update(os.fsencode(path) + b"\0" + blob_id(content).encode())
        return digest.hexdigest()[:40]

    def entries(self) -> Sequence[Entry]:
        """Every file, with its blob id."""
        return tuple(Entry(path, blob_id(content), None) for path, content in self._files.items())

    def paths(self) -> Sequence[str]:
        """Every file, sorted."""
        return tuple(self._files)

    def exists(self, path: str) -> bool:
        """Whether the tree holds a file of that path."""
        return path in self._files

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(path) from None


Tree = FolderTree | GitTree | OverlayTree | MemoryTree
