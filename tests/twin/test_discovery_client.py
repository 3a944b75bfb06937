"""google-api-python-client, unmodified: one scripted session for every API that the twin must answer."""

from __future__ import annotations

import base64
import gc
import importlib
import io
import os
import ssl
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from twin.process import Running

PROJECT = "staging-twin"
PLACE = f"projects/{PROJECT}/locations/us-central1"
Build = Callable[[str, str], Any]


@pytest.fixture
def build(twin: Running) -> Iterator[Build]:
    """A client for an API, from the documents that the library ships, with the credentials of `twin.env`."""
    discovery: Any = importlib.import_module("googleapiclient.discovery")
    made: list[Any] = []

    def client(api: str, version: str) -> Any:
        made.append(discovery.build(api, version, static_discovery=True, cache_discovery=False))
        return made[-1]

    yield client
    for item in made:
        item.close()
    # httplib2 leaves sockets to the garbage collector, which would blame whatever test runs then.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        made.clear()
        gc.collect()
    for left in [thing for thing in gc.get_objects() if isinstance(thing, ssl.SSLSocket) and thing.fileno() >= 0]:
        os.close(left.detach())


def refusal(request: Any) -> tuple[int, str]:
    """Status and sentence of a call that must fail."""
    errors: Any = importlib.import_module("googleapiclient.errors")
    found: tuple[int, str] | None = None
    try:
        request.execute()
    except errors.HttpError as error:
        found = int(error.resp.status), str(error.reason)
    # The error's traceback keeps a TLS socket of httplib2 alive: let it go here, where its warning is expected.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert found is not None, "the call was not refused"
    return found


def test_run_v2_and_v1(build: Build, unique: str) -> None:
    services = build("run", "v2").projects().locations().services()
    body = {"template": {"containers": [{"image": "gcr.io/x/y"}], "timeout": "30s"}}
    assert "name" in services.create(parent=PLACE, serviceId=unique, body=body).execute()
    assert services.get(name=f"{PLACE}/services/{unique}").execute()["template"]["timeout"] == "30s"
    knative = build("run", "v1").projects().locations().services()
    shown = knative.get(name=f"{PLACE}/services/{unique}").execute()
    assert shown["spec"]["template"]["spec"]["timeoutSeconds"] == 30
    assert refusal(services.get(name=f"{PLACE}/services/{unique}-gone"))[0] == 404


def test_compute(build: Build, unique: str) -> None:
    compute = build("compute", "v1")
    made = compute.healthChecks().insert(project=PROJECT, body={"name": unique, "type": "TCP"}).execute()
    waited = compute.globalOperations().wait(project=PROJECT, operation=made["name"]).execute()
    assert waited["status"] == "DONE"
    found = compute.healthChecks().list(project=PROJECT, filter=f"name = {unique}").execute()
    assert [(item["name"], item["checkIntervalSec"]) for item in found["items"]] == [(unique, 5)]
    status, words = refusal(compute.healthChecks().get(project=PROJECT, healthCheck=f"{unique}-gone"))
    assert (status, words) == (
        404,
        f"The resource 'projects/{PROJECT}/global/healthChecks/{unique}-gone' was not found",
    )


def test_cloudkms(build: Build, unique: str) -> None:
    rings = build("cloudkms", "v1").projects().locations().keyRings()
    parent = f"projects/{PROJECT}/locations/us"
    ring = rings.create(parent=parent, keyRingId=unique, body={}).execute()["name"]
    keys = rings.cryptoKeys()
    key = keys.create(parent=ring, cryptoKeyId="k", body={"purpose": "ENCRYPT_DECRYPT"}).execute()["name"]
    sealed = keys.encrypt(name=key, body={"plaintext": base64.b64encode(b"tulip").decode()}).execute()
    opened = keys.decrypt(name=key, body={"ciphertext": sealed["ciphertext"]}).execute()
    assert base64.b64decode(opened["plaintext"]) == b"tulip"
    status, words = refusal(keys.get(name=f"{ring}/cryptoKeys/gone"))
    assert (status, words) == (404, f"CryptoKey {ring}/cryptoKeys/gone not found.")


def test_bigquery(build: Build, unique: str) -> None:
    warehouse = build("bigquery", "v2")
    reference = {"datasetId": unique, "projectId": PROJECT}
    made = warehouse.datasets().insert(projectId=PROJECT, body={"datasetReference": reference}).execute()
    assert (made["location"], made["type"]) == ("US", "DEFAULT")
    query = {"query": f"CREATE TABLE {unique}.t AS SELECT 7 AS n", "useLegacySql": False}
    assert warehouse.jobs().query(projectId=PROJECT, body=query).execute()["jobComplete"] is True
    query = {"query": f"SELECT n FROM {unique}.t", "useLegacySql": False}
    answer = warehouse.jobs().query(projectId=PROJECT, body=query).execute()
    assert (answer["rows"], answer["schema"]["fields"][0]["type"]) == ([{"f": [{"v": "7"}]}], "INTEGER")
    status, words = refusal(warehouse.datasets().delete(projectId=PROJECT, datasetId=unique))
    assert (status, words) == (400, f"Dataset {PROJECT}:{unique} is still in use")


