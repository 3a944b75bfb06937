"""Where a target may lie: no repository, a part of one, no commit, a work tree, odd names."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from regreen.apply import GitError
from regreen.lock import LockedError
from regreen.run.options import OptionError
from regreen.runner import remediate
from tests.unit.run.toys import CHECKS, FILES, Replace, catalogue, everything, git, options, plan, repository, write

TOYS = catalogue()


def test_a_folder_without_git_is_copied_and_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "plain"
    write(
        target,
        {**FILES, ".venv/pyvenv.cfg": "", ".venv/lib.py": "alpha\n", "env/pyvenv.cfg": "", "env/x.py": "alpha\n"},
    )
    found = everything(target)

    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))
    second = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))

    assert everything(target) == found
    assert not (target / ".git").exists()
    copy = Path(first.record.repository)
    assert copy.parent == tmp_path / "copies"
    assert str(copy) in first.record.messages[0]
    assert git(copy, "ls-files").split() == ["README.md", "a.py", "b.py", "c.py"]
    assert (copy / "a.py").read_text() == FILES["a.py"]
    assert git(copy, "show", f"{first.record.branch}:a.py") == "x = 'one'\ny = 'two'\n"
    assert second.record.branch == first.record.branch
    assert git(copy, "status", "--porcelain") == ""


def test_a_part_of_a_repository_is_a_target_of_its_own(tmp_path: Path) -> None:
    target = repository(
        tmp_path / "t", {**{f"api/{name}": text for name, text in FILES.items()}, "other.py": "x = 'alpha'\n"}
    )

    record = remediate(target / "api", plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert git(target, "diff", "--name-only", f"main..{record.branch}").split() == ["api/a.py", "api/b.py", "api/c.py"]
    assert {finding.path for finding in record.before.findings.values()} == {"a.py", "b.py", "c.py"}


def test_a_repository_without_a_commit_says_what_to_do(tmp_path: Path) -> None:
    target = tmp_path / "t"
    target.mkdir()
    git(target, "init", "-q", "-b", "main", "--template=")
    write(target, FILES)

    with pytest.raises(OptionError, match="has no commit yet: commit first, or add --include-uncommitted"):
        remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, include_uncommitted=True)).record

    assert git(target, "show", f"{record.branch}:b.py") == "z = 'one'\n"
    assert git(target, "status", "--porcelain").splitlines() == ["?? README.md", "?? a.py", "?? b.py", "?? c.py"]


def test_a_branch_in_someone_s_work_tree_is_not_moved(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    toys = catalogue((Replace("alpha", "one"),))
    first = remediate(target, plan(toys), 1, toys, options(tmp_path)).record
    git(target, "worktree", "add", "-q", str(tmp_path / "w"), first.branch)

    second = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert second.branch != first.branch
    assert git(tmp_path / "w", "status", "--porcelain") == ""


def test_a_branch_in_the_way_is_said_before_anything_is_done(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    git(target, "branch", "regreen")

    with pytest.raises(
        GitError, match=r"a branch named regreen is in the way of regreen/.* `git branch -m regreen regreen-old`"
    ):
        remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))
    git(target, "branch", "-m", "regreen", "other")

    assert remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).exit_code == 0


def test_a_state_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    (target / ".git" / "regreen").write_text("in the way")

    with pytest.raises(LockedError, match=r"\.git/regreen cannot be written .*--dry-run writes nothing"):
        remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))
    assert remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, dry_run=True)).record.changes


def test_a_hook_s_environment_does_not_mislead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = repository(tmp_path / "t")
    other = repository(tmp_path / "other", {"o.py": "o = 1\n"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))

    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    monkeypatch.undo()
    assert git(other, "branch", "--format=%(refname:short)").split() == ["main"]
    assert git(target, "show", f"{record.branch}:b.py") == "z = 'one'\n"


def test_a_path_of_bytes_is_repaired_like_any_other(tmp_path: Path) -> None:
    target = repository(tmp_path / "t", {"keep.txt": "x\n"})
    names = [b"caf\xe9 one.py", b"line\nbreak.py", b'quo"te.py', b"-dash.py"]
    for name in names:
        with open(os.fsencode(target) + b"/" + name, "wb") as file:
            file.write(b"x = 'alpha'\r\n# \xff\xfe\r\n" if name.startswith(b"caf") else b"x = 'alpha'")
    git(target, "add", "-A")
    git(target, "commit", "-qm", "odd")
    toys = catalogue((Replace("alpha", "one"),), CHECKS[:1])

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    blobs = {
        name: subprocess.run(
            [b"git", b"show", record.branch.encode() + b":" + name], cwd=target, check=True, capture_output=True
        ).stdout
        for name in names
    }
    # The first does not decode as UTF-8: it is not a readable source, and stays to the byte unless it was read.
    assert blobs[b"line\nbreak.py"] == blobs[b'quo"te.py'] == blobs[b"-dash.py"] == b"x = 'one'"
    assert blobs[b"caf\xe9 one.py"] in (b"x = 'alpha'\r\n# \xff\xfe\r\n", b"x = 'one'\r\n# \xff\xfe\r\n")
    assert replace(record, run="") == replace(type(record).from_json(record.to_json()), run="")
