"""Dataflow: jobs from templates, with the key that protects them. Nothing is computed; states are kept.

https://cloud.google.com/dataflow/docs/reference/rest, https://cloud.google.com/dataflow/docs/guides/customer-managed-encryption-keys
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import re

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last, letters, segment_after
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, after, rfc3339
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


def _start(call: Call, name: str, environment: Body, template: str, parameters: Body, replacing: bool = False) -> Body:
    if not name:
        raise invalid("The job name is required.")
    collection = _collection(call)
    running = [
        (key, body)
        for key, body in call.children(collection)
        if body["name"] == name and _state(call, body) not in _OVER
    ]
    if running and not replacing:
        raise ApiError(
            "ALREADY_EXISTS",
            f"There is already an active job named {name}. If you want to submit a second job, try again by setting a different name.",
        )
    if replacing and not running:
        raise not_found(f"No running job with the name {name} could be found to update.")
    location = collection.split("/")[4]
    identifier = f"{call.now:%Y-%m-%d_%H_%M_%S}-{letters(19)}"
    key = environment.get("kmsKeyName") or environment.get("serviceKmsKeyName", "")
    if key:
        _check_key(call, key, location)
    shown: Body = {"dataset": "bigquery.googleapis.com/cloud_dataflow"}
    shown["sdkPipelineOptions"] = {"options": _options(environment, template, key)}
    if key:
        shown["serviceKmsKeyName"] = key
    if environment.get("serviceAccountEmail"):
        shown["serviceAccountEmail"] = environment["serviceAccountEmail"]
    body: Body = {
        "id": identifier,
        "projectId": call.project,
        "name": name,
        "type": "JOB_TYPE_STREAMING" if _streams(environment, template) else "JOB_TYPE_BATCH",
        "currentState": "JOB_STATE_RUNNING",
        "currentStateTime": call.stamp,
        "createTime": call.stamp,
        "startTime": call.stamp,
        "location": location,
        "environment": shown,
        "~parameters": parameters,
    }
    if environment.get("additionalUserLabels"):
        body["labels"] = environment["additionalUserLabels"]
    for other, old in running:
        # https://cloud.google.com/dataflow/docs/guides/updating-a-pipeline: the old job ends as UPDATED.
        over = {"currentState": "JOB_STATE_UPDATED", "currentStateTime": call.stamp, "replacedByJobId": identifier}
        call.put(other, {**old, **over})
        body["replaceJobId"] = old["id"]
    call.put(f"{collection}/{identifier}", body)
    call.announce("created", f"{collection}/{identifier}")
    return {field: value for field, value in body.items() if field[0] != "~"}


_SHOWN = ("machineType", "network", "subnetwork", "tempLocation", "workerRegion", "numWorkers", "stagingLocation")


def _options(environment: Body, template: str, key: str) -> Body:
    """The pipeline options that a job shows (recorded): not all of what was asked for."""
    options = {field: environment[field] for field in _SHOWN if field in environment}
    options["enableStreamingEngine"] = bool(environment.get("enableStreamingEngine"))
    options["serviceAccountEmail"] = environment.get("serviceAccountEmail", "")
    if environment.get("additionalExperiments"):
        options["experiments"] = environment["additionalExperiments"]
    if template:
        options["templateLocation"] = template
    if key:
        options["dataflowKmsKey"] = key
    return options


def _streams(environment: Body, template: str) -> bool:
    """Whether a template makes a streaming job: Google's own say so by their names."""
    named = re.search(r"pubsub|pub_sub|stream|kafka|cdc", template.rpartition("/")[2], re.IGNORECASE)
    return bool(named or environment.get("enableStreamingEngine"))


def _state(call: Call, body: Body) -> str:
    """What a job's state is now: cancelling and draining take as long as operations take."""
    change = body.get("~next")
    if change and call.stamp >= change["from"]:
        return str(change["state"])
    return str(body["currentState"])


def view(call: Call, name: str, body: Body) -> Body:
    state = _state(call, body)
    if state == body["currentState"]:
        return body
    return {**body, "currentState": state, "currentStateTime": body["~next"]["from"]}


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
    given = call.body
    return _start(
        call, given.get("jobName", ""), given.get("environment", {}), given["gcsPath"], given.get("parameters", {})
    )