def test_secretmanager(build: Build, unique: str) -> None:
    secrets = build("secretmanager", "v1").projects().secrets()
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    name = secrets.create(parent=f"projects/{PROJECT}", secretId=unique, body=body).execute()["name"]
    payload = {"payload": {"data": base64.b64encode(b"s").decode()}}
    assert secrets.addVersion(parent=name, body=payload).execute()["name"].endswith("/versions/1")
    found = secrets.versions().access(name=f"{name}/versions/latest").execute()
    assert base64.b64decode(found["payload"]["data"]) == b"s"


@pytest.mark.parametrize("version", ["v1", "v1beta4"])
def test_sqladmin(build: Build, unique: str, version: str) -> None:
    admin = build("sqladmin", version)
    name = f"{unique}-{version}"
    body = {"name": name, "databaseVersion": "POSTGRES_15", "settings": {"tier": "db-custom-1-3840"}}
    operation = admin.instances().insert(project=PROJECT, body=body).execute()
    assert (operation["operationType"], operation["status"]) == ("CREATE", "PENDING")
    assert admin.operations().get(project=PROJECT, operation=operation["name"]).execute()["status"] == "DONE"
    databases = admin.databases()
    assert databases.insert(project=PROJECT, instance=name, body={"name": "app"}).execute()["status"] == "DONE"
    assert [item["name"] for item in databases.list(project=PROJECT, instance=name).execute()["items"]] == [
        "app",
        "postgres",
    ]
    admin.backupRuns().insert(project=PROJECT, instance=name, body={}).execute()
    (backup,) = admin.backupRuns().list(project=PROJECT, instance=name).execute()["items"]
    assert (backup["status"], backup["type"]) == ("SUCCESSFUL", "ON_DEMAND")
    stop = {"settings": {"activationPolicy": "NEVER"}}
    admin.instances().patch(project=PROJECT, instance=name, body=stop).execute()
    found = admin.instances().get(project=PROJECT, instance=name).execute()
    assert found["settings"]["activationPolicy"] == "NEVER"
    status, words = refusal(admin.instances().get(project=PROJECT, instance="gone"))
    assert (status, words) == (404, "The Cloud SQL instance does not exist.")


def test_sql_replicas_follow_and_take_over(build: Build, unique: str) -> None:
    instances = build("sqladmin", "v1").instances()
    settings = {"tier": "db-perf-optimized-N-2", "edition": "ENTERPRISE_PLUS"}
    body = {"name": unique, "databaseVersion": "MYSQL_8_0", "settings": settings}
    instances.insert(project=PROJECT, body=body).execute()
    replica = {**body, "name": f"{unique}-r", "masterInstanceName": unique}
    assert instances.insert(project=PROJECT, body=replica).execute()["operationType"] == "CREATE_REPLICA"
    assert instances.get(project=PROJECT, instance=unique).execute()["replicaNames"] == [f"{unique}-r"]
    status, words = refusal(instances.delete(project=PROJECT, instance=unique))
    assert (status, words) == (400, "Unable to delete a primary instance with read replicas.")
    instances.switchover(project=PROJECT, instance=f"{unique}-r").execute()
    kinds = {
        name: instances.get(project=PROJECT, instance=name).execute()["instanceType"]
        for name in (unique, f"{unique}-r")
    }
    assert kinds == {unique: "READ_REPLICA_INSTANCE", f"{unique}-r": "CLOUD_SQL_INSTANCE"}
    wrong = {"settings": {"edition": "ENTERPRISE"}}
    status, words = refusal(instances.patch(project=PROJECT, instance=unique, body=wrong))
    assert (status, words) == (
        400,
        "Invalid request: Invalid Tier (db-perf-optimized-N-2) for (ENTERPRISE) Edition.",
    )


def test_redis(build: Build, unique: str) -> None:
    instances = build("redis", "v1").projects().locations().instances()
    body = {"tier": "STANDARD_HA", "memorySizeGb": 5, "authEnabled": True}
    operation = instances.create(parent=PLACE, instanceId=unique, body=body).execute()
    assert operation["done"] is False
    name = f"{PLACE}/instances/{unique}"
    assert instances.getAuthString(name=name).execute()["authString"]
    before = instances.get(name=name).execute()["currentLocationId"]
    instances.failover(name=name, body={"dataProtectionMode": "LIMITED_DATA_LOSS"}).execute()
    assert instances.get(name=name).execute()["currentLocationId"] != before
    patched = instances.patch(
        name=name, updateMask="redisConfigs", body={"redisConfigs": {"maxmemory-policy": "noeviction"}}
    )
    patched.execute()
    assert instances.get(name=name).execute()["redisConfigs"] == {"maxmemory-policy": "noeviction"}
    status, words = refusal(instances.upgrade(name=name, body={"redisVersion": "REDIS_5_0"}))
    assert (status, words) == (400, "Downgrading from REDIS_7_0 to REDIS_5_0 is not supported.")


