"""Cold, warm, parallel and in-process surveys say the same, whatever is in the tree."""

from __future__ import annotations

import importlib
import marshal
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.generate import generate
from checks.code import CATALOGUE
from regreen.facts.source import FolderTree, MemoryTree, OverlayTree, Survey, survey, workers
from regreen.facts.source import collect as collecting
from regreen.facts.source.cache import settled
from regreen.facts.source.visitor import Visitor
from regreen.model import Diagnosis, Status
from regreen.policy import Policy

surveying = importlib.import_module("regreen.facts.source.survey")  # the package exports its function
SOURCE_READABLE = [check for check in CATALOGUE if check.ID == "code.source-readable"]


def said(found: Survey) -> list[tuple[str, int, list[str], str]]:
    return [(v.check, v.examined, [f.fingerprint for f in v.findings], v.error) for v in found.diagnosis.verdicts]


def look(root: Path, cache: Path | None = None, policy: Policy | None = None) -> Survey:
    tree = FolderTree(root)
    return survey(tree, CATALOGUE, policy or Policy(), cache)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that are really parsed, in this process."""
    paths: list[str] = []
    real = workers.record

    def spy(
        visitor: Visitor, read: Callable[[str, str], tuple[bytes, str]], path: str, digest: str, limit: int
    ) -> workers.Result:
        paths.append(path)
        return real(visitor, read, path, digest, limit)

    monkeypatch.setattr(collecting, "record", spy)
    return paths


def age(root: Path, seconds: int = 100) -> None:
    for path in root.rglob("*"):
        os.utime(path, ns=(path.stat().st_mtime_ns - seconds * 10**9,) * 2, follow_symlinks=False)


def test_workers_and_one_process_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, 30)
    (tmp_path / "broken.py").write_text("def f(:\n")
    alone = said(look(tmp_path))
    monkeypatch.setattr(collecting, "_PARALLEL_FROM", 1)
    monkeypatch.setattr(collecting, "cores", lambda: 2)

    assert said(look(tmp_path)) == alone
    assert any(findings for _, _, findings, _ in alone)


def test_judging_in_two_processes_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, 30)
    alone = said(look(tmp_path))
    monkeypatch.setattr(surveying, "_FORK_FROM", 1)
    monkeypatch.setattr(surveying, "cores", lambda: 2)
    monkeypatch.setattr(threading, "active_count", lambda: 1)

    assert said(look(tmp_path)) == alone
    monkeypatch.setattr(surveying, "freeze_verdict", lambda _: os._exit(9))
    assert said(look(tmp_path)) == alone, "a fork that dies costs time, no verdict"
    assert multiprocessing.active_children() == []


def test_a_warm_survey_parses_nothing_and_says_the_same(tmp_path: Path, parsed: list[str]) -> None:
    generate(tmp_path / "tree", 12)
    cold = look(tmp_path / "tree", tmp_path / "cache")
    assert len(parsed) == 12
    parsed.clear()

    warm = look(tmp_path / "tree", tmp_path / "cache")

    assert parsed == []
    assert said(warm) == said(cold)
    assert len(warm.index.files) == 12
    assert parsed == []


def test_after_an_edit_only_that_file_is_parsed(tmp_path: Path, parsed: list[str]) -> None:
    generate(tmp_path / "tree", 12)
    look(tmp_path / "tree", tmp_path / "cache")
    parsed.clear()
    (tmp_path / "tree" / "new.py").write_text("print 'x'\n")

    edited = look(tmp_path / "tree", tmp_path / "cache")

    assert parsed == ["new.py"]
    assert edited.diagnosis.verdict("code.source-readable").status is Status.FAIL


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    """git's racy case: same size, and the modification time put back."""
    file = tmp_path / "tree" / "a.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    stat = file.stat()
    assert look(tmp_path / "tree", tmp_path / "cache").diagnosis.unreadable == 0

    file.write_text("x = (\n")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert look(tmp_path / "tree", tmp_path / "cache").diagnosis.unreadable == 1


