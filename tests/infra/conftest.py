"""A twin and the real Pulumi engine, for the whole session. Without an engine these tests are skipped, with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from infra.engine import HOW, Engine, find_engine
from infra.provider.rest import Rest
from infra.rehearse import environment
from tests.infra.stage import PROJECT, Stage
from twin.process import down, env, up


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-engine", action="store_true", help="fail where there is no Pulumi engine")
    parser.addoption("--provider", default="rehearsal", choices=("rehearsal", "real"), help="the gcp plugin")


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config) -> Engine:
    found = find_engine()
    if found is None:
        said = f"not run: no Pulumi engine; {HOW}"
        if pytestconfig.getoption("--require-engine") or os.environ.get("REGREEN_REQUIRE_ENGINE"):
            pytest.fail(said)
        pytest.skip(said)
    return found


@pytest.fixture(scope="session")
def stage(engine: Engine, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("twin") / "state"
    running = up(folder, PROJECT, lifeline=True, operation_seconds=0.3)
    kept = dict(os.environ)
    google = env(folder)
    os.environ.update(google)
    try:
        yield Stage(folder, environment(folder, google, engine, pytestconfig.getoption("--provider")), engine, Rest())
    finally:
        os.environ.clear()
        os.environ.update(kept)
        down(folder)
        os.close(running.lifeline)
