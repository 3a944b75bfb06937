"""Datasets, their access entries, and the projects that hold them.

https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid
from twin.kernel.names import last, segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply
from twin.services.bigquery import encryption
from twin.services.bigquery.metadata import BASE, millis, spoken

if TYPE_CHECKING:
    from twin.kernel.engine import Engine

_ROLES = {
    "READER": "roles/bigquery.dataViewer",
    "WRITER": "roles/bigquery.dataEditor",
    "OWNER": "roles/bigquery.dataOwner",
}
_GROUPS = {"projectOwners": "roles/owner", "projectWriters": "roles/editor", "projectReaders": "roles/viewer"}
_ALIAS_OF = {role: short for short, role in _ROLES.items()}


def insert_dataset(call: Call) -> Body | Reply:
    """The answer to an insert leaves the default travel time out; a get shows it (recorded)."""
    reply = standard.create(call)
    if isinstance(reply, dict) and "maxTimeTravelHours" not in call.body:
        reply.pop("maxTimeTravelHours", None)
    return reply


def create_dataset(call: Call, body: Body) -> None:
    identifier = last(call.name)
    if not re.fullmatch(r"\w{1,1024}", identifier):
        raise invalid(
            f'Invalid dataset ID "{identifier}". Dataset IDs must be alphanumeric (plus underscores) and must be at most '
            "1024 characters long."
        )
    body["datasetReference"] = {"datasetId": identifier, "projectId": call.project}
    body["id"] = f"{call.project}:{identifier}"
    body["selfLink"] = f"{BASE}projects/{call.project}/datasets/{identifier}"
    body["creationTime"] = body["lastModifiedTime"] = millis(call)
    body.setdefault("location", "US")
    body["type"] = "DEFAULT"
    body.setdefault("maxTimeTravelHours", "168")
    if not body.get("access"):
        owner = call.context.principal.partition(":")[2] or call.engine.settings.owner
        body["access"] = [
            {"role": "OWNER", "specialGroup": "projectOwners"},
            {"role": "OWNER", "userByEmail": owner},
            {"role": "READER", "specialGroup": "projectReaders"},
            {"role": "WRITER", "specialGroup": "projectWriters"},
        ]
    _check_dataset(call, body)


def _check_dataset(call: Call, body: Body) -> None:
    key = body.get("defaultEncryptionConfiguration", {}).get("kmsKeyName")
    if key:
        encryption.check_location(key, body["location"])
    hours = body.get("maxTimeTravelHours")
    if hours is not None and not 48 <= int(hours) <= 168:
        raise invalid("maxTimeTravelHours must be between 48 and 168 hours.")
    body["access"] = _normalised_access(call, body.get("access", []))


def _normalised_access(call: Call, entries: list[Body]) -> list[Body]:
    """Role aliases become the basic names, mails lower case; authorized views must exist. Duplicates stay (recorded)."""
    found: list[Body] = []
    for entry in entries:
        shown = dict(entry)
        if shown.get("role") in _ALIAS_OF:
            shown["role"] = _ALIAS_OF[shown["role"]]
        for field in ("userByEmail", "groupByEmail"):
            if field in shown:
                shown[field] = shown[field].lower()
        view = shown.get("view")
        if view:
            name = f"bigquery/projects/{view['projectId']}/datasets/{view['datasetId']}/tables/{view['tableId']}"
            if call.get(name) is None:
                raise invalid(f"View {view['projectId']}:{view['datasetId']}.{view['tableId']} to authorize not found.")
        found.append(shown)
    return found


def update_dataset(call: Call, old: Body, new: Body) -> None:
    mode = call.params.get("updateMode", "UPDATE_FULL")
    if mode == "UPDATE_METADATA":
        new["access"] = old["access"]
    elif mode == "UPDATE_ACL":
        new.update({key: value for key, value in old.items() if key != "access"})
    for field in ("location", "datasetReference", "id", "selfLink", "creationTime", "kind", "type"):
        if field in old:
            if field == "location" and new.get("location", old["location"]) != old["location"]:
                raise invalid("Cannot change dataset location.")
            new[field] = old[field]
    if "access" not in new:
        new["access"] = old["access"]
    new["lastModifiedTime"] = millis(call)
    _check_dataset(call, new)


def delete_dataset(call: Call, body: Body) -> None:
    if call.engine.store.below(call.name) and not call.params.get("deleteContents"):
        raise ApiError("INVALID_ARGUMENT", f"Dataset {spoken(call.name)} is still in use", reason="resourceInUse")


def list_datasets(call: Call) -> Body:
    found = standard.list_(call)
    keep = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
    short = [{key: body[key] for key in keep if key in body} for body in found.pop("datasets", [])]
    hidden = not call.params.get("all")
    short = [body for body in short if not (hidden and body["datasetReference"]["datasetId"].startswith("_"))]
    return {**found, "etag": standard.fingerprint({"d": short}), **({"datasets": short} if short else {})}


def bindings(engine: Engine, name: str, body: Body) -> list[Body]:
    """A dataset's access entries as IAM bindings (https://cloud.google.com/bigquery/docs/access-control-basic-roles)."""
    found = []
    for entry in body.get("access", ()):
        role = entry.get("role", "")
        role = _ROLES.get(role, role)
        if not role:
            continue
        members: list[str] = []
        if "userByEmail" in entry:
            members = [f"user:{entry['userByEmail']}", f"serviceAccount:{entry['userByEmail']}"]
        elif "groupByEmail" in entry:
            members = [f"group:{entry['groupByEmail']}"]
        elif "domain" in entry:
            members = [f"domain:{entry['domain']}"]
        elif "iamMember" in entry:
            members = [entry["iamMember"]]
        elif entry.get("specialGroup") == "allAuthenticatedUsers":
            members = ["allAuthenticatedUsers"]
        elif entry.get("specialGroup") in _GROUPS:
            project = segment_after(name, "projects")
            policy = engine.policies.read(f"cloudresourcemanager/projects/{project}")
            wanted = _GROUPS[entry["specialGroup"]]
            members = [
                member
                for binding in policy.get("bindings", [])
                if binding["role"] == wanted
                for member in binding["members"]
            ]
        if members:
            found.append({"role": role, "members": members})
    return found


def list_projects(call: Call) -> Body:
    projects = [
        {
            "kind": "bigquery#project",
            "id": body["projectId"],
            "numericId": body["projectNumber"],
            "projectReference": {"projectId": body["projectId"]},
            "friendlyName": body["name"],
        }
        for _, body in call.children("cloudresourcemanager/projects")
    ]
    return {
        "kind": "bigquery#projectList",
        "etag": standard.fingerprint({"p": projects}),
        "projects": projects,
        "totalItems": len(projects),
    }
