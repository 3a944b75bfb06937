"""The plugin in a pytest of its own: what it writes, what it runs again, what it saw of the outside."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from regreen.trends import HistoryError, read_history
from regreen.trends.command import run as trends

PLUGINS = Path(__file__).resolve().parents[3] / "regreen" / "pytest"
TESTS = """
import json, socket, time
from pathlib import Path
from unittest import mock
import pytest

def test_ok(): assert 1
def test_bad(): assert len("a") == 2
def test_data(): json.loads("{")
def test_meets():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
def test_replaces(monkeypatch):
    with mock.patch("os.getcwd"):
        monkeypatch.setattr(time, "sleep", None)
def test_transient():
    with Path("tries").open("a") as file:
        file.write(".")
    if len(Path("tries").read_text()) < 3:
        raise ConnectionRefusedError("not yet")
def test_large():
    held = bytearray(60_000_000)
    held[::4096] = b"1" * len(held[::4096])
@pytest.fixture
def full(): raise OSError("No space left on device")
def test_set_up(full): pass
@pytest.mark.xfail
def test_expected(): assert 0
"""


def record(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "regreen_history",
        "-p",
        "no:cacheprovider",
        "--history",
        "h.sqlite",
    ]
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    ).stdout


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "test_a.py").write_text(TESTS)
    return folder, record(folder, "--retry-transient", "3", "--trace-boundaries", "--history-label", "ci")


def test_outcome_category_and_retries(recorded: tuple[Path, str]) -> None:
    samples = read_history(recorded[0] / "h.sqlite", label="ci").samples

    assert {s.test.removeprefix("test_a.py::test_"): (s.outcome, s.category, s.retries) for s in samples} == {
        "ok": ("passed", "", 0),
        "bad": ("failed", "code", 0),
        "data": ("failed", "data", 0),
        "meets": ("passed", "", 0),
        "replaces": ("passed", "", 0),
        "transient": ("passed", "flaky", 2),
        "large": ("passed", "", 0),
        "set_up": ("error", "infrastructure", 0),
        "expected": ("xfailed", "", 0),
    }


def test_retries_are_shown(recorded: tuple[Path, str]) -> None:
    assert "tests run again for a transient failure" in recorded[1]
    assert "test_a.py::test_transient: 2 more, first ConnectionRefusedError: not yet" in recorded[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets the peak of a process back")
def test_memory_is_of_the_test_itself(recorded: tuple[Path, str]) -> None:
    memory = {s.test.rpartition("_")[2]: s.memory for s in read_history(recorded[0] / "h.sqlite").samples}

    assert memory["large"] - memory["ok"] > 50_000_000
    assert memory["expected"] < memory["large"] - 50_000_000


def test_the_same_failure_has_the_same_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "def test_a(): raise ValueError('at 0x7f01 in 12 s')\ndef test_b(): raise ValueError('at 0x99 in 3 s')\n"
        "def test_c(): raise ValueError('elsewhere')\n"
    )
    record(tmp_path)
    a, b, c = (s.fingerprint for s in sorted(read_history(tmp_path / "h.sqlite").samples, key=lambda s: s.test))

    assert a == b != c


def test_boundaries(recorded: tuple[Path, str]) -> None:
    sys.path.insert(0, str(PLUGINS))
    try:
        regreen_history = importlib.import_module("regreen_history")
    finally:
        sys.path.remove(str(PLUGINS))
    table = json.loads(regreen_history.boundaries(str(recorded[0] / "h.sqlite")))

    assert set(table["test_a.py::test_replaces"]["mock"]) == {"os.getcwd", "time.sleep"}
    real = table["test_a.py::test_meets"]["real"]
    assert [target.partition(":")[0] for target in real] == ["127.0.0.1"]
    assert "test_a.py::test_ok" not in table


def test_workers_of_xdist_write_into_one_run(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import pytest\n@pytest.mark.parametrize('x', range(6))\ndef test_a(x): assert x != 3\n"
    )
    record(tmp_path, "-n", "2")
    found = read_history(tmp_path / "h.sqlite")

    assert len(found.runs) == 1
    assert sorted(s.outcome for s in found.samples) == ["failed", *["passed"] * 5]
    assert all(s.memory > 0 for s in found.samples)


def test_trends_of_a_history(recorded: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded[0] / "h.sqlite"

    assert trends(path, html=str(tmp_path / "trends.html")) == 0
    said = capsys.readouterr().out
    assert "flaky   test_a.py::test_transient: passed when run again, 1 runs: ConnectionRefusedError: not yet" in said
    assert trends(path, "json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["failures"] == {"code": 1, "data": 1, "infrastructure": 1}
    page = (tmp_path / "trends.html").read_text()
    assert "<polyline" in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_no_history_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HistoryError, match="there is no such file; record one with"):
        read_history(tmp_path / "none")
    (tmp_path / "text").write_text("x" * 5000)
    assert trends(tmp_path / "text") == 2
    assert "is not a history of tests" in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "other")) as base:
        base.execute("PRAGMA user_version = 9")
    assert trends(tmp_path / "other") == 2
    assert "it has schema 9" in capsys.readouterr().err
