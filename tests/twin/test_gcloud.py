"""Scripted sessions of gcloud and bq, unmodified, through the variables of `invoke twin.env`; skipped where they are not
installed. Each command costs a second or two, so a session asserts as much as its answers hold."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twin.caller import Caller
from twin.process import Running, env

pytestmark = pytest.mark.gcloud

PROJECT = "staging-twin"
REGION = "--region=us-central1"
RUN = f"run.googleapis.com/v2/projects/{PROJECT}/locations/us-central1/services"
GLOBAL = f"compute.googleapis.com/compute/v1/projects/{PROJECT}/global"
REGIONAL = f"compute.googleapis.com/compute/v1/projects/{PROJECT}/regions/us-central1"
ZONAL = f"compute.googleapis.com/compute/v1/projects/{PROJECT}/zones/us-central1-a"
SQL = f"sqladmin.googleapis.com/v1/projects/{PROJECT}/instances"
REDIS = f"redis.googleapis.com/v1/projects/{PROJECT}/locations/us-central1/instances"

Shell = Callable[..., str]


@pytest.fixture(scope="module")
def cloud(twin: Running, commands: Path) -> None:
    """A small staging environment, made through the API: what the commands below talk about."""
    call = Caller(twin)
    url = "https://www.googleapis.com/compute/v1/projects/" + PROJECT
    schemes = {"loadBalancingScheme": "EXTERNAL_MANAGED", "protocol": "HTTP"}
    cloud_run = {"networkEndpointType": "SERVERLESS", "cloudRun": {"service": "websocket-service"}}
    calls: list[tuple[str, Any]] = [
        (f"{RUN}?serviceId=websocket-service", {"template": {"containers": [{"image": "gcr.io/x/feed:1"}]}}),
        (f"{REGIONAL}/networkEndpointGroups", {"name": "websocket-neg", **cloud_run}),
        (f"{ZONAL}/networkEndpointGroups", {"name": "allocator-neg", "networkEndpointType": "GCE_VM_IP_PORT"}),
        (f"{GLOBAL}/healthChecks", {"name": "alive", "type": "HTTP", "httpHealthCheck": {"port": 80}}),
        (
            f"{GLOBAL}/backendServices",
            {
                "name": "websocket-backend",
                "backends": [{"group": f"{url}/regions/us-central1/networkEndpointGroups/websocket-neg"}],
                **schemes,
            },
        ),
        (
            f"{GLOBAL}/backendServices",
            {
                "name": "allocator-backend",
                "backends": [
                    {
                        "group": f"{url}/zones/us-central1-a/networkEndpointGroups/allocator-neg",
                        "balancingMode": "RATE",
                        "maxRatePerEndpoint": 100,
                    }
                ],
                "healthChecks": [f"{url}/global/healthChecks/alive"],
                **schemes,
            },
        ),
        (
            f"{GLOBAL}/urlMaps",
            {"name": "staging-lb", "defaultService": f"{url}/global/backendServices/websocket-backend"},
        ),
        (SQL, {"name": "staging-db", "databaseVersion": "POSTGRES_15", "settings": {"tier": "db-custom-2-7680"}}),
        (f"{REDIS}?instanceId=staging-cache", {"tier": "STANDARD_HA", "memorySizeGb": 1}),
    ]
    for place, body in calls:
        status, answer = call("POST", place, body)
        assert status == 200, answer
    call.close()


@pytest.fixture
def shell(twin: Running, cloud: None, tmp_path: Path) -> Shell:
    """Run one command line; its standard output, or with `fails` what it complained."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    variables = {**kept, **env(twin.folder)}

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


def test_cloud_run_is_listed_described_and_updated(shell: Shell) -> None:
    assert "websocket-service" in shell(f"gcloud run services list {REGION}")
    shell(f"gcloud run services update websocket-service {REGION} --min-instances=1 --timeout=3600")
    found = json.loads(shell(f"gcloud run services describe websocket-service {REGION} --format=json"))
    template = found["spec"]["template"]
    assert template["spec"]["timeoutSeconds"] == 3600
    assert template["metadata"]["annotations"]["autoscaling.knative.dev/minScale"] == "1"
    assert [item["status"] for item in found["status"]["conditions"] if item["type"] == "Ready"] == ["True"]
    assert found["status"]["traffic"][0]["percent"] == 100


