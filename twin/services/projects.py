"""Resource Manager: projects (v1 and v3 are two views of one record), folders, organizations, tags as stored things.

https://cloud.google.com/resource-manager/reference/rest
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import re

from twin.kernel import operations, standard
from twin.kernel.errors import ApiError, already_exists, failed_precondition, invalid
from twin.kernel.names import numeric_id, relative
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body
from twin.services import tags

DOCS = "https://cloud.google.com/resource-manager/docs/"
_ID = re.compile(r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")


def record(project: str, number: str, stamp: str, display: str = "", labels: Body | None = None) -> Body:
    """How a project is stored."""
    body: Body = {
        "projectId": project,
        "projectNumber": number,
        "name": display or project,
        "createTime": stamp,
        "lifecycleState": "ACTIVE",
    }
    if labels:
        body["labels"] = labels
    return body


def _denied(name: str = "") -> ApiError:
    # Google does not say whether a project exists (recorded: GET of an unknown project is a 403).
    return ApiError("PERMISSION_DENIED", "The caller does not have permission")


def missing(name: str) -> ApiError:
    if name.startswith("cloudresourcemanager/projects/"):
        return _denied()
    path = relative(name)
    return ApiError("PERMISSION_DENIED", f"Permission denied on resource '{path}' (or it may not exist).")


def _v3(body: Body) -> Body:
    shown: Body = {
        "name": f"projects/{body['projectNumber']}",
        "projectId": body["projectId"],
        "state": body["lifecycleState"],
        "displayName": body["name"],
        "createTime": body["createTime"],
        "etag": standard.fingerprint(body),
    }
    if body.get("parent"):
        shown["parent"] = f"{body['parent']['type']}s/{body['parent']['id']}"
    for field in ("labels", "updateTime", "deleteTime"):
        if field in body:
            shown[field] = body[field]
    return shown


def view(call: Call, name: str, body: Body) -> Body:
    return _v3(body) if call.method.document.version == "v3" else body


def _new(call: Call, project: str, display: str, labels: Body | None, parent: Body | None) -> Body:
    if not _ID.match(project):
        raise invalid(
            "field [project_id] has issue [project_id must be 6 to 30 lowercase letters, digits, or hyphens. It must start "
            "with a letter. Trailing hyphens are prohibited.]"
        )
    name = f"cloudresourcemanager/projects/{project}"
    if call.get(name) is not None:
        raise already_exists("Requested entity already exists")
    number = numeric_id(12)
    body = record(project, number, call.stamp, display, labels)
    if parent:
        body["parent"] = parent
    call.put(name, body)
    call.put(f"project-number/{number}", {"id": project})
    call.name = name
    return body


def create(call: Call) -> Body:
    body = call.body
    if call.method.document.version == "v3":
        parent = None
        if "/" in body.get("parent", ""):
            kind, identifier = body["parent"].split("/", 1)
            parent = {"type": kind.removesuffix("s"), "id": identifier}
        made = _new(call, body.get("projectId", ""), body.get("displayName", ""), body.get("labels"), parent)
        return operations.lro(
            call,
            "create",
            call.name,
            _v3(made),
            "Project",
            {"@type": _TYPE + "CreateProjectMetadata", "createTime": call.stamp},
        )
    made = _new(call, body.get("projectId", ""), body.get("name", ""), body.get("labels"), body.get("parent"))
    return operations.lro(
        call,
        "create",
        call.name,
        made,
        "google.cloudresourcemanager.v1.Project",
        {
            "@type": "type.googleapis.com/google.cloudresourcemanager.v1.ProjectCreationStatus",
            "gettable": True,
            "ready": True,
        },
        quiet=True,
    )


_TYPE = "type.googleapis.com/google.cloud.resourcemanager.v3."


def get(call: Call) -> Body:
    body = call.get(call.name)
    if body is None:
        raise _denied()
    return view(call, call.name, body)


def list_(call: Call) -> Body:
    call.name = "cloudresourcemanager/projects"
    return standard.list_(call)


def update(call: Call) -> Body:
    body = call.copy()
    for field in ("name", "labels", "parent"):
        if field in call.body:
            body[field] = call.body[field]
    if "labels" not in call.body:
        body.pop("labels", None)
    call.put(call.name, body)
    return body


def patch(call: Call) -> Body:
    body = call.copy()
    names = {"displayName": "name", "labels": "labels"}
    for path in call.mask or [(field,) for field in call.body]:
        if path[0] not in names:
            raise invalid(f"Field '{path[0]}' cannot be updated.")
        if path[0] in call.body:
            body[names[path[0]]] = call.body[path[0]]
        else:
            body.pop(names[path[0]], None)
    call.put(call.name, body)
    return operations.lro(call, "update", call.name, _v3(body), "Project", {"@type": _TYPE + "UpdateProjectMetadata"})


def _set_state(call: Call, state: str) -> Body:
    body = copy.deepcopy(call.need())
    if body["lifecycleState"] == state:
        raise failed_precondition(f"Project {body['projectId']} is already {state}.")
    body["lifecycleState"] = state
    call.put(call.name, body)
    return body


def delete(call: Call) -> Body:
    body = _set_state(call, "DELETE_REQUESTED")
    if call.method.document.version == "v3":
        return operations.lro(
            call, "delete", call.name, _v3(body), "Project", {"@type": _TYPE + "DeleteProjectMetadata"}
        )
    return {}


def undelete(call: Call) -> Body:
    body = _set_state(call, "ACTIVE")
    if call.method.document.version == "v3":
        return operations.lro(
            call, "undelete", call.name, _v3(body), "Project", {"@type": _TYPE + "UndeleteProjectMetadata"}
        )
    return {}


def ancestry(call: Call) -> Body:
    body = call.need()
    chain = [{"resourceId": {"type": "project", "id": body["projectId"]}}]
    if body.get("parent"):
        chain.append({"resourceId": dict(body["parent"])})
    return {"ancestor": chain}


def get_policy(call: Call) -> Body:
    if call.name.startswith("cloudresourcemanager/projects/") and call.get(call.name) is None:
        raise _denied()
    return call.engine.policies.read(call.name)


def set_policy(call: Call) -> Body:
    get_policy(call)
    return call.engine.policies.write(call.name, call.body.get("policy", {}), call.now)


SEMANTICS = Semantics(
    api="cloudresourcemanager",
    missing=missing,
    methods={
        **tags.METHODS,
        "projects.create": create,
        "projects.get": get,
        "projects.list": list_,
        "projects.search": list_,
        "projects.update": update,
        "projects.patch": patch,
        "projects.delete": delete,
        "projects.undelete": undelete,
        "projects.getAncestry": ancestry,
        "projects.getIamPolicy": get_policy,
        "projects.setIamPolicy": set_policy,
        "organizations.getIamPolicy": get_policy,
        "organizations.setIamPolicy": set_policy,
        "folders.getIamPolicy": get_policy,
        "folders.setIamPolicy": set_policy,
    },
    creating=tags.CREATING,
    ids={"tagKeys": "generate:number", "tagValues": "generate:number", "folders": "generate:number"},
    viewing={"projects": view},
    permissions={
        "projects.create": "",
        "projects.list": "",
        "projects.search": "",
        "projects.getAncestry": "resourcemanager.projects.get",
    },
    packages={"v1": "google.cloudresourcemanager.v1", "v3": "google.cloud.resourcemanager.v3"},
    rules=(
        Rule(
            "projects.number-is-accepted",
            "a project's number stands for its id in every path",
            DOCS + "creating-managing-projects",
        ),
        Rule("projects.id-format", "6 to 30 lower-case letters, digits, hyphens", DOCS + "creating-managing-projects"),
        Rule(
            "projects.unknown-is-denied",
            "an unknown project answers 403, not 404",
            "k8s-config-connector recordings, project _http.log",
        ),
        *tags.RULES,
        Rule(
            "iam.etag",
            "a policy with a stale etag is refused with 409 ABORTED",
            "https://cloud.google.com/iam/docs/policies#etag",
        ),
        Rule(
            "iam.member-exists",
            "a service account in a binding must exist",
            "https://cloud.google.com/iam/docs/troubleshooting-access",
        ),
        Rule(
            "iam.propagation",
            "a change of a policy is felt after a while",
            "https://cloud.google.com/iam/docs/access-change-propagation",
        ),
    ),
)
