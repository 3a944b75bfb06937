"""One twin per worker for the whole session, with every response checked against Google's schemas."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twin.process import Running, down, env, up

PROJECT = "staging-twin"


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A strict twin: a reply that departs from the official schema is a 500. Dies with this process."""
    folder = tmp_path_factory.mktemp("twin") / "state"
    running = up(folder, PROJECT, propagation=60.0, strict=True, lifeline=True)
    kept = dict(os.environ)
    os.environ.update(env(folder))
    yield running
    violations = running.admin("GET", "violations")["violations"]
    os.environ.clear()
    os.environ.update(kept)
    down(folder)
    os.close(running.lifeline)
    assert violations == []


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
