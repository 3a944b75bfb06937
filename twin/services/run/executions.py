"""Executions of a job: what both versions' `run` make, with the overrides that a request may carry.

https://cloud.google.com/run/docs/execute/jobs#override-job-configuration
"""

from __future__ import annotations

import copy

from twin.kernel.errors import invalid
from twin.kernel.names import last, letters, relative
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.run import model


def start(call: Call, overrides: Body) -> tuple[str, Body]:
    """A new execution of the job that the call names: its canonical name and its record."""
    job = call.copy()
    template = overridden(job["template"], overrides)
    name = f"{call.name}/executions/{last(call.name)}-{letters(5)}"
    execution: Body = {
        "name": relative(name),
        "uid": letters(32),
        "generation": "1",
        "createTime": call.stamp,
        "startTime": call.stamp,
        "completionTime": call.stamp,
        "updateTime": call.stamp,
        "creator": call.context.principal.partition(":")[2] or call.engine.settings.owner,
        "launchStage": job["launchStage"],
        "job": last(call.name),
        "parallelism": int(template.get("parallelism", 1)),
        "taskCount": int(template["taskCount"]),
        "template": template["template"],
        "succeededCount": int(template["taskCount"]),
        "conditions": [
            model.condition(call, kind) for kind in ("Completed", "ResourcesAvailable", "Started", "ContainerReady")
        ],
        "observedGeneration": "1",
        "etag": f'"{letters(12)}"',
    }
    if job.get("labels"):
        execution["labels"] = job["labels"]
    call.put(name, execution)
    made = {"name": relative(name), "createTime": call.stamp, "completionTime": call.stamp}
    job["latestCreatedExecution"] = made
    job["executionCount"] = int(job.get("executionCount", 0)) + 1
    call.put(call.name, job)
    call.announce("execution", name)
    return name, execution


def overridden(template: Body, overrides: Body) -> Body:
    """An execution template with a request's overrides. ApiError for a container that the job has not."""
    made = copy.deepcopy(template)
    if overrides.get("taskCount"):
        made["taskCount"] = int(overrides["taskCount"])
    if overrides.get("timeout"):
        made["template"]["timeout"] = overrides["timeout"]
    containers = made["template"].get("containers", [])
    for change in overrides.get("containerOverrides", []):
        wanted = change.get("name", "")
        found = [item for item in containers if item.get("name") == wanted] if wanted else containers[:1]
        if not found:
            raise invalid(f"overrides.container_overrides.name: container '{wanted}' is not in the job's template")
        container = found[0]
        if change.get("args") or change.get("clearArgs"):
            container["args"] = list(change.get("args", []))
        env = {variable["name"]: variable for variable in container.get("env", [])}
        env.update({variable["name"]: variable for variable in change.get("env", [])})
        if env:
            container["env"] = list(env.values())
    return made
