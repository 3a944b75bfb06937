"""Two revisions of a git repository, read with plumbing only.

No command here runs a hook, a filter, an external diff or a file-system monitor of the repository: blobs are read as
they are stored, and the work tree is read file by file.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from .change import compare
from .source import is_test_support
from .verdict import Comparison, Skipped

_NEUTRAL: Final = ("-c", "core.hooksPath=", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_LARGEST: Final = 5_000_000
"""A Python file of more bytes is generated data, not a test."""


class HistoryError(Exception):
    """The comparison cannot start: the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    blob: str


def from_git(repo: Path, base: str, head: str | None = None, paths: Sequence[str] = ()) -> Comparison:
    """Compare the tests at the merge base of `base` and `head` with those at `head` (None: the work tree).

    Without a merge base (unrelated or shallow histories) `base` itself is taken. `paths` limits the comparison to
    these files and folders. Raises `HistoryError` for a folder that is no repository or a revision it does not have.
    """
    start, end = _resolve(repo, base), _resolve(repo, head or "HEAD")
    found = _git(repo, "merge-base", start, end, check=False).decode().split()
    start = found[0] if found else start
    with _blobs(repo) as blobs:
        if head is None:
            return _against_work_tree(repo, blobs, start, paths)
        before: dict[str, bytes] = {}
        after: dict[str, bytes] = {}
        renames: dict[str, str] = {}
        skipped: list[Skipped] = []
        for old_path, new_path, old, new in _changes(repo, start, end):
            for path, entry, side in ((old_path, old, before), (new_path, new, after)):
                if not entry.blob or not _wanted(path, paths):
                    continue
                data = blobs.read(entry.blob) if entry.mode.startswith("100") else None
                if data is None or len(data) > _LARGEST or b"\0" in data:
                    skipped.append(Skipped(path, "not a text file that can be compared"))
                else:
                    side[path] = data
            if old_path != new_path:
                renames[old_path] = new_path
        result = compare(
            before, after,
            context_before=lambda path: blobs.read(f"{start}:{path}"),
            context_after=lambda path: blobs.read(f"{end}:{path}"),
            renames=renames,
        )  # fmt: skip
    return Comparison(result.tests, (*skipped, *result.skipped))


def _against_work_tree(repo: Path, blobs: _Blobs, start: str, paths: Sequence[str]) -> Comparison:
    if _git(repo, "rev-parse", "--is-bare-repository").strip() == b"true":
        raise HistoryError(
            f"{repo} is a bare repository and has no work tree: name the revision to compare with --head"
        )
    root = Path(os.fsdecode(_git(repo, "rev-parse", "--show-toplevel").rstrip(b"\n")))
    tree = {path: entry for path, entry in _tree(repo, start) if _wanted(path, paths)}
    listed = _git(root, "ls-files", "-z", "--others", "--cached", "--exclude-standard").split(b"\0")
    present = {path for path in map(os.fsdecode, filter(None, listed)) if _wanted(path, paths)}
    before: dict[str, bytes] = {}
    after: dict[str, bytes] = {}
    skipped: list[Skipped] = []
    for path in sorted({*tree, *present}):
        data = _file(root / path)
        entry = tree.get(path)
        if entry is not None and data is not None and _blob_id(data, len(entry.blob)) == entry.blob:
            continue
        old = blobs.read(entry.blob) if entry is not None and entry.mode.startswith("100") else None
        for content, side in ((old, before), (data, after)):
            if content is not None and (len(content) > _LARGEST or b"\0" in content):
                skipped.append(Skipped(path, "not a text file that can be compared"))
            elif content is not None:
                side[path] = content
    result = compare(
        before, after,
        context_before=lambda path: blobs.read(f"{start}:{path}"),
        context_after=lambda path: _file(root / path),
    )  # fmt: skip
    return Comparison(result.tests, (*skipped, *result.skipped))


def _wanted(path: str, paths: Sequence[str]) -> bool:
    if not is_test_support(path):
        return False
    folders = [item.strip("/").removeprefix("./") for item in paths]
    return not folders or any(path == item or path.startswith(f"{item}/") or item in {"", "."} for item in folders)


