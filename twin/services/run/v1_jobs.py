"""Cloud Run v1's jobs, executions and tasks: views on v2's records, as `gcloud run jobs` asks for them.

https://cloud.google.com/run/docs/reference/rest/v1/namespaces.jobs
"""

from __future__ import annotations

import copy

from twin.kernel import standard
from twin.kernel.errors import ApiError
from twin.kernel.names import collection_of, last, segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body, seconds_of
from twin.services.run import executions, knative, model, v1, v2

_VERSION = "run.googleapis.com/v1"


def shown_job(call: Call, name: str, body: Body) -> Body:
    outer = body["template"]
    status: Body = {
        "observedGeneration": int(body["observedGeneration"]),
        "conditions": [knative.shown_condition(body["terminalCondition"])],
        "executionCount": int(body.get("executionCount", 0)),
    }
    latest = body.get("latestCreatedExecution")
    if latest:
        times = {"createTime": "creationTimestamp", "completionTime": "completionTimestamp"}
        status["latestCreatedExecution"] = {"name": last(latest["name"])} | {
            there: latest[here] for here, there in times.items() if latest.get(here)
        }
    template = {
        "metadata": {"annotations": knative.template_annotations(outer["template"])},
        "spec": _execution_spec(outer),
    }
    return {
        "apiVersion": _VERSION,
        "kind": "Job",
        "metadata": _metadata(call, name, body, _notes(body)),
        "spec": {"template": template},
        "status": status,
    }


def _notes(body: Body) -> Body:
    notes = {**body.get("annotations", {}), **body.get("~annotations", {})}
    for field in ("creator", "lastModifier"):
        if field in body:
            notes[f"run.googleapis.com/{field}"] = body[field]
    if body.get("~launchStage"):
        notes["run.googleapis.com/launch-stage"] = body["~launchStage"]
    return notes


def _metadata(call: Call, name: str, body: Body, annotations: Body) -> Body:
    word = name.rsplit("/", 2)[-2]
    labels = {**body.get("labels", {}), "cloud.googleapis.com/location": segment_after(name, "locations")}
    if word == "executions":
        labels |= {"run.googleapis.com/job": segment_after(name, "jobs")}
    else:
        labels |= {"run.googleapis.com/lastUpdatedTime": body["updateTime"]}
    return {
        "name": last(name),
        "namespace": call.number,
        "selfLink": f"/apis/run.googleapis.com/v1/namespaces/{call.number}/{word}/{last(name)}",
        "uid": body["uid"],
        "resourceVersion": body["etag"].strip('"'),
        "generation": int(body["generation"]),
        "creationTimestamp": body["createTime"],
        "labels": labels,
        "annotations": annotations,
    }


def _execution_spec(outer: Body) -> Body:
    spec: Body = {"taskCount": int(outer.get("taskCount", 1)), "template": {"spec": _task_spec(outer["template"])}}
    if outer.get("parallelism"):
        spec["parallelism"] = int(outer["parallelism"])
    return spec


def _task_spec(template: Body) -> Body:
    spec: Body = {
        "containers": [knative.container_v1(container) for container in template.get("containers", [])],
        "maxRetries": int(template.get("maxRetries", 3)),
        "timeoutSeconds": str(int(seconds_of(template["timeout"]))),
        "serviceAccountName": template["serviceAccount"],
    }
    if template.get("volumes"):
        spec["volumes"] = [knative.volume_v1(volume) for volume in template["volumes"]]
    return spec


def shown_execution(call: Call, name: str, body: Body) -> Body:
    conditions = [knative.shown_condition(item) for item in body["conditions"]]
    known = {item["type"] for item in conditions}
    # An execution that has a start time has begun: clients wait for `Started`.
    conditions += [
        {"type": kind, "status": "True", "lastTransitionTime": body.get("startTime", body["createTime"])}
        for kind in ("ResourcesAvailable", "Started", "ContainerReady")
        if kind not in known and body.get("startTime")
    ]
    status: Body = {
        "observedGeneration": 1,
        "conditions": conditions,
        "logUri": "https://console.cloud.google.com/logs/viewer",
    }
    for field in ("startTime", "completionTime", "succeededCount", "failedCount", "runningCount", "cancelledCount"):
        if body.get(field):
            status[field] = body[field]
    spec = {
        "parallelism": body["parallelism"],
        "taskCount": body["taskCount"],
        "template": {"spec": _task_spec(body["template"])},
    }
    return {
        "apiVersion": _VERSION,
        "kind": "Execution",
        "metadata": _metadata(call, name, body, {**knative.template_annotations(body["template"]), **_notes(body)}),
        "spec": spec,
        "status": status,
    }


