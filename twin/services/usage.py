"""Service Usage: which APIs are on, and the service agents that appear when they are asked for.

https://cloud.google.com/service-usage/docs/reference/rest, https://cloud.google.com/iam/docs/service-agents
"""

from __future__ import annotations

from twin.kernel import operations
from twin.kernel.errors import ApiError
from twin.kernel.names import last, segment_after
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body

# Service → the agent's mail, with {n} for the project's number.
AGENTS = {
    "bigquery.googleapis.com": "bq-{n}@bigquery-encryption.iam.gserviceaccount.com",
    "cloudkms.googleapis.com": "service-{n}@gcp-sa-cloudkms.iam.gserviceaccount.com",
    "artifactregistry.googleapis.com": "service-{n}@gcp-sa-artifactregistry.iam.gserviceaccount.com",
    "cloudbuild.googleapis.com": "service-{n}@gcp-sa-cloudbuild.iam.gserviceaccount.com",
    "cloudfunctions.googleapis.com": "service-{n}@gcf-admin-robot.iam.gserviceaccount.com",
    "composer.googleapis.com": "service-{n}@cloudcomposer-accounts.iam.gserviceaccount.com",
    "container.googleapis.com": "service-{n}@container-engine-robot.iam.gserviceaccount.com",
    "containerregistry.googleapis.com": "service-{n}@containerregistry.iam.gserviceaccount.com",
    "dataproc.googleapis.com": "service-{n}@dataproc-accounts.iam.gserviceaccount.com",
    "file.googleapis.com": "service-{n}@cloud-filer.iam.gserviceaccount.com",
    "compute.googleapis.com": "service-{n}@compute-system.iam.gserviceaccount.com",
    "dataflow.googleapis.com": "service-{n}@dataflow-service-producer-prod.iam.gserviceaccount.com",
    "pubsub.googleapis.com": "service-{n}@gcp-sa-pubsub.iam.gserviceaccount.com",
    "redis.googleapis.com": "service-{n}@cloud-redis.iam.gserviceaccount.com",
    "run.googleapis.com": "service-{n}@serverless-robot-prod.iam.gserviceaccount.com",
    "secretmanager.googleapis.com": "service-{n}@gcp-sa-secretmanager.iam.gserviceaccount.com",
    "sqladmin.googleapis.com": "service-{n}@gcp-sa-cloud-sql.iam.gserviceaccount.com",
    "storage.googleapis.com": "service-{n}@gs-project-accounts.iam.gserviceaccount.com",
}
ENABLED = (
    "bigquery", "bigquerystorage", "cloudkms", "cloudresourcemanager", "compute", "dataflow", "iam", "iamcredentials",
    "logging", "monitoring", "redis", "run", "secretmanager", "serviceusage", "sqladmin", "storage", "storage-api",
)  # fmt: skip


def agent_of(service: str, number: str) -> str:
    """The mail of a service's agent in a project."""
    pattern = AGENTS.get(service)
    if pattern is None:
        return f"service-{number}@gcp-sa-{service.partition('.')[0]}.iam.gserviceaccount.com"
    return pattern.format(n=number)


def ensure_agent(call: Call, service: str) -> str:
    """The agent's mail; from now on it exists and may be granted roles."""
    email = agent_of(service, call.number)
    if not call.engine.agent_exists(email):
        call.put(f"service-agent/{email}", {"service": service})
    return email


def _body(call: Call, service: str) -> Body:
    stored = call.get(f"serviceusage/projects/{call.project}/services/{service}")
    state = stored["state"] if stored else "DISABLED"
    return {
        "name": f"projects/{call.number}/services/{service}",
        "config": {"name": service},
        "state": state,
        "parent": f"projects/{call.number}",
    }


def get(call: Call) -> Body:
    _need_project(call)
    return _body(call, last(call.name))


def _need_project(call: Call) -> None:
    if not call.engine.project_exists(call.project):
        raise ApiError("PERMISSION_DENIED", f"Permission denied to get service [{last(call.name)}]")


def list_(call: Call) -> Body:
    _need_project(call)
    wanted = str(call.params.get("filter", ""))
    names = [
        last(name)
        for name, body in call.children(f"serviceusage/projects/{call.project}/services")
        if body["state"] == "ENABLED"
    ]
    if wanted.replace(" ", "").upper() == "STATE:DISABLED":
        names = []
    services = [_body(call, name) for name in names]
    return {"services": services} if services else {}


def _change(call: Call, services: list[str], state: str, kind: str) -> Body:
    _need_project(call)
    for service in services:
        call.put(f"serviceusage/projects/{call.project}/services/{service}", {"state": state})
        if state == "ENABLED" and service in AGENTS and service != "bigquery.googleapis.com":
            ensure_agent(call, service)
    shown = [_body(call, service) for service in services]
    response: Body = {"services": shown} if kind == "BatchEnableServicesResponse" else {"service": shown[0]}
    for body in shown:
        # Recorded: the service in the result of an operation comes without its configuration.
        del body["config"]
    said: Body = {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}
    if kind == "BatchEnableServicesResponse":
        said = {"@type": "type.googleapis.com/google.api.serviceusage.v1.OperationMetadata"}
    return operations.lro(call, "enable", call.name, response, kind, said, quiet=state == "ENABLED")


def enable(call: Call) -> Body:
    return _change(call, [last(call.name)], "ENABLED", "EnableServiceResponse")


def disable(call: Call) -> Body:
    return _change(call, [last(call.name)], "DISABLED", "DisableServiceResponse")


def batch_enable(call: Call) -> Body:
    return _change(call, list(call.body.get("serviceIds", [])), "ENABLED", "BatchEnableServicesResponse")


def batch_get(call: Call) -> Body:
    names = call.params.get("names", [])
    return {"services": [_body(call, last(name)) for name in names]}


def identity(call: Call) -> Body:
    service = segment_after(call.name, "services")
    email = ensure_agent(call, service)
    return operations.lro(
        call,
        "generate",
        call.name,
        {"email": email, "uniqueId": "1" + call.number.zfill(20)},
        "google.api.serviceusage.v1beta1.ServiceIdentity",
        {},
        done=True,
    )


SEMANTICS = Semantics(
    api="serviceusage",
    methods={
        "services.get": get,
        "services.list": list_,
        "services.enable": enable,
        "services.disable": disable,
        "services.batchEnable": batch_enable,
        "services.batchGet": batch_get,
        "services.generateServiceIdentity": identity,
    },
    packages={"v1": "google.api.serviceusage.v1", "v1beta1": "google.api.serviceusage.v1beta1"},
    permissions={"services.generateServiceIdentity": "serviceusage.services.enable"},
    rules=(
        Rule(
            "usage.agent-on-demand",
            "a service agent exists from when it is asked for",
            "https://cloud.google.com/iam/docs/service-agents",
        ),
        Rule(
            "usage.operations-are-bare",
            "an operation shows an empty message as its metadata, and none while enabling runs",
            "k8s-config-connector recordings, serviceusage service _http.log",
        ),
        Rule(
            "usage.turned-off",
            "an API that its project turned off refuses every call (SERVICE_DISABLED); one never turned on answers",
            "https://cloud.google.com/service-usage/docs/enable-disable",
        ),
        Rule("usage.enabled-at-start", "the APIs that the twin serves are on from the start", "", "assumed"),
    ),
)
