"""The soak: what is red, what is left behind, and what the figures say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console import soak
from console.soak import Leaks, Run
from regreen.commands import UsageError

LISTENS = """
import socket, sys, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def left(tmp_path: Path) -> Iterator[int]:
    """A process that works in the folder and listens; on which port."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENS], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.communicate()


def test_nothing_is_left_of_a_clean_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert not soak.leaks(tmp_path, within=0)


def test_a_process_a_port_and_a_file_that_are_left_are_told(tmp_path: Path, left: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "twin.sqlite").write_text("")

    found = soak.leaks(tmp_path, within=0)

    assert found.ports == (left,)
    assert found.files == ("state/twin.sqlite",)
    assert len(found.processes) == 1
    assert "create_server" in found.processes[0]


def test_a_report_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="a" name="good"/><testcase classname="a" name="bad"><failure/></testcase>'
        '<testcase classname="a" name="broken"><error/></testcase><testcase classname="a" name="not"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )

    assert soak.read(report) == (4, ("a::bad", "a::broken"), 1)


def test_the_summary_counts_executions_and_names_the_worst(tmp_path: Path) -> None:
    runs = [
        Run(1, 7, 100, (), 1, 60.0, Leaks()),
        Run(2, 8, 100, ("a::x", "a::y"), 1, 80.0, Leaks()),
        Run(3, 9, 100, ("a::y",), 1, 70.0, Leaks(files=("left",))),
    ]

    assert soak.summary(runs).splitlines() == [
        "1 of 3 runs green; 297 test executions, 3 red (98.990 % green); 1 runs left something behind; 70 s a run",
        "  red 2 times: a::y",
        "  red 1 times: a::x",
    ]


@pytest.mark.parametrize(
    ("runs", "only", "says"), [(0, soak.TIERS, "at least one"), (1, ("tests/tier9",), "tests/tier9")]
)
def test_what_cannot_be_soaked_is_said(runs: int, only: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        soak.soak(runs, only)


def test_a_soak_runs_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A small test of this repository, in a process of its own."""
    monkeypatch.setattr(soak, "GATES", tmp_path)

    code = soak.soak(1, ("tests/unit/test_soak.py::test_nothing_is_left_of_a_clean_run",))

    said = capsys.readouterr().out
    assert code == 0, said
    assert "1 of 1 runs green" in said
    assert (tmp_path / "soak.json").exists()
