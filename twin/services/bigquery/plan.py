"""A step of a job: what runs outside of the engine, and what is written down afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twin.kernel.errors import ApiError, not_found
from twin.kernel.names import collection_of, last
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.bigquery import encryption, metadata


@dataclass(frozen=True, slots=True)
class Step:
    work: Callable[[], Any]
    finish: Callable[[Call, Body, Any], None]
    """Called with a fresh call, the job's body (to change) and what the work returned."""


def table_name(reference: Body, project: str) -> str:
    return f"bigquery/projects/{reference.get('projectId', project)}/datasets/{reference['datasetId']}/tables/{reference['tableId']}"


def destination(call: Call, name: str, disposition: str, create: str, default: str) -> tuple[Body | None, str]:
    """The table that is written to (None when it must be made) and the disposition. ApiError when it may not be."""
    dataset_name = collection_of(collection_of(name))
    if call.get(dataset_name) is None:
        raise not_found(f"Not found: Dataset {metadata.spoken(dataset_name)}")
    permission = "bigquery.tables.updateData"
    body = call.get(name)
    if body is None:
        permission = "bigquery.tables.create"
        if create == "CREATE_NEVER":
            raise not_found(f"Not found: Table {metadata.spoken(name)}")
    if not call.context.internal and not call.engine.policies.allowed(
        call.context.principal, permission, name, call.now
    ):
        spoken = metadata.spoken(name)
        raise ApiError(
            "PERMISSION_DENIED",
            f"Access Denied: Table {spoken}: Permission {permission} denied on table {spoken} (or it may not exist).",
            reason="accessDenied",
        )
    disposition = disposition or default
    if body is not None and disposition == "WRITE_EMPTY" and int(body.get("numRows", "0")):
        raise ApiError("ALREADY_EXISTS", f"Already Exists: Table {metadata.spoken(name)}", reason="duplicate")
    return body, disposition


def write_table(
    call: Call, name: str, physical: str, schema: list[Body], rows: int, key: str | None, keep_key: bool = False
) -> Body:
    """Make `physical` the rows of a table, new or existing, under `key` (None: the dataset's default, '' none at all)."""
    dataset = call.need(collection_of(collection_of(name)))
    body = call.get(name)
    if body is None:
        body = metadata.new_body(call, {}, dataset, last(name))
        call.announce("created", name)
    else:
        body = call.copy(name)
    if key is None and not (keep_key and body.get("~wrapped")):
        key = dataset.get("defaultEncryptionConfiguration", {}).get("kmsKeyName", "")
    if key:
        encryption.protect(call, body, key, dataset["location"])
    elif not keep_key:
        encryption.unprotect(body)
    body["schema"] = {"fields": schema} if schema else body.get("schema", {})
    metadata.start_version(call, body, physical)
    body["numRows"] = str(rows)
    body["numBytes"] = body["numTotalLogicalBytes"] = body["numActiveLogicalBytes"] = str(
        rows * 8 * max(1, len(schema))
    )
    body["lastModifiedTime"] = metadata.millis(call)
    from twin.kernel.standard import fingerprint

    body["etag"] = fingerprint(body)
    return call.put(name, body)


def key_of(configuration: Body) -> str | None:
    found = configuration.get("destinationEncryptionConfiguration", {}).get("kmsKeyName")
    return str(found) if found else None
