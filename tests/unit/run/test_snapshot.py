"""A snapshot is the work tree as it lies on the disk, and making it leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.apply import Commits, copy_folder, dirty_paths, open_repository, snapshot
from tests.unit.run.test_git import listing, opened
from tests.unit.run.toys import everything, git, repository, write

FILES = {"a.py": "a\n", "b.py": "b\n", "run.sh": "x\n", ".gitignore": "*.log\n", "dir/c.py": "c\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return repository(tmp_path / "t", FILES)


def take(folder: Path) -> str:
    target = opened(folder)
    with Commits(target) as commits:
        return snapshot(target, commits, target.commit("HEAD"))


def test_a_clean_tree_is_its_own_snapshot(folder: Path) -> None:
    assert dirty_paths(opened(folder)) == ()
    assert take(folder) == git(folder, "rev-parse", "HEAD").strip()


def test_changed_new_removed_executable_and_linked_files_are_in_it(folder: Path) -> None:
    write(folder, {"a.py": "A\r\n", "new dir/é\n.py": "n\n", "noise.log": "no\n"})
    (folder / "b.py").unlink()
    (folder / "run.sh").chmod(0o755)
    (folder / "dir/c.py").unlink()
    (folder / "dir/c.py").symlink_to("../a.py")
    found = everything(folder)

    commit = take(folder)

    assert listing(folder, commit) == {
        ".gitignore": ("100644", "*.log\n"),
        "a.py": ("100644", "A\r\n"),
        "dir/c.py": ("120000", "../a.py"),
        "new dir/é\n.py": ("100644", "n\n"),
        "run.sh": ("100755", "x\n"),
    }
    assert {name: content for name, content in everything(folder).items() if name in found} == found
    assert git(folder, "log", "-1", "--format=%P", commit).strip() == git(folder, "rev-parse", "HEAD").strip()
    assert take(folder) == commit


def test_staged_and_unstaged_count_as_they_lie_on_the_disk(folder: Path) -> None:
    write(folder, {"a.py": "staged\n"})
    git(folder, "add", "a.py")
    write(folder, {"a.py": "later\n"})

    assert listing(folder, take(folder))["a.py"] == ("100644", "later\n")


def test_a_filtered_file_keeps_what_git_has(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    write(folder, {".gitattributes": "*.bin filter=big\n", "x.bin": "pointer\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "big")
    git(folder, "config", "filter.big.clean", f"touch {trace}; cat")
    git(folder, "config", "filter.big.required", "true")
    write(folder, {"x.bin": "the whole content\n", "a.py": "A\n"})

    commit = take(folder)

    assert listing(folder, commit)["x.bin"] == ("100644", "pointer\n")
    assert listing(folder, commit)["a.py"] == ("100644", "A\n")
    assert not trace.exists()


def test_only_the_target_s_folder_is_looked_at(folder: Path) -> None:
    write(folder, {"a.py": "A\n", "dir/c.py": "C\n"})
    target = open_repository(folder / "dir")

    assert target is not None
    assert dirty_paths(target) == ("dir/c.py",)


def test_a_nested_repository_and_a_pipe_are_left_out(folder: Path) -> None:
    import os

    repository(folder / "nested", {"n.py": "n\n"})
    os.mkfifo(folder / "pipe")
    write(folder, {"a.py": "A\n"})

    assert sorted(listing(folder, take(folder))) == sorted(FILES)


def test_a_copy_follows_its_folder(tmp_path: Path) -> None:
    source = tmp_path / "plain"
    write(source, {**FILES, "x.log": "no\n", "node_modules/m.py": "no\n", "env/pyvenv.cfg": "", "env/e.py": "no\n"})

    first = copy_folder(source, tmp_path / "copies")
    one = first.commit("HEAD")
    again = copy_folder(source, tmp_path / "copies").commit("HEAD")
    write(source, {"a.py": "A\n"})
    (source / "b.py").unlink()
    second = copy_folder(source, tmp_path / "copies")

    assert again == one
    assert second.folder == first.folder
    assert sorted(listing(first.folder, one)) == sorted(FILES)
    assert git(first.folder, "log", "--format=%s").splitlines() == ["plain as found", "plain as found"]
    assert (first.folder / "a.py").read_text() == "A\n"
    assert not (first.folder / "b.py").exists()
    assert sorted(path.name for path in source.iterdir()) == sorted(
        [".gitignore", "a.py", "dir", "env", "node_modules", "run.sh", "x.log"]
    )
