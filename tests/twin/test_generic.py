"""APIs that only the generic verbs serve: envelopes, creation by PUT, nested operations, their own metadata."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from twin.caller import Caller
from twin.process import Running

PROJECT = "staging-twin"


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


def test_pubsub_creates_with_put_and_updates_in_an_envelope(rest: Caller, unique: str) -> None:
    topic = f"projects/{PROJECT}/topics/{unique}"
    subscription = f"projects/{PROJECT}/subscriptions/{unique}"
    host = "pubsub.googleapis.com/v1"
    assert rest("PUT", f"{host}/{topic}", {"labels": {"a": "b"}})[1] == {"name": topic, "labels": {"a": "b"}}
    assert rest("PUT", f"{host}/{topic}", {})[0] == 409
    status, missing = rest("PUT", f"{host}/{subscription}", {"topic": f"{topic}-not"})
    assert (status, missing["error"]["message"]) == (404, f"Resource not found (resource={unique}-not).")
    made = rest("PUT", f"{host}/{subscription}", {"topic": topic})[1]
    assert (made["ackDeadlineSeconds"], made["messageRetentionDuration"]) == (10, "604800s")
    change = {"subscription": {"ackDeadlineSeconds": 30, "labels": {"x": "y"}}, "updateMask": "ackDeadlineSeconds"}
    changed = rest("PATCH", f"{host}/{subscription}", change)[1]
    assert changed["ackDeadlineSeconds"] == 30
    assert "labels" not in changed, "the mask does not name them"
    change = {"subscription": {"ackDeadlineSeconds": 40, "labels": {"x": "y"}}}
    changed = rest("PATCH", f"{host}/{subscription}?updateMask=ackDeadlineSeconds", change)[1]
    assert (changed["ackDeadlineSeconds"], "labels" in changed) == (40, False), "a mask in the address is one as well"
    assert rest("PATCH", f"{host}/{subscription}?subscription=x", change)[0] == 400
    assert rest("PATCH", f"{host}/{subscription}?updateMusk=labels", change)[0] == 400


def test_pubsub_says_what_it_made_up(rest: Caller, unique: str) -> None:
    host, parent = "pubsub.googleapis.com/v1", f"projects/{PROJECT}"
    rest("PUT", f"{host}/{parent}/topics/{unique}", {})
    wanted = {"topic": f"{parent}/topics/{unique}", "bigqueryConfig": {"table": f"{PROJECT}.d.t"}}
    assert rest("PUT", f"{host}/{parent}/subscriptions/{unique}", wanted)[1]["bigqueryConfig"]["state"] == "ACTIVE"
    snapshot = f"{parent}/snapshots/{unique}"
    made = rest("PUT", f"{host}/{snapshot}", {"subscription": f"{parent}/subscriptions/{unique}"})[1]
    assert made["name"] == snapshot
    body = {"type": "AVRO", "definition": '{"type": "record", "name": "A", "fields": []}'}
    schema = rest("POST", f"{host}/{parent}/schemas?schemaId={unique}", body)[1]
    assert len(schema["revisionId"]) == 8
    assert schema["revisionCreateTime"] == rest("GET", f"{host}/{schema['name']}")[1]["revisionCreateTime"]


def test_spanner_keeps_operations_below_the_instance(rest: Caller, unique: str) -> None:
    body = {"instanceId": unique, "instance": {"config": "regional-us-central1", "displayName": "d", "nodeCount": 1}}
    status, running = rest("POST", f"spanner.googleapis.com/v1/projects/{PROJECT}/instances", body)
    assert status == 200
    assert running["name"].startswith(f"projects/{PROJECT}/instances/{unique}/operations/")
    assert running["metadata"]["@type"].endswith("google.spanner.admin.instance.v1.CreateInstanceMetadata")
    done = rest("GET", f"spanner.googleapis.com/v1/{running['name']}")[1]
    assert done["response"]["displayName"] == "d"
    statement = {"createStatement": "CREATE DATABASE `db-1`"}
    made = rest("POST", f"spanner.googleapis.com/v1/projects/{PROJECT}/instances/{unique}/databases", statement)
    assert made[0] == 200
    assert (
        rest("GET", f"spanner.googleapis.com/v1/projects/{PROJECT}/instances/{unique}/databases/db-1")[1]["state"]
        == "READY"
    )


def test_gke_answers_in_its_own_form(rest: Caller, twin: Running, unique: str) -> None:
    place = f"container.googleapis.com/v1/projects/{PROJECT}/locations/us-central1-a"
    body = {"cluster": {"name": unique, "nodePools": [{"name": "default-pool", "initialNodeCount": 1}]}}
    running = rest("POST", f"{place}/clusters", body)[1]
    assert (running["operationType"], running["status"], running["zone"]) == (
        "CREATE_CLUSTER",
        "RUNNING",
        "us-central1-a",
    )
    assert running["targetLink"].endswith(f"/v1/projects/{twin.number}/zones/us-central1-a/clusters/{unique}")
    assert rest("GET", f"{place}/operations/{running['name']}")[1]["status"] == "DONE"
    assert rest("GET", f"{place}/clusters/{unique}/nodePools/default-pool")[1]["status"] == "RUNNING"


def test_dns_record_sets_are_known_by_name_and_type(rest: Caller, unique: str) -> None:
    zones = f"dns.googleapis.com/dns/v1/projects/{PROJECT}/managedZones"
    zone = rest("POST", zones, {"name": unique, "dnsName": "example.com.", "description": "d"})[1]
    assert (zone["name"], zone["visibility"], len(zone["nameServers"])) == (unique, "public", 4)
    record = {"name": "www.example.com.", "type": "A", "ttl": 60, "rrdatas": ["192.0.2.1"]}
    assert rest("POST", f"{zones}/{unique}/rrsets", record)[0] == 200
    assert rest("POST", f"{zones}/{unique}/rrsets", record)[0] == 409
    assert rest("GET", f"{zones}/{unique}/rrsets/www.example.com./A")[1]["rrdatas"] == ["192.0.2.1"]
    assert [item["type"] for item in rest("GET", f"{zones}/{unique}/rrsets")[1]["rrsets"]] == ["A"]


def test_a_dns_change_is_all_or_none(rest: Caller, unique: str) -> None:
    zones = f"dns.googleapis.com/dns/v1/projects/{PROJECT}/managedZones"
    rest("POST", zones, {"name": unique, "dnsName": "example.com.", "description": "d"})
    record = {"name": "a.example.com.", "type": "A", "ttl": 60, "rrdatas": ["192.0.2.1"]}
    other = {**record, "name": "b.example.com."}
    made = rest("POST", f"{zones}/{unique}/changes", {"additions": [record]})[1]
    assert (made["status"], made["id"]) == ("done", "1")
    assert rest("POST", f"{zones}/{unique}/changes", {"additions": [other, record]})[0] == 409
    assert rest("GET", f"{zones}/{unique}/rrsets/b.example.com./A")[0] == 404, "nothing of a refused change stays"
    assert rest("POST", f"{zones}/{unique}/changes", {"deletions": [record], "additions": [other]})[0] == 200
    assert rest("GET", f"{zones}/{unique}/rrsets/a.example.com./A")[0] == 404


def test_metadata_of_operations_follows_the_api_s_own_document(rest: Caller, unique: str) -> None:
    artifacts = f"artifactregistry.googleapis.com/v1/projects/{PROJECT}/locations/us/repositories"
    made = rest("POST", f"{artifacts}?repositoryId={unique}", {"format": "DOCKER"})[1]
    assert made["metadata"] == {"@type": "type.googleapis.com/google.devtools.artifactregistry.v1.OperationMetadata"}
    events = f"eventarc.googleapis.com/v1/projects/{PROJECT}/locations/us-central1/channels"
    made = rest("POST", f"{events}?channelId={unique}", {})[1]
    assert set(made["metadata"]) == {"@type", "apiVersion", "createTime", "target", "verb"}
    assert rest("GET", f"eventarc.googleapis.com/v1/{made['name']}")[1]["metadata"]["endTime"]


def test_allow_missing_makes_what_is_not_there(rest: Caller, unique: str) -> None:
    path = f"clouddeploy.googleapis.com/v1/projects/{PROJECT}/locations/us-central1/targets/{unique}"
    assert rest("PATCH", f"{path}?updateMask=*", {"description": "d"})[0] == 404
    assert rest("PATCH", f"{path}?updateMask=*&allowMissing=true", {"description": "d"})[0] == 200
    assert rest("GET", path)[1]["description"] == "d"


def test_a_project_s_billing(rest: Caller) -> None:
    path = f"cloudbilling.googleapis.com/v1/projects/{PROJECT}/billingInfo"
    assert rest("GET", path)[1]["billingEnabled"] is False
    assert (
        rest("PUT", path, {"billingAccountName": "billingAccounts/012345-567890-ABCDEF"})[1]["billingEnabled"] is True
    )
    rest("PUT", path, {"billingAccountName": ""})


def test_settings_exist_without_having_been_made(rest: Caller) -> None:
    path = f"cloudkms.googleapis.com/v1/projects/{PROJECT}/locations/us/ekmConfig"
    fresh = rest("GET", path)[1]
    assert fresh["name"] == f"projects/{PROJECT}/locations/us/ekmConfig"
    changed = rest("PATCH", f"{path}?updateMask=defaultEkmConnection", {"defaultEkmConnection": "x"})[1]
    assert rest("GET", path)[1] == changed
    assert changed["defaultEkmConnection"] == "x"
    assert rest("PATCH", f"{path}?updateMask=nonsense", {})[0] == 400


def test_waiting_for_an_operation_and_cancelling_it(rest: Caller, unique: str) -> None:
    events = f"eventarc.googleapis.com/v1/projects/{PROJECT}/locations/us-central1/channels"
    name = rest("POST", f"{events}?channelId={unique}", {})[1]["name"]
    assert rest("POST", f"eventarc.googleapis.com/v1/{name}:cancel", {})[1] == {}
    assert rest("POST", f"eventarc.googleapis.com/v1/{name}-not:cancel", {})[0] == 404


def test_a_redis_cluster_has_defaults_sizes_and_a_package_of_its_own(rest: Caller, unique: str) -> None:
    place = f"redis.googleapis.com/v1/projects/{PROJECT}/locations/us-central1/clusters"
    network = {"network": f"projects/{PROJECT}/global/networks/default"}
    assert rest("POST", f"{place}?clusterId={unique}", {"pscConfigs": [network]})[0] == 400
    body = {"pscConfigs": [network], "shardCount": 3, "nodeType": "REDIS_STANDARD_SMALL"}
    running = rest("POST", f"{place}?clusterId={unique}", body)[1]
    assert running["metadata"]["@type"] == "type.googleapis.com/google.cloud.redis.cluster.v1.OperationMetadata"
    made = rest("GET", f"{place}/{unique}")[1]
    assert (made["preciseSizeGb"], made["sizeGb"], made["state"]) == (19.5, 19, "ACTIVE")
    assert made["encryptionInfo"] == {"encryptionType": "GOOGLE_DEFAULT_ENCRYPTION"}
    assert (made["authorizationMode"], made["zoneDistributionConfig"]) == ("AUTH_MODE_DISABLED", {"mode": "MULTI_ZONE"})
    rest("PATCH", f"{place}/{unique}?updateMask=shardCount", {"shardCount": 6})
    assert rest("GET", f"{place}/{unique}")[1]["sizeGb"] == 39
