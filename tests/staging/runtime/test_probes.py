"""What watches an instance: startup, liveness and readiness, over HTTP and gRPC, and its memory limit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.staging.runtime.conftest import Stage, until
from tests.staging.runtime.wire import ask


def _ready(stage: Stage, name: str) -> list[dict[str, Any]]:
    return [item for item in stage.instances(name) if item["state"] == "ready"]


def _pids(stage: Stage, name: str) -> set[int]:
    return {item["pid"] for item in _ready(stage, name)}


def test_a_sick_instance_is_replaced(stage: Stage, unique: str) -> None:
    probe = {"livenessProbe": {"httpGet": {"path": "/health"}, "periodSeconds": 1, "failureThreshold": 1}}
    stage.deploy(unique, container=probe, scaling={"minInstanceCount": 1})
    url = stage.url(unique)
    before = _pids(stage, unique)

    assert ask(url, "/sick").status == 200
    after = until(lambda: _pids(stage, unique) - before)

    assert {ask(url).json["pid"]} == after
    log = (stage.twin.folder / "logs" / f"{unique}.log").read_text()
    assert "the liveness probe failed 1 times: status 500" in log


def test_an_instance_that_is_not_ready_gets_no_requests_until_it_is(stage: Stage, unique: str) -> None:
    probe = {"readinessProbe": {"httpGet": {"path": "/ready"}, "periodSeconds": 1, "failureThreshold": 1}}
    stage.deploy(unique, container=probe, scaling={"minInstanceCount": 2})
    both = until(lambda: len(_ready(stage, unique)) == 2 and _ready(stage, unique))
    url, away = stage.url(unique), both[0]
    alone = f"http://127.0.0.1:{away['port']}"

    ask(alone, "/pause?ready=no")
    until(lambda: away["pid"] not in _pids(stage, unique))
    seen = {ask(url).json["pid"] for _ in range(10)}

    assert away["pid"] not in seen
    # It is left alone: nobody kills what says that it is busy.
    assert away["pid"] in {item["pid"] for item in stage.instances(unique)}
    ask(alone, "/pause?ready=yes")
    until(lambda: away["pid"] in _pids(stage, unique))
    assert ask(alone).json["pid"] == away["pid"]


@pytest.mark.parametrize(("service", "state"), [("app", "CONDITION_SUCCEEDED"), ("sick", "CONDITION_FAILED")])
def test_a_grpc_probe_asks_the_standard_health_service(stage: Stage, unique: str, service: str, state: str) -> None:
    probe = {"grpc": {"service": service}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 1}

    record = stage.deploy(unique, env={"FLAVOUR": "grpc"}, container={"startupProbe": probe})

    assert record["terminalCondition"]["state"] == state
    if service == "sick":
        log = (stage.twin.folder / "logs" / f"{unique}.log").read_text()
        assert "startup probe failed: not SERVING" in log


def test_an_instance_beyond_its_memory_limit_is_ended_and_replaced(stage: Stage, unique: str) -> None:
    limited = {"resources": {"limits": {"memory": "512Mi"}}}
    stage.deploy(unique, container=limited, scaling={"minInstanceCount": 1})
    url = stage.url(unique)
    before = _pids(stage, unique)
    assert ask(url, "/eat?mib=100").status == 200

    ask(url, "/eat?mib=500")
    after = until(lambda: _pids(stage, unique) - before)

    assert {ask(url).json["pid"]} == after
    log = (stage.twin.folder / "logs" / f"{unique}.log").read_text()
    assert "Memory limit of 512 MiB exceeded with " in log
    assert stage.twin.admin("GET", "health")["runtime"]["events"][f"{unique}.crashed"] == 1
