"""Datasets, tables, routines, models: what the REST resources hold. https://cloud.google.com/bigquery/docs/reference/rest"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.masks import merge_patch
from twin.kernel.names import collection_of, last, segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply, parse_rfc3339, rfc3339
from twin.services.bigquery import encryption
from twin.services.bigquery.types import ALIASES, duckdb_type
from twin.services.bigquery.warehouse import Warehouse, new_table

if TYPE_CHECKING:
    from twin.kernel.engine import Engine

BASE = "https://bigquery.googleapis.com/bigquery/v2/"
_ID = re.compile(r"^[\w-]{1,1024}$")
_WORDS = {"datasets": "Dataset", "tables": "Table", "routines": "Routine", "models": "Model", "jobs": "Job"}
_ROLES = {
    "READER": "roles/bigquery.dataViewer",
    "WRITER": "roles/bigquery.dataEditor",
    "OWNER": "roles/bigquery.dataOwner",
}
_GROUPS = {"projectOwners": "roles/owner", "projectWriters": "roles/editor", "projectReaders": "roles/viewer"}
_ALIAS_OF = {role: short for short, role in _ROLES.items()}


def spoken(name: str) -> str:
    """`p:d.t`, as BigQuery names things in sentences."""
    project, dataset = segment_after(name, "projects"), segment_after(name, "datasets")
    head = f"{project}:{dataset}" if dataset else f"{project}:"
    return head if name.count("/") <= 4 and dataset else f"{head}.{last(name)}" if dataset else head + last(name)


def missing(name: str) -> ApiError:
    return not_found(f"Not found: {_WORDS.get(last(collection_of(name)), 'Resource')} {spoken(name)}")


def existing(name: str) -> ApiError:
    return ApiError(
        "ALREADY_EXISTS",
        f"Already Exists: {_WORDS.get(last(collection_of(name)), 'Resource')} {spoken(name)}",
        reason="duplicate",
    )


def millis(call: Call) -> str:
    return str(int(call.now.timestamp() * 1000))


def warehouse(call: Call) -> Warehouse:
    found: Warehouse = call.engine.parts["warehouse"]
    return found


# Datasets


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
    """Role aliases become the basic names, mails lower case, duplicates one; authorized views must exist."""
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
        if shown not in found:
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


# Tables


def create_table(call: Call, body: Body) -> None:
    identifier = last(call.name)
    dataset = call.need(collection_of(collection_of(call.name)))
    dataset_id = dataset["datasetReference"]["datasetId"]
    if not _ID.match(identifier):
        raise invalid(f'Invalid table ID "{identifier}".')
    reference = body.get("tableReference", {})
    if reference.get("datasetId", dataset_id) != dataset_id:
        raise invalid("Value in field tableReference.datasetId does not match the dataset in the path.")
    new_body(call, body, dataset, identifier)
    if body["type"] == "VIEW":
        return
    key = body.get("encryptionConfiguration", {}).get("kmsKeyName")
    key = key or dataset.get("defaultEncryptionConfiguration", {}).get("kmsKeyName")
    if key:
        encryption.protect(call, body, key, dataset["location"])
    fields = body.get("schema", {}).get("fields", [])
    check_fields(fields)
    if body["type"] == "TABLE":
        start_version(call, body, "")


def new_body(call: Call, body: Body, dataset: Body, identifier: str) -> Body:
    """What every new table holds."""
    reference = dataset["datasetReference"]
    project, dataset_id = reference["projectId"], reference["datasetId"]
    body["kind"] = "bigquery#table"
    body["tableReference"] = {"projectId": project, "datasetId": dataset_id, "tableId": identifier}
    body["id"] = f"{project}:{dataset_id}.{identifier}"
    body["selfLink"] = f"{BASE}projects/{project}/datasets/{dataset_id}/tables/{identifier}"
    body["creationTime"] = body["lastModifiedTime"] = millis(call)
    body["location"] = dataset["location"]
    body["type"] = (
        "VIEW"
        if body.get("view")
        else "MATERIALIZED_VIEW"
        if body.get("materializedView")
        else "EXTERNAL"
        if body.get("externalDataConfiguration")
        else "TABLE"
    )
    for view in ("view",):
        if view in body:
            body[view].setdefault("useLegacySql", False)
    for size in (
        "numBytes",
        "numRows",
        "numLongTermBytes",
        "numTotalLogicalBytes",
        "numActiveLogicalBytes",
        "numLongTermLogicalBytes",
    ):
        if body["type"] != "VIEW":
            body[size] = "0"
    expires = dataset.get("defaultTableExpirationMs")
    if expires and "expirationTime" not in body and body["type"] == "TABLE":
        body["expirationTime"] = str(int(body["creationTime"]) + int(expires))
    body.setdefault("schema", {})
    column = body.get("timePartitioning", {}).get("field") or body.get("rangePartitioning", {}).get("field")
    if column:
        body["partitionDefinition"] = {"partitionedColumn": [{"field": column}]}
    return body


def check_fields(fields: list[Body]) -> None:
    """Types are spelled in the older way in answers; unknown ones are refused."""
    for field in fields:
        kind = str(field.get("type", "")).upper()
        field["type"] = ALIASES.get(kind, kind)
        try:
            duckdb_type(field)
        except KeyError:
            raise invalid(f"Invalid value for type: {field.get('type')} is not a valid value") from None
        if "policyTags" in field and not field["policyTags"].get("names"):
            del field["policyTags"]
        if field.get("fields"):
            check_fields(field["fields"])


def start_version(call: Call, body: Body, physical: str) -> None:
    """Point a table at new rows; the old ones stay for FOR SYSTEM_TIME AS OF."""
    versions = list(body.get("~versions", []))
    body["~versions"] = [*versions[-20:], {"from": rfc3339(call.now), "physical": physical}]


def physical(call: Call, name: str, body: Body) -> str:
    """The physical table that holds the rows now; made on first need."""
    current = str(body["~versions"][-1]["physical"]) if body.get("~versions") else ""
    if current:
        return current
    table = new_table()
    warehouse(call).call("create", table=table, schema=body.get("schema", {}).get("fields", []))
    changed = {
        **body,
        "~versions": [
            *body.get("~versions", [])[:-1],
            {"from": body["~versions"][-1]["from"] if body.get("~versions") else rfc3339(call.now), "physical": table},
        ],
    }
    call.put(name, changed)
    return table


def patch_table(call: Call) -> Body | Reply:
    old = call.need()
    new = merge_patch(old, call.body)
    return _changed_table(call, old, new)


def update_table(call: Call) -> Body | Reply:
    old = call.need()
    new = dict(call.body)
    standard.keep_outputs(call, old, new)
    for field in ("tableReference", "id", "selfLink", "type", "schema"):
        if field in old:
            new.setdefault(field, old[field])
    return _changed_table(call, old, new)


def _changed_table(call: Call, old: Body, new: Body) -> Body:
    standard.check_marks(call, old)
    dataset = call.need(collection_of(collection_of(call.name)))
    key = new.get("encryptionConfiguration", {}).get("kmsKeyName")
    before = old.get("encryptionConfiguration", {}).get("kmsKeyName")
    if key and not before:
        # Domain fact: an update only changes the key of a table that already has one; a Google-encrypted table needs a copy job.
        raise invalid(
            "Changing from Google-managed encryption to Cloud KMS is not supported by an update: copy the table onto itself "
            "with destinationEncryptionConfiguration and WRITE_TRUNCATE."
        )
    if key and encryption.plain_key(key) != encryption.plain_key(before or ""):
        encryption.protect(call, new, key, dataset["location"])
    elif before:
        new["encryptionConfiguration"] = old["encryptionConfiguration"]
    fields = new.get("schema", {}).get("fields", [])
    check_fields(fields)
    _grow_schema(call, old, new)
    new["lastModifiedTime"] = millis(call)
    standard.refresh_marks(call, new)
    call.put(call.name, new)
    return standard.visible(call, call.name, new)


def _grow_schema(call: Call, old: Body, new: Body) -> None:
    before = {field["name"].lower(): field for field in old.get("schema", {}).get("fields", [])}
    after = {field["name"].lower(): field for field in new.get("schema", {}).get("fields", [])}
    if old.get("type") != "TABLE":
        return
    gone = [field["name"] for name, field in before.items() if name not in after]
    if gone:
        raise invalid(
            f"Provided Schema does not match Table {spoken(call.name)}. Field {gone[0]} is missing in new schema"
        )
    for name, field in after.items():
        known = before.get(name)
        if known is None:
            if field.get("mode") == "REQUIRED":
                raise invalid(
                    f"Provided Schema does not match Table {spoken(call.name)}. Cannot add required fields to an existing schema. (field: {field['name']})"
                )
        elif known["type"] != field["type"]:
            raise invalid(
                f"Provided Schema does not match Table {spoken(call.name)}. Field {field['name']} has changed type from {known['type']} to {field['type']}"
            )
    added = [field for name, field in after.items() if name not in before]
    current = old.get("~versions", [{}])[-1].get("physical", "")
    if added and current:
        statements = [f'ALTER TABLE {current} ADD COLUMN "{field["name"]}" {duckdb_type(field)}' for field in added]
        warehouse(call).call("statements", sql=statements)


def view_table(call: Call, name: str, body: Body) -> Body:
    buffered = [at for at in body.get("~buffer", []) if in_buffer(call, at)]
    if buffered:
        body = {
            **body,
            "streamingBuffer": {
                "estimatedRows": str(sum(entry[1] for entry in buffered)),
                "estimatedBytes": "0",
                "oldestEntryTime": str(int(parse_rfc3339(buffered[0][0]).timestamp() * 1000)),
            },
        }
    return body


def in_buffer(call: Call, entry: list[object]) -> bool:
    """Rows streamed less than the buffer's time ago are still in it."""
    moment = parse_rfc3339(str(entry[0]))
    return (call.now - moment).total_seconds() < call.engine.settings.streaming_buffer