def test_a_changed_configuration_file_is_judged_again(tmp_path: Path, parsed: list[str]) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a.py").write_text("import numpy\n")
    (root / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["numpy"]\n')
    age(root)
    before = look(root, tmp_path / "cache").diagnosis
    parsed.clear()
    (root / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["nothing"]\n')

    after = look(root, tmp_path / "cache").diagnosis

    assert parsed == []
    if "code.dependencies-declared" in {check.ID for check in CATALOGUE}:
        assert not before.verdict("code.dependencies-declared").findings
        assert after.verdict("code.dependencies-declared").findings


@pytest.mark.parametrize("damage", [b"", b"junk", marshal.dumps([1, 2]), marshal.dumps({"x": 1})])
@pytest.mark.parametrize("name", ["records", "manifest", "verdicts"])
def test_a_damaged_cache_is_ignored(tmp_path: Path, name: str, damage: bytes) -> None:
    generate(tmp_path / "tree", 3)
    (tmp_path / "tree" / "pyproject.toml").unlink()  # too young for verdicts to be kept
    expected = said(look(tmp_path / "tree", tmp_path / "cache"))
    (file,) = (tmp_path / "cache").rglob(name)
    file.write_bytes(damage)

    assert said(look(tmp_path / "tree", tmp_path / "cache")) == expected


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    generate(tmp_path / "tree", 3)
    (tmp_path / "cache").write_text("a file where the folder should be")

    assert look(tmp_path / "tree", tmp_path / "cache").diagnosis.files == 3


@pytest.mark.parametrize(
    ("modified", "changed", "saved", "believed"),
    [
        (1_000_000_001, 1_000_000_001, 2_000_000_000, True),
        (1_999_999_999, 1_000_000_001, 2_000_000_000, False),  # written in the tick of the save
        (1_000_000_001, 1_999_999_999, 2_000_000_000, False),  # its time put back, but ctime tells
        (3_000_000_001, 3_000_000_001, 2_000_000_000, False),  # from the future
        (1_000_000_000, 1_000_000_000, 2_500_000_000, False),  # whole seconds: a coarse file system
        (1_000_000_000, 1_000_000_000, 9_000_000_000, True),
    ],
)
def test_the_racy_rule(modified: int, changed: int, saved: int, believed: bool) -> None:
    assert settled((1, modified, 1, changed), saved) is believed


def test_a_worker_that_dies_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        (tmp_path / f"m{number}.py").write_text(f"x = {number}\n")
    real = workers.record

    def fatal(
        visitor: Visitor, read: Callable[[str, str], tuple[bytes, str]], path: str, digest: str, limit: int
    ) -> workers.Result:
        if path == "m3.py":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(visitor, read, path, digest, limit)

    monkeypatch.setattr(workers, "record", fatal)
    monkeypatch.setattr(collecting, "_PARALLEL_FROM", 1)
    monkeypatch.setattr(collecting, "cores", lambda: 2)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # so that the workers inherit the patch

    found = survey(FolderTree(tmp_path), SOURCE_READABLE, Policy()).diagnosis

    assert (found.files, found.unreadable) == (6, 1)
    assert [(f.path, f.get("kind")) for f in found.findings.values()] == [("m3.py", "crash")]


def test_no_process_is_left_when_the_reader_stops_early(tmp_path: Path) -> None:
    generate(tmp_path, 40)
    jobs = [(entry.path, "", 5_000) for entry in FolderTree(tmp_path).entries() if entry.path.endswith(".py")]
    results = workers.run(jobs * 40, ["checks.code.source_readable"], str(tmp_path), "", 10**6, 2)
    next(results)

    results.close()  # type: ignore[attr-defined]

    assert multiprocessing.active_children() == []


def test_left_out_folders_are_counted_and_said(tmp_path: Path) -> None:
    for path in ("a.py", "backups/b.py", "x/_archive/c.py", "vendor/d.py", "src.backup.20250914/e.py", "backup.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = (\n")

    found = look(tmp_path)

    assert sorted(found.index.files) == ["a.py", "backup.py"]
    assert "4 Python files in backup" in found.diagnosis.verdict("code.source-readable").note


def test_a_committed_environment_is_left_out_whatever_its_name(tmp_path: Path) -> None:
    for path in ("a.py", "py3/lib/b.py", "py3/lib/x/c.py", "py3x/d.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = 1\n")
    (tmp_path / "py3" / "pyvenv.cfg").write_text("home = /usr\n")
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.*")}

    assert sorted(survey(MemoryTree(files), SOURCE_READABLE, Policy()).index.files) == ["a.py", "py3x/d.py"]
    assert sorted(look(tmp_path).index.files) == ["a.py", "py3x/d.py"]


def test_a_file_over_the_limit_is_said_and_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "big.py").write_text("x = [\n" + "    1,\n" * 1000 + "]\n")

    (finding,) = look(tmp_path, policy=Policy(max_file_bytes=1000)).diagnosis.findings.values()

    assert finding.get("kind") == "too-large"
    assert "7,008 bytes" in finding.observed


def test_an_unreadable_file_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    tree = FolderTree(tmp_path)
    tree.entries()
    (tmp_path / "a.py").unlink()

    (finding,) = survey(tree, SOURCE_READABLE, Policy()).diagnosis.findings.values()

    assert finding.get("kind") == "io"


def test_nothing_to_look_at_is_unknown() -> None:
    diagnosis: Diagnosis = survey(MemoryTree({"README.md": "x"}), CATALOGUE, Policy()).diagnosis

    assert (diagnosis.files, diagnosis.parsed, diagnosis.functions) == (0, 0, 0)
    assert {verdict.status for verdict in diagnosis.verdicts if not verdict.findings} == {Status.UNKNOWN}


def test_a_comment_with_a_reason_sets_a_finding_aside() -> None:
    def found(comment: str) -> tuple[int, list[str]]:
        tree = MemoryTree({"a.py": f"def f():\n    nonlocal x  {comment}\n"})
        verdict = survey(tree, SOURCE_READABLE, Policy()).diagnosis.verdicts[0]
        return len(verdict.findings), [item.reason for item in verdict.suppressed]

    assert found("# regreen: ignore[code.source-readable] kept broken on purpose") == (0, ["kept broken on purpose"])
    assert found("# regreen: ignore[*]: all of it") == (0, ["all of it"])
    assert found("# regreen: ignore[code.source-readable]") == (1, [])
    assert found("# regreen: ignore[code.other] reason") == (1, [])


def test_an_overlay_is_judged_like_the_tree_it_stands_for(tmp_path: Path) -> None:
    generate(tmp_path, 8)
    base = FolderTree(tmp_path)
    overlay = OverlayTree(base, {"broken.py": b"(", "pyproject.toml": None})
    judged = said(survey(overlay, CATALOGUE, Policy()))
    (tmp_path / "broken.py").write_bytes(b"(")
    (tmp_path / "pyproject.toml").unlink()

    assert judged == said(look(tmp_path))