def test_dataflow(build: Build, unique: str) -> None:
    locations = build("dataflow", "v1b3").projects().locations()
    place = {"projectId": PROJECT, "location": "us-central1"}
    template = "gs://dataflow-templates/latest/PubSub_to_BigQuery"
    launch = {"jobName": unique, "parameters": {}, "environment": {}}
    job = locations.templates().launch(gcsPath=template, body=launch, **place).execute()["job"]
    assert (job["type"], job["currentState"]) == ("JOB_TYPE_STREAMING", "JOB_STATE_RUNNING")
    status, words = refusal(locations.templates().launch(gcsPath=template, body=launch, **place))
    assert (status, words.startswith(f"There is already an active job named {unique}.")) == (409, True)
    again = locations.templates().launch(gcsPath=template, body={**launch, "update": True}, **place).execute()["job"]
    assert again["replaceJobId"] == job["id"]
    assert locations.jobs().get(jobId=job["id"], **place).execute()["currentState"] == "JOB_STATE_UPDATED"
    drained = {"requestedState": "JOB_STATE_DRAINED"}
    answer = locations.jobs().update(jobId=again["id"], body=drained, **place).execute()
    assert answer["currentState"] == "JOB_STATE_DRAINING"
    assert locations.jobs().get(jobId=again["id"], **place).execute()["currentState"] == "JOB_STATE_DRAINED"
    flex = {"launchParameter": {"jobName": f"{unique}-f", "containerSpecGcsPath": "gs://b/spec.json"}}
    made = locations.flexTemplates().launch(body=flex, **place).execute()["job"]
    status, _ = refusal(locations.jobs().update(jobId=made["id"], body=drained, **place))
    assert status == 400


def test_storage_uploads_and_downloads(build: Build, unique: str) -> None:
    http: Any = importlib.import_module("googleapiclient.http")
    storage = build("storage", "v1")
    bucket = storage.buckets().insert(project=PROJECT, body={"name": unique}, projection="full").execute()
    assert [entry["role"] for entry in bucket["acl"]] == ["OWNER", "OWNER", "READER"]
    media = http.MediaIoBaseUpload(io.BytesIO(b"x" * 600_000), "text/plain", chunksize=262_144, resumable=True)
    made = storage.objects().insert(bucket=unique, name="a/b", media_body=media).execute()
    assert (made["size"], made["contentType"]) == ("600000", "text/plain")
    assert storage.objects().get_media(bucket=unique, object="a/b").execute() == b"x" * 600_000
    status, words = refusal(storage.objects().get(bucket=unique, object="gone"))
    assert (status, words) == (404, f"No such object: {unique}/gone")


def test_projects_and_services(build: Build) -> None:
    old = build("cloudresourcemanager", "v1").projects().get(projectId=PROJECT).execute()
    new = build("cloudresourcemanager", "v3").projects().get(name=f"projects/{PROJECT}").execute()
    assert new["name"] == f"projects/{old['projectNumber']}"
    usage = build("serviceusage", "v1").services()
    found = usage.get(name=f"projects/{PROJECT}/services/run.googleapis.com").execute()
    assert found["state"] == "ENABLED"


def test_iam_and_its_credentials(build: Build, unique: str) -> None:
    accounts = build("iam", "v1").projects().serviceAccounts()
    made = accounts.create(name=f"projects/{PROJECT}", body={"accountId": unique}).execute()
    assert made["email"] == f"{unique}@{PROJECT}.iam.gserviceaccount.com"
    credentials = build("iamcredentials", "v1").projects().serviceAccounts()
    body = {"scope": ["https://www.googleapis.com/auth/cloud-platform"]}
    status, words = refusal(
        credentials.generateAccessToken(name=f"projects/-/serviceAccounts/{unique}@none.com", body=body)
    )
    assert status in (403, 404)
    assert words


def test_logging_and_monitoring(build: Build, unique: str) -> None:
    logs = build("logging", "v2").entries()
    name = f"projects/{PROJECT}/logs/{unique}"
    entry = {"severity": "ERROR", "textPayload": "broken", "resource": {"type": "global"}}
    logs.write(body={"logName": name, "entries": [entry]}).execute()
    asked = {"resourceNames": [f"projects/{PROJECT}"], "filter": f'logName="{name}"'}
    assert [item["textPayload"] for item in logs.list(body=asked).execute()["entries"]] == ["broken"]
    series = build("monitoring", "v3").projects().timeSeries()
    span = {"interval_startTime": "2026-01-01T00:00:00Z", "interval_endTime": "2036-01-01T00:00:00Z"}
    found = series.list(name=f"projects/{PROJECT}", filter='metric.type = "run.googleapis.com/request_count"', **span)
    assert found.execute().get("timeSeries", []) == []