def get_table(call: Call) -> Body:
    body = call.get(call.name)
    dataset = collection_of(collection_of(call.name))
    if call.get(dataset) is None:
        raise missing(dataset)
    if body is None or _expired(call, body):
        raise missing(call.name)
    return standard.get(call)


def _expired(call: Call, body: Body) -> bool:
    return "expirationTime" in body and int(body["expirationTime"]) < int(millis(call))


def list_tables(call: Call) -> Body:
    found = standard.list_(call)
    keep = (
        "kind",
        "id",
        "tableReference",
        "type",
        "labels",
        "creationTime",
        "expirationTime",
        "friendlyName",
        "timePartitioning",
        "rangePartitioning",
        "clustering",
    )
    short = [{key: body[key] for key in keep if key in body} for body in found.pop("tables", [])]
    total = sum(1 for _ in call.children(call.name))
    return {
        **found,
        "etag": standard.fingerprint({"t": short}),
        **({"tables": short} if short else {}),
        "totalItems": total,
    }


def create_routine(call: Call, body: Body) -> None:
    body["creationTime"] = body["lastModifiedTime"] = millis(call)
    if body.get("determinismLevel") == "DETERMINISM_LEVEL_UNSPECIFIED":
        del body["determinismLevel"]


def update_routine(call: Call, old: Body, new: Body) -> None:
    new["creationTime"] = old["creationTime"]
    new["lastModifiedTime"] = millis(call)


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
