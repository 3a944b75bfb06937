"""What `invoke twin.up` starts with: the patient's cloud as found, reset to it, and the commands that people type there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twin import found, found_states
from twin.caller import Caller
from twin.process import Running, TwinError, down, env

PROJECT = "found-twin"
SERVICE = f"run.googleapis.com/v2/projects/{PROJECT}/locations/us-central1/services/websocket-service"
BUCKET = f"storage.googleapis.com/storage/v1/b/{PROJECT}-archive/o/days.csv?alt=media"

Shell = Callable[..., str]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("found") / "state"
    yield found.up(folder, PROJECT, kept=kept)
    assert down(folder)
    assert not folder.exists()


@pytest.fixture(scope="module", autouse=True)
def begun(running: Running) -> tuple[int, Any]:
    """The WebSocket service as it was before any test here, whatever their order."""
    return ask(running, SERVICE)


@pytest.fixture
def shell(running: Running, commands: Path, tmp_path: Path) -> Shell:
    """Run one command line with the variables of `invoke twin.env`: what it printed, or with `fails` its complaint."""
    surroundings = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    variables = {**surroundings, **env(running.folder)}

    def run(line: str, *more: str, fails: bool = False) -> str:
        done = subprocess.run(
            [*line.split(), *more],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr + done.stdout if fails else done.stdout

    return run


def ask(running: Running, url: str) -> tuple[int, Any]:
    call = Caller(running)
    answer = call("GET", url)
    call.close()
    return answer


def test_it_begins_with_every_fault_of_the_patient(running: Running, begun: tuple[int, Any]) -> None:
    status, service = begun
    assert (status, service["template"]["timeout"]) == (200, "5s")
    assert ask(running, f"redis.googleapis.com/v1/projects/{PROJECT}/locations/us-central1/instances")[0] == 200


def test_reset_goes_back_to_as_found(running: Running) -> None:
    call = Caller(running)
    try:
        assert call("PATCH", f"{SERVICE}?updateMask=template.timeout", {"template": {"timeout": "3600s"}})[0] == 200
        assert call("GET", SERVICE)[1]["template"]["timeout"] == "3600s"
        running.admin("POST", "faults", {"method": "run.*", "status": 503, "rate": 1})
        found.reset(running.folder)
        status, service = call("GET", SERVICE)
    finally:
        call.close()
    assert (status, service["template"]["timeout"]) == (200, "5s")


def test_the_next_twin_copies_the_kept_state(running: Running, kept: Path, tmp_path: Path) -> None:
    assert len(list(kept.iterdir())) == 1
    second = found.up(tmp_path / "second", PROJECT, kept=kept)
    try:
        assert second.number == running.number, "the state was made again"
        assert second.admin_key != running.admin_key
        assert ask(second, SERVICE)[1]["template"]["timeout"] == "5s"
        call = Caller(second)
        assert call.raw("GET", BUCKET)[2].startswith(b"day,trades")
        call.close()
        rows = f"bigquery.googleapis.com/bigquery/v2/projects/{PROJECT}/datasets/market/tables/trades/data"
        assert ask(second, rows)[0] == 200
        found.reset(second.folder)
        assert ask(second, SERVICE)[0] == 200
    finally:
        down(second.folder)


def test_a_changed_patient_is_not_the_kept_one(kept: Path, tmp_path: Path) -> None:
    patient = tmp_path / "patient"
    for part in ("cloud", "web/public", "cloud/archive"):
        (patient / part).mkdir(parents=True)
    (patient / "web" / "public" / "app.js").write_text("1")
    before = found_states.key_of(PROJECT, patient)
    (patient / "web" / "public" / "app.js").write_text("2")
    after = found_states.key_of(PROJECT, patient)
    assert before != after
    assert not found_states.take(kept, after, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_an_old_state_is_made_again(running: Running, kept: Path, tmp_path: Path) -> None:
    key = found_states.key_of(PROJECT, found.PATIENT)
    facts = kept / key / "facts.json"
    made = facts.stat().st_mtime
    os.utime(facts, (made - 7 * 3600, made - 7 * 3600))
    try:
        assert not found_states.take(kept, key, tmp_path / "state")
    finally:
        os.utime(facts, (made, made))
    assert found_states.take(kept, key, tmp_path / "state")


def test_an_interrupted_furnishing_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    running = found.up(folder, PROJECT, empty=True)
    try:
        assert ask(running, SERVICE)[0] == 404
        (folder / "furnishing").touch()
        running = found.up(folder, PROJECT)
        assert ask(running, SERVICE)[0] == 200
        assert not (folder / "furnishing").exists()
    finally:
        down(folder)


def test_a_reset_names_a_snapshot_that_exists(running: Running) -> None:
    with pytest.raises(TwinError, match="nowhere"):
        running.admin("POST", "reset", {"snapshot": "nowhere"})
    assert ask(running, SERVICE)[0] == 200


@pytest.mark.gcloud
def test_services_are_listed_described_and_updated(shell: Shell) -> None:
    region = "--region=us-central1"
    assert "websocket-service" in shell(f"gcloud run services list {region}")
    shell(f"gcloud run services update websocket-service {region} --min-instances=1 --timeout=3600")
    service = json.loads(shell(f"gcloud run services describe websocket-service {region} --format=json"))
    assert service["spec"]["template"]["spec"]["timeoutSeconds"] == 3600
    assert service["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/minScale"] == "1"


@pytest.mark.gcloud
def test_the_balancer_of_the_patient(shell: Shell) -> None:
    url_map = json.loads(shell("gcloud compute url-maps describe staging-lb --global --format=json"))
    assert "/backendServices/" in url_map["defaultService"]
    update = "gcloud compute backend-services update {} --global --timeout={} --connection-draining-timeout=60"
    shell(update.format("allocator-backend", 120))
    describe = "gcloud compute backend-services describe allocator-backend --global --format=json"
    zonal = json.loads(shell(describe))
    assert (zonal["timeoutSec"], zonal["connectionDraining"]) == (120, {"drainingTimeoutSec": 60})
    said = shell(update.format("websocket-backend", 120), fails=True)
    assert (
        "Invalid value for field 'resource.timeoutSec': '120'. Timeout sec is not supported for a backend service with "
        "Serverless network endpoint groups." in said
    )
    shell(update.format("websocket-backend", 30))


@pytest.mark.gcloud
def test_database_and_cache_of_the_patient(shell: Shell) -> None:
    database = json.loads(shell("gcloud sql instances describe staging-db --format=json"))
    assert (database["name"], database["settings"]["tier"]) == ("staging-db", "db-custom-2-7680")
    cache = json.loads(shell("gcloud redis instances describe staging-cache --region=us-central1 --format=json"))
    assert cache["state"] == "READY"


@pytest.mark.gcloud
def test_a_secret_and_a_file(shell: Shell, unique: str, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("first")
    shell(f"gcloud secrets create {unique} --replication-policy=automatic")
    shell(f"gcloud secrets versions add {unique} --data-file=value")
    assert shell(f"gcloud secrets versions access latest --secret={unique}") == "first"
    shell(f"gcloud storage cp value gs://{PROJECT}-archive/{unique}")
    shell(f"gcloud storage cp gs://{PROJECT}-archive/{unique} back")
    assert (tmp_path / "back").read_text() == "first"


@pytest.mark.gcloud
def test_a_dataset_under_a_key_of_ones_own(shell: Shell, running: Running, unique: str, tmp_path: Path) -> None:
    place = f"--location=us --keyring={unique}"
    shell(f"gcloud kms keyrings create {unique} --location=us")
    shell(f"gcloud kms keys create k {place} --purpose=encryption")
    (tmp_path / "plain").write_text("tulip")
    shell(f"gcloud kms encrypt --key=k {place} --plaintext-file=plain --ciphertext-file=sealed")
    assert b"tulip" not in (tmp_path / "sealed").read_bytes()
    assert shell(f"gcloud kms decrypt --key=k {place} --ciphertext-file=sealed --plaintext-file=-") == "tulip"
    agent = f"bq-{running.number}@bigquery-encryption.iam.gserviceaccount.com"
    assert agent in shell("bq show --encryption_service_account")
    role = f"--member=serviceAccount:{agent} --role=roles/cloudkms.cryptoKeyEncrypterDecrypter"
    shell(f"gcloud kms keys add-iam-policy-binding k {place} {role}")
    key = f"projects/{PROJECT}/locations/us/keyRings/{unique}/cryptoKeys/k"
    shell(f"bq mk --dataset --default_kms_key {key} {unique}")
    query = "bq --quiet --format=json query --use_legacy_sql=false"
    shell(query, f"CREATE TABLE {unique}.t AS SELECT 1 AS a")
    shell(f"bq --quiet cp -f {unique}.t {unique}.u")
    shown = json.loads(shell(f"bq --format=json show {unique}.u"))
    assert (shown["numRows"], shown["encryptionConfiguration"]["kmsKeyName"]) == ("1", key)
    version = f"1 --key=k {place}"
    shell(f"gcloud kms keys versions disable {version}")
    said = shell(query, f"SELECT a FROM {unique}.u", fails=True)
    assert "Access Denied" in said
    # bq breaks lines where it likes.
    unbroken = "".join(said.split())
    assert f"{key}/cryptoKeyVersions/1isnotenabled,currentstateis:DISABLED." in unbroken
    shell(f"gcloud kms keys versions enable {version}")
    assert json.loads(shell(query, f"SELECT a FROM {unique}.u")) == [{"a": "1"}]
