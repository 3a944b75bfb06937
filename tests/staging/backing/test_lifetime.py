"""Whatever ends whom: nothing is left running, and the data is there for the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import redis

from tests.staging.backing.conftest import until
from twin import backing
from twin.process import TwinError

_SMALL = ("graph", "redis")
_HOLD = """
import sys, time
from pathlib import Path
from twin import backing
held = backing.start(Path(sys.argv[1]), ("graph", "redis"))
print(held.pid, flush=True)
time.sleep(600)
"""


def _gone(*pids: int) -> bool:
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_is_at_the_same_ports(tmp_path: Path) -> None:
    first = backing.start(tmp_path, _SMALL)
    family = _family(first.pid)
    assert len(family) == 4  # the supervisor, its guard, two services
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: _gone(*family))
    with pytest.raises(TwinError, match="the supervisor of the backing services is gone"):
        first.state()
    first.close()
    second = backing.start(tmp_path, _SMALL)
    assert second.endpoints == first.endpoints
    second.close()


def test_a_killed_guard_is_replaced(tmp_path: Path) -> None:
    held = backing.start(tmp_path, ("graph",))
    guard = next(
        each for each in psutil.Process(held.pid).children() if any("guard.py" in word for word in each.cmdline())
    )
    guard.kill()
    until(
        lambda: any(
            each.pid != guard.pid and any("guard.py" in word for word in each.cmdline())
            for each in psutil.Process(held.pid).children()
            if each.status() != psutil.STATUS_ZOMBIE
        )
    )
    family = _family(held.pid)
    os.kill(held.pid, signal.SIGKILL)
    until(lambda: _gone(*family))
    held.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_stack_ends_with_whoever_started_it(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout is not None
        family = _family(int(holder.stdout.readline()))
        holder.send_signal(number)
    until(lambda: _gone(*family))


@pytest.mark.parametrize("moment", ["plan.json", "graph.pid", "redis.pid"])
def test_an_interrupt_while_starting_cleans_up(tmp_path: Path, moment: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as holder:
        until(lambda: (tmp_path / "backing" / moment).exists())
        family = _family(holder.pid)
        holder.send_signal(signal.SIGINT)
    until(lambda: _gone(*family))
    assert not any(str(tmp_path) in " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))


def test_a_detached_stack_stays_and_is_found_again(tmp_path: Path) -> None:
    made = backing.start(tmp_path, _SMALL, attached=False)
    found = backing.find(tmp_path)
    assert found is not None
    assert (found.pid, found.endpoints) == (made.pid, made.endpoints)
    found.close()
    assert backing.find(tmp_path) is None
    assert _gone(made.pid)


def test_a_way_that_is_closed_while_postgres_is_made_is_opened_again(tmp_path: Path) -> None:
    """As root PostgreSQL is `nobody`, and each pytest that starts meanwhile closes the folder above everybody's own."""
    made = tmp_path / "backing" / "postgres" / "base"

    def close() -> None:
        until(made.exists, within=60)
        tmp_path.chmod(0o700)

    closing = threading.Thread(target=close)
    closing.start()
    held = backing.start(tmp_path, ("postgres",))
    closing.join()
    assert held.state()["postgres"]["state"] == "running"
    held.close()


def test_two_stacks_do_not_know_each_other(tmp_path: Path) -> None:
    one, other = backing.start(tmp_path / "one", _SMALL), backing.start(tmp_path / "other", _SMALL)
    with (
        redis.Redis.from_url(one.endpoints["redis"]) as first,
        redis.Redis.from_url(other.endpoints["redis"]) as second,
    ):
        first.set("whose", "one")
        assert second.get("whose") is None
        other.close()
        assert first.get("whose") == b"one"
    one.close()


def test_a_server_of_ones_own_replaces_ours(tmp_path: Path) -> None:
    held = backing.start(tmp_path, _SMALL, real={"redis": "redis://192.0.2.7:6379/0"})
    assert held.endpoints["redis"] == "redis://192.0.2.7:6379/0"
    assert list(held.state()) == ["graph"]
    held.close()


def test_an_unknown_service_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="no backing service mysql: there are kafka, postgres"):
        backing.start(tmp_path, ("mysql",))
    assert not (tmp_path / "backing").exists()


def test_passwords_are_in_no_log_and_in_no_process_list(tmp_path: Path) -> None:
    held = backing.start(tmp_path, ("graph",))
    password = held.endpoints["graph_password"]
    assert all(password not in " ".join(psutil.Process(pid).cmdline()) for pid in _family(held.pid))
    assert all(password not in path.read_text() for path in (tmp_path / "logs").iterdir())
    assert (tmp_path / "backing" / "endpoints.json").stat().st_mode & 0o777 == 0o600
    held.close()
