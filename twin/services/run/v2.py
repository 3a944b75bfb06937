"""Cloud Run v2: services, revisions and jobs, with long-running operations whose metadata is the resource itself."""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

from twin.kernel import operations, standard
from twin.kernel.errors import ApiError, invalid
from twin.kernel.masks import overlay
from twin.kernel.names import collection_of, last
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.run import executions, model

PACKAGE = "google.cloud.run.v2"


def _answer(call: Call, kind: str, body: Body, response: Body | None = None) -> Body:
    shown = {key: value for key, value in body.items() if key[0] != "~"}
    metadata = {"@type": f"type.googleapis.com/{PACKAGE}.{kind}", **shown}
    return operations.lro(call, "", call.name, response or shown, kind, metadata)


def _identifier(call: Call, parameter: str) -> str:
    given = str(call.params.get(parameter, ""))
    if not given:
        raise invalid(f"Violation in {parameter}: must not be empty")
    model.check_name(given)
    name = f"{call.name}/{given}"
    if call.get(name) is not None:
        raise model.existing(name)
    return name


def _visible(body: Body) -> Body:
    body = {key: value for key, value in body.items() if key[0] != "~"}
    template = body.get("template")
    if isinstance(template, dict):
        body["template"] = {key: value for key, value in template.items() if key[0] != "~"}
    return body


def view(call: Call, name: str, body: Body) -> Body:
    return _visible(body)


def create_service(call: Call) -> Body:
    standard.require_parents(call, call.name)
    call.name = _identifier(call, "serviceId")
    body = dict(call.body)
    model.new_service(call, body)
    model.settle(call, body, None)
    call.put(call.name, body)
    call.announce("created", call.name)
    return _answer(call, "Service", _visible(body))


def patch_service(call: Call) -> Body:
    old = call.get(call.name)
    if old is None:
        if call.params.get("allowMissing"):
            call.params["serviceId"] = last(call.name)
            call.name = collection_of(call.name)
            return create_service(call)
        raise model.missing(call.name)
    standard.check_marks(call, old)
    if call.mask and ("*",) not in call.mask:
        new = overlay(old, call.body, call.mask)
    else:
        new = dict(call.body)
        for key in ("name", "uid", "createTime", "latestCreatedRevision", "latestReadyRevision"):
            new[key] = old[key]
        new.update({key: value for key, value in old.items() if key[0] == "~"})
        new.setdefault("ingress", old["ingress"])
        new.setdefault("launchStage", old["launchStage"])
    if new.get("template", {}).get("revision") == last(old.get("latestCreatedRevision", "")):
        new["template"].pop("revision", None)
    model.settle(call, new, old)
    call.put(call.name, new)
    call.announce("updated", call.name)
    return _answer(call, "Service", _visible(new))


def delete_service(call: Call) -> Body:
    body = call.need()
    standard.check_marks(call, body)
    model.delete_service(call, body)
    return remove(call, body, "Service")


def remove(call: Call, body: Body, kind: str) -> Body:
    for child in call.engine.store.below(call.name):
        call.delete(child)
    call.delete(call.name)
    call.engine.policies.forget(call.name)
    call.announce("deleted", call.name)
    gone = {**_visible(body), "deleteTime": call.stamp}
    return _answer(call, kind, gone)


def delete_revision(call: Call) -> Body:
    body = call.need()
    service = call.need(collection_of(collection_of(call.name)))
    short = last(call.name)
    if last(service["latestCreatedRevision"]) == short or any(
        target.get("revision") == short for target in service["traffic"]
    ):
        raise ApiError(
            "FAILED_PRECONDITION",
            f"The revision {short} cannot be deleted because it is serving traffic or is the latest revision.",
        )
    return remove(call, body, "Revision")


def create_job(call: Call) -> Body:
    standard.require_parents(call, call.name)
    call.name = _identifier(call, "jobId")
    body = dict(call.body)
    model.new_service(call, body)
    model.settle_job(call, body, None)
    call.put(call.name, body)
    call.announce("created", call.name)
    return _answer(call, "Job", _visible(body))


def patch_job(call: Call) -> Body:
    old = call.need()
    standard.check_marks(call, old)
    new = dict(call.body)
    for key in ("name", "uid", "createTime", "latestCreatedExecution"):
        if key in old:
            new[key] = old[key]
    model.settle_job(call, new, old)
    call.put(call.name, new)
    call.announce("updated", call.name)
    return _answer(call, "Job", _visible(new))


def delete_job(call: Call) -> Body:
    return remove(call, call.need(), "Job")


def run_job(call: Call) -> Body:
    _, execution = executions.start(call, call.body.get("overrides", {}))
    return _answer(call, "Execution", execution)


METHODS = {
    "v2:services.create": create_service,
    "v2:services.patch": patch_service,
    "v2:services.delete": delete_service,
    "v2:revisions.delete": delete_revision,
    "v2:jobs.create": create_job,
    "v2:jobs.patch": patch_job,
    "v2:jobs.delete": delete_job,
    "v2:jobs.run": run_job,
}
