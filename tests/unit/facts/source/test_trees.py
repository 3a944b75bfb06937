"""Folders, commits and overlays: what is seen, what is left out, and that all three agree."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from regreen.facts.source import FolderTree, GitTree, MemoryTree, OverlayTree, blob_id

ODD_NAMES = ("a b.py", "new\nline.py", "ünï.py", "\udcff\udcfe.py", "tab\t.py", "\ue000.py", "-dash.py", "'quote\".py")


def git(repo: Path, *arguments: str) -> str:
    return subprocess.run(
        ("git", "-C", str(repo), *arguments), check=True, capture_output=True, text=True
    ).stdout.strip()


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"x = {path!r}\n", errors="surrogateescape")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    subprocess.run(("git", "init", "-q", str(tmp_path)), check=True)
    git(tmp_path, "config", "user.email", "a@example.org")
    git(tmp_path, "config", "user.name", "A")
    return tmp_path


def commit(repo: Path) -> str:
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "c")
    return git(repo, "rev-parse", "HEAD")


def test_a_folder_without_git_honours_nested_ignore_files(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "build/b.py", "p/c.py", "p/skip/d.py", "p/keep/skip.py", "q/skip/e.py", "n/x.log")
    (tmp_path / ".gitignore").write_text("/build/\n*.log\n")
    (tmp_path / "p" / ".gitignore").write_text("# comment\nskip/\n")

    assert FolderTree(tmp_path).paths() == (
        ".gitignore",
        "a.py",
        "p/.gitignore",
        "p/c.py",
        "p/keep/skip.py",
        "q/skip/e.py",
    )


def test_environments_and_caches_are_never_entered(tmp_path: Path) -> None:
    write(tmp_path, "a.py", ".git/b.py", "__pycache__/c.py", "node_modules/d.py", "myenv/lib/e.py", ".tox/f.py")
    (tmp_path / "myenv" / "pyvenv.cfg").write_text("home = /usr\n")

    assert FolderTree(tmp_path).paths() == ("a.py",)


def test_links_are_not_followed_and_loops_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, "real/a.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "real" / "self").symlink_to(".")
    (tmp_path / "alias.py").symlink_to("real/a.py")
    (tmp_path / "dangling.py").symlink_to("nowhere.py")

    assert FolderTree(tmp_path).paths() == ("real/a.py",)


def test_a_work_tree_lists_untracked_files_but_not_ignored_or_deleted_ones(repo: Path) -> None:
    write(repo, "tracked.py", "gone.py", "out/x.py")
    (repo / ".gitignore").write_text("out/\n")
    commit(repo)
    (repo / "gone.py").unlink()
    write(repo, "new.py")

    assert FolderTree(repo).paths() == (".gitignore", "new.py", "tracked.py")


def test_a_folder_that_git_ignores_as_a_whole_is_still_read(repo: Path) -> None:
    (repo / ".gitignore").write_text("lib/\n")
    write(repo, "lib/a.py")

    assert FolderTree(repo / "lib").paths() == ("a.py",)


def test_odd_names_survive_in_folders_and_commits(repo: Path) -> None:
    for name in ODD_NAMES:
        with open(os.fsencode(repo) + b"/" + os.fsencode(name), "wb") as file:
            file.write(os.fsencode(name))
    commit(repo)
    folder, tree = FolderTree(repo), GitTree(repo, "HEAD")

    assert set(folder.paths()) == set(tree.paths()) == set(ODD_NAMES)
    assert all(folder.read(name) == tree.read(name) == os.fsencode(name) for name in ODD_NAMES)
    tree.close()


def test_a_commit_is_read_without_filters_and_without_links(repo: Path) -> None:
    (repo / "a.py").write_bytes(b"x = 1\r\n")
    (repo / "link.py").symlink_to("a.py")
    git(repo, "config", "core.autocrlf", "false")
    head = commit(repo)
    git(repo, "config", "core.autocrlf", "true")
    (repo / "a.py").write_bytes(b"changed since\n")
    tree = GitTree(repo, head)

    assert tree.paths() == ("a.py",)
    assert tree.read("a.py") == b"x = 1\r\n"
    assert tree.mode("a.py") == "100644"
    with pytest.raises(FileNotFoundError):
        tree.read("link.py")
    tree.close()
    assert tree.read("a.py") == b"x = 1\r\n"  # reopens
    tree.close()


def test_a_file_and_its_blob_share_an_id(repo: Path) -> None:
    (repo / "a.py").write_bytes(b"x = 1\n")
    commit(repo)
    tree = GitTree(repo, "HEAD")

    assert tree.entries()[0].digest == blob_id(b"x = 1\n") == git(repo, "hash-object", "a.py")
    tree.close()


def test_exclude_takes_ignore_patterns(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "gen/b.py", "src/gen/c.py", "src/gen_d.py")

    assert FolderTree(tmp_path, ["/gen/", "*_d.py"]).paths() == ("a.py", "src/gen/c.py")


def test_an_overlay_replaces_adds_and_removes() -> None:
    base = MemoryTree({"a.py": "1", "b.py": "2", "c.py": "3"})
    overlay = OverlayTree(base, {"a.py": b"one", "b.py": None, "d.py": b"four"})

    assert overlay.paths() == ("a.py", "c.py", "d.py")
    assert (overlay.read("a.py"), overlay.read("c.py"), overlay.read("d.py")) == (b"one", b"3", b"four")
    assert not overlay.exists("b.py")
    with pytest.raises(FileNotFoundError):
        overlay.read("b.py")
    assert overlay.id != base.id
    assert OverlayTree(base, {"a.py": b"one", "b.py": None, "d.py": b"four"}).id == overlay.id
    assert OverlayTree(base, {"a.py": b"two"}).id != OverlayTree(base, {"a.py": b"one"}).id


def test_hooks_that_set_git_variables_do_not_redirect_us(
    repo: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    write(other, "mine.py")
    write(repo, "theirs.py")
    commit(repo)
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo))

    assert FolderTree(other).paths() == ("mine.py",)
