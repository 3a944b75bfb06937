"""Cloud Run v1 (Knative): what `gcloud run` speaks. Same records as v2.

Paths are `apis/serving.knative.dev/v1/namespaces/{project}/services/{name}` at `{region}-run.googleapis.com`.
"""

from __future__ import annotations

import hashlib

from twin.kernel import paging, standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last, segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.run import knative, model, v2


def rename(call: Call) -> None:
    """From the Knative path to the record's name. The region comes from the host, or from a v1/projects path."""
    if "/locations/" in call.name:
        return
    project = segment_after(call.name, "namespaces")
    parts = call.name.split("/")
    word = next(
        part
        for part in (
            "services",
            "revisions",
            "configurations",
            "routes",
            "jobs",
            "executions",
            "tasks",
            "domainmappings",
            "authorizeddomains",
        )
        if part in parts
    )
    rest = parts[parts.index(word) :]
    location = call.region
    if not location:
        raise invalid("Cloud Run's v1 API is regional: call https://REGION-run.googleapis.com.")
    call.name = "/".join(["run", "projects", project, "locations", location, *rest])


def missing(call: Call, word: str) -> ApiError:
    return not_found(f"{word} '{last(call.name)}' not found.")


def get_service(call: Call) -> Body:
    rename(call)
    allow(call, "run.services.get")
    body = call.get(call.name)
    if body is None:
        raise not_found(
            f"Resource '{last(call.name)}' of kind 'SERVICE' in region '{segment_after(call.name, 'locations')}' in project '{call.project}' does not exist."
        )
    return knative.service(call, call.name, body)


def allow(call: Call, permission: str) -> None:
    from twin.kernel.policies import denial

    if not call.context.internal and not call.engine.policies.allowed(
        call.context.principal, permission, call.name, call.now
    ):
        raise denial(permission, call.name)


def create_service(call: Call) -> Body:
    rename(call)
    allow(call, "run.services.create")
    standard.require_parents(call, call.name)
    short = call.body.get("metadata", {}).get("name", "")
    model.check_name(short)
    _check_namespace(call)
    call.name = f"{call.name}/{short}"
    if call.get(call.name) is not None:
        raise ApiError("ALREADY_EXISTS", f"Resource '{short}' already exists.", reason="alreadyExists")
    body = knative.to_record(call.body, None)
    model.new_service(call, body)
    model.settle(call, body, None)
    call.put(call.name, body)
    call.announce("created", call.name)
    return knative.service(call, call.name, body)


def _check_namespace(call: Call) -> None:
    namespace = call.body.get("metadata", {}).get("namespace", call.project)
    if namespace not in (call.project, call.number):
        raise invalid("metadata.namespace: must match the project in the path")


def replace_service(call: Call) -> Body:
    rename(call)
    allow(call, "run.services.update")
    old = call.get(call.name)
    if old is None:
        raise missing(call, "Service")
    given = call.body.get("metadata", {})
    version = given.get("resourceVersion")
    if version and version != old["etag"].strip('"'):
        raise ApiError(
            "ABORTED",
            f"Conflict for resource '{last(call.name)}': version '{version}' was specified but current version is '{old['etag'].strip(chr(34))}'.",
            reason="conflict",
        )
    body = knative.to_record(call.body, old)
    for key in ("name", "uid", "createTime", "latestCreatedRevision", "latestReadyRevision", "~hash", "~revisions"):
        if key in old:
            body[key] = old[key]
    if (
        body["template"].get("revision")
        and call.get(f"{call.name}/revisions/{body['template']['revision']}") is not None
    ):
        body["template"].pop("revision")
    model.settle(call, body, old)
    call.put(call.name, body)
    call.announce("updated", call.name)
    return knative.service(call, call.name, body)


def delete_service(call: Call) -> Body:
    rename(call)
    allow(call, "run.services.delete")
    if call.get(call.name) is None:
        raise missing(call, "Service")
    body = call.need()
    model.delete_service(call, body)
    v2.remove(call, body, "Service")
    return {"status": "Success"}


