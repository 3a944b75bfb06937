"""A staging system that a shell started: interrupted at any moment, or its holder killed, nothing is left running."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.staging.patient.conftest import ROOT, eventually
from twin import staging_keeper as keeper

_START = """
import sys
from pathlib import Path
from twin import staging_keeper as keeper
keeper.start(Path(sys.argv[1]), code=sys.argv[2], minimal=True)
"""


def _left(folder: Path) -> list[str]:
    """Processes that have to do with a folder, by command, working directory or environment."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "environ", "status"]):
        seen = process.info
        words = [*(seen["cmdline"] or ()), seen["cwd"] or "", *(seen["environ"] or {}).values()]
        if seen["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in words):
            found.append(f"{seen['pid']}: {' '.join(seen['cmdline'] or ())}")
    return found


@pytest.mark.parametrize("moment", ["twin.json", "backing/plan.json", "backing/postgres.pid", "logs/api.log"])
def test_an_interrupt_at_any_moment_of_starting_leaves_nothing(tmp_path: Path, code: Path, moment: str) -> None:
    folder = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", _START, str(folder), str(code)], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as starter:
        eventually((folder / moment).exists, within=60)
        starter.send_signal(signal.SIGINT)
        starter.wait(60)

    eventually(lambda: not _left(folder), within=30)
    assert not (folder / "twin.json").exists()


def test_a_killed_holder_takes_everything_with_it_and_the_state_is_there_for_the_next(
    tmp_path: Path, code: Path
) -> None:
    folder = tmp_path / "state"
    first = keeper.start(folder, code=str(code), minimal=True)

    os.kill(first["pid"], signal.SIGKILL)
    eventually(functools.partial(_nothing, folder), within=30)

    assert keeper.find(folder) is None
    second = keeper.start(folder, code=str(code), minimal=True)
    assert (second["balancer"], second["bypass_key"]) == (first["balancer"], first["bypass_key"])
    assert keeper.stop(folder)
    assert _left(folder) == []


def _nothing(folder: Path) -> bool:
    return not _left(folder)
