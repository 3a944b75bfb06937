"""Revisions of real scratch repositories: renames, moves, the work tree, shallow and bare clones, hostile settings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from regreen.ratchet import Comparison, Grade, HistoryError, from_git
from regreen.ratchet.command import run

TEST = "def test_it():\n    assert f(1) == 3\n"
WEAK = "def test_it():\n    assert f(1) >= 1\n"
PADDING = "".join(f"def helper_{n}():\n    return {n}\n" for n in range(12))


def git(repo: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgSign=false")
    command = ["git", "-C", str(repo), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(repo: Path, files: dict[str, str | bytes | None]) -> str:
    for name, content in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--no-verify", "--message", "change")
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, {"tests/test_a.py": TEST, "README.md": "a"})
    return folder


def grades(comparison: Comparison) -> dict[str, Grade]:
    return {verdict.test: verdict.grade for verdict in comparison.tests}


def test_two_commits(repo: Path) -> None:
    commit(repo, {"tests/test_a.py": WEAK, "src/test_like.txt": "x"})
    result = from_git(repo, "HEAD~1", "HEAD")
    assert grades(result) == {"tests/test_a.py::test_it": Grade.WEAKER}
    assert result.grade is Grade.WEAKER
    assert grades(from_git(repo, "HEAD", "HEAD")) == {}


def test_a_renamed_file(repo: Path) -> None:
    commit(repo, {"tests/test_a.py": TEST + PADDING})
    commit(repo, {"tests/test_a.py": None, "tests/unit/test_b.py": WEAK + PADDING})
    assert grades(from_git(repo, "HEAD~1", "HEAD")) == {"tests/unit/test_b.py::test_it": Grade.WEAKER}


def test_a_test_moved_between_files(repo: Path) -> None:
    commit(repo, {"tests/test_a.py": "", "tests/test_b.py": "def test_other():\n    assert g(1)\n\n\n" + TEST})
    assert grades(from_git(repo, "HEAD~1", "HEAD")) == {
        "tests/test_b.py::test_other": Grade.ADDED,
        "tests/test_b.py::test_it": Grade.EQUAL,
    }


def test_a_deleted_file(repo: Path) -> None:
    commit(repo, {"tests/test_a.py": None})
    assert grades(from_git(repo, "HEAD~1", "HEAD")) == {"tests/test_a.py::test_it": Grade.REMOVED}


def test_names_with_spaces_and_letters(repo: Path) -> None:
    commit(repo, {"tests/test_ü b.py": TEST})
    commit(repo, {"tests/test_ü b.py": WEAK})
    assert grades(from_git(repo, "HEAD~1", "HEAD")) == {"tests/test_ü b.py::test_it": Grade.WEAKER}


def test_a_helper_that_did_not_change_is_read(repo: Path) -> None:
    commit(repo, {"tests/support.py": "def check(a, b):\n    assert a == b\n"})
    commit(repo, {"tests/test_a.py": "from tests.support import check\ndef test_it():\n    check(f(1), 3)\n"})
    assert grades(from_git(repo, "HEAD~1", "HEAD")) == {"tests/test_a.py::test_it": Grade.EQUAL}


def test_changes_of_the_base_branch_are_not_counted(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "-b", "feature")
    commit(repo, {"tests/test_b.py": TEST})
    git(repo, "checkout", "--quiet", "main")
    commit(repo, {"tests/test_c.py": TEST})
    assert grades(from_git(repo, "main", "feature")) == {"tests/test_b.py::test_it": Grade.ADDED}


def test_histories_without_a_merge_base(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "--orphan", "other")
    commit(repo, {"tests/test_a.py": WEAK})
    assert grades(from_git(repo, "main", "other")) == {"tests/test_a.py::test_it": Grade.WEAKER}


def test_the_work_tree(repo: Path) -> None:
    (repo / "tests/test_a.py").write_text(WEAK, encoding="utf-8")
    (repo / "tests/test_new.py").write_text(TEST.replace("f(1)", "g(2)"), encoding="utf-8")
    (repo / ".gitignore").write_text("test_ignored.py\n", encoding="utf-8")
    (repo / "tests/test_ignored.py").write_text(TEST, encoding="utf-8")
    assert grades(from_git(repo, "HEAD")) == {
        "tests/test_a.py::test_it": Grade.WEAKER,
        "tests/test_new.py::test_it": Grade.ADDED,
    }
    (repo / "tests/test_a.py").unlink()
    assert grades(from_git(repo, "HEAD"))["tests/test_a.py::test_it"] is Grade.REMOVED


def test_the_work_tree_from_a_sub_folder(repo: Path) -> None:
    (repo / "tests/test_a.py").write_text(WEAK, encoding="utf-8")
    assert grades(from_git(repo / "tests", "HEAD")) == {"tests/test_a.py::test_it": Grade.WEAKER}


def test_line_ends_of_the_work_tree_change_nothing(repo: Path) -> None:
    (repo / "tests/test_a.py").write_bytes(TEST.replace("\n", "\r\n").encode())
    assert grades(from_git(repo, "HEAD")) == {"tests/test_a.py::test_it": Grade.EQUAL}


def test_paths_limit_the_comparison(repo: Path) -> None:
    commit(repo, {"tests/test_a.py": WEAK, "tests/api/test_b.py": TEST})
    assert set(grades(from_git(repo, "HEAD~1", "HEAD", ["tests/api"]))) == {"tests/api/test_b.py::test_it"}


def test_binary_and_huge_files_are_skipped_with_a_reason(repo: Path) -> None:
    commit(repo, {"tests/test_b.py": b"a\0b", "tests/test_c.py": b"#" * 5_000_001})
    result = from_git(repo, "HEAD~1", "HEAD")
    assert [(item.path, item.reason) for item in result.skipped] == [
        ("tests/test_b.py", "not a text file that can be compared"),
        ("tests/test_c.py", "not a text file that can be compared"),
    ]
    assert result.tests == ()


def test_links_are_not_followed(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(TEST, encoding="utf-8")
    (repo / "tests/test_link.py").symlink_to(tmp_path / "outside.py")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "link")
    assert grades(from_git(repo, "HEAD~1", "HEAD")) == {}
    assert grades(from_git(repo, "HEAD~1")) == {}


def test_a_bare_clone(repo: Path, tmp_path: Path) -> None:
    commit(repo, {"tests/test_a.py": WEAK})
    git(tmp_path, "clone", "--quiet", "--bare", str(repo), "bare.git")
    assert grades(from_git(tmp_path / "bare.git", "HEAD~1", "HEAD")) == {"tests/test_a.py::test_it": Grade.WEAKER}
    with pytest.raises(HistoryError, match="is a bare repository and has no work tree"):
        from_git(tmp_path / "bare.git", "HEAD~1")


def test_a_shallow_clone_says_how_to_get_more(repo: Path, tmp_path: Path) -> None:
    commit(repo, {"tests/test_a.py": WEAK})
    git(tmp_path, "clone", "--quiet", "--depth=1", repo.as_uri(), "shallow")
    with pytest.raises(HistoryError, match="this clone is shallow: get more history with `git fetch --unshallow`"):
        from_git(tmp_path / "shallow", "HEAD~1", "HEAD")


def test_a_repository_with_sha256(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet", "--object-format=sha256")
    commit(folder, {"tests/test_a.py": TEST})
    assert grades(from_git(folder, "HEAD")) == {}
    (folder / "tests/test_a.py").write_text(WEAK, encoding="utf-8")
    assert grades(from_git(folder, "HEAD")) == {"tests/test_a.py::test_it": Grade.WEAKER}


def test_nothing_of_the_target_runs(repo: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch '{trace}'\ncat\n", encoding="utf-8")
    script.chmod(0o755)
    commit(repo, {".gitattributes": "*.py diff=odd filter=odd\n"})
    commit(repo, {"tests/test_a.py": f"open({str(trace)!r}, 'w')\n" + WEAK})
    for name in ("core.fsmonitor", "filter.odd.clean", "filter.odd.smudge", "diff.odd.textconv", "diff.external"):
        git(repo, "config", name, str(script))
    hook = repo / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_bytes(script.read_bytes())
    hook.chmod(0o755)
    trace.unlink(missing_ok=True)
    (repo / "tests/test_a.py").write_text(TEST, encoding="utf-8")
    assert grades(from_git(repo, "HEAD~1", "HEAD")) == {"tests/test_a.py::test_it": Grade.WEAKER}
    assert grades(from_git(repo, "HEAD")) == {"tests/test_a.py::test_it": Grade.STRONGER}
    assert not trace.exists()


@pytest.mark.parametrize("revision", ["nonsense", "--output=x", "HEAD~9", ""])
def test_unknown_revisions(repo: Path, revision: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(repo, revision) == 2
    assert f"has no commit {revision!r}" in capsys.readouterr().err


def test_not_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert run(tmp_path / "absent", "HEAD") == 2
    assert "is not a folder: name a git repository with --target" in capsys.readouterr().err
    assert run(tmp_path, "HEAD") == 2
    assert "is not a git repository: name one with --target" in capsys.readouterr().err


def test_exit_codes(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(repo, {"tests/test_a.py": TEST.replace("3", "4")})
    assert run(repo, "HEAD~1", "HEAD") == 0
    assert run(repo, "HEAD~1", "HEAD", strict=True) == 1
    commit(repo, {"tests/test_a.py": WEAK})
    capsys.readouterr()
    assert run(repo, "HEAD~1", "HEAD") == 1
    assert capsys.readouterr().out == (
        "weaker    tests/test_a.py::test_it (line 2 before, 2 after)\n"
        "          `assert f(1) == 4` became `assert f(1) >= 1`, which accepts more\n"
        "\n1 weaker\n"
    )
    assert run(repo, "HEAD", "HEAD") == 0
    assert capsys.readouterr().out == "no test changed\n"
    assert run(repo, "HEAD", "HEAD", format="yaml") == 2
    assert capsys.readouterr().err == "ratchet: unknown format 'yaml': use table or json\n"


def test_json(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(repo, {"tests/test_a.py": WEAK})
    assert run(repo, "HEAD~1", "HEAD", format="json") == 1
    data = json.loads(capsys.readouterr().out)
    assert data == {
        "grade": "weaker",
        "counts": {"stronger": 0, "equal": 0, "weaker": 1, "changed": 0, "unknown": 0, "added": 0, "removed": 0},
        "tests": [
            {
                "test": "tests/test_a.py::test_it",
                "grade": "weaker",
                "reason": "`assert f(1) == 3` became `assert f(1) >= 1`, which accepts more",
                "line_before": 2,
                "line_after": 2,
            }
        ],
        "skipped": [],
    }


def test_changed_is_listed_and_blocks_when_strict(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(repo, {"tests/test_a.py": TEST.replace("3", "4")})
    assert run(repo, "HEAD~1", "HEAD") == 0
    assert "changed   tests/test_a.py::test_it" in capsys.readouterr().out
    assert run(repo, "HEAD~1", "HEAD", strict=True) == 1