def launch_template(call: Call) -> Body:
    template = call.params.get("gcsPath") or call.params.get("dynamicTemplate.gcsPath")
    if not template:
        raise invalid("The Cloud Storage path of the template is required.")
    given = call.body
    name = given.get("jobName", "")
    if call.params.get("validateOnly"):
        return {}
    return {
        "job": _start(
            call,
            name,
            given.get("environment", {}),
            str(template),
            given.get("parameters", {}),
            bool(given.get("update")),
        )
    }


def launch_flex(call: Call) -> Body:
    given = call.body.get("launchParameter", {})
    if not given.get("containerSpec") and not given.get("containerSpecGcsPath"):
        raise invalid("The Cloud Storage path of the template's container spec is required.")
    made = _start(
        call,
        given.get("jobName", ""),
        given.get("environment", {}),
        given.get("containerSpecGcsPath", ""),
        given.get("parameters", {}),
        bool(given.get("update")),
    )
    template = given.get("containerSpecGcsPath", "")
    if template.startswith("gs://dataflow-templates"):
        # Jobs from Google's own templates carry two labels (recorded).
        name = f"{_collection(call)}/{made['id']}"
        labels = {
            "goog-dataflow-provided-template-name": template.rpartition("/")[2].lower(),
            "goog-dataflow-provided-template-type": "flex",
        }
        call.put(name, {**call.need(name), "labels": {**made.get("labels", {}), **labels}})
    fields = ("id", "projectId", "name", "currentStateTime", "createTime", "location", "startTime")
    return {"job": {field: made[field] for field in fields}}


def create_job(call: Call) -> Body:
    environment = dict(call.body.get("environment", {}))
    made = _start(call, call.body.get("name", ""), environment, "", {})
    if "type" in call.body:
        made["type"] = call.body["type"]
        name = f"{_collection(call)}/{made['id']}"
        call.put(name, {**call.need(name), "type": made["type"]})
    return made


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
    passing = {"JOB_STATE_CANCELLED": "JOB_STATE_CANCELLING", "JOB_STATE_DRAINED": "JOB_STATE_DRAINING"}.get(wanted)
    if wanted and passing is None:
        raise invalid(f"The requested state {wanted} is not allowed: use JOB_STATE_CANCELLED or JOB_STATE_DRAINED.")
    if passing and _state(call, body) in _OVER:
        raise ApiError("FAILED_PRECONDITION", f"Cannot {wanted} a job in terminal state {_state(call, body)}.")
    if wanted == "JOB_STATE_DRAINED" and body["type"] != "JOB_TYPE_STREAMING":
        # https://cloud.google.com/dataflow/docs/guides/stopping-a-pipeline#drain
        raise ApiError("FAILED_PRECONDITION", f"Only streaming jobs can be drained; {body['name']} is a batch job.")
    if passing:
        later = rfc3339(after(call.now, call.engine.settings.operation_seconds))
        body["requestedState"], body["currentState"], body["currentStateTime"] = wanted, passing, call.stamp
        body["~next"] = {"state": wanted, "from": later}
    if "labels" in call.body:
        body["labels"] = call.body["labels"]
    call.put(name, body)
    call.announce("updated", name)
    if passing:
        # The answer names the job and says what was asked for; no more (recorded).
        return {key: body[key] for key in ("id", "projectId", "name", "type", "currentState", "requestedState")}
    return standard.visible(call, name, body)


def list_(call: Call) -> Body:
    wanted = call.params.get("filter", "ALL")
    collections = [_collection(call)]
    if not segment_after(call.name, "locations") or call.method.tail == "aggregated":
        collections = call.engine.store.collections(f"dataflow/projects/{call.project}/locations/", "jobs")
    jobs = []
    for collection in collections:
        for name, body in call.children(collection):
            over = _state(call, body) in _OVER
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
    viewing={"jobs": view},
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
        Rule(
            "dataflow.streaming-drains",
            "only streaming jobs drain",
            "https://cloud.google.com/dataflow/docs/guides/stopping-a-pipeline#drain",
        ),
        Rule(
            "dataflow.update-replaces",
            "launching with update ends the running job of that name as UPDATED and links the two",
            "https://cloud.google.com/dataflow/docs/guides/updating-a-pipeline",
        ),
        Rule("dataflow.streaming-by-name", "whether a template streams is read from its name", "", "assumed"),
        Rule("dataflow.nothing-computed", "jobs are RUNNING at once and compute nothing", "", "assumed"),
    ),
)
