"""Blobs, trees, commits and one branch, through a temporary index; or all of it beside the repository (dry run)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from regreen.apply.git import GitError, Repository, run_git
from regreen.journal import no_checkpoint


class FileMode(StrEnum):
    """Git's file modes (git-fast-import, `M`)."""

    FILE = "100644"
    EXECUTABLE = "100755"
    LINK = "120000"
    SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class Author:
    """Who the commits are by. Set `git config regreen.author 'Name <mail>'` to change it."""

    name: str = "Regreen"
    mail: str = "regreen@localhost"

    @classmethod
    def of(cls, repository: Repository) -> Author:
        """The configured author, or the fixed one."""
        name, _, mail = repository.ask("config", "--get", "regreen.author").partition("<")
        return cls(name.strip(), mail.strip(" >")) if name.strip() and mail.strip(" >") else cls()


_DELETED: Final = "0"


class Commits:
    """Writes commits of one repository. With `dry`, objects go to a folder of their own that `close` removes,
    and refs are never touched.

    `checkpoint` is called before and after each effect on the repository.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        dry: bool = False,
        checkpoint: Callable[[str], None] = no_checkpoint,
    ) -> None:
        self.repository = repository
        self.dry = dry
        self._checkpoint = checkpoint
        if dry:
            self._scratch = Path(tempfile.mkdtemp(prefix="regreen-dry-"))
            objects = self._scratch / "objects"
            objects.mkdir()
            theirs = str(repository.git_dir / "objects")
            # A path that git would split or unquote is quoted the C way (gitrepository-layout, alternates).
            if any(mark in theirs for mark in (os.pathsep, '"', "\n", "\\")):
                quoted = theirs.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
                theirs = f'"{quoted}"'
            self._extra = {"GIT_OBJECT_DIRECTORY": str(objects), "GIT_ALTERNATE_OBJECT_DIRECTORIES": theirs}
        else:
            state = repository.state
            state.mkdir(parents=True, exist_ok=True)
            for left in state.glob("scratch-*"):  # of a run that was killed: the lock says that it is not ours to share
                shutil.rmtree(left, ignore_errors=True)
            self._scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=state))
            self._extra = {}

    def close(self) -> None:
        """Remove the temporary index and, in a dry run, every object that was written."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Commits:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_tree(self, base: str, edits: Mapping[str, bytes | None], modes: Mapping[str, str] | None = None) -> str:
        """The id of the tree of commit (or tree) `base` with files replaced, added, or (None) removed.

        Paths are relative to the repository's root. A file keeps its mode; a new one is a plain file unless
        `modes` says otherwise. Raises GitError where a path is a submodule, or is a link and stays one by
        no word of `modes`, or where a file and a folder would have one name.
        """
        modes = modes or {}
        known = self.entries(base) if base else {}
        _refuse_clashes(known, edits)
        lines: list[bytes] = []
        written = self._blobs({path: content for path, content in edits.items() if content is not None})
        # Removals first: a file may make room for a folder of its name.
        for path, content in sorted(edits.items(), key=lambda item: (item[1] is not None, item[0])):
            mode, digest = known.get(path, ("", ""))
            if content is None:
                if not digest:
                    continue
                lines.append(b"0 %s\t%s\0" % (_DELETED.encode() * len(digest), os.fsencode(path)))
                continue
            if mode == FileMode.SUBMODULE:
                raise GitError(f"{path} is a submodule; its files are another repository's")
            if mode == FileMode.LINK and path not in modes:
                raise GitError(f"{path} is a symbolic link; the file that it points to is the one to change")
            new = modes.get(path, mode or FileMode.FILE)
            lines.append(b"%s %s\t%s\0" % (new.encode(), written[path].encode(), os.fsencode(path)))
        index = self._scratch / "index"
        index.unlink(missing_ok=True)
        extra = {**self._extra, "GIT_INDEX_FILE": str(index)}
        self._git("read-tree", base if base else "--empty", extra=extra)
        if lines:
            self._git("update-index", "-z", "--index-info", data=b"".join(lines), extra=extra)
        tree = self._git("write-tree", "--missing-ok", extra=extra).decode().strip()
        index.unlink(missing_ok=True)
        return tree

    def commit(self, tree: str, parents: tuple[str, ...], message: str, author: Author, when: int) -> str:
        """A commit object. The same arguments give the same id."""
        stamp = f"@{when} +0000"  # the @: small numbers are dates too
        extra = {
            **self._extra,
            "GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.mail, "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": author.name, "GIT_COMMITTER_EMAIL": author.mail, "GIT_COMMITTER_DATE": stamp,
        }  # fmt: skip
        arguments = [part for parent in parents for part in ("-p", parent)]
        text = message.encode("utf-8", "backslashreplace")
        return self._git("commit-tree", tree, *arguments, "-F", "-", data=text, extra=extra).decode().strip()

    def move(self, branch: str, new: str, old: str, why: str) -> None:
        """Point a branch at a commit, if it still is where we left it.

        `old` empty: the branch must not exist; `new` empty: it is deleted. Raises GitError when it was moved.
        """
        if self.dry:
            return
        reference = f"refs/heads/{branch}"
        zero = _DELETED * len(new or old)
        extra = {"GIT_COMMITTER_NAME": Author().name, "GIT_COMMITTER_EMAIL": Author().mail}
        self._checkpoint(f"before ref {why}")
        if new:
            self._git("update-ref", "-m", f"regreen: {why}", reference, new, old or zero, extra=extra)
        else:
            self._git("update-ref", "-m", f"regreen: {why}", "-d", reference, old, extra=extra)
        self._checkpoint(f"after ref {why}")

    def diff(self, old: str, new: str) -> bytes:
        """What `git diff OLD NEW` prints, without the programs that a configuration might name."""
        arguments = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", old, new, "--")
        return run_git(self.repository.folder, *arguments, extra=self._extra).stdout

    def entries(self, commit: str, paths: Mapping[str, object] | None = None) -> dict[str, tuple[str, str]]:
        """Mode and object id of every path in a commit, links and submodules included."""
        listed = self._git("ls-tree", "-r", "-z", "--full-tree", commit)
        found: dict[str, tuple[str, str]] = {}
        for line in listed.split(b"\0"):
            meta, _, name = line.partition(b"\t")
            if name:
                mode, _, digest = meta.decode().split(" ")
                path = os.fsdecode(name)
                if paths is None or path in paths:
                    found[path] = (mode, digest)
        return found

    def _blobs(self, contents: Mapping[str, bytes]) -> dict[str, str]:
        """Write blobs, all by one process, byte for byte (no filters); their ids by path."""
        if not contents:
            return {}
        folder = self._scratch / "blobs"
        folder.mkdir()
        distinct = list(dict.fromkeys(contents.values()))
        for number, content in enumerate(distinct):
            (folder / str(number)).write_bytes(content)
        names = "".join(f"{number}\n" for number in range(len(distinct))).encode()
        extra = {**self._extra, "GIT_DIR": str(self.repository.git_dir)}
        arguments = ("hash-object", "-w", "-t", "blob", "--no-filters", "--stdin-paths")
        self._checkpoint("before blobs")
        printed = run_git(folder, *arguments, data=names, extra=extra).stdout.decode().split()
        self._checkpoint("after blobs")
        shutil.rmtree(folder)
        ids = dict(zip(distinct, printed, strict=True))
        return {path: ids[content] for path, content in contents.items()}

    def _git(self, *arguments: str, data: bytes | None = None, extra: Mapping[str, str] | None = None) -> bytes:
        return self.repository.git(*arguments, data=data, extra=extra if extra is not None else self._extra)


def _refuse_clashes(known: Mapping[str, object], edits: Mapping[str, bytes | None]) -> None:
    """Git would silently drop a file that stands where a new file needs a folder, and the other way round."""
    added = [path for path, content in edits.items() if content is not None and path not in known]
    if not added:
        return
    left = {path for path in known if edits.get(path, b"") is not None} | set(added)
    folders = {path[:end] for path in left for end, letter in enumerate(path) if letter == "/"}
    for path in added:
        above = next((path[:end] for end, letter in enumerate(path) if letter == "/" and path[:end] in left), "")
        if above or path in folders:
            raise GitError(f"{path} cannot be created: {above or path} is a {'file' if above else 'folder'} there")
