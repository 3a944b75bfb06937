"""Cloud Run services as processes: environment, cold starts, concurrency, time-outs, who may call."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from tests.staging.runtime.conftest import PROJECT, RUN, Stage, until
from tests.staging.runtime.wire import Asking, ask


def test_an_instance_gets_its_template_s_environment_and_nothing_of_ours(stage: Stage, unique: str) -> None:
    stage.deploy(unique, env={"COLOUR": "green"})

    seen = ask(stage.url(unique), "/environment").json

    assert seen["COLOUR"] == "green"
    assert (seen["K_SERVICE"], seen["K_CONFIGURATION"], seen["TZ"]) == (unique, unique, "UTC")
    assert seen["K_REVISION"] == stage.service(unique)["latestReadyRevision"].rpartition("/")[2]
    # The shell in front adds three of its own.
    assert seen.keys() - {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"} == {
        "COLOUR", "PATH", "HOME", "LANG", "TZ", "PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION",
    }  # fmt: skip


def _secret(stage: Stage, name: str, value: str) -> None:
    place = f"secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets"
    stage.ask("POST", f"{place}?secretId={name}", {"replication": {"automatic": {}}})
    data = base64.b64encode(value.encode()).decode()
    stage.ask("POST", f"{place}/{name}:addVersion", {"payload": {"data": data}})


def _account(stage: Stage, name: str) -> str:
    place = f"iam.googleapis.com/v1/projects/{PROJECT}/serviceAccounts"
    found: str = stage.ask("POST", place, {"accountId": name})["email"]
    return found


def test_secrets_are_read_as_the_template_s_account(stage: Stage, unique: str) -> None:
    _secret(stage, unique, "s3cret")
    account = _account(stage, unique)
    place = f"secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets/{unique}"
    granted = {"bindings": [{"role": "roles/secretmanager.secretAccessor", "members": [f"serviceAccount:{account}"]}]}
    stage.ask("POST", f"{place}:setIamPolicy", {"policy": granted})
    reference = {"env": [{"name": "TOKEN", "valueSource": {"secretKeyRef": {"secret": unique, "version": "latest"}}}]}
    stage.deploy(unique, container=reference, serviceAccount=account)
    assert ask(stage.url(unique), "/environment").json["TOKEN"] == "s3cret"

    # The grant is taken back: the next instance cannot start, and whoever waits for it is told so.
    stage.ask("POST", f"{place}:setIamPolicy", {"policy": {"bindings": []}})
    stage.twin.admin("POST", "cool", {"service": unique})
    answer = ask(stage.url(unique))

    assert (answer.status, answer.text) == (503, "Service Unavailable")
    failures = stage.twin.admin("GET", "health")["runtime"]["services"][unique]["failures"]
    assert f"Permission denied on secret: projects/{PROJECT}/secrets/{unique}/versions/latest" in str(failures)
    assert account in str(failures)


def test_a_cold_service_shows_its_start_and_a_minimum_hides_it(stage: Stage, unique: str) -> None:
    stage.deploy(unique, env={"FLAVOUR": "slow-start"})
    url = stage.url(unique)
    warm = ask(url)
    assert stage.twin.admin("POST", "cool", {"service": unique}) == {"stopped": 1}
    assert stage.instances(unique) == []

    cold = ask(url)
    stage.ask("PATCH", f"{RUN}/{unique}?updateMask=scaling.minInstanceCount", {"scaling": {"minInstanceCount": 1}})
    assert stage.twin.admin("POST", "cool", {"service": unique}) == {"stopped": 0}
    kept = ask(url)

    assert (warm.status, cold.status, kept.status) == (200, 200, 200)
    assert cold.seconds > 0.7 > 0.35 > max(warm.seconds, kept.seconds)
    assert cold.json["pid"] != warm.json["pid"]
    assert kept.json["pid"] == cold.json["pid"]


def test_the_revision_s_minimum_is_there_before_the_first_request(stage: Stage, unique: str) -> None:
    body = {"template": {"containers": [{"image": "us-docker.pkg.dev/x/app:1"}], "scaling": {"minInstanceCount": 2}}}
    stage.ask("POST", f"{RUN}?serviceId={unique}", body)
    stage.settled(unique)

    assert [item["state"] for item in stage.instances(unique)] == ["ready", "ready"]


def test_concurrency_and_maximum_hold(stage: Stage, unique: str) -> None:
    body = {
        "template": {
            "containers": [{"image": "us-docker.pkg.dev/x/app:1"}],
            "maxInstanceRequestConcurrency": 2,
            "scaling": {"maxInstanceCount": 2},
        }
    }
    stage.ask("POST", f"{RUN}?serviceId={unique}", body)
    policy = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    stage.ask("POST", f"{RUN}/{unique}:setIamPolicy", {"policy": policy})
    stage.settled(unique)
    url = stage.url(unique)

    waiting = [Asking(url, "/slow?seconds=0.6") for _ in range(8)]
    answers = [one.result() for one in waiting]

    assert {answer.status for answer in answers} == {200}
    assert max(answer.json["most"] for answer in answers) == 2
    assert len({answer.json["pid"] for answer in answers}) == 2
    # Eight requests through four places take two rounds.
    assert max(answer.seconds for answer in answers) > 1.2


def test_the_request_time_out_cuts_a_request(stage: Stage, unique: str) -> None:
    stage.deploy(unique, timeout="1s")
    url = stage.url(unique)

    late = ask(url, "/slow?seconds=5")

    assert (late.status, late.text) == (504, "upstream request timeout")
    assert 1.0 <= late.seconds < 1.5
    assert ask(url, "/slow?seconds=0.5").status == 200


def test_an_answer_that_has_begun_is_cut_at_the_time_out(stage: Stage, unique: str) -> None:
    stage.deploy(unique, timeout="1s")

    begun = Asking(stage.url(unique), "/drip?lines=100")
    begun.join(10)

    assert begun.error is not None
    assert "IncompleteRead" in type(begun.error).__name__ or "reset" in str(begun.error).lower()


def test_bodies_stream_both_ways(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    url = stage.url(unique)
    sent = b"0123456789abcdef" * 20_000

    assert ask(url, "/echo", "POST", sent).body == sent
    assert ask(url, "/drip?lines=5&pause=0").text == "0\n1\n2\n3\n4\n"


def test_only_invokers_get_in(stage: Stage, unique: str) -> None:
    stage.deploy(unique, public=False)
    url = stage.url(unique)
    account = _account(stage, unique)
    stranger = ask(url)
    nonsense = ask(url, Authorization="Bearer nonsense")
    token = stage.twin.admin("POST", "token", {"principal": f"serviceAccount:{account}"})["accessToken"]
    not_yet = ask(url, Authorization=f"Bearer {token}")

    policy = {"bindings": [{"role": "roles/run.invoker", "members": [f"serviceAccount:{account}"]}]}
    stage.ask("POST", f"{RUN}/{unique}:setIamPolicy", {"policy": policy})

    assert (stranger.status, nonsense.status, not_yet.status) == (403, 401, 403)
    assert "Your client does not have permission to get URL" in stranger.text
    assert ask(url, Authorization=f"Bearer {token}").status == 200


def test_internal_ingress_is_not_there_from_outside(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    url = stage.url(unique)
    assert ask(url).status == 200

    stage.ask("PATCH", f"{RUN}/{unique}?updateMask=ingress", {"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"})

    assert ask(url).status == 404


def test_affinity_keeps_a_client_on_its_instance(stage: Stage, unique: str) -> None:
    body = {
        "template": {
            "containers": [{"image": "us-docker.pkg.dev/x/app:1"}],
            "scaling": {"minInstanceCount": 3},
            "sessionAffinity": True,
        }
    }
    stage.ask("POST", f"{RUN}?serviceId={unique}", body)
    policy = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    stage.ask("POST", f"{RUN}/{unique}:setIamPolicy", {"policy": policy})
    stage.settled(unique)
    url = stage.url(unique)
    first = ask(url)
    cookie = first.headers["set-cookie"].partition(";")[0]
    busy = [Asking(url, "/slow?seconds=0.5", Cookie=cookie) for _ in range(3)]

    pids = {ask(url, Cookie=cookie).json["pid"] for _ in range(6)}

    assert pids == {first.json["pid"]}
    assert {one.result().json["pid"] for one in busy} == pids


def test_what_listens_beyond_loopback_is_refused(stage: Stage, unique: str) -> None:
    record = stage.deploy(unique, env={"FLAVOUR": "exposed"})

    assert record["terminalCondition"]["state"] == "CONDITION_FAILED"
    assert "bind to 127.0.0.1" in record["terminalCondition"]["message"]
    assert stage.instances(unique) == []


def test_output_and_requests_are_logged_and_counted(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    ask(stage.url(unique), "/hello", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": f'resource.labels.service_name="{unique}"'}

    def entries() -> dict[str, list[dict[str, object]]]:
        found: dict[str, list[dict[str, object]]] = {}
        for entry in stage.ask("POST", "logging.googleapis.com/v2/entries:list", body).get("entries", []):
            found.setdefault(entry["logName"].rpartition("%2F")[2], []).append(entry)
        return found if {"stdout", "requests"} <= found.keys() else {}

    seen = until(entries)

    assert seen["stdout"][0]["severity"] == "WARNING"
    assert seen["stdout"][0]["jsonPayload"] == {"message": "starting"}
    assert seen["requests"][0]["httpRequest"]["status"] == 200
    assert seen["requests"][0]["trace"] == f"projects/{PROJECT}/traces/{'a' * 32}"

    def counted() -> list[dict[str, object]]:
        metric = "run.googleapis.com/request_count"
        query = f'filter=metric.type="{metric}" AND resource.labels.service_name="{unique}"'
        ends = "interval.startTime=2020-01-01T00:00:00Z&interval.endTime=2099-01-01T00:00:00Z"
        url = f"monitoring.googleapis.com/v3/projects/{PROJECT}/timeSeries?{query.replace(' ', '%20')}&{ends}"
        found: list[dict[str, object]] = stage.ask("GET", url).get("timeSeries", [])
        return found

    assert until(counted)[0]["points"][0]["value"] == {"int64Value": "1"}


@pytest.mark.parametrize(("code", "state"), [("0", "CONDITION_SUCCEEDED"), ("4", "CONDITION_FAILED")])
def test_a_job_s_execution_runs_its_command(stage: Stage, unique: str, code: str, state: str) -> None:
    jobs = RUN.removesuffix("services") + "jobs"
    container = {
        "image": "us-docker.pkg.dev/x/app:1",
        "env": [{"name": "FLAVOUR", "value": "task"}, {"name": "EXIT", "value": code}],
    }
    body = {"template": {"taskCount": 2, "template": {"containers": [container], "maxRetries": 0}}}
    stage.ask("POST", f"{jobs}?jobId={unique}", body)
    stage.ask("POST", f"{jobs}/{unique}:run", {})

    def ended() -> dict[str, object]:
        execution: dict[str, object] = stage.ask("GET", f"{jobs}/{unique}/executions")["executions"][0]
        return execution if execution.get("completionTime") else {}

    execution = until(ended)

    assert execution["conditions"][0]["state"] == state
    assert int(str(execution.get("succeededCount", 0))) == (2 if code == "0" else 0)
    assert ("exit code 4" in str(execution["conditions"])) == (code == "4")


def test_the_guard_ends_what_is_left_on_its_list() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    spared = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    guard = subprocess.run(
        [sys.executable, "-m", "twin.runtime.guard"],
        input=f"+{sleeper.pid}\n+{spared.pid}\n-{spared.pid}\n".encode(),
        check=False,
        timeout=20,
    )
    assert guard.returncode == 0
    assert sleeper.wait(10) == -9
    assert spared.poll() is None
    spared.kill()
    spared.wait(10)
