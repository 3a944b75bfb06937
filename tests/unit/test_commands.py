"""The command line as people type it: exit codes, streams, errors that say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from checks.code import CATALOGUE
from regreen import commands
from regreen.commands import FINDINGS, OK, UsageError, cache_root, folder, generated, selected

ROOT = Path(__file__).resolve().parents[2]


def regreen(*arguments: str, cwd: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "REGREEN_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    command = (sys.executable, str(ROOT / "tasks.py"), *arguments)
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    place = tmp_path / "target"
    place.mkdir()
    (place / "broken.py").write_text("def f(:\n")
    return place


def test_diagnose_json_goes_to_stdout_alone(target: Path, tmp_path: Path) -> None:
    done = regreen("diagnose", "--format", "json", cwd=target, cache=tmp_path / "cache")

    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr.strip() == ""
    assert document["source"] == {"files": 1, "parsed": 0, "unreadable": 1}
    assert document["tests"] == {"functions": 0, "modules": 0}
    assert document["seconds"] > 0
    (verdict,) = [v for v in document["verdicts"] if v["check"] == "code.source-readable"]
    assert (verdict["status"], verdict["examined"]) == ("FAIL", 1)
    (finding,) = verdict["findings"]
    assert {"check", "subject", "where", "observed", "expected", "severity"} <= finding.keys()
    assert finding["where"] == "broken.py:1"
    assert sorted(path.name for path in target.iterdir()) == ["broken.py"], "a diagnosis changes nothing"


def test_only_narrows_and_a_green_check_ends_with_0(target: Path, tmp_path: Path) -> None:
    (target / "broken.py").write_text("x = 1\n")

    done = regreen("diagnose", "--only", "code.source-readable", cwd=target, cache=tmp_path / "cache")

    assert (done.returncode, "PASS" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("diagnose", "--target", "nowhere"), "does not exist"),
        (("diagnose", "--target", "broken.py"), "is not a folder"),
        (("diagnose", "--only", "code.source-readible"), "did you mean code.source-readable?"),
        (("diagnose", "--format", "xml"), "choose table, json or sarif"),
        (("remediate", "--phase", "9"), "has no phase 9"),
        (("remediate", "--phase", "1", "--only", "code.nothing"), "code.nothing"),
        (("undo", "--run", "never"), "never"),
        (("report", "--run", "never"), "never"),
        (("ratchet", "--base", "no-such-revision"), "no-such-revision"),
        (("report", "--merge", "broken.py"), "broken.py"),
    ],
)
def test_a_wrong_argument_ends_with_2_and_one_line(
    target: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    subprocess.run(("git", "init", "-q", str(target)), check=True)

    done = regreen(*arguments, cwd=target, cache=tmp_path / "cache")

    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_wrong_policy_is_a_usage_error(target: Path, tmp_path: Path) -> None:
    (target / "pyproject.toml").write_text("[tool.regreen]\nopen-timout = 3\n")

    done = regreen("diagnose", cwd=target, cache=tmp_path / "cache")

    assert done.returncode == 2
    assert "'open-timout'" in done.stderr


def test_a_baseline_sets_what_is_there_aside(target: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    only = ("--only", "code.source-readable")
    assert regreen("diagnose", *only, cwd=target, cache=cache).returncode == 1

    written = regreen("diagnose", *only, "--baseline", "known since spring", cwd=target, cache=cache)
    after = regreen("diagnose", *only, "--format", "json", cwd=target, cache=cache)
    (target / "worse.py").write_text("(\n")
    worse = regreen("diagnose", *only, cwd=target, cache=cache)

    assert written.returncode == 0
    assert after.returncode == 0
    assert json.loads(after.stdout)["verdicts"][0]["suppressed"][0]["reason"] == "known since spring"
    assert worse.returncode == 1


def test_the_cache_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REGREEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_root() == tmp_path / "regreen"
    monkeypatch.setenv("REGREEN_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"


def test_folder_and_selected_refuse_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        folder(str(tmp_path / "no"))
    with pytest.raises(UsageError, match="known are"):
        selected(CATALOGUE, "zzz")
    assert [check.ID for check in selected(CATALOGUE, " code.source-readable ,")] == ["code.source-readable"]
    assert selected(CATALOGUE, "") == tuple(CATALOGUE)


def test_generated_pages_are_written_or_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"

    assert generated({page: "text"}, check=True) == FINDINGS
    assert "page.md is stale" in capsys.readouterr().err
    assert not page.exists()
    assert generated({page: "text"}, check=False) == OK
    assert generated({page: "text"}, check=True) == OK
    assert page.read_text() == "text"


def test_the_scratch_copy_follows_the_patient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGREEN_CACHE", str(tmp_path / "cache"))
    patient = tmp_path / "patient"
    patient.mkdir()
    (patient / "a.py").write_text("x = 1\n")

    first = commands.scratch(patient)
    (first / "kept").write_text("")
    assert commands.scratch(patient) == first
    assert (first / "kept").exists()
    assert not (commands.scratch(patient, fresh=True) / "kept").exists()
    (patient / "a.py").write_text("x = 2\n")
    assert commands.scratch(patient) != first
