"""What is refused, injected, limited, restored and survived: the front door, the admin endpoint, the process."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from twin import process
from twin.caller import Caller
from twin.process import Running, TwinError

KMS = "cloudkms.googleapis.com/v1/projects/staging-twin/locations/us/keyRings"


@pytest.fixture
def call(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


def test_nothing_but_google_is_behind_the_proxy(twin: Running) -> None:
    with socket.create_connection(("127.0.0.1", twin.port), timeout=10) as plain:
        plain.sendall(b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n\r\n")
        assert plain.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_without_a_token_nothing_is_said(twin: Running) -> None:
    nobody = Caller(twin, "")
    status, refusal = nobody("GET", KMS)
    assert (status, refusal["error"]["status"]) == (401, "UNAUTHENTICATED")
    nobody.close()


def test_the_admin_endpoint_wants_its_key(twin: Running) -> None:
    stranger = Running(twin.folder, twin.pid, twin.port, twin.project, twin.number, "guessed")
    with pytest.raises(TwinError, match="needs the header X-Twin-Key"):
        stranger.admin("POST", "reset")


def test_an_unknown_method_is_a_loud_501(call: Caller) -> None:
    status, refusal = call(
        "POST", "run.googleapis.com/v2/projects/staging-twin/locations/us-central1:exportImageMetadata", {}
    )
    assert status in (404, 501)
    status, refusal = call(
        "POST",
        "compute.googleapis.com/compute/v1/projects/staging-twin/zones/us-central1-a/instances/i/sendDiagnosticInterrupt",
    )
    assert (status, refusal["error"]["code"]) == (501, 501)
    assert "compute.instances.sendDiagnosticInterrupt" in refusal["error"]["message"]


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("keyRingId=x&colour=red", {}, 'Unknown name "colour": Cannot bind query parameter'),
        ("keyRingId=x", {"colour": 1}, "Unknown name \"colour\" at 'key_ring': Cannot find field"),
        ("keyRingId=x", [1], "Root element must be a message"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(call: Caller, query: str, body: object, words: str) -> None:
    status, refusal = call("POST", f"{KMS}?{query}", body)
    assert (status, refusal["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in refusal["error"]["message"]


def test_bad_enums_name_the_field(call: Caller, unique: str) -> None:
    call("POST", f"{KMS}?keyRingId={unique}", {})
    status, refusal = call("POST", f"{KMS}/{unique}/cryptoKeys?cryptoKeyId=k", {"purpose": "PAINT"})
    assert status == 400
    assert refusal["error"]["details"][0]["fieldViolations"][0]["field"] == "crypto_key.purpose"


def test_fields_reduce_and_numbers_address_a_project(call: Caller, twin: Running, unique: str) -> None:
    call("POST", f"{KMS}?keyRingId={unique}", {})
    by_number = KMS.replace("staging-twin", twin.number)
    status, body = call("GET", f"{by_number}/{unique}?fields=name")
    assert (status, body) == (200, {"name": f"projects/staging-twin/locations/us/keyRings/{unique}"})


def test_validate_only_changes_nothing(call: Caller, unique: str) -> None:
    base = "run.googleapis.com/v2/projects/staging-twin/locations/us-central1/services"
    body = {"template": {"containers": [{"image": "x/y"}]}}
    assert call("POST", f"{base}?serviceId={unique}&validateOnly=true", body)[0] == 200
    assert call("GET", f"{base}/{unique}")[0] == 404


def test_a_repeated_request_id_is_done_once(call: Caller, unique: str) -> None:
    base = "compute.googleapis.com/compute/v1/projects/staging-twin/global/healthChecks?requestId=" + unique
    first = call("POST", base, {"name": unique, "type": "TCP"})
    assert call("POST", base, {"name": unique, "type": "TCP"}) == first
    assert first[0] == 200


def test_faults_strike_as_often_as_told(call: Caller, twin: Running) -> None:
    twin.admin("POST", "faults", {"method": "cloudkms.*.keyRings.list", "status": 503, "count": 2})
    statuses = [call("GET", KMS)[0] for _ in range(3)]
    twin.admin("DELETE", "faults")
    assert statuses == [503, 503, 200]


def test_a_quota_answers_429(call: Caller, twin: Running) -> None:
    twin.admin("POST", "quotas", {"redis.*": 2})
    url = "redis.googleapis.com/v1/projects/staging-twin/locations/us-central1/instances"
    answers = [call("GET", url) for _ in range(3)]
    twin.admin("POST", "quotas", {})
    assert [status for status, _ in answers] == [200, 200, 429]
    assert answers[2][1]["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_iam_etags_guard_read_modify_write(call: Caller, unique: str) -> None:
    call("POST", f"{KMS}?keyRingId={unique}", {})
    policy = {"bindings": [{"role": "roles/cloudkms.viewer", "members": ["user:a@example.com"]}], "etag": "ACAB"}
    assert call("POST", f"{KMS}/{unique}:setIamPolicy", {"policy": policy})[0] == 200
    status, refusal = call("POST", f"{KMS}/{unique}:setIamPolicy", {"policy": policy})
    assert (status, refusal["error"]["status"]) == (409, "ABORTED")
    policy = {
        "bindings": [
            {"role": "roles/cloudkms.viewer", "members": ["serviceAccount:gone@staging-twin.iam.gserviceaccount.com"]}
        ]
    }
    status, refusal = call("POST", f"{KMS}/{unique}:setIamPolicy", {"policy": policy})
    assert (status, refusal["error"]["message"]) == (
        400,
        "Service account gone@staging-twin.iam.gserviceaccount.com does not exist.",
    )


def test_sql_and_redis_show_what_health_is_read_from(call: Caller, unique: str) -> None:
    base = "sqladmin.googleapis.com/v1/projects/staging-twin/instances"
    status, operation = call(
        "POST", base, {"name": unique, "databaseVersion": "POSTGRES_15", "settings": {"tier": "db-f1-micro"}}
    )
    assert (status, operation["status"]) == (200, "PENDING")
    assert (
        call("GET", f"sqladmin.googleapis.com/v1/projects/staging-twin/operations/{operation['name']}")[1]["status"]
        == "DONE"
    )
    _, found = call("GET", f"{base}/{unique}")
    assert (found["state"], found["settings"]["activationPolicy"]) == ("RUNNABLE", "ALWAYS")
    stale = {"settings": {"settingsVersion": "99", "tier": "db-f1-micro"}}
    assert call("PATCH", f"{base}/{unique}", stale)[0] == 412
    redis = "redis.googleapis.com/v1/projects/staging-twin/locations/us-central1/instances"
    call("POST", f"{redis}?instanceId={unique}", {"tier": "STANDARD_HA", "memorySizeGb": 1})
    _, found = call("GET", f"{redis}/{unique}")
    assert (found["state"], len(found["nodes"])) == ("READY", 2)


def test_logs_are_read_back_by_severity(call: Caller, unique: str) -> None:
    name = f"projects/staging-twin/logs/{unique}"
    entries = [
        {"severity": word, "textPayload": word, "resource": {"type": "global"}}
        for word in ("INFO", "ERROR", "CRITICAL")
    ]
    assert call("POST", "logging.googleapis.com/v2/entries:write", {"logName": name, "entries": entries})[0] == 200
    body = {
        "resourceNames": ["projects/staging-twin"],
        "filter": f'logName="{name}" AND severity>=ERROR',
        "orderBy": "timestamp desc",
    }
    _, found = call("POST", "logging.googleapis.com/v2/entries:list", body)
    assert sorted(entry["textPayload"] for entry in found["entries"]) == ["CRITICAL", "ERROR"]


def test_a_deleted_log_has_no_entries_and_others_have_theirs(call: Caller, unique: str) -> None:
    """The name is quoted where it has a slash."""
    names = [f"projects/staging-twin/logs/{unique}%2F{each}" for each in ("one", "two")]
    entries = [{"logName": name, "textPayload": name, "resource": {"type": "global"}} for name in names]
    assert call("POST", "logging.googleapis.com/v2/entries:write", {"entries": entries})[0] == 200

    assert call("DELETE", f"logging.googleapis.com/v2/{names[0]}")[0] == 200

    body = {"resourceNames": ["projects/staging-twin"], "filter": f'logName:"{unique}"'}
    _, found = call("POST", "logging.googleapis.com/v2/entries:list", body)
    assert [entry["logName"] for entry in found["entries"]] == [names[1]]
    assert call("DELETE", f"logging.googleapis.com/v2/{names[0]}")[0] == 404


def test_dataflow_needs_its_key_granted_twice(call: Caller, twin: Running, unique: str) -> None:
    url = KMS.replace("locations/us/", "locations/us-central1/")
    call("POST", f"{url}?keyRingId={unique}", {})
    call("POST", f"{url}/{unique}/cryptoKeys?cryptoKeyId=k", {"purpose": "ENCRYPT_DECRYPT"})
    key = f"projects/staging-twin/locations/us-central1/keyRings/{unique}/cryptoKeys/k"
    jobs = "dataflow.googleapis.com/v1b3/projects/staging-twin/locations/us-central1/templates"
    body = {"jobName": unique, "gcsPath": "gs://t/x", "environment": {"kmsKeyName": key}}
    assert call("POST", jobs, body)[0] == 403
    agents = [
        f"serviceAccount:service-{twin.number}@{host}.iam.gserviceaccount.com"
        for host in ("dataflow-service-producer-prod", "compute-system")
    ]
    policy = {"bindings": [{"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "members": agents}]}
    assert call("POST", f"cloudkms.googleapis.com/v1/{key}:setIamPolicy", {"policy": policy})[0] == 200
    twin.admin("POST", "clock", {"advance": 61})
    status, job = call("POST", jobs, body)
    assert (status, job["environment"]["serviceKmsKeyName"]) == (200, key)


def test_only_loopback_is_listened_on_or_spoken_to(twin: Running) -> None:
    health = twin.admin("GET", "health")
    for pid in (health["pid"], *health["children"]):
        for connection in psutil.Process(pid).net_connections("inet"):
            both: list[Any] = [connection.laddr, connection.raddr]
            ends = [end for end in both if end]
            assert {end.ip.removeprefix("::ffff:") for end in ends} == {"127.0.0.1"}


# A twin of one's own for what would disturb the others


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "own"
    yield folder
    process.down(folder)


def test_kill_nine_loses_no_acknowledged_write(own: Path) -> None:
    running = process.up(own, "killed-twin")
    call = Caller(running)
    url = "cloudkms.googleapis.com/v1/projects/killed-twin/locations/us/keyRings"
    acknowledged: list[str] = []
    enough = threading.Event()

    def write() -> None:
        try:
            for number in range(100_000):
                status, _ = call("POST", f"{url}?keyRingId=r{number}", {})
                if status == 200:
                    acknowledged.append(f"r{number}")
                if number == 50:
                    enough.set()
        except OSError:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(20)
    os.kill(running.pid, signal.SIGKILL)
    writer.join(20)
    again = process.up(own, "killed-twin")
    reader = Caller(again)
    assert again.pid != running.pid
    assert [name for name in acknowledged if reader("GET", f"{url}/{name}")[0] != 200] == []
    assert len(acknowledged) > 50
    reader.close()


def test_two_twins_side_by_side_and_down_leaves_nothing(own: Path, twin: Running) -> None:
    running = process.up(own, "second-twin")
    assert running.port != twin.port
    assert process.up(own, "second-twin").pid == running.pid
    with pytest.raises(TwinError, match="a twin for project second-twin runs"):
        process.up(own, "third-twin")
    assert process.down(own) is True
    assert not own.exists()
    assert not psutil.pid_exists(running.pid)
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", running.port))
    assert process.down(own) is False


def test_reset_and_snapshots(own: Path) -> None:
    running = process.up(own, "reset-twin")
    call = Caller(running)
    url = "cloudkms.googleapis.com/v1/projects/reset-twin/locations/us/keyRings"
    call("POST", f"{url}?keyRingId=kept", {})
    running.admin("POST", "snapshots", {"name": "one"})
    call("POST", f"{url}?keyRingId=later", {})
    running.admin("POST", "restore", {"name": "one"})
    assert [call("GET", f"{url}/{name}")[0] for name in ("kept", "later")] == [200, 404]
    process.reset(own)
    assert call("GET", f"{url}/kept")[0] == 404
    assert call("GET", url) == (200, {})
    call.close()


def test_a_twin_dies_with_its_lifeline(own: Path) -> None:
    running = process.up(own, "lifeline-twin", lifeline=True)
    handle = psutil.Process(running.pid)
    os.close(running.lifeline)
    handle.wait(10)
    assert process.find(own) is None


def test_the_environment_names_files_that_only_the_owner_reads(own: Path) -> None:
    process.up(own, "env-twin")
    found = process.env(own)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "REQUESTS_CA_BUNDLE"):
        assert Path(found[name]).stat().st_mode & 0o077 == 0
    assert json.loads(Path(found["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())["project_id"] == "env-twin"
    assert found["https_proxy"].startswith("http://127.0.0.1:")


def test_what_the_path_binds_is_accepted_in_the_body(call: Caller, unique: str) -> None:
    secret = "secretmanager.googleapis.com/v1/projects/staging-twin/secrets"
    call("POST", f"{secret}?secretId={unique}", {"replication": {"automatic": {}}})
    body = {"parent": f"projects/staging-twin/secrets/{unique}", "payload": {"data": "eA=="}}
    assert call("POST", f"{secret}/{unique}:addVersion", body)[0] == 200
    assert call("POST", f"{secret}/{unique}:addVersion", {**body, "parents": "x"})[0] == 400


def test_an_operation_runs_and_is_then_done(call: Caller, unique: str) -> None:
    base = "compute.googleapis.com/compute/v1/projects/staging-twin/global"
    _, operation = call("POST", f"{base}/addresses", {"name": unique})
    assert (operation["status"], operation["progress"], operation["operationType"]) == ("RUNNING", 0, "insert")
    _, later = call("GET", f"{base}/operations/{operation['name']}")
    assert (later["status"], later["progress"], later["targetLink"].rpartition("/")[2]) == ("DONE", 100, unique)
    _, found = call("GET", f"{base}/addresses/{unique}")
    assert call("GET", f"{base}/addresses/{found['id']}")[1]["name"] == unique


def test_a_private_key_goes_in_and_never_comes_out(call: Caller, twin: Running, unique: str) -> None:
    pem = (twin.folder / "leaf.pem").read_text().partition("-----END CERTIFICATE-----\n")
    body = {"name": unique, "certificate": pem[0] + pem[1], "privateKey": (twin.folder / "leaf.key").read_text()}
    url = "compute.googleapis.com/compute/v1/projects/staging-twin/global/sslCertificates"
    assert call("POST", url, body)[0] == 200
    _, found = call("GET", f"{url}/{unique}")
    assert (found["type"], "privateKey" in found, "PRIVATE KEY" in json.dumps(found)) == ("SELF_MANAGED", False, False)


def test_a_dropped_answer_has_still_been_carried_out(twin: Running, call: Caller, unique: str) -> None:
    twin.admin("POST", "faults", {"method": "cloudkms.*.keyRings.create", "drop": True, "count": 1})
    unlucky = Caller(twin)
    with pytest.raises(OSError, match=r".*"):
        unlucky("POST", f"{KMS}?keyRingId={unique}", {})
    twin.admin("DELETE", "faults")
    assert call("GET", f"{KMS}/{unique}")[0] == 200
    unlucky.close()
