"""kill -9 of anything: it recovers or is gone, and nothing is left behind. Two twins do not see each other."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.staging.runtime.conftest import PROJECT, Stage, map_images, until
from tests.staging.runtime.wire import ask
from twin.process import down, up


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stage]:
    """A twin of one's own, to be killed."""
    running = up(tmp_path / "state", PROJECT, strict=True, lifeline=True)
    map_images(running)
    stage = Stage(running)
    yield stage
    stage.call.close()
    down(tmp_path / "state")
    os.close(running.lifeline)


def _family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _gone(processes: list[psutil.Process]) -> bool:
    """A zombie in somebody else's care counts as gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def test_a_killed_instance_is_replaced_and_named(stage: Stage, unique: str) -> None:
    stage.deploy(unique, scaling={"minInstanceCount": 1})
    url = stage.url(unique)
    pid = stage.instances(unique)[0]["pid"]

    os.kill(pid, signal.SIGKILL)
    until(lambda: [item for item in stage.instances(unique) if item["state"] == "ready" and item["pid"] != pid])

    assert ask(url).json["pid"] != pid
    log = (stage.twin.folder / "logs" / f"{unique}.log").read_text()
    assert f"killed by signal 9 (pid {pid})" in log


def test_a_killed_control_process_leaves_no_orphan_and_comes_back(own: Stage, tmp_path: Path) -> None:
    own.deploy("api", scaling={"minInstanceCount": 1})
    url = own.url("api")
    family = _family(own.twin.pid)
    assert len(family) >= 2

    os.kill(own.twin.pid, signal.SIGKILL)
    until(lambda: _gone(family))

    again = up(tmp_path / "state", PROJECT, strict=True)
    try:
        # Same services, same ports, without a word from anybody.
        until(lambda: _answers(url))
        stage = Stage(again)
        assert stage.url("api") == url
        assert stage.service("api")["terminalCondition"]["state"] == "CONDITION_SUCCEEDED"
        stage.call.close()
    finally:
        down(tmp_path / "state", keep=True)


def _answers(url: str) -> bool:
    try:
        return ask(url).status == 200
    except OSError:
        return False


def test_a_killed_guard_is_replaced(own: Stage) -> None:
    own.deploy("api", scaling={"minInstanceCount": 1})
    guard = own.twin.admin("GET", "runtime")["guard"]

    os.kill(guard, signal.SIGKILL)
    health = until(lambda: (seen := own.twin.admin("GET", "health")["runtime"])["guards"] == 2 and seen)
    family = _family(own.twin.pid)
    os.kill(own.twin.pid, signal.SIGKILL)

    assert health["guard"] != guard
    until(lambda: _gone(family))


def test_down_ends_everything(own: Stage, tmp_path: Path) -> None:
    own.deploy("api", scaling={"minInstanceCount": 2})
    family = _family(own.twin.pid)
    begun = time.monotonic()

    assert down(tmp_path / "state")

    assert _gone(family)
    assert time.monotonic() - begun < 6


def test_ctrl_c_while_starting_leaves_nothing(tmp_path: Path) -> None:
    """The starter is interrupted at several moments; its twin holds the lifeline and goes with it."""
    program = (
        "import sys, pathlib\n"
        "from tests.staging.runtime.conftest import Stage, map_images\n"
        "from twin.process import up\n"
        "print('begun', flush=True)\n"
        "twin = up(pathlib.Path(sys.argv[1]), 'staging-twin', lifeline=True)\n"
        "map_images(twin)\n"
        "Stage(twin).deploy('api', scaling={'minInstanceCount': 2})\n"
        "print('up', flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[3]
    for moment in (0.4, 1.0, 1.8):
        folder = tmp_path / f"at-{moment}"
        starter = subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"begun\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            starter.wait(moment)
        starter.send_signal(signal.SIGINT)
        starter.wait(20)
        starter.stdout.close()
        until(functools.partial(_untouched, folder))


def _untouched(folder: Path) -> bool:
    return not _of(folder)


def _of(folder: Path) -> list[int]:
    """Processes that have to do with a folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "environ", "status"]):
        seen = process.info
        words = [*(seen["cmdline"] or ()), seen["cwd"] or "", *(seen["environ"] or {}).values()]
        if seen["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in words):
            found.append(seen["pid"])
    return found


def test_two_twins_run_side_by_side(own: Stage, stage: Stage, unique: str) -> None:
    own.deploy(unique, env={"WHICH": "own"})
    stage.deploy(unique, env={"WHICH": "shared"})

    assert ask(own.url(unique), "/environment").json["WHICH"] == "own"
    assert ask(stage.url(unique), "/environment").json["WHICH"] == "shared"


def test_a_reset_stops_every_service_and_keeps_the_images(own: Stage) -> None:
    own.deploy("api", scaling={"minInstanceCount": 1})
    own.twin.admin("POST", "snapshots", {"name": "with-api"})
    family = _family(own.twin.pid)

    own.twin.admin("POST", "reset")

    until(lambda: own.twin.admin("GET", "instances")["instances"] == [])
    assert own.twin.admin("GET", "endpoints")["services"] == {}
    assert until(lambda: len([process for process in family if not _gone([process])]) == 1)
    own.twin.admin("POST", "restore", {"name": "with-api"})
    until(lambda: [item for item in own.instances("api") if item["state"] == "ready"])
    assert ask(own.url("api")).status == 200
