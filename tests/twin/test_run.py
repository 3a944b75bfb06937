"""Cloud Run: v2 through its client, v1 as gcloud speaks it, both on the same records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2, secretmanager

from twin.caller import Caller
from twin.process import Running

PARENT = "projects/staging-twin/locations/us-central1"
V1 = "us-central1-run.googleapis.com/apis/serving.knative.dev/v1/namespaces/staging-twin/services"


@pytest.fixture(params=["grpc", "rest"])
def client(twin: Running, request: pytest.FixtureRequest) -> Iterator[Any]:
    made: Any = run_v2.ServicesClient(transport=request.param)
    yield made
    made.transport.close()


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


def create(client: Any, name: str, **template: object) -> Any:
    body = {"template": {"containers": [{"image": "gcr.io/x/y"}], **template}}
    return client.create_service(parent=PARENT, service_id=name, service=body).result(timeout=10)


def test_a_new_service_has_googles_defaults(client: Any, unique: str) -> None:
    service = create(client, unique)
    template = service.template
    assert (template.timeout.total_seconds(), template.max_instance_request_concurrency) == (300, 80)
    assert template.containers[0].ports[0].container_port == 8080
    assert template.containers[0].startup_probe.period_seconds == 240
    assert service.terminal_condition.state == run_v2.Condition.State.CONDITION_SUCCEEDED
    assert service.generation == service.observed_generation == 1
    assert service.uri.endswith(".run.app")
    assert service.latest_ready_revision.startswith(f"{PARENT}/services/{unique}/revisions/{unique}-00001-")


def test_only_a_changed_template_makes_a_revision(client: Any, unique: str) -> None:
    service = create(client, unique)
    service.description = "words only"
    same = client.update_service(service=service).result(timeout=10)
    assert same.latest_created_revision == service.latest_created_revision
    same.template.timeout = {"seconds": 600}
    other = client.update_service(service=same).result(timeout=10)
    assert other.latest_created_revision != service.latest_created_revision
    assert other.generation == 3


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"timeout": {"seconds": 3601}}, "3600"),
        ({"scaling": {"min_instance_count": 5, "max_instance_count": 2}}, "max_instance_count must be greater"),
        ({"max_instance_request_concurrency": 1001}, "between 0 and 1000"),
    ],
)
def test_what_a_revision_cannot_be(client: Any, unique: str, template: dict[str, object], words: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=words):
        create(client, unique, **template)


def test_a_secret_must_be_readable_by_the_revisions_account(
    client: Any, unique: str, settle: Callable[[], None]
) -> None:
    vault: Any = secretmanager.SecretManagerServiceClient()
    secret = vault.create_secret(
        parent="projects/staging-twin", secret_id=unique, secret={"replication": {"automatic": {}}}
    )
    vault.add_secret_version(parent=secret.name, payload={"data": b"x"})
    variable = {"name": "TOKEN", "value_source": {"secret_key_ref": {"secret": unique, "version": "1"}}}
    containers = [{"image": "gcr.io/x/y", "env": [variable]}]
    with pytest.raises(exceptions.BadRequest, match="Permission denied on secret") as refusal:
        create(client, unique, containers=containers)
    account = str(refusal.value).partition("Revision service account ")[2].partition(". The")[0]
    policy = vault.get_iam_policy(request={"resource": secret.name})
    policy.bindings.add(role="roles/secretmanager.secretAccessor", members=[f"serviceAccount:{account}"])
    vault.set_iam_policy(request={"resource": secret.name, "policy": policy})
    settle()
    assert create(client, unique, containers=containers).template.containers[0].env[0].name == "TOKEN"
    vault.transport.close()


def test_v1_and_v2_show_the_same_service(client: Any, rest: Caller, unique: str) -> None:
    body = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": unique,
            "namespace": "staging-twin",
            "annotations": {"run.googleapis.com/minScale": "1", "team.example/owner": "web"},
        },
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {
                        "autoscaling.knative.dev/maxScale": "7",
                        "run.googleapis.com/sessionAffinity": "true",
                        "unknown.example/x": "y",
                    }
                },
                "spec": {
                    "timeoutSeconds": 900,
                    "containers": [{"image": "gcr.io/x/y", "env": [{"name": "A", "value": "b"}]}],
                },
            }
        },
    }
    status, made = rest("POST", V1, body)
    assert status == 200
    assert made["status"]["conditions"][0] == {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": made["status"]["conditions"][0]["lastTransitionTime"],
    }
    service = client.get_service(name=f"{PARENT}/services/{unique}")
    assert service.scaling.min_instance_count == 1
    assert service.template.scaling.max_instance_count == 7
    assert service.template.session_affinity is True
    assert service.template.timeout.total_seconds() == 900
    service.template.containers[0].env[0].value = "c"
    client.update_service(service=service).result(timeout=10)
    _, seen = rest("GET", f"{V1}/{unique}")
    annotations = seen["spec"]["template"]["metadata"]["annotations"]
    assert (annotations["autoscaling.knative.dev/maxScale"], annotations["run.googleapis.com/sessionAffinity"]) == (
        "7",
        "true",
    )
    assert seen["metadata"]["annotations"]["team.example/owner"] == "web"
    assert dict(service.annotations) == {"team.example/owner": "web"}, "v2 shows a user's annotations, not the system's"
    assert seen["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "c"}]


def test_v1_refuses_a_stale_version(rest: Caller, client: Any, unique: str) -> None:
    create(client, unique)
    _, seen = rest("GET", f"{V1}/{unique}")
    seen["spec"]["template"]["spec"]["timeoutSeconds"] = 60
    assert rest("PUT", f"{V1}/{unique}", seen)[0] == 200
    status, refusal = rest("PUT", f"{V1}/{unique}", seen)
    assert (status, refusal["error"]["status"]) == (409, "ABORTED")


def test_traffic_must_add_up_and_name_what_exists(client: Any, unique: str) -> None:
    service = create(client, unique)
    service.traffic = [
        {"type_": run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST, "percent": 50}
    ]
    with pytest.raises(exceptions.BadRequest, match="sum to 100, they sum to 50"):
        client.update_service(service=service)
    service.traffic = [
        {
            "type_": run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION,
            "revision": "nope",
            "percent": 100,
        }
    ]
    with pytest.raises(exceptions.BadRequest, match="Revision 'nope' is not found"):
        client.update_service(service=service)


def test_missing_and_deleted(client: Any, unique: str) -> None:
    name = f"{PARENT}/services/{unique}"
    with pytest.raises(exceptions.NotFound, match="not found"):
        client.get_service(name=name)
    create(client, unique)
    client.delete_service(name=name).result(timeout=10)
    with pytest.raises(exceptions.NotFound):
        client.get_service(name=name)


def test_jobs_have_a_knative_face(twin: Running, unique: str) -> None:
    call = Caller(twin)
    host = "us-central1-run.googleapis.com/apis/run.googleapis.com/v1/namespaces/staging-twin"
    task = {"containers": [{"image": "gcr.io/x/y", "env": [{"name": "A", "value": "b"}]}], "maxRetries": 1}
    spec = {"template": {"spec": {"taskCount": 2, "template": {"spec": task}}}}
    body = {"apiVersion": "run.googleapis.com/v1", "kind": "Job", "metadata": {"name": unique}, "spec": spec}
    made = call("POST", f"{host}/jobs", body)[1]
    inner = made["spec"]["template"]["spec"]
    assert (inner["taskCount"], inner["template"]["spec"]["timeoutSeconds"]) == (2, "600")
    assert call("POST", f"{host}/jobs", body)[0] == 409
    overrides = {"containerOverrides": [{"args": ["x"], "env": [{"name": "C", "value": "d"}]}], "taskCount": 3}
    begun = call("POST", f"{host}/jobs/{unique}:run", {"overrides": overrides})[1]
    container = begun["spec"]["template"]["spec"]["containers"][0]
    assert (container["args"], [item["name"] for item in container["env"]]) == (["x"], ["A", "C"])
    assert (begun["kind"], begun["spec"]["taskCount"]) == ("Execution", 3)
    assert {item["type"]: item["status"] for item in begun["status"]["conditions"]}["Started"] == "True"
    wrong = {"overrides": {"containerOverrides": [{"name": "nobody", "args": ["x"]}]}}
    assert call("POST", f"{host}/jobs/{unique}:run", wrong)[0] == 400
    listed = call("GET", f"{host}/executions?labelSelector=run.googleapis.com%2Fjob%3D{unique}")[1]
    assert [item["metadata"]["name"] for item in listed["items"]] == [begun["metadata"]["name"]]
    v2 = f"run.googleapis.com/v2/projects/staging-twin/locations/us-central1/jobs/{unique}"
    assert call("GET", v2)[1]["executionCount"] == 1
    made["spec"]["template"]["spec"]["template"]["spec"]["maxRetries"] = 0
    assert call("PUT", f"{host}/jobs/{unique}", made)[0] == 200
    assert call("GET", v2)[1]["template"]["template"]["maxRetries"] == 0
    assert call("DELETE", f"{host}/executions/{begun['metadata']['name']}")[1] == {"status": "Success"}
    assert call("DELETE", f"{host}/jobs/{unique}")[1] == {"status": "Success"}
    assert call("GET", f"{host}/jobs/{unique}")[0] == 404
    call.close()


def test_manual_scaling_has_both_faces(twin: Running, unique: str) -> None:
    call = Caller(twin)
    services = "run.googleapis.com/v2/projects/staging-twin/locations/us-central1/services"
    scaling = {"scalingMode": "MANUAL", "manualInstanceCount": 3}
    body = {"template": {"containers": [{"image": "gcr.io/x/y"}]}, "scaling": scaling}
    assert call("POST", f"{services}?serviceId={unique}", body)[0] == 200
    knative = f"us-central1-run.googleapis.com/apis/serving.knative.dev/v1/namespaces/staging-twin/services/{unique}"
    shown = call("GET", knative)[1]
    notes = shown["metadata"]["annotations"]
    assert (notes["run.googleapis.com/scalingMode"], notes["run.googleapis.com/manualInstanceCount"]) == ("manual", "3")
    notes["run.googleapis.com/manualInstanceCount"] = "4"
    assert call("PUT", knative, shown)[0] == 200
    assert call("GET", f"{services}/{unique}")[1]["scaling"] == {"scalingMode": "MANUAL", "manualInstanceCount": 4}
    call.close()


def test_a_preview_stage_that_nothing_needs_comes_out_as_ga(twin: Running, unique: str) -> None:
    call = Caller(twin)
    services = "run.googleapis.com/v2/projects/staging-twin/locations/us-central1/services"
    body = {"template": {"containers": [{"image": "gcr.io/x/y"}]}, "launchStage": "ALPHA"}
    assert call("POST", f"{services}?serviceId={unique}", body)[0] == 200
    assert call("GET", f"{services}/{unique}")[1]["launchStage"] == "GA"
    knative = f"us-central1-run.googleapis.com/apis/serving.knative.dev/v1/namespaces/staging-twin/services/{unique}"
    notes = call("GET", knative)[1]["metadata"]["annotations"]
    assert notes["run.googleapis.com/launch-stage"] == "ALPHA", "v1 keeps the annotation"
    call.close()
