"""Dataflow: jobs from templates, with the key that protects them. Nothing is computed; states are kept.

https://cloud.google.com/dataflow/docs/reference/rest, https://cloud.google.com/dataflow/docs/guides/customer-managed-encryption-keys
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last, letters, segment_after
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body
from twin.services import kms_crypto
from twin.services.usage import agent_of, ensure_agent

_OVER = ("JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_DRAINED", "JOB_STATE_UPDATED")


def missing(name: str) -> ApiError:
    return not_found(
        f"(deadbeef): Information about job {last(name)} could not be found in our system. Please double check the id is correct. If it is please contact customer support."
    )


def _collection(call: Call) -> str:
    location = segment_after(call.name, "locations") or str(
        call.params.get("location") or call.body.get("location") or "us-central1"
    )
    return f"dataflow/projects/{call.project}/locations/{location}/jobs"


def _start(call: Call, name: str, environment: Body, kind: str, parameters: Body) -> Body:
    if not name:
        raise invalid("The job name is required.")
    collection = _collection(call)
    for _, other in call.children(collection):
        if other["name"] == name and other["currentState"] not in _OVER:
            raise ApiError(
                "ALREADY_EXISTS",
                f"There is already an active job named {name}. If you want to submit a second job, try again by setting a different name.",
            )
    location = collection.split("/")[4]
    identifier = f"{call.now:%Y-%m-%d_%H_%M_%S}-{letters(19)}"
    key = environment.get("kmsKeyName") or environment.get("serviceKmsKeyName", "")
    if key:
        _check_key(call, key, location)
    options = {field: value for field, value in environment.items() if field not in ("serviceKmsKeyName",)}
    if key:
        options["dataflowKmsKey"] = key
    shown: Body = {"sdkPipelineOptions": {"options": options, "parameters": parameters}, "version": {"major": "8"}}
    if key:
        shown["serviceKmsKeyName"] = key
    if environment.get("serviceAccountEmail"):
        shown["serviceAccountEmail"] = environment["serviceAccountEmail"]
    body: Body = {
        "id": identifier,
        "projectId": call.project,
        "name": name,
        "type": kind,
        "currentState": "JOB_STATE_RUNNING",
        "currentStateTime": call.stamp,
        "createTime": call.stamp,
        "startTime": call.stamp,
        "location": location,
        "environment": shown,
        "~environment": shown,
    }
    if environment.get("additionalUserLabels"):
        body["labels"] = environment["additionalUserLabels"]
    call.put(f"{collection}/{identifier}", body)
    call.announce("created", f"{collection}/{identifier}")
    return {field: value for field, value in body.items() if field[0] != "~"}


def _check_key(call: Call, key: str, location: str) -> None:
    """Dataflow's agent and the Compute Engine agent both need the key, in the job's region."""
    if f"/locations/{location}/" not in key:
        raise invalid(f"The Cloud KMS key {key} is not in the job's region {location}.")
    ensure_agent(call, "dataflow.googleapis.com")
    for service in ("dataflow.googleapis.com", "compute.googleapis.com"):
        kms_crypto.wrap(call, f"cloudkms/{key}", f"serviceAccount:{agent_of(service, call.number)}", b"probe")


def create_from_template(call: Call) -> Body:
    if not call.body.get("gcsPath"):
        raise invalid("The Cloud Storage path of the template is required.")
    return _start(
        call,
        call.body.get("jobName", ""),
        call.body.get("environment", {}),
        "JOB_TYPE_STREAMING",
        call.body.get("parameters", {}),
    )


def launch_template(call: Call) -> Body:
    if not call.params.get("gcsPath") and not call.params.get("dynamicTemplate.gcsPath"):
        raise invalid("The Cloud Storage path of the template is required.")
    return {
        "job": _start(
            call,
            call.body.get("jobName", ""),
            call.body.get("environment", {}),
            "JOB_TYPE_STREAMING",
            call.body.get("parameters", {}),
        )
    }


def launch_flex(call: Call) -> Body:
    given = call.body.get("launchParameter", {})
    made = _start(
        call, given.get("jobName", ""), given.get("environment", {}), "JOB_TYPE_STREAMING", given.get("parameters", {})
    )
    return {
        "job": {
            field: made[field]
            for field in ("id", "projectId", "name", "currentStateTime", "createTime", "location", "startTime")
        }
    }


def create_job(call: Call) -> Body:
    return _start(
        call, call.body.get("name", ""), call.body.get("environment", {}), call.body.get("type", "JOB_TYPE_BATCH"), {}
    )


def _name(call: Call) -> str:
    identifier = str(call.params.get("jobId", last(call.name)))
    return f"{_collection(call)}/{identifier}"


def get(call: Call) -> Body:
    name = _name(call)
    body = call.get(name)
    if body is None:
        raise missing(name)
    return standard.visible(call, name, body)


def update(call: Call) -> Body:
    name = _name(call)
    if call.get(name) is None:
        raise missing(name)
    body = call.copy(name)
    wanted = call.body.get("requestedState", "")
    final = {
        "JOB_STATE_CANCELLED": "JOB_STATE_CANCELLED",
        "JOB_STATE_DRAINED": "JOB_STATE_DRAINED",
        "JOB_STATE_DONE": "JOB_STATE_DONE",
    }.get(wanted)
    if wanted and final is None:
        raise invalid(f"The requested state {wanted} is not allowed: use JOB_STATE_CANCELLED or JOB_STATE_DRAINED.")
    if final and body["currentState"] in _OVER:
        raise ApiError("FAILED_PRECONDITION", f"Cannot {wanted} a job in terminal state {body['currentState']}.")
    if final:
        body["requestedState"], body["currentState"], body["currentStateTime"] = wanted, final, call.stamp
    if "labels" in call.body:
        body["labels"] = call.body["labels"]
    call.put(name, body)
    return standard.visible(call, name, body)


def list_(call: Call) -> Body:
    wanted = call.params.get("filter", "ALL")
    collections = [_collection(call)]
    if not segment_after(call.name, "locations") or call.method.tail == "aggregated":
        collections = call.engine.store.collections(f"dataflow/projects/{call.project}/locations/", "jobs")
    jobs = []
    for collection in collections:
        for name, body in call.children(collection):
            over = body["currentState"] in _OVER
            if (wanted == "ACTIVE" and over) or (wanted == "TERMINATED" and not over):
                continue
            shown = standard.visible(call, name, body)
            if call.params.get("view") != "JOB_VIEW_ALL":
                shown.pop("environment", None)
            jobs.append(shown)
    return {"jobs": jobs} if jobs else {}


def metrics(call: Call) -> Body:
    return {"metricTime": call.stamp}


def messages(call: Call) -> Body:
    return {}


SEMANTICS = Semantics(
    api="dataflow",
    missing=missing,
    methods={
        "jobs.create": create_job,
        "jobs.get": get,
        "jobs.list": list_,
        "jobs.aggregated": list_,
        "jobs.update": update,
        "jobs.getMetrics": metrics,
        "messages.list": messages,
        "templates.create": create_from_template,
        "templates.launch": launch_template,
        "flexTemplates.launch": launch_flex,
    },
    permissions={
        "templates.create": "dataflow.jobs.create",
        "templates.launch": "dataflow.jobs.create",
        "flexTemplates.launch": "dataflow.jobs.create",
        "jobs.aggregated": "dataflow.jobs.list",
    },
    rules=(
        Rule(
            "dataflow.key-grants",
            "a job's key must be usable by Dataflow's agent and the Compute Engine agent",
            "https://cloud.google.com/dataflow/docs/guides/customer-managed-encryption-keys",
        ),
        Rule(
            "dataflow.key-region",
            "the key is in the job's region",
            "https://cloud.google.com/dataflow/docs/guides/customer-managed-encryption-keys",
        ),
        Rule(
            "dataflow.shows-key",
            "a job shows environment.serviceKmsKeyName",
            "https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.jobs#Environment",
        ),
        Rule(
            "dataflow.one-active-name",
            "an active job's name cannot be used again",
            "https://cloud.google.com/dataflow/docs/guides/troubleshoot-templates",
        ),
        Rule("dataflow.nothing-computed", "jobs are RUNNING at once and compute nothing", "", "assumed"),
    ),
)
