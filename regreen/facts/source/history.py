"""What git's history says about a path: where a file that is gone went. Read-only, and bounded in time.

Only trees that are commits, or edits over one, have a history here; every other answer is "not known".
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import Final, NamedTuple

from regreen.facts.source.index import Index
from regreen.facts.source.trees import GitTree, OverlayTree

_BUDGET: Final = 30.0  # seconds of git for one index
_ONE: Final = 15.0  # seconds for one command
_HOPS: Final = 6  # renames of one file that are followed


#: A rename shows as a deletion where only the old path is looked at; that keeps git from comparing whole trees.
_DELETIONS: Final = ("--diff-filter=D", "--no-renames")
_KEPT: Final = 4  # histories that are remembered
_GONE: Final[dict[tuple[str, str], dict[str, str] | None]] = {}


class Renamed(NamedTuple):
    """A file that a commit renamed: its path now, and the last commit on the way."""

    path: str
    commit: str
    date: str
    subject: str

    def __str__(self) -> str:
        return f"commit {self.commit[:10]} of {self.date} ({self.subject}) renamed it to {self.path}"


class _Git:
    def __init__(self, index: Index) -> None:
        tree = index.tree
        while isinstance(tree, OverlayTree):
            tree = tree.base
        self.tree = tree if isinstance(tree, GitTree) else None
        self.left = _BUDGET

    def run(self, *arguments: str) -> str:
        """What a git command prints; nothing if it fails, takes too long, or the time of this index is used up."""
        if self.tree is None or self.left <= 0:
            return ""
        command = ("git", "-c", "core.quotepath=off", "-C", str(self.tree.repo), *arguments)
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"):
            environment.pop(name, None)
        started = time.monotonic()
        try:
            done = subprocess.run(
                command, capture_output=True, check=True, env=environment, timeout=min(_ONE, self.left)
            )
        except (subprocess.SubprocessError, OSError):
            return ""
        finally:
            self.left -= time.monotonic() - started
        return done.stdout.decode("utf-8", "surrogateescape")


def renamed(index: Index, path: str) -> Renamed | None:
    """Where a file went that the tree does not have: the path that renames lead to, if the tree has it."""
    known: dict[str, Renamed | None] = index.derive("renames", lambda _: {})
    if path not in known:
        known[path] = _follow(index, path)
    return known[path]


def _follow(index: Index, path: str) -> Renamed | None:
    git = index.derive("git", _Git)
    if git.tree is None:
        return None
    commit = git.tree.commit
    gone = _deleted(git, f"{git.tree.repo}/{git.tree.prefix}", commit)
    for _ in range(_HOPS):
        if gone is not None:
            line = gone.get(path, "")
        else:
            line = git.run(
                "log", "-1", *_DELETIONS, "--format=%H%x09%cs%x09%s", commit, "--", git.tree.prefix + path
            ).strip()
        if not line:
            return None
        found, _, rest = line.partition("\t")
        date, _, subject = rest.partition("\t")
        changes = git.run(
            "show",
            "-m",
            "--first-parent",
            "-M50%",
            "--diff-filter=R",
            "--name-status",
            "-z",
            *git.tree.relative,
            "--format=",
            found,
        )
        fields = [field for field in changes.split("\0") if field]
        pairs = {
            old: new for kind, old, new in zip(fields[::3], fields[1::3], fields[2::3], strict=False) if kind[:1] == "R"
        }
        if path not in pairs:
            return None
        path = pairs[path]
        if index.tree.exists(path):
            return Renamed(path, found, date, subject)
    return None


def _deleted(git: _Git, repo: str, commit: str) -> dict[str, str] | None:
    """Every Python file that the history deleted, with the last commit that did; None where it deleted none, or takes too long to tell.

    One walk over the history answers for all paths, and for all states of a tree over one commit: asking git for each
    path reads the history each time.
    """
    key = (repo, commit)
    if key not in _GONE:
        listing = git.run(
            "log", *_DELETIONS, "--name-only", "-z", "--format=%x01%H%x09%cs%x09%s", commit,
            *(git.tree.relative if git.tree else ()), "--", (git.tree.prefix if git.tree else "") + "*.py",
        )  # fmt: skip
        table: dict[str, str] = {}
        for entry in listing.split("\x01")[1:]:
            line, *paths = (part.strip("\n") for part in entry.split("\0"))
            for path in paths:
                if path:
                    table.setdefault(path, line)
        while len(_GONE) >= _KEPT:
            _GONE.pop(next(iter(_GONE)))
        _GONE[key] = table if listing else None
    return _GONE[key]


def dropped(index: Index, path: str, text: str) -> str:
    """The commit that last changed how often a text occurs in a file, in words; empty if that is not known."""
    git = index.derive("git", _Git)
    if git.tree is None:
        return ""
    line = git.run(
        "log", "-1", "--format=%h%x09%cs%x09%s", f"-S{text}", git.tree.commit, "--", git.tree.prefix + path
    ).strip()
    if not line:
        return ""
    commit, _, rest = line.partition("\t")
    date, _, subject = rest.partition("\t")
    return f"commit {commit} of {date} ({subject})"


def defined_until(index: Index, path: str, name: str) -> str:
    """The commit before which a file bound a name at its top level, in words; empty if it never did, or it is not known."""
    git = index.derive("git", _Git)
    if git.tree is None:
        return ""
    line = git.run(
        "log", "-1", "--format=%H%x09%cs%x09%s", f"-S{name}", git.tree.commit, "--", git.tree.prefix + path
    ).strip()
    commit, _, rest = line.partition("\t")
    before = git.run("show", f"{commit}^:{git.tree.prefix}{path}") if commit else ""
    word = re.escape(name)
    bound = rf"(?m)^(?:(?:async[ \t]+def|def|class)[ \t]+{word}\b|{word}[ \t]*[:=]|from[ \t]+\S+[ \t]+import\b[^\n#]*\b{word}\b)"
    if not re.search(bound, before):
        return ""
    date, _, subject = rest.partition("\t")
    return f"commit {commit[:10]} of {date} ({subject})"
