"""Effects on a git repository, all of them with plumbing: the user's index, work tree, hooks, signing and
configuration are never touched."""

from __future__ import annotations

from regreen.apply.commits import Author, Commits, FileMode
from regreen.apply.git import GitError, Repository, open_repository
from regreen.apply.snapshot import copy_folder, dirty_paths, snapshot

__all__ = [
    "Author",
    "Commits",
    "FileMode",
    "GitError",
    "Repository",
    "copy_folder",
    "dirty_paths",
    "open_repository",
    "snapshot",
]