def _file(path: Path) -> bytes | None:
    try:
        return None if path.is_symlink() or not path.is_file() else path.read_bytes()
    except OSError:
        return None


def _blob_id(data: bytes, length: int) -> str:
    header = f"blob {len(data)}\0".encode()
    if length == 64:
        return hashlib.sha256(header + data).hexdigest()
    return hashlib.sha1(header + data, usedforsecurity=False).hexdigest()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _git(repo: Path, *arguments: str, check: bool = True) -> bytes:
    try:
        done = subprocess.run(
            ["git", *_NEUTRAL, "-C", str(repo), *arguments], capture_output=True, env=_environment(), check=False
        )
    except OSError as error:
        raise HistoryError(f"git cannot be run: {error}; install git and put it on PATH") from error
    if done.returncode and check:
        message = done.stderr.decode("utf-8", "replace").strip() or f"git {arguments[0]} failed"
        raise HistoryError(f"{repo}: {message}")
    return done.stdout


def _resolve(repo: Path, revision: str) -> str:
    if not repo.is_dir():
        raise HistoryError(f"{repo} is not a folder: name a git repository with --target")
    if not _git(repo, "rev-parse", "--git-dir", check=False):
        raise HistoryError(f"{repo} is not a git repository: name one with --target")
    found = _git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", check=False)
    name = found.decode().strip().splitlines()
    if name:
        return name[-1]
    shallow = _git(repo, "rev-parse", "--is-shallow-repository", check=False).strip() == b"true"
    more = (
        "this clone is shallow: get more history with `git fetch --unshallow`" if shallow else "see `git log --oneline`"
    )
    raise HistoryError(f"{repo} has no commit {revision!r}: {more}")


def _changes(repo: Path, start: str, end: str) -> Iterator[tuple[str, str, _Entry, _Entry]]:
    """Old path, new path, old and new entry of each changed file; git pairs the renames."""
    raw = _git(
        repo, "diff-tree", "-r", "-M", "-z", "--raw", "--no-ext-diff", "--no-textconv", "--no-abbrev", start, end
    )
    fields = iter(raw.split(b"\0"))
    for head in fields:
        if not head.startswith(b":"):
            continue
        old_mode, new_mode, old_blob, new_blob, status = head[1:].decode().split(" ")
        path = os.fsdecode(next(fields))
        other = os.fsdecode(next(fields)) if status[0] in "RC" else path
        old = _Entry(old_mode, "" if status[0] in "AC" else old_blob)
        new = _Entry(new_mode, "" if status[0] == "D" else new_blob)
        yield path, other, old, new


def _tree(repo: Path, revision: str) -> Iterator[tuple[str, _Entry]]:
    for line in _git(repo, "ls-tree", "-r", "-z", "--full-tree", revision).split(b"\0"):
        if line:
            head, _, path = line.partition(b"\t")
            mode, kind, blob = head.decode().split(" ")
            if kind == "blob":
                yield os.fsdecode(path), _Entry(mode, blob)


@dataclass(slots=True)
class _Blobs:
    """One `git cat-file --batch` process; asks for objects by id or by `revision:path`."""

    requests: IO[bytes]
    answers: IO[bytes]

    def read(self, name: str) -> bytes | None:
        """The bytes of a blob, or None where there is none."""
        if "\n" in name or "\r" in name:
            return None
        self.requests.write(os.fsencode(name) + b"\n")
        self.requests.flush()
        head = self.answers.readline().split()
        if len(head) != 3 or not head[2].isdigit():
            return None
        data = self.answers.read(int(head[2]) + 1)[:-1]
        return data if head[1] == b"blob" else None


@contextmanager
def _blobs(repo: Path) -> Iterator[_Blobs]:
    command = ["git", *_NEUTRAL, "-C", str(repo), "cat-file", "--batch"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise HistoryError("git cat-file gave no pipes")
        try:
            yield _Blobs(process.stdin, process.stdout)
        finally:
            process.stdin.close()