def to_record(given: Body) -> Body:
    """v2's record of a v1 job."""
    metadata = given.get("metadata", {})
    notes = dict(metadata.get("annotations", {}))
    for note in ("run.googleapis.com/creator", "run.googleapis.com/lastModifier", "run.googleapis.com/operation-id"):
        notes.pop(note, None)
    record: Body = {"launchStage": notes.pop("run.googleapis.com/launch-stage", "GA")}
    if notes:
        record["~annotations"] = notes
    labels = {
        key: value
        for key, value in metadata.get("labels", {}).items()
        if not key.startswith(("cloud.googleapis.com/", "run.googleapis.com/"))
    }
    if labels:
        record["labels"] = labels
    outer = given.get("spec", {}).get("template", {})
    spec = outer.get("spec", {})
    inner = copy.deepcopy(spec.get("template", {}))
    inner.setdefault("metadata", {})["annotations"] = {
        **outer.get("metadata", {}).get("annotations", {}),
        **inner.get("metadata", {}).get("annotations", {}),
    }
    template = knative.template_v2(inner)
    for container in template["containers"]:
        container["resources"].pop("cpuIdle", None)
    task = spec.get("template", {}).get("spec", {})
    if "maxRetries" in task:
        template["maxRetries"] = int(task["maxRetries"])
    record["template"] = {"template": template}
    for field in ("taskCount", "parallelism"):
        if spec.get(field):
            record["template"][field] = int(spec[field])
    return record


def create(call: Call) -> Body:
    v1.rename(call)
    v1.allow(call, "run.jobs.create")
    standard.require_parents(call, call.name)
    short = call.body.get("metadata", {}).get("name", "")
    model.check_name(short)
    call.name = f"{call.name}/{short}"
    if call.get(call.name) is not None:
        raise ApiError("ALREADY_EXISTS", f"Resource '{short}' already exists.", reason="alreadyExists")
    body = to_record(call.body)
    model.new_service(call, body)
    model.settle_job(call, body, None)
    call.put(call.name, body)
    call.announce("created", call.name)
    return shown_job(call, call.name, body)


def _found(call: Call, permission: str, kind: str) -> Body:
    v1.rename(call)
    v1.allow(call, permission)
    if "/executions/" in call.name and "/jobs/" not in call.name:
        call.name = next((name for name, _ in _executions(call) if last(name) == last(call.name)), call.name)
    body = call.get(call.name)
    if body is None:
        raise v1.missing(call, kind)
    return body


def get(call: Call) -> Body:
    body = _found(call, "run.jobs.get", "Job")
    return shown_job(call, call.name, body)


def list_(call: Call) -> Body:
    v1.rename(call)
    v1.allow(call, "run.jobs.list")
    shown = [shown_job(call, name, body) for name, body in call.children(call.name)]
    return v1.listing(call, "JobList", [body for body in shown if v1.selected(call, body)], _VERSION)


def replace(call: Call) -> Body:
    old = _found(call, "run.jobs.update", "Job")
    body = to_record(call.body)
    for key in ("name", "uid", "createTime", "latestCreatedExecution", "executionCount"):
        if key in old:
            body[key] = old[key]
    model.settle_job(call, body, old)
    call.put(call.name, body)
    call.announce("updated", call.name)
    return shown_job(call, call.name, body)


def delete(call: Call) -> Body:
    body = _found(call, "run.jobs.delete", "Job")
    v2.remove(call, body, "Job")
    return {"status": "Success"}


def run(call: Call) -> Body:
    _found(call, "run.jobs.run", "Job")
    overrides = dict(call.body.get("overrides", {}))
    if overrides.get("timeoutSeconds"):
        overrides["timeout"] = f"{overrides.pop('timeoutSeconds')}s"
    name, execution = executions.start(call, overrides)
    return shown_execution(call, name, execution)


def _executions(call: Call) -> list[tuple[str, Body]]:
    prefix = call.name.rpartition("/executions")[0]
    return [
        entry
        for collection in call.engine.store.collections(f"{prefix}/jobs/", "executions")
        for entry in call.children(collection)
    ]


def list_executions(call: Call) -> Body:
    v1.rename(call)
    v1.allow(call, "run.executions.list")
    shown = [shown_execution(call, name, body) for name, body in _executions(call)]
    return v1.listing(call, "ExecutionList", [body for body in shown if v1.selected(call, body)], _VERSION)


def get_execution(call: Call) -> Body:
    body = _found(call, "run.executions.get", "Execution")
    return shown_execution(call, call.name, body)


def cancel_execution(call: Call) -> Body:
    body = _found(call, "run.executions.cancel", "Execution")
    if body.get("completionTime"):
        raise ApiError("FAILED_PRECONDITION", "Cannot cancel an execution that is already completed.")
    call.announce("cancelled", call.name)
    return shown_execution(call, call.name, body)


def delete_execution(call: Call) -> Body:
    body = _found(call, "run.executions.delete", "Execution")
    owner = collection_of(collection_of(call.name))
    v2.remove(call, body, "Execution")
    job = call.get(owner)
    if job is not None and last(job.get("latestCreatedExecution", {}).get("name", "")) == last(body["name"]):
        call.put(owner, {**job, "latestCreatedExecution": {}})
    return {"status": "Success"}


METHODS = {
    "v1:jobs.create": create,
    "v1:jobs.get": get,
    "v1:jobs.list": list_,
    "v1:jobs.replaceJob": replace,
    "v1:jobs.delete": delete,
    "v1:jobs.run": run,
    "v1:executions.get": get_execution,
    "v1:executions.list": list_executions,
    "v1:executions.cancel": cancel_execution,
    "v1:executions.delete": delete_execution,
}
