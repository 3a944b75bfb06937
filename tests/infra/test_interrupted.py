"""A run that was killed, two runs at once, and Pulumi's own command line with our language host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from pulumi_gcp import compute

from infra.driver import DriverError
from infra.safety import ProductionError
from tests.infra.stage import PROJECT, Stage

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]
BACKENDS = f"https://compute.googleapis.com/compute/v1/projects/{PROJECT}/global/backendServices"
KILLED = """
import json, os, sys
from pathlib import Path
from pulumi_gcp import compute
from infra.driver import Driver
from infra.engine import require_engine
def declare():
    for name in ("killed-one", "killed-two"):
        compute.BackendService(name, name=name, project="staging-twin", protocol="HTTP", load_balancing_scheme="EXTERNAL_MANAGED")
driver = Driver(require_engine(), Path(sys.argv[1]), "regreen-killed", "twin", json.loads(sys.argv[2]))
driver.up(declare, driver.preview(declare))
"""


def declare() -> None:
    for name in ("killed-one", "killed-two"):
        compute.BackendService(
            name, name=name, project=PROJECT, protocol="HTTP", load_balancing_scheme="EXTERNAL_MANAGED"
        )


def test_a_run_that_was_killed_is_taken_up_and_finished(stage: Stage) -> None:
    folder = stage.folder / "pulumi" / "projects" / "killed"
    state = stage.folder / "pulumi" / "state" / ".pulumi" / "stacks" / "regreen-killed" / "twin.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": stage.variables["PATH"]}
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), json.dumps(stage.variables)],
        env=environment,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not _pending(state):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)  # the state file has no event to wait on
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()

    driver = stage.driver("killed")
    assert {item.kind for item in driver.pending()} == {"creating"}
    planned = driver.preview(declare)
    assert driver.pending() == ()
    driver.up(declare, planned)
    found = stage.rest.call("GET", BACKENDS)["items"]
    assert sorted(item["name"] for item in found if item["name"].startswith("killed-")) == ["killed-one", "killed-two"]
    assert driver.preview(declare).changes == ()


def _pending(state: Path) -> bool:
    try:
        found = json.loads(state.read_text())
    except (OSError, ValueError):
        return False
    return bool(found.get("checkpoint", {}).get("latest", {}).get("pending_operations"))


def test_a_second_run_is_refused_at_once(stage: Stage) -> None:
    driver = stage.driver("alone")
    with (
        FileLock(stage.folder / "pulumi" / "projects" / "alone" / "driver.lock"),
        pytest.raises(DriverError, match="another run"),
    ):
        driver.preview(declare)


def test_more_changes_than_allowed_and_production_are_refused(stage: Stage) -> None:
    driver = stage.driver("limit", max_changes=1)

    def two() -> None:
        for name in ("limit-one", "limit-two"):
            compute.BackendService(name, name=name, project=PROJECT, protocol="HTTP")

    with pytest.raises(DriverError, match="2 changes are more than the limit of 1"):
        driver.up(two, driver.preview(two))
    with pytest.raises(ProductionError):
        stage.driver("production")


PROGRAM = """
import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider
from pulumi_gcp import secretmanager

class Moves(ResourceProvider):
    def create(self, props):
        return CreateResult("moved-1", {**props, "address": "bolt://moved"})

class Move(Resource):
    address: pulumi.Output[str]
    def __init__(self, name):
        super().__init__(Moves(), name, {"address": None})

pulumi.export("address", Move("graph").address)
made = secretmanager.Secret("shell", secret_id="shell", project="staging-twin", replication={"auto": {}})
secretmanager.SecretVersion("one", secret=made.id, secret_data=pulumi.Config().require_secret("token"))
"""


def test_the_command_line_runs_a_project_with_a_dynamic_provider_and_keeps_its_secret(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: shell\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    environment = {**os.environ, **stage.variables}

    def pulumi(*arguments: str) -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pulumi("stack", "init", "twin")
    pulumi("config", "set", "--secret", "token", "hunter-two")
    up = pulumi("up", "--yes", "--suppress-progress")
    assert "bolt://moved" in up
    assert "hunter-two" not in up
    assert "hunter-two" not in pulumi("stack", "export")
    assert "unchanged" in pulumi("up", "--yes", "--expect-no-changes", "--suppress-progress")
    assert pulumi("refresh", "--yes", "--expect-no-changes", "--suppress-progress")
    pulumi("destroy", "--yes", "--suppress-progress")
    assert "shell" not in str(
        stage.rest.call("GET", f"https://secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets")
    )