def test_run_is_deployed_with_an_environment(shell: Shell, unique: str) -> None:
    shell(f"gcloud run deploy {unique} --image=gcr.io/x/y {REGION} --quiet --update-env-vars=A=b")
    found = json.loads(shell(f"gcloud run services describe {unique} --format=json {REGION}"))
    assert found["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "b"}]


def test_the_load_balancer_takes_time_outs_where_google_does(shell: Shell) -> None:
    found = json.loads(shell("gcloud compute url-maps describe staging-lb --global --format=json"))
    assert found["defaultService"].endswith("/global/backendServices/websocket-backend")
    update = "gcloud compute backend-services update {} --global --timeout={} --connection-draining-timeout=60"
    shell(update.format("allocator-backend", 120))
    describe = "gcloud compute backend-services describe {} --global --format=json"
    zonal = json.loads(shell(describe.format("allocator-backend")))
    assert (zonal["timeoutSec"], zonal["connectionDraining"]["drainingTimeoutSec"]) == (120, 60)
    said = shell(update.format("websocket-backend", 120), fails=True)
    assert (
        "Invalid value for field 'resource.timeoutSec': '120'. Timeout sec is not supported for a backend service with "
        "Serverless network endpoint groups." in said
    )
    shell(update.format("websocket-backend", 30))
    serverless = json.loads(shell(describe.format("websocket-backend")))
    assert serverless["timeoutSec"] == 30


def test_databases_and_caches_are_described(shell: Shell) -> None:
    database = json.loads(shell("gcloud sql instances describe staging-db --format=json"))
    assert (database["state"], database["settings"]["activationPolicy"]) == ("RUNNABLE", "ALWAYS")
    assert database["connectionName"] == f"{PROJECT}:us-central1:staging-db"
    cache = json.loads(shell(f"gcloud redis instances describe staging-cache {REGION} --format=json"))
    assert (cache["state"], cache["tier"], len(cache["nodes"])) == ("READY", "STANDARD_HA", 2)
    shell("gcloud sql instances patch staging-db --database-flags=max_connections=200 --quiet")
    database = json.loads(shell("gcloud sql instances describe staging-db --format=json"))
    assert database["settings"]["databaseFlags"] == [{"name": "max_connections", "value": "200"}]


def test_kms_encrypts_and_decrypts(shell: Shell, unique: str, tmp_path: Path) -> None:
    place = f"--location=us --keyring={unique}"
    shell(f"gcloud kms keyrings create {unique} --location=us")
    shell(f"gcloud kms keys create k {place} --purpose=encryption")
    (tmp_path / "plain").write_text("tulip")
    shell(f"gcloud kms encrypt --key=k {place} --plaintext-file=plain --ciphertext-file=sealed")
    assert b"tulip" not in (tmp_path / "sealed").read_bytes()
    assert shell(f"gcloud kms decrypt --key=k {place} --ciphertext-file=sealed --plaintext-file=-") == "tulip"


def test_secrets_have_versions(shell: Shell, unique: str, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("first")
    shell(f"gcloud secrets create {unique} --replication-policy=automatic")
    shell(f"gcloud secrets versions add {unique} --data-file=value")
    assert shell(f"gcloud secrets versions access latest --secret={unique}") == "first"


def test_storage_copies_there_and_back(shell: Shell, unique: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("bytes")
    shell(f"gcloud storage buckets create gs://{unique}")
    shell(f"gcloud storage cp f gs://{unique}/a/f")
    shell(f"gcloud storage cp gs://{unique}/a/f back")
    assert (tmp_path / "back").read_text() == "bytes"
    listed = json.loads(shell(f"gcloud storage objects list gs://{unique}/** --format=json"))
    assert [(item["name"], item["size"]) for item in listed] == [("a/f", 5)]


def test_bq_makes_queries_copies_and_shows(shell: Shell, twin: Running, unique: str) -> None:
    call = Caller(twin)
    ring = f"cloudkms.googleapis.com/v1/projects/{PROJECT}/locations/us/keyRings"
    assert call("POST", f"{ring}?keyRingId={unique}", {})[0] == 200
    assert call("POST", f"{ring}/{unique}/cryptoKeys?cryptoKeyId=k", {"purpose": "ENCRYPT_DECRYPT"})[0] == 200
    _, agent = call("GET", f"bigquery.googleapis.com/bigquery/v2/projects/{PROJECT}/serviceAccount")
    role = {"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "members": [f"serviceAccount:{agent['email']}"]}
    assert call("POST", f"{ring}/{unique}/cryptoKeys/k:setIamPolicy", {"policy": {"bindings": [role]}})[0] == 200
    call.close()
    twin.admin("POST", "clock", {"advance": 61})
    key = f"projects/{PROJECT}/locations/us/keyRings/{unique}/cryptoKeys/k"
    shell(f"bq mk --dataset --default_kms_key {key} {unique}")
    query = "bq --quiet --format=json query --use_legacy_sql=false"
    shell(query, f"CREATE TABLE {unique}.t AS SELECT 1 AS a, 'x' AS b")
    assert json.loads(shell(query, f"SELECT * FROM {unique}.t")) == [{"a": "1", "b": "x"}]
    shell(f"bq --quiet cp -f {unique}.t {unique}.u")
    shown = json.loads(shell(f"bq --format=json show {unique}.u"))
    assert (shown["numRows"], shown["encryptionConfiguration"]["kmsKeyName"]) == ("1", key)
