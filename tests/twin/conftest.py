"""One twin per worker for the whole session, with every response checked against Google's schemas."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from twin.process import Running, down, env, up

PROJECT = "staging-twin"


class _Watch(threading.Thread):
    """Looks, for as long as the suite runs, at every socket of the twin and of its children."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.over = threading.Event()
        self.looks = 0
        self.abroad: set[str] = set()

    def run(self) -> None:
        while not self.over.wait(0.5):
            try:
                twin = psutil.Process(self._pid)
                family = [twin, *twin.children(recursive=True)]
            except psutil.Error:
                continue
            for member in family:
                try:
                    sockets = member.net_connections("inet")
                except psutil.Error:
                    continue
                self.looks += 1
                ends: list[Any] = [end for item in sockets for end in (item.laddr, item.raddr)]
                # An end that is not connected is an empty tuple.
                spoken = {end.ip.removeprefix("::ffff:") for end in ends if end}
                self.abroad |= spoken - {"127.0.0.1", "::1"}


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A strict twin: a reply that departs from the official schema is a 500. Dies with this process."""
    folder = tmp_path_factory.mktemp("twin") / "state"
    running = up(folder, PROJECT, propagation=60.0, strict=True, lifeline=True)
    kept = dict(os.environ)
    os.environ.update(env(folder))
    watch = _Watch(running.pid)
    watch.start()
    yield running
    watch.over.set()
    watch.join()
    violations = running.admin("GET", "violations")["violations"]
    os.environ.clear()
    os.environ.update(kept)
    down(folder)
    os.close(running.lifeline)
    assert violations == []
    assert watch.abroad == set(), "the twin listened on, or spoke to, more than loopback"


@pytest.fixture
def unique() -> str:
    """A word that no other test uses: tests share the twin and leave nothing that another could trip over."""
    return "t" + uuid.uuid4().hex[:10]


@pytest.fixture
def settle(twin: Running) -> Callable[[], None]:
    """Let changes of IAM policies and key states be felt, by moving the twin's clock."""

    def forward() -> None:
        twin.admin("POST", "clock", {"advance": 61})

    return forward


@pytest.fixture(scope="session")
def commands() -> Path:
    """The folder of gcloud and bq; skips where they are not installed."""
    found = shutil.which("gcloud")
    if found is None or shutil.which("bq") is None:
        pytest.skip("gcloud and bq are not installed on this machine")
    return Path(found).parent