def listing(call: Call, kind: str, entries: list[Body], version: str = "serving.knative.dev/v1") -> Body:
    digest = hashlib.sha256(f"{call.name}|{call.params.get('labelSelector', '')}".encode()).hexdigest()[:12]
    named = [(body["metadata"]["name"], body) for body in entries]
    start = paging.position_of(call.params, digest)
    chosen, token = paging.page(
        [entry for entry in named if entry[0] > start], paging.size_of(call.params), None, digest
    )
    metadata: Body = {
        "selfLink": f"/apis/{version}/namespaces/{call.number}/{last(call.name)}",
        "resourceVersion": str(call.engine.store.generation),
    }
    if token:
        metadata["continue"] = token
    reply: Body = {"apiVersion": version, "kind": kind, "metadata": metadata}
    if chosen:
        reply["items"] = [body for _, body in chosen]
    return reply


def selected(call: Call, body: Body) -> bool:
    """`labelSelector`: comma-separated `key=value`, `key`, `key in (a, b)`."""
    labels = body["metadata"].get("labels", {})
    text = str(call.params.get("labelSelector", ""))
    for clause in [part.strip() for part in text.split(",") if part.strip() and " in " not in text]:
        key, _, value = clause.replace("==", "=").partition("=")
        if labels.get(key.strip()) != value.strip() if value else key not in labels:
            return False
    if " in " in text:
        key, _, rest = text.partition(" in ")
        return labels.get(key.strip()) in [item.strip() for item in rest.strip(" ()").split(",")]
    return True


def list_services(call: Call) -> Body:
    if not call.region and "/locations/" not in call.name:
        # The global host lists every region, for `gcloud run services list` without --region.
        project = segment_after(call.name, "namespaces")
        call.name = f"run/projects/{project}/locations/-/services"
        entries = [
            knative.service(call, name, body)
            for collection in call.engine.store.collections(f"run/projects/{project}/locations/", "services")
            for name, body in call.children(collection)
        ]
        return listing(call, "ServiceList", entries)
    rename(call)
    allow(call, "run.services.list")
    standard.require_parents(call, call.name)
    return listing(
        call,
        "ServiceList",
        [
            body
            for body in (knative.service(call, name, item) for name, item in call.children(call.name))
            if selected(call, body)
        ],
    )


def _revisions(call: Call) -> list[tuple[str, Body]]:
    prefix = call.name.rpartition("/revisions")[0]
    found = []
    for collection in call.engine.store.collections(f"{prefix}/services/", "revisions"):
        found += list(call.children(collection))
    return found


def list_revisions(call: Call) -> Body:
    rename(call)
    allow(call, "run.revisions.list")
    entries = [knative.revision(call, name, body) for name, body in _revisions(call)]
    return listing(call, "RevisionList", [body for body in entries if selected(call, body)])


def get_revision(call: Call) -> Body:
    rename(call)
    allow(call, "run.revisions.get")
    for name, body in _revisions(call):
        if last(name) == last(call.name):
            return knative.revision(call, name, body)
    raise missing(call, "Revision")


def delete_revision(call: Call) -> Body:
    rename(call)
    allow(call, "run.revisions.delete")
    for name, _ in _revisions(call):
        if last(name) == last(call.name):
            call.name = name
            v2.delete_revision(call)
            return {"status": "Success"}
    raise missing(call, "Revision")


def get_configuration(call: Call) -> Body:
    call.name = call.name.replace("/configurations/", "/services/")
    shown = get_service(call)
    status = {
        key: value
        for key, value in shown["status"].items()
        if key in ("observedGeneration", "conditions", "latestReadyRevisionName", "latestCreatedRevisionName")
    }
    return {**shown, "kind": "Configuration", "spec": {"template": shown["spec"]["template"]}, "status": status}


def get_route(call: Call) -> Body:
    call.name = call.name.replace("/routes/", "/services/")
    shown = get_service(call)
    status = {
        key: value
        for key, value in shown["status"].items()
        if key in ("observedGeneration", "conditions", "traffic", "url", "address")
    }
    return {**shown, "kind": "Route", "spec": {"traffic": shown["spec"]["traffic"]}, "status": status}


METHODS = {
    "v1:services.get": get_service,
    "v1:services.list": list_services,
    "v1:services.create": create_service,
    "v1:services.replaceService": replace_service,
    "v1:services.delete": delete_service,
    "v1:revisions.list": list_revisions,
    "v1:revisions.get": get_revision,
    "v1:revisions.delete": delete_revision,
    "v1:configurations.get": get_configuration,
    "v1:routes.get": get_route,
}
