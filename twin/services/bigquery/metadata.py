"""Tables and views: what the REST resource holds. https://cloud.google.com/bigquery/docs/reference/rest/v2/tables"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import re

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.masks import merge_patch
from twin.kernel.names import collection_of, last, segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply, parse_rfc3339, rfc3339
from twin.services.bigquery import encryption
from twin.services.bigquery.types import ALIASES, duckdb_type
from twin.services.bigquery.warehouse import Warehouse, new_table

BASE = "https://bigquery.googleapis.com/bigquery/v2/"
_ID = re.compile(r"^[\w-]{1,1024}$")
_WORDS = {"datasets": "Dataset", "tables": "Table", "routines": "Routine", "models": "Model", "jobs": "Job"}
_SIZES = (
    "numBytes",
    "numRows",
    "numLongTermBytes",
    "numTotalLogicalBytes",
    "numActiveLogicalBytes",
    "numLongTermLogicalBytes",
)


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


def denied(call: Call, permission: str) -> ApiError:
    """BigQuery's sentence about a missing permission: https://cloud.google.com/bigquery/docs/error-messages#errors"""
    collection = call.name.split("/")
    word = (
        "project"
        if len(collection) < 5
        else "table"
        if len(collection) > 6 and collection[5] == "tables"
        else "dataset"
    )
    if word == "project":
        message = f"Access Denied: Project {call.project}: User does not have {permission} permission in project {call.project}."
    else:
        name = "/".join(collection[: 7 if word == "table" else 5])
        message = (
            f"Access Denied: {word.title()} {spoken(name)}: Permission {permission} denied on {word} {spoken(name)} "
            "(or it may not exist)."
        )
    return ApiError("PERMISSION_DENIED", message, reason="accessDenied")


def millis(call: Call) -> str:
    return str(int(call.now.timestamp() * 1000))


def warehouse(call: Call) -> Warehouse:
    found: Warehouse = call.engine.parts["warehouse"]
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
    if body["type"] in ("VIEW", "MATERIALIZED_VIEW"):
        from twin.services.bigquery.views import describe

        describe(call, body)
    if body["type"] == "VIEW":
        return
    if body["type"] == "EXTERNAL":
        from twin.services.bigquery.external import describe as read_schema

        read_schema(call, body)
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
    if "view" in body:
        body["view"].setdefault("useLegacySql", False)
    body.update(dict.fromkeys(_SIZES, "0"))
    expires = dataset.get("defaultTableExpirationMs")
    if expires and "expirationTime" not in body and body["type"] == "TABLE":
        body["expirationTime"] = str(int(body["creationTime"]) + int(expires))
    body.setdefault("schema", {})
    show_partitions(body)
    return body


def show_partitions(body: Body) -> None:
    """The column that rows are kept apart by is shown a second time, in the newer field."""
    column = body.get("timePartitioning", {}).get("field") or body.get("rangePartitioning", {}).get("field")
    if column:
        body["partitionDefinition"] = {"partitionedColumn": [{"field": column}]}
    else:
        body.pop("partitionDefinition", None)


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
    for field in ("tableReference", "id", "selfLink", "type", "schema", "location", "creationTime", *_SIZES):
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
    show_partitions(new)
    if new["type"] == "EXTERNAL":
        new.setdefault("requirePartitionFilter", False)
    if new["type"] == "MATERIALIZED_VIEW":
        new["materializedView"] = {**old["materializedView"], **new["materializedView"]}
        new["materializedViewStatus"] = old["materializedViewStatus"]
    if new["type"] == "VIEW" and new["view"].get("query") != old["view"].get("query"):
        from twin.services.bigquery.views import describe

        describe(call, new)
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
    if body.get("requirePartitionFilter") and "timePartitioning" in body and call.method.kind != "create":
        body = {**body, "timePartitioning": {**body["timePartitioning"], "requirePartitionFilter": True}}
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
