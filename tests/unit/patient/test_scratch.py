"""The copy: whole, repeatable, with its past, and deaf to the machine's own git configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from regreen.facts.scratch import ScratchError, materialize

PATIENT: Final = Path(__file__).parents[3] / "patient"


def git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def fill(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "source", {"app/main.py": "print('one')\n", "app/new/clock.py": "NOW = 1\n"})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def test_without_a_history_there_is_one_commit(source: Path, copy: Path) -> None:
    materialize(source, copy)
    assert git(copy, "log", "--format=%s, %an, %at, %ct", "main") == ("As found, Regreen, 1767603600, 1767603600")
    assert git(copy, "ls-files").splitlines() == ["app/main.py", "app/new/clock.py"]
    assert (copy / "app/main.py").read_text() == "print('one')\n"
    assert git(copy, "status", "--porcelain") == ""


def test_a_moved_folder_was_elsewhere_before(source: Path, copy: Path) -> None:
    fill(source, {"history.toml": '[[move]]\nold = "app/old"\nnew = "app/new"\n'})
    materialize(source, copy)
    assert git(copy, "log", "--format=%s").splitlines() == ["As found", "Before the move"]
    assert git(copy, "diff", "-M", "--name-status", "HEAD^", "HEAD") == "R100\tapp/old/clock.py\tapp/new/clock.py"


def test_a_moved_file_was_elsewhere_before(source: Path, copy: Path) -> None:
    fill(source, {"history.toml": '[[move]]\nold = "start.py"\nnew = "app/main.py"\n'})
    materialize(source, copy)
    assert git(copy, "ls-tree", "-r", "--name-only", "HEAD^").splitlines() == ["app/new/clock.py", "start.py"]


def test_an_earlier_content_comes_back(source: Path, copy: Path) -> None:
    history = """
        [[move]]
        old = "app/old"
        new = "app/new"
        [[earlier]]
        path = "app/new/clock.py"
        content = "told/clock.txt"
        [[earlier]]
        path = "app/gone.py"
        content = "told/gone.txt"
    """
    fill(source, {"history.toml": history, "told/clock.txt": "NOW = 0\n", "told/gone.txt": "GONE = 1\n"})
    materialize(source, copy)
    assert git(copy, "show", "HEAD^:app/old/clock.py") == "NOW = 0"
    assert git(copy, "show", "HEAD^:app/gone.py") == "GONE = 1"
    assert git(copy, "ls-files").splitlines() == ["app/main.py", "app/new/clock.py"]


def test_what_came_later_was_not_there(source: Path, copy: Path) -> None:
    fill(source, {"history.toml": '[[later]]\npath = "app/new/clock.py"\n'})
    materialize(source, copy)
    assert git(copy, "ls-tree", "-r", "--name-only", "HEAD^") == "app/main.py"


def test_the_answer_key_stays_at_home(source: Path, copy: Path) -> None:
    fill(source, {"history.toml": 'omit = ["FAULTS.toml"]\n', "FAULTS.toml": "", "app/FAULTS.toml": ""})
    materialize(source, copy)
    assert git(copy, "ls-files").splitlines() == ["app/FAULTS.toml", "app/main.py", "app/new/clock.py"]
    assert git(copy, "log", "--all", "--format=", "--name-only", "--", "FAULTS.toml", "history.toml") == ""


def test_caches_and_repositories_are_left_out(source: Path, copy: Path) -> None:
    fill(source, {".git/config": "", "app/__pycache__/main.cpython-311.pyc": "", ".venv/bin/python": "", "a.pyc": ""})
    materialize(source, copy)
    assert git(copy, "ls-files").splitlines() == ["app/main.py", "app/new/clock.py"]


def test_an_ignored_file_is_copied_all_the_same(source: Path, copy: Path) -> None:
    fill(source, {".gitignore": "*.log\n", "app/run.log": "kept\n"})
    materialize(source, copy)
    assert (copy / "app/run.log").read_text() == "kept\n"


def test_bytes_modes_and_links_survive(source: Path, copy: Path) -> None:
    (source / "latin.py").write_bytes(b"# caf\xe9\r\n\x00")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "link.py").symlink_to("app/main.py")
    (source / "linked").symlink_to("app", target_is_directory=True)
    materialize(source, copy)
    assert (copy / "latin.py").read_bytes() == b"# caf\xe9\r\n\x00"
    assert os.access(copy / "run.sh", os.X_OK)
    assert not os.access(copy / "app/main.py", os.X_OK)
    assert (copy / "link.py").readlink() == Path("app/main.py")
    assert (copy / "linked").readlink() == Path("app")


@pytest.mark.parametrize(
    "name", ['quo"te.py', "back\\slash.py", "new\nline.py", "space in.py", "größe.py", b"raw\xff.py"]
)
def test_odd_names_survive(source: Path, copy: Path, name: str | bytes) -> None:
    path = os.fsdecode(name)
    (source / path).write_text("odd\n")
    materialize(source, copy)
    assert (copy / path).read_text() == "odd\n"
    assert git(copy, "status", "--porcelain") == ""


def test_commit_ids_depend_on_the_files_alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(source, {"history.toml": '[[move]]\nold = "app/old"\nnew = "app/new"\n'})
    materialize(source, tmp_path / "one")
    home = fill(
        tmp_path / "home",
        {
            ".gitconfig": "[core]\n\tautocrlf = true\n\tattributesFile = ~/attributes\n[commit]\n\tgpgSign = true\n",
            "attributes": "* text eol=crlf\n",
        },
    )
    for name, value in {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_AUTHOR_NAME": "Somebody",
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z",
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_DEFAULT_HASH": "sha256",
        "TZ": "Pacific/Auckland",
    }.items():
        monkeypatch.setenv(name, value)
    materialize(source, tmp_path / "two")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_DEFAULT_HASH"):
        monkeypatch.delenv(name)
    assert git(tmp_path / "one", "rev-parse", "HEAD") == git(tmp_path / "two", "rev-parse", "HEAD")
    assert (tmp_path / "two/app/main.py").read_bytes() == b"print('one')\n"


def test_the_id_of_a_known_folder_is_known(tmp_path: Path, copy: Path) -> None:
    materialize(fill(tmp_path / "known", {"a.txt": "a\n"}), copy)
    assert git(copy, "rev-parse", "HEAD^{tree}") == "08585692ce06452da6f82ae66b90d98b55536fca"
    assert git(copy, "rev-parse", "HEAD") == "9c557422b430f84cb99e090b71f55acf7ee941d2"


def test_an_empty_destination_will_do(source: Path, copy: Path) -> None:
    copy.mkdir()
    materialize(source, copy)
    assert git(copy, "rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_a_destination_in_use_is_refused(source: Path, copy: Path) -> None:
    fill(copy, {"mine.txt": "mine"})
    with pytest.raises(FileExistsError, match="not empty; remove it or choose another folder"):
        materialize(source, copy)
    assert [path.name for path in copy.iterdir()] == ["mine.txt"]


def test_a_destination_inside_the_source_is_refused(source: Path) -> None:
    with pytest.raises(ScratchError, match="lies inside"):
        materialize(source, source / "copy")


def test_a_missing_source_is_said(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder to copy"):
        materialize(tmp_path / "nowhere", copy)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ("omit = [", "not readable as TOML"),
        ("moves = []", "unknown key 'moves'; known are omit, move, earlier, later"),
        ('[[move]]\nold = "a"', "an entry lacks 'new'"),
        ('[[move]]\nold = 1\nnew = "app"', "an entry is not a table of texts"),
        ('[[move]]\nold = "../a"\nnew = "app"', "'../a' leaves the folder"),
        ('[[move]]\nold = "/a"\nnew = "app"', "'/a' leaves the folder"),
        ('[[move]]\nold = "a"\nnew = "ap"', r"\[\[move\]\] new = 'ap' names no file"),
        ('[[move]]\nold = "app/main.py"\nnew = "app/new/clock.py"', "a path that is still in use"),
        ('[[later]]\npath = "b.py"', r"\[\[later\]\] 'b.py' names no file"),
        ('[[earlier]]\npath = "a.py"\ncontent = "a.txt"', "the earlier content of a.py: .*a.txt"),
    ],
)
def test_a_history_that_does_not_fit_is_said(source: Path, copy: Path, history: str, message: str) -> None:
    fill(source, {"history.toml": history})
    with pytest.raises(ScratchError, match=message):
        materialize(source, copy)
    assert sorted(path.name for path in copy.parent.iterdir()) == ["source"]


def test_a_failing_git_leaves_nothing_behind(source: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(
        copy.parent / "bin",
        {"git": '#!/bin/sh\nfor last; do :; done\n/bin/mkdir -p "$last"\necho no room >&2\nexit 1\n'},
    )
    (copy.parent / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", str(copy.parent / "bin"))
    with pytest.raises(ScratchError, match=r"git init .* failed in .*: no room"):
        materialize(source, copy)
    assert sorted(path.name for path in copy.parent.iterdir()) == ["bin", "source"]


def test_a_missing_git_is_said(source: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(copy.parent))
    with pytest.raises(ScratchError, match="git was not found"):
        materialize(source, copy)


def test_the_patient_comes_with_its_past(copy: Path) -> None:
    materialize(PATIENT, copy)
    renamed = git(copy, "diff", "-M", "--name-status", "--diff-filter=R", "HEAD^", "HEAD").splitlines()
    assert "R100\tsrc/tidemark/common/clock.py\tsrc/tidemark/runtime/clock.py" in renamed
    assert "R100\ttest_tools/polling.py\ttest_tools/waiting.py" in renamed
    assert "def digest_of(" in git(copy, "show", "HEAD^:src/tidemark/feed/models.py")
    assert "def digest_of(" not in git(copy, "show", "HEAD:src/tidemark/feed/models.py")
    assert not (copy / "FAULTS.toml").exists()
    assert (copy / "decisions.toml").is_file()
    assert not (copy / "history").exists()
