"""Backing services that really run, one stack for the session; and a twin for AuraDB."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from twin import backing
from twin.backing import Backing
from twin.process import Running, down, up

T = TypeVar("T")


def until(look: Callable[[], T], within: float = 15.0) -> T:
    """The first true answer. AssertionError when none comes in time."""
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backing]:
    started = backing.start(tmp_path_factory.mktemp("stack"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("twin")
    running = up(folder, lifeline=True)
    yield running
    down(folder)
