"""New revisions: they take over when they are ready, and change nothing when they are not."""

from __future__ import annotations

import functools
import itertools
import time

import psutil

from tests.staging.runtime.conftest import APP, PROJECT, RUN, Stage, until
from tests.staging.runtime.wire import Answer, Asking, ask, load

PORT_SENTENCE = (
    "is not ready and cannot serve traffic. The user-provided container failed to start and listen on the port defined "
    "provided by the PORT=8080 environment variable within the allocated timeout."
)


def test_a_new_revision_takes_over_with_no_failed_request(stage: Stage, unique: str) -> None:
    old = stage.deploy(unique)["latestReadyRevision"].rpartition("/")[2]
    url = stage.url(unique)

    with load(url, "/slow?seconds=0.02") as seen:
        until(lambda: len(seen) > 5)
        stage.deploy(unique, wait=False, env={"FLAVOUR": "slow-start"})
        during = stage.service(unique)
        until(lambda: not stage.service(unique).get("reconciling"))
        enough = len(seen) + 20
        until(lambda: len(seen) > enough)

    assert during["reconciling"] is True
    assert during["terminalCondition"]["state"] == "CONDITION_RECONCILING"
    assert during["latestReadyRevision"].endswith(old)
    assert [answer for answer in seen if not isinstance(answer, Answer) or answer.status != 200] == []
    new = stage.service(unique)["latestReadyRevision"].rpartition("/")[2]
    assert new != old
    assert ask(url).json["revision"] == new
    assert until(lambda: {item["revision"] for item in stage.instances(unique)} == {new})


def test_a_request_in_flight_finishes_on_the_old_revision(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    url = stage.url(unique)
    old = stage.instances(unique)[0]["pid"]
    flying = Asking(url, "/slow?seconds=2")
    until(lambda: stage.instances(unique)[0]["inFlight"] == 1)

    stage.deploy(unique, env={"NEW": "1"})

    assert ask(url).json["pid"] != old
    assert flying.result().json["pid"] == old


def test_a_failed_revision_leaves_the_old_one_serving(stage: Stage, unique: str) -> None:
    good = stage.deploy(unique)["latestReadyRevision"]

    record = stage.deploy(unique, env={"FLAVOUR": "exits"})

    condition = record["terminalCondition"]
    assert condition["state"] == "CONDITION_FAILED"
    assert PORT_SENTENCE in condition["message"]
    assert record["latestReadyRevision"] == good
    assert record["latestCreatedRevision"] != good
    assert record["observedGeneration"] == record["generation"] == "2"
    assert ask(stage.url(unique)).json["revision"] == good.rpartition("/")[2]
    # And the way out: the next good one is taken.
    assert stage.deploy(unique, env={"FLAVOUR": "plain"})["terminalCondition"]["state"] == "CONDITION_SUCCEEDED"


def test_the_operation_fails_with_the_revision(stage: Stage, unique: str) -> None:
    container = {"image": "us-docker.pkg.dev/x/app:1", "env": [{"name": "FLAVOUR", "value": "exits"}]}
    started = stage.ask("POST", f"{RUN}?serviceId={unique}", {"template": {"containers": [container]}})
    url = f"run.googleapis.com/v2/{started['name']}"

    ended = until(lambda: (found := stage.ask("GET", url)).get("done") and found)

    assert "response" not in ended
    assert PORT_SENTENCE in ended["error"]["message"]


def test_an_image_without_a_command_fails_ready(stage: Stage, unique: str) -> None:
    record = stage.deploy(unique, image="us-docker.pkg.dev/x/unknown:7")

    assert record["terminalCondition"]["state"] == "CONDITION_FAILED"
    assert "Image 'us-docker.pkg.dev/x/unknown:7' not found." in record["terminalCondition"]["message"]
    assert ask(stage.url(unique)).status == 503

    mapping = {"image": "us-docker.pkg.dev/x/unknown:*", "command": ["python", "stand_in.py"]}
    stage.twin.admin("POST", "images", {**mapping, "cwd": str(APP)})
    assert stage.settled(unique)["terminalCondition"]["state"] == "CONDITION_SUCCEEDED"


def test_a_startup_probe_that_never_passes_fails_ready_in_its_own_time(stage: Stage, unique: str) -> None:
    probe = {"httpGet": {"path": "/health"}, "periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 1}
    begun = time.monotonic()

    record = stage.deploy(unique, env={"FLAVOUR": "sick"}, container={"startupProbe": probe})

    assert (
        "The user-provided container failed the configured startup probe checks."
        in record["terminalCondition"]["message"]
    )
    assert 2.0 <= time.monotonic() - begun < 6.0


def test_traffic_is_split_and_tags_have_a_url(stage: Stage, unique: str) -> None:
    first = stage.deploy(unique)["latestReadyRevision"].rpartition("/")[2]
    second = stage.deploy(unique, env={"NEW": "1"})["latestReadyRevision"].rpartition("/")[2]
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    traffic = [
        {"type": kind, "revision": first, "percent": 70},
        {"type": kind, "revision": second, "percent": 30, "tag": "next"},
    ]
    stage.ask("PATCH", f"{RUN}/{unique}?updateMask=traffic", {"traffic": traffic})
    url = stage.url(unique)

    seen = [ask(url).json["revision"] for _ in range(120)]
    host = stage.service(unique)["trafficStatuses"][1]["uri"].removeprefix("https://")
    stage.twin.admin("GET", "endpoints")
    tagged = [stage.call("GET", f"{host}/")[1]["revision"] for _ in range(5)]

    assert {first, second} == set(seen)
    assert seen.count(first) > seen.count(second)
    assert tagged == [second] * 5


def test_crashes_back_off(stage: Stage, unique: str) -> None:
    stage.deploy(unique, scaling={"minInstanceCount": 1})
    url = stage.url(unique)
    starts = []

    for _ in range(4):
        pid = until(lambda: [item["pid"] for item in stage.instances(unique) if item["state"] == "ready"])[0]
        starts.append(time.monotonic())
        assert ask(url, "/crash").status == 503
        until(functools.partial(_ended, stage, unique, pid))
    until(lambda: [item for item in stage.instances(unique) if item["state"] == "ready"])
    starts.append(time.monotonic())

    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    # 0.1, 0.2, 0.5, 1 seconds, each on top of a start.
    assert pauses[3] > pauses[0] + 0.6
    assert stage.twin.admin("GET", "health")["runtime"]["events"][f"{unique}.crashed"] == 4


def test_a_deleted_service_is_gone_with_its_processes(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    pid = stage.instances(unique)[0]["pid"]

    stage.ask("DELETE", f"{RUN}/{unique}")

    until(lambda: not _alive(pid))
    assert stage.call("GET", f"{RUN}/{unique}")[0] == 404
    assert unique not in stage.twin.admin("GET", "endpoints")["services"]


def _ended(stage: Stage, name: str, pid: int) -> bool:
    return pid not in [item["pid"] for item in stage.instances(name)]


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid)


def test_project_is_what_the_names_say(stage: Stage, unique: str) -> None:
    record = stage.deploy(unique)

    assert record["name"] == f"projects/{PROJECT}/locations/us-central1/services/{unique}"
    assert record["uri"].endswith(".run.app")
    assert stage.call("GET", record["uri"].removeprefix("https://") + "/x")[1]["revision"].startswith(unique)
