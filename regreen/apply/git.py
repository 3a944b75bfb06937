"""Finding a repository and running git in it so that nothing of the user's runs, signs, or is rewritten."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Hooks are the target's own code (git-config: core.hooksPath); `update-ref` alone runs reference-transaction.
#: Signing asks for a key; fsmonitor and maintenance start processes; the protect* settings make `read-tree`
#: refuse file names that are already in the history, and nothing here is ever checked out into a work tree.
QUIET: Final = (
    f"core.hooksPath={os.devnull}",
    "commit.gpgSign=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.sparseCheckout=false",
    "index.sparse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.protectNTFS=false",
    "core.protectHFS=false",
    "core.fsync=committed,reference",
    "i18n.commitEncoding=UTF-8",
    "core.quotePath=false",
    "advice.detachedHead=false",
)
_KEPT: Final = ("GIT_CONFIG", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH")


class GitError(Exception):
    """Git refused, or a repository cannot be used; the text says what to do."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what would point git elsewhere (as inside a hook), and quiet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)}
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    return {**kept, **quiet, **(extra or {})}


def run_git(
    folder: Path,
    *arguments: str,
    data: bytes | None = None,
    extra: Mapping[str, str] | None = None,
    ok: tuple[int, ...] = (0,),
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder. Raises GitError, with what git said, for any other exit code than those in `ok`."""
    settings = [part for setting in QUIET for part in ("-c", setting)]
    try:
        done = subprocess.run(
            ("git", *settings, *arguments),
            cwd=folder,
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            env=environment(extra),
            check=False,
        )
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise GitError(f"{folder} is not a folder") from None
        raise GitError("git is not installed, or not on PATH; Regreen writes its branches with it") from error
    if done.returncode not in ok:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
        raise GitError(f"git {' '.join(arguments[:2])} failed in {folder}: {said}")
    return done


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository, and the part of it that is the target.

    `folder` is where git is run; `git_dir` is shared by all work trees; `work_tree` is None for a bare one.
    `prefix` is the target's folder inside the repository (`services/api/`, or empty for all of it).
    """

    folder: Path
    git_dir: Path
    work_tree: Path | None
    prefix: str = ""

    @property
    def state(self) -> Path:
        """Where the journal, the lock and the records live: beside git's own data, never in the work tree."""
        return self.git_dir / "regreen"

    def git(self, *arguments: str, data: bytes | None = None, extra: Mapping[str, str] | None = None) -> bytes:
        """Run git here and give what it printed. Raises GitError."""
        return run_git(self.folder, *arguments, data=data, extra=extra).stdout

    def ask(self, *arguments: str) -> str:
        """One line that git prints, or an empty string when it exits with 1 or 128 (nothing found)."""
        done = run_git(self.folder, *arguments, ok=(0, 1, 128))
        return os.fsdecode(done.stdout).strip() if done.returncode == 0 else ""

    def commit(self, revision: str) -> str:
        """The full id of a commit, or an empty string."""
        return self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")

    def tree(self, commit: str) -> str:
        """The id of the target's tree in a commit: the commit's tree, or the tree of its folder there."""
        if self.prefix:
            return self.ask(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{self.prefix.rstrip('/')}"
            )
        return self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}")

    def checked_out(self, branch: str) -> str:
        """The work tree that has this branch checked out, or an empty string."""
        where = ""
        for line in os.fsdecode(self.git("worktree", "list", "--porcelain", "-z")).split("\0"):
            name, _, value = line.partition(" ")
            if name == "worktree":
                where = value
            elif name == "branch" and value == f"refs/heads/{branch}":
                return where
        return ""


def open_repository(target: Path) -> Repository | None:
    """The repository that a target folder belongs to, or None where there is none.

    A folder that lies inside a repository which does not track it (an ignored build, an installed package)
    belongs to none. Raises GitError when git refuses to read it.
    """
    target = target.resolve()
    if not target.is_dir():
        raise GitError(f"{target} is not a folder; --target takes the folder of a project")
    done = run_git(target, "rev-parse", "--is-bare-repository", "--is-inside-git-dir", "--git-common-dir", ok=(0, 128))
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        if "not a git repository" in said:
            return None
        raise GitError(f"git cannot read {target}: {said}")
    bare, inside, common = os.fsdecode(done.stdout).removesuffix("\n").split("\n", 2)
    git_dir = (target / common).resolve()
    if bare == "true" or inside == "true":
        # Inside a `.git` folder: the repository itself was meant, without its work tree.
        return Repository(git_dir, git_dir, None)
    prefix = os.fsdecode(run_git(target, "rev-parse", "--show-prefix").stdout).removesuffix("\n")
    top = Path(os.fsdecode(run_git(target, "rev-parse", "--show-toplevel").stdout).removesuffix("\n"))
    repository = Repository(top, git_dir, top, prefix)
    if prefix and not _tracked(repository):
        return None
    return repository


def _tracked(repository: Repository) -> bool:
    if repository.tree("HEAD"):
        return True
    # Not in HEAD: a new folder that is not ignored still belongs to the repository.
    done = run_git(repository.folder, "check-ignore", "-q", "--", repository.prefix.rstrip("/"), ok=(0, 1, 128))
    return done.returncode == 1
