"""Trees and branches written with plumbing, in every kind of repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regreen.apply import Author, Commits, GitError, Repository, open_repository
from tests.unit.run.toys import git, repository, write

FILES = {"a.py": "a\n", "dir/b.py": "b\n", "dir/c.py": "c\n"}


def opened(folder: Path) -> Repository:
    found = open_repository(folder)
    assert found is not None
    return found


def listing(folder: Path, tree: str) -> dict[str, tuple[str, str]]:
    """Mode and text of each file of a tree."""
    rows = [row.split("\t", 1) for row in git(folder, "ls-tree", "-r", "-z", tree).split("\0") if row]
    return {name: (meta.split()[0], git(folder, "cat-file", "-p", meta.split()[2])) for meta, name in rows}


@pytest.mark.parametrize("kind", ["plain", "sha256", "bare", "worktree", "shallow", "detached", "sparse", "packed"])
def test_edits_become_a_tree_in_every_kind_of_repository(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "t"
    if kind == "sha256":
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main", "--template=", "--object-format=sha256")
        write(folder, FILES)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "as found")
    else:
        repository(folder, FILES)
    if kind == "bare":
        git(tmp_path, "clone", "-q", "--bare", "--template=", "t", "other")
        folder = tmp_path / "other"
    elif kind == "worktree":
        git(folder, "worktree", "add", "-q", "--detach", str(tmp_path / "other"))
        folder = tmp_path / "other"
    elif kind == "shallow":
        git(folder, "commit", "-q", "--allow-empty", "-m", "two")
        git(tmp_path, "clone", "-q", "--depth=1", "--template=", f"file://{folder}", "other")
        folder = tmp_path / "other"
    elif kind == "detached":
        git(folder, "checkout", "-q", "--detach")
    elif kind == "sparse":
        git(folder, "sparse-checkout", "set", "--cone", "nowhere")
    elif kind == "packed":
        git(folder, "gc", "-q")
    target = opened(folder)
    head = target.commit("HEAD")

    with Commits(target) as commits:
        tree = commits.write_tree(head, {"dir/b.py": b"B\r\n", "new/d.py": b"\xff\0", "a.py": None})
        made = commits.commit(tree, (head,), "subject\n\nbody\n", Author(), 1_700_000_000)
        commits.move("regreen/x", made, "", "test")

    assert git(folder, "rev-parse", "regreen/x").strip() == made
    assert (
        git(folder, "log", "-1", "--format=%P %an %ad %s", "--date=unix", made)
        == f"{head} Regreen 1700000000 subject\n"
    )
    assert list(listing(folder, made)) == ["dir/b.py", "dir/c.py", "new/d.py"]
    assert listing(folder, made)["dir/b.py"] == ("100644", "B\r\n")
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""
    if kind not in ("bare", "sparse"):
        assert git(folder, "status", "--porcelain") == ""
    assert target.git_dir == (
        folder if kind == "bare" else tmp_path / "t/.git" if kind != "shallow" else folder / ".git"
    )


def test_modes_are_kept(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", FILES)
    (folder / "a.py").chmod(0o755)
    git(folder, "commit", "-qam", "executable")
    target = opened(folder)

    with Commits(target) as commits:
        tree = commits.write_tree(target.commit("HEAD"), {"a.py": b"new\n"})

    assert listing(folder, tree)["a.py"] == ("100755", "new\n")


def test_links_and_submodules_are_refused(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", FILES)
    (folder / "link.py").symlink_to("a.py")
    git(folder, "add", "-A")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{git(folder, 'rev-parse', 'HEAD').strip()},sub")
    git(folder, "commit", "-qm", "odd")
    target = opened(folder)

    with Commits(target) as commits:
        with pytest.raises(GitError, match=r"link\.py is a symbolic link"):
            commits.write_tree(target.commit("HEAD"), {"link.py": b"x"})
        with pytest.raises(GitError, match="sub is a submodule"):
            commits.write_tree(target.commit("HEAD"), {"sub": b"x"})
        tree = commits.write_tree(target.commit("HEAD"), {"a.py": b"x"})

    assert git(folder, "ls-tree", tree, "link.py", "sub").split()[0::4] == ["120000", "160000"]


def test_a_file_may_make_room_for_a_folder_and_back(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", FILES)
    target = opened(folder)

    with Commits(target) as commits:
        opening = commits.write_tree(target.commit("HEAD"), {"a.py": None, "a.py/b.py": b"x"})
        closing = commits.write_tree(target.commit("HEAD"), {"dir/b.py": None, "dir/c.py": None, "dir": b"x"})
        with pytest.raises(GitError):
            commits.write_tree(target.commit("HEAD"), {"a.py/b.py": b"x"})

    assert list(listing(folder, opening)) == ["a.py/b.py", "dir/b.py", "dir/c.py"]
    assert list(listing(folder, closing)) == ["a.py", "dir"]


def test_attributes_and_configuration_change_no_byte(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", {**FILES, ".gitattributes": "* text=auto eol=lf\n*.py filter=loud\n"})
    git(folder, "config", "core.autocrlf", "input")
    git(folder, "config", "filter.loud.clean", "tr a-z A-Z")
    target = opened(folder)

    with Commits(target) as commits:
        tree = commits.write_tree(target.commit("HEAD"), {"a.py": b"a\r\nb\r\n"})

    assert git(folder, "cat-file", "-p", f"{tree}:a.py") == "a\r\nb\r\n"


def test_a_branch_that_somebody_moved_is_not_moved_again(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", FILES)
    target = opened(folder)
    head = target.commit("HEAD")

    with Commits(target) as commits:
        other = commits.commit(target.tree(head), (head,), "x\n", Author(), 1)
        commits.move("regreen/x", head, "", "first")
        with pytest.raises(GitError, match="update-ref"):
            commits.move("regreen/x", other, "", "again")
        with pytest.raises(GitError, match="update-ref"):
            commits.move("regreen/x", head, other, "from elsewhere")

    assert git(folder, "rev-parse", "regreen/x").strip() == head


def test_a_dry_one_writes_beside_the_repository(tmp_path: Path) -> None:
    folder = repository(tmp_path / 'a:b "quoted"', FILES)
    target = opened(folder)
    objects = sorted(folder.joinpath(".git/objects").rglob("*"))

    with Commits(target, dry=True) as commits:
        head = target.commit("HEAD")
        tree = commits.write_tree(head, {"a.py": b"A\n"})
        made = commits.commit(tree, (head,), "x\n", Author(), 1)
        commits.move("regreen/x", made, "", "test")
        diff = commits.diff(head, made)

    assert diff.endswith(b"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+A\n")
    assert sorted(folder.joinpath(".git/objects").rglob("*")) == objects
    assert git(folder, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]


def test_the_author_can_be_configured(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", FILES)
    assert Author.of(opened(folder)) == Author("Regreen", "regreen@localhost")

    git(folder, "config", "regreen.author", "Robot <robot@example.com>")

    assert Author.of(opened(folder)) == Author("Robot", "robot@example.com")


def test_which_repository_a_folder_belongs_to(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", {**FILES, ".gitignore": "build/\n"})
    for name in ("build", "fresh"):
        write(folder, {f"{name}/x.py": "x\n"})

    assert opened(folder / "dir").prefix == "dir/"
    assert opened(folder / "fresh").prefix == "fresh/"
    assert open_repository(folder / "build") is None
    assert open_repository(tmp_path) is None
    assert opened(folder / ".git").work_tree is None
    with pytest.raises(GitError, match="is not a folder; --target takes the folder of a project"):
        open_repository(tmp_path / "missing")


def test_which_work_tree_has_a_branch(tmp_path: Path) -> None:
    folder = repository(tmp_path / "t", FILES)
    git(folder, "worktree", "add", "-q", "-b", "side", str(tmp_path / "w t"))
    target = opened(folder)

    assert target.checked_out("main") == str(folder)
    assert target.checked_out("side") == str(tmp_path / "w t")
    assert target.checked_out("other") == ""


def test_git_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))

    with pytest.raises(GitError, match="git is not installed, or not on PATH"):
        open_repository(tmp_path)
