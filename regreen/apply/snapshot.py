"""Commits of what is not committed: a dirty work tree, or a folder that is in no repository."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from regreen.apply.commits import Author, Commits, FileMode
from regreen.apply.git import Repository, run_git

#: Folders that are never copied: version control, environments, caches, installed packages.
NOT_COPIED: Final = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".venv", ".tox", ".nox", "node_modules", ".mypy_cache", ".pytest_cache",
     ".ruff_cache", ".eggs", "__pypackages__", ".hypothesis"}
)  # fmt: skip
#: The date of a snapshot that has no parent: the same content always makes the same commit.
_EPOCH: Final = 1_600_000_000
#: A pipe, a socket, a device: nothing that git could store.
_SPECIAL: Final = "special"


def dirty_paths(repository: Repository) -> tuple[str, ...]:
    """Paths that differ from HEAD, or are new and not ignored, inside the target's folder."""
    if repository.work_tree is None:
        return ()
    # Filters (git-lfs, say) are programs that a configuration names: git must not start them to look.
    names = repository.ask("config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process|required)$").split(
        "\n"
    )
    off = [part for name in names if name for part in ("-c", f"{name}={'false' if name.endswith('required') else ''}")]
    listed = run_git(
        repository.work_tree, *off, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames",
        "--ignore-submodules=all", "--", f":(top,literal){repository.prefix}" if repository.prefix else ":/",
    ).stdout  # fmt: skip
    found = [os.fsdecode(line[3:]) for line in listed.split(b"\0") if len(line) > 3]
    filtered = _filtered(repository, found) if off else frozenset()
    return tuple(sorted(path for path in found if path not in filtered and not path.endswith("/")))


def _filtered(repository: Repository, paths: list[str]) -> frozenset[str]:
    """Paths that a filter stands before: their bytes on disk are not what git stores, so HEAD's are kept."""
    if not paths:
        return frozenset()
    data = b"\0".join(os.fsencode(path) for path in paths)
    printed = repository.git("check-attr", "-z", "--stdin", "filter", data=data).split(b"\0")
    rows = zip(printed[0::3], printed[2::3], strict=False)
    return frozenset(os.fsdecode(path) for path, value in rows if value not in (b"unspecified", b"unset"))


def snapshot(repository: Repository, commits: Commits, head: str) -> str:
    """A commit of the work tree as it is: HEAD with every changed, new and removed file. HEAD itself if clean.

    Bytes are taken as they lie on the disk. The same content on the same HEAD gives the same commit.
    """
    paths = dirty_paths(repository)
    if not paths and head:
        return head
    assert repository.work_tree is not None
    when = int(repository.ask("show", "-s", "--format=%ct", head) or _EPOCH) if head else _EPOCH
    keep_modes = repository.ask("config", "--type=bool", "--get", "core.fileMode") == "false"
    known = commits.entries(head) if head else {}
    edits: dict[str, bytes | None] = {}
    modes: dict[str, str] = {}
    for path in paths:
        content, mode = _on_disk(repository.work_tree, path)
        before = known.get(path, ("", ""))[0]
        if FileMode.SUBMODULE in (before, mode) or mode == _SPECIAL:
            continue
        edits[path] = content
        if content is not None:
            modes[path] = before if keep_modes and before and mode != FileMode.LINK else mode
    tree = commits.write_tree(head, edits, modes)
    message = "Snapshot of uncommitted work\n\nMade by Regreen; the work tree itself was not touched.\n"
    return commits.commit(tree, (head,) if head else (), message, Author.of(repository), when)


def _on_disk(root: Path, path: str) -> tuple[bytes | None, str]:
    full = os.fsencode(root) + b"/" + os.fsencode(path)
    try:
        info = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    if stat.S_ISLNK(info.st_mode):
        return os.readlink(full), FileMode.LINK  # noqa: PTH115 - a path of bytes
    if not stat.S_ISREG(info.st_mode):
        return None, FileMode.SUBMODULE if stat.S_ISDIR(info.st_mode) else _SPECIAL
    with open(full, "rb") as file:  # noqa: PTH123 - a path of bytes
        content = file.read()
    return content, FileMode.EXECUTABLE if info.st_mode & 0o111 else FileMode.FILE


def copy_folder(source: Path, cache: Path) -> Repository:
    """A repository in the cache that holds a folder's files; later calls commit what has changed since.

    The folder itself gets nothing written into it. Each folder has a copy of its own, named after it.
    """
    source = source.resolve()
    key = hashlib.sha256(os.fsencode(source)).hexdigest()[:10]
    destination = cache / f"{source.name or 'root'}-{key}"
    destination.mkdir(parents=True, exist_ok=True)
    if not (destination / ".git").is_dir():
        run_git(destination, "init", "-q", "--template=", "-b", "main", ".")
    repository = Repository(destination, (destination / ".git").resolve(), destination)
    head = repository.commit("refs/heads/main")
    edits: dict[str, bytes | None] = {}
    modes: dict[str, str] = {}
    for path in _files(source, destination):
        content, mode = _on_disk(source, path)
        if content is not None:
            edits[path], modes[path] = content, mode
    with Commits(repository) as commits:
        tree = commits.write_tree("", edits, modes)
        if not head or repository.tree(head) != tree:
            message = f"{source.name or 'folder'} as found\n"
            commit = commits.commit(tree, (head,) if head else (), message, Author(), _EPOCH)
            commits.move("main", commit, head, "copy")
            run_git(destination, "symbolic-ref", "HEAD", "refs/heads/main")
            run_git(destination, "read-tree", "--reset", "-u", "HEAD")
    return repository


def _files(source: Path, copy: Path) -> list[str]:
    """Files and links of the folder that its ignore rules leave, as git sees them; environments are left out."""
    left_out = [part for name in sorted(NOT_COPIED) for part in ("-x", name)]
    extra = {"GIT_DIR": str(copy / ".git"), "GIT_WORK_TREE": str(source), "GIT_INDEX_FILE": str(copy / ".git/none")}
    listed = run_git(source, "ls-files", "-z", "--others", "--exclude-standard", *left_out, extra=extra).stdout
    paths = [os.fsdecode(name) for name in listed.split(b"\0") if name and not name.endswith(b"/")]
    environments = tuple(path.removesuffix("pyvenv.cfg") for path in paths if path.endswith("/pyvenv.cfg"))
    return [path for path in paths if not path.startswith(environments)] if environments else paths
