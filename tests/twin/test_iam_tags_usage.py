"""Resource Manager's tags and folders, Service Usage's operations, Logging's links: as recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from twin.caller import Caller
from twin.process import Running

PROJECT = "staging-twin"
MANAGER = "cloudresourcemanager.googleapis.com/v3"


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


def test_a_tag_from_its_key_to_its_binding(rest: Caller, twin: Running, unique: str) -> None:
    running = rest("POST", f"{MANAGER}/tagKeys", {"parent": f"projects/{PROJECT}", "shortName": unique})[1]
    assert running["metadata"] == {"@type": "type.googleapis.com/google.cloud.resourcemanager.v3.CreateTagKeyMetadata"}
    key = rest("GET", f"{MANAGER}/{running['name']}")[1]["response"]
    assert (key["parent"], key["namespacedName"]) == (f"projects/{twin.number}", f"{PROJECT}/{unique}")
    assert rest("POST", f"{MANAGER}/tagKeys", {"parent": f"projects/{PROJECT}", "shortName": unique})[0] == 409
    running = rest("POST", f"{MANAGER}/tagValues", {"parent": key["name"], "shortName": "on"})[1]
    value = rest("GET", f"{MANAGER}/{running['name']}")[1]["response"]
    assert rest("GET", f"{MANAGER}/tagValues/namespaced?name={PROJECT}/{unique}/on")[1]["name"] == value["name"]
    owner = f"//cloudresourcemanager.googleapis.com/projects/{PROJECT}"
    bound = rest("POST", f"{MANAGER}/tagBindings", {"parent": owner, "tagValue": value["name"]})[1]
    numbered = f"//cloudresourcemanager.googleapis.com/projects/{twin.number}"
    assert (bound["done"], bound["response"]["parent"]) == (True, numbered)
    assert rest("DELETE", f"{MANAGER}/{value['name']}")[0] == 400, "it is still bound"
    assert rest("DELETE", f"{MANAGER}/{key['name']}")[0] == 400, "it still has a value"
    listed = rest("GET", f"{MANAGER}/tagBindings?parent={numbered}")[1]["tagBindings"]
    assert [binding["tagValueNamespacedName"] for binding in listed if unique in str(binding)] == [
        f"{PROJECT}/{unique}/on"
    ]
    name = bound["response"]["name"].replace("%", "%25")
    assert rest("DELETE", f"{MANAGER}/{name}")[1]["done"] is True
    gone = rest("DELETE", f"{MANAGER}/{value['name']}")[1]
    assert rest("GET", f"{MANAGER}/{gone['name']}")[1]["response"]["shortName"] == "on"
    assert rest("DELETE", f"{MANAGER}/{key['name']}")[0] == 200


def test_folders_are_found_by_query(rest: Caller, unique: str) -> None:
    running = rest("POST", f"{MANAGER}/folders", {"parent": "organizations/123", "displayName": unique})[1]
    folder = rest("GET", f"{MANAGER}/{running['name']}")[1]["response"]
    found = rest(
        "GET", f'{MANAGER}/folders:search?query=state%3DACTIVE AND displayName%3D"{unique}"'.replace(" ", "%20")
    )[1]
    assert [body["name"] for body in found["folders"]] == [folder["name"]]
    assert rest("DELETE", f"{MANAGER}/{folder['name']}")[1]["response"]["state"] == "DELETE_REQUESTED"


def test_enabling_says_nothing_while_it_runs(rest: Caller) -> None:
    host = "serviceusage.googleapis.com"
    running = rest("POST", f"{host}/v1/projects/{PROJECT}/services/pubsub.googleapis.com:enable", {})[1]
    assert list(running) == ["name"]
    done = rest("GET", f"{host}/v1/{running['name']}")[1]
    assert done["metadata"] == {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}
    assert done["response"]["service"]["state"] == "ENABLED"
    path = f"{host}/v1beta1/projects/{PROJECT}/services/container.googleapis.com:generateServiceIdentity"
    agent = rest("POST", path)[1]
    assert agent["done"] is True
    assert agent["response"]["email"].endswith("@container-engine-robot.iam.gserviceaccount.com")


def test_a_log_bucket_is_linked_to_bigquery(rest: Caller, twin: Running, unique: str) -> None:
    buckets = f"logging.googleapis.com/v2/projects/{PROJECT}/locations/global/buckets"
    made = rest("POST", f"{buckets}?bucketId={unique}", {"description": "d", "locked": False})[1]
    assert "locked" not in made
    running = rest("POST", f"{buckets}/{unique}/links?linkId=l", {})[1]
    assert running["name"].startswith(f"projects/{twin.number}/locations/global/operations/")
    assert running["metadata"]["state"] == "OPERATION_STATE_SCHEDULED"
    done = rest("GET", f"logging.googleapis.com/v2/{running['name']}")[1]
    assert done["metadata"]["state"] == "OPERATION_STATE_SUCCEEDED"
    assert done["response"]["bigqueryDataset"]["datasetId"].endswith(f"/projects/{PROJECT}/datasets/l")
    assert rest("PATCH", f"{buckets}/{unique}?updateMask=retentionDays", {"retentionDays": 4000})[0] == 400
    assert rest("PATCH", f"{buckets}/{unique}?updateMask=locked", {"locked": True})[0] == 200
    refused = rest("PATCH", f"{buckets}/{unique}?updateMask=retentionDays", {"retentionDays": 60})
    assert refused[1]["error"]["status"] == "FAILED_PRECONDITION"


def test_a_metric_descriptor_has_slashes_in_its_name(rest: Caller, unique: str) -> None:
    path = f"monitoring.googleapis.com/v3/projects/{PROJECT}/metricDescriptors"
    kind = f"custom.googleapis.com/market/{unique}"
    body = {"type": kind, "metricKind": "GAUGE", "valueType": "INT64", "labels": [{"key": "k", "valueType": "STRING"}]}
    assert rest("POST", path, body)[1]["labels"] == [{"key": "k"}]
    assert rest("GET", f"{path}/{kind}")[1]["type"] == kind
    listed = rest("GET", f'{path}?filter=metric.type%3D"{kind}"')[1]["metricDescriptors"]
    assert [descriptor["type"] for descriptor in listed] == [kind]
    assert rest("DELETE", f"{path}/{kind}")[0] == 200
    status, answer = rest("GET", f"{path}/{kind}")
    assert (status, answer["error"]["message"]) == (404, f"Could not find descriptor for metric '{kind}'.")


def test_a_missing_service_of_monitoring_is_told_with_the_projects_number(rest: Caller, unique: str) -> None:
    number = rest("GET", f"cloudresourcemanager.googleapis.com/v1/projects/{PROJECT}")[1]["projectNumber"]
    status, answer = rest("GET", f"monitoring.googleapis.com/v3/projects/{PROJECT}/services/{unique}")
    said = f"There is no service with id '{unique}' in project '{number}'"
    assert (status, answer["error"]["message"]) == (404, said)
