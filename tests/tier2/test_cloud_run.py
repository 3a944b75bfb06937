"""What the settings of Cloud Run are for, by what a user sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.staging.patient.conftest import Visitor, eventually, feed_socket
from tests.tiers import cloud, stores, system
from tests.tiers.cloud import Project
from twin.staging import SERVICES, Staging

WARM = ("websocket-service", "ingest", "writer", "allocator", "api")
OLD_TIMEOUT = 5.0
"""Seconds after which every WebSocket was cut when the system was found."""
CONNECTIONS = 110
"""Of the database, without those that are kept for its administrators."""
POOL = 15
"""Connections that an instance of the allocator may hold."""


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_revision_serves(service: str, staging: Staging) -> None:
    assert cloud.settled(staging, service) == ""
    record = cloud.services(staging)[service]
    assert record["latestReadyRevision"] == record["latestCreatedRevision"]


def test_there_are_no_other_services(staging: Staging) -> None:
    assert set(cloud.services(staging)) == set(SERVICES)


@pytest.mark.parametrize("service", WARM)
def test_a_quiet_hour_leaves_a_service_warm(service: str, staging: Staging) -> None:
    before = {each["pid"] for each in staging.instances(service)}

    staging.admin("POST", "cool", {"service": service})

    assert len(before) == 1
    assert {each["pid"] for each in staging.instances(service)} == before
    assert staging.endpoints["services"][service]["instances"] == 1


def test_the_first_request_after_a_quiet_hour_meets_the_same_process(staging: Staging, visitor: Visitor) -> None:
    (before,) = staging.instances("api")
    staging.admin("POST", "cool", {"service": "api"})

    assert visitor.get("/api/health").status_code == 200

    assert [each["pid"] for each in staging.instances("api")] == [before["pid"]]


@pytest.mark.parametrize("service", SERVICES)
def test_instances_are_bounded(service: str, staging: Staging) -> None:
    scaling = cloud.services(staging)[service]["template"].get("scaling", {})

    assert 1 <= scaling.get("maxInstanceCount", 100) <= 10


def test_all_instances_together_leave_the_database_connections(staging: Staging) -> None:
    most = cloud.services(staging)["allocator"]["template"]["scaling"]["maxInstanceCount"]
    with stores.database(staging) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()

    assert most * POOL <= CONNECTIONS
    assert row is not None
    assert row[0] <= POOL * 3, "api, allocator and its machine hold at most a pool each"


@pytest.mark.parametrize("service", WARM)
def test_a_process_that_hangs_is_noticed(service: str, staging: Staging) -> None:
    container = cloud.services(staging)[service]["template"]["containers"][0]

    for probe in ("startupProbe", "livenessProbe"):
        path = container.get(probe, {}).get("httpGet", {}).get("path", f"no {probe}")
        assert httpx.get(f"{staging.direct(service)}{path}", timeout=10, trust_env=False).status_code == 200


def test_a_socket_outlives_the_old_timeout(staging: Staging) -> None:
    with feed_socket(staging, ping_interval=None) as socket:
        socket.send(json.dumps({"from": 10**8}))
        try:
            socket.recv(timeout=OLD_TIMEOUT + 0.7)
        except TimeoutError:
            open_still = True
        except ConnectionClosed:
            open_still = False

    assert open_still


def test_a_client_that_comes_back_meets_the_instance_that_it_knows(visitor: Visitor) -> None:
    cookies = visitor.get("/api/health").headers.get_list("set-cookie")

    assert any(each.startswith(("GAESA", "GCLB")) for each in cookies), cookies


@pytest.mark.parametrize("service", ["api", "allocator"])
def test_a_service_knows_where_it_is(service: str, staging: Staging) -> None:
    answer = httpx.get(f"{staging.direct(service)}/health", timeout=10, trust_env=False)

    assert answer.json()["environment"] == "staging"


def test_the_tests_key_is_in_staging_and_opens(staging: Staging, visitor: Visitor) -> None:
    assert "TIDEMARK_E2E_BYPASS_KEY" in cloud.environment(cloud.services(staging)["api"])
    assert visitor.get("/api/trades", params={"limit": 1}).status_code == 200


def test_no_production_service_has_the_tests_key(staging: Staging) -> None:
    found = {
        name
        for name, record in cloud.services(staging).items()
        if record.get("labels", {}).get("environment") == "production"
        or cloud.environment(record).get("TIDEMARK_ENVIRONMENT", {}).get("value") == "production"
    }

    assert found == set()


def test_the_code_refuses_the_tests_key_in_production() -> None:
    surroundings = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(system.code() / "src"), "PORT": "0",
        "TIDEMARK_ENVIRONMENT": "production", "TIDEMARK_SIGNING_KEY": "k" * 32, "TIDEMARK_E2E_BYPASS_KEY": "e" * 32,
    }  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-m", "tidemark", "api"],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "bypass" in done.stderr


def test_a_deployment_drops_no_request(staging: Staging, visitor: Visitor) -> None:
    """Requests go on while a new revision of the web takes over: each is answered."""
    project = Project(staging)
    url = f"{project.run}/web"
    before = cloud.read(staging, url)["latestReadyRevision"]
    template: dict[str, Any] = cloud.read(staging, url)["template"]
    template = {name: value for name, value in template.items() if name != "revision"}
    template["annotations"] = {**template.get("annotations", {}), "tidemark.example/tried": before[-3:]}
    seen: list[int] = []

    staging.cloud.api.call("PATCH", f"{url}?updateMask=template", {"template": template})

    def taken_over() -> bool:
        seen.append(visitor.get("/").status_code)
        record = cloud.read(staging, url)
        return record["latestReadyRevision"] != before and not record.get("reconciling")

    eventually(taken_over, within=60)
    assert set(seen) == {200}
