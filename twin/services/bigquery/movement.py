"""Copy, load and extract jobs, and rows by REST: tabledata.list and tabledata.insertAll."""

# ruff: noqa: S608 - DuckDB text built from names that were resolved and quoted

from __future__ import annotations

import json
import re
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from twin.kernel.errors import already_exists, invalid, not_found
from twin.kernel.names import collection_of
from twin.kernel.semantics import Call
from twin.kernel.types import Body, rfc3339
from twin.services.bigquery import copied, encryption, files, metadata, query
from twin.services.bigquery.metadata import spoken, warehouse
from twin.services.bigquery.plan import Step, destination, key_of, table_name, write_table
from twin.services.bigquery.sql import Scope
from twin.services.bigquery.types import BadValueError, from_json
from twin.services.bigquery.warehouse import new_table


def copy_step(call: Call, job: Body) -> Step | None:
    """https://cloud.google.com/bigquery/docs/managing-tables#copy-table. Rows in the streaming buffer are left out."""
    if job.get("~done"):
        return None
    job["~done"] = 1
    settings = job["configuration"]["copy"]
    sources = settings.get("sourceTables") or [settings["sourceTable"]]
    name = table_name(settings["destinationTable"], call.project)
    scope = Scope(call, None)
    kind = settings.get("operationType", "COPY")
    bases: list[Body] = []
    selects, schema, place = [], [], ""
    for reference in sources:
        source = table_name(reference, call.project)
        body = scope.readable(source)
        copied.require_kind(kind, source, body)
        bases.append(body)
        place, schema = body["location"], body.get("schema", {}).get("fields", [])
        horizon = (
            (call.now - timedelta(seconds=call.engine.settings.streaming_buffer))
            .replace(tzinfo=None)
            .isoformat(sep=" ")
        )
        physical = metadata.physical(call, source, body)
        selects.append(f"SELECT * FROM {physical} WHERE _twin_at IS NULL OR _twin_at <= TIMESTAMP '{horizon}'")
    existing, disposition = destination(
        call, name, settings.get("writeDisposition", ""), settings.get("createDisposition", ""), "WRITE_EMPTY"
    )
    if kind == "SNAPSHOT" and existing is not None:
        raise already_exists(f"Already Exists: Table {spoken(name)}")
    dataset = call.need(collection_of(collection_of(name)))
    if dataset["location"] != place:
        raise not_found(
            f"Not found: Dataset {spoken(collection_of(collection_of(name)))} was not found in location {place}"
        )
    wanted, into = key_of(settings), new_table()
    if wanted:
        encryption.check_location(wanted, place)
    if existing is not None and disposition == "WRITE_APPEND":
        if wanted:
            query._same_key(existing, wanted)
        selects.insert(0, f"SELECT * FROM {metadata.physical(call, name, existing)}")
    text, store = " UNION ALL BY NAME ".join(selects), warehouse(call)

    def finished(later: Call, body: Body, result: Any) -> None:
        made = write_table(
            later, name, into, schema, result["rows"][into], wanted, keep_key=disposition == "WRITE_APPEND"
        )
        later.put(name, copied.marked(later, kind, made, bases[0], settings))
        body["statistics"]["copy"] = {"copiedRows": str(result["rows"][into])}

    return Step(lambda: store.call("query", sql=text, into=into), finished)


# Load


def keep_upload(call: Call, job: Body) -> None:
    """An uploaded file waits in the state folder for its job."""
    with tempfile.NamedTemporaryFile(dir=call.engine.store.folder, prefix="upload-", delete=False) as file:
        file.write(call.media or b"")
    job["~upload"] = file.name
    reference = job["jobReference"]
    call.put(f"bigquery/projects/{reference['projectId']}/jobs/{reference['jobId']}", job)


def load_step(call: Call, job: Body) -> Step | None:
    if job.get("~done"):
        return None
    job["~done"] = 1
    settings = job["configuration"]["load"]
    name = table_name(settings["destinationTable"], call.project)
    existing, disposition = destination(
        call, name, settings.get("writeDisposition", ""), settings.get("createDisposition", ""), "WRITE_APPEND"
    )
    paths = [job["~upload"]] if job.get("~upload") else files.source_files(call, settings.get("sourceUris", []))
    fields = settings.get("schema", {}).get("fields") or (existing or {}).get("schema", {}).get("fields", [])
    metadata.check_fields(fields)
    form = settings.get("sourceFormat", "CSV")
    into, store = new_table(), warehouse(call)
    before: list[str] = []
    if existing is not None and disposition == "WRITE_APPEND":
        before = [f"CREATE TABLE {into} AS SELECT * FROM {metadata.physical(call, name, existing)}"]
    if form not in ("CSV", "NEWLINE_DELIMITED_JSON", "PARQUET"):
        raise invalid(f"The twin does not load {form} files.")
    if form == "NEWLINE_DELIMITED_JSON" and not fields:
        fields = _detected(paths)

    def work() -> Any:
        if before:
            store.call("statements", sql=before)
        elif fields:
            store.call("create", table=into, schema=fields)
        count = 0
        for file in paths:
            if form == "NEWLINE_DELIMITED_JSON":
                rows = _json_rows(Path(file), fields, bool(settings.get("ignoreUnknownValues")))
                count += store.call("append", table=into, schema=fields, rows=rows)["count"]
            else:
                options = files.csv_options(settings, fields)
                store.call("load_file", table=into, path=file, format=form, schema=fields, options=options)
        found = store.call("page", table=into, limit=0, offset=0)
        return {"schema": fields or found["schema"], "rows": found["total"], "count": count}

    def finished(later: Call, body: Body, result: Any) -> None:
        key = key_of(settings)
        write_table(
            later,
            name,
            into,
            result["schema"],
            result["rows"],
            key,
            keep_key=disposition == "WRITE_APPEND" and existing is not None,
        )
        body["statistics"]["load"] = {
            "inputFiles": str(len(paths)),
            "outputRows": str(result["rows"] - int((existing or {}).get("numRows", 0) if before else 0)),
            "badRecords": "0",
        }
        upload = body.pop("~upload", "")
        if upload:
            Path(upload).unlink(missing_ok=True)

    return Step(work, finished)


def _json_rows(path: Path, fields: list[Body], lenient: bool) -> list[Body]:
    from twin.services.bigquery.warehouse import WarehouseError

    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(_checked_row(json.loads(line), fields, lenient))
        except (BadValueError, ValueError) as error:
            raise WarehouseError(
                f"Error while reading data, error message: JSON table encountered too many errors, giving up. Rows: {number}; errors: 1. {error}"
            ) from error
    return rows


def _checked_row(row: Body, fields: list[Body], lenient: bool) -> Body:
    known = {field["name"].lower(): field for field in fields}
    for key in row:
        if key.lower() not in known and not lenient:
            raise BadValueError(f"no such field: {key}.")
    folded = {key.lower(): value for key, value in row.items()}
    result = {}
    for lowered, field in known.items():
        value = folded.get(lowered)
        if value is None and field.get("mode") == "REQUIRED":
            raise BadValueError(f"Missing required field: {field['name']}.")
        result[field["name"]] = from_json(value, field)
    return result


def _detected(files: list[str]) -> list[Body]:
    """A schema guessed from the first lines of a JSON file."""
    sample = [json.loads(line) for line in Path(files[0]).read_text("utf-8").splitlines()[:100] if line.strip()]
    return _guessed(sample)


def _guessed(rows: list[Body]) -> list[Body]:
    fields: dict[str, Body] = {}
    for row in rows:
        for key, value in row.items():
            if value is None or key in fields:
                continue
            mode = "REPEATED" if isinstance(value, list) else "NULLABLE"
            first = next(iter(value), "") if isinstance(value, list) else value
            if isinstance(first, dict):
                fields[key] = {"name": key, "type": "RECORD", "mode": mode, "fields": _guessed([first])}
            else:
                kind = {bool: "BOOLEAN", int: "INTEGER", float: "FLOAT"}.get(type(first), "STRING")
                fields[key] = {"name": key, "type": kind, "mode": mode}
    return list(fields.values())


# Extract


def extract_step(call: Call, job: Body) -> Step | None:
    if job.get("~done"):
        return None
    job["~done"] = 1
    settings = job["configuration"]["extract"]
    name = table_name(settings["sourceTable"], call.project)
    scope = Scope(call, None)
    body = scope.readable(name)
    physical = metadata.physical(call, name, body)
    uri = (settings.get("destinationUris") or [settings.get("destinationUri", "")])[0]
    match = re.fullmatch(r"gs://([^/]+)/(.+)", uri)
    if match is None or call.get(f"storage/b/{match[1]}") is None:
        raise not_found(f"Not found: URI {uri}")
    bucket, target = match[1], match[2].replace("*", "000000000000")
    form = settings.get("destinationFormat", "CSV")
    options = {
        "CSV": f"FORMAT csv, HEADER {str(settings.get('printHeader', True)).lower()}, DELIMITER '{settings.get('fieldDelimiter') or ','}'",
        "NEWLINE_DELIMITED_JSON": "FORMAT json",
        "PARQUET": "FORMAT parquet",
    }.get(form)
    if options is None:
        raise invalid(f"The twin does not extract {form} files.")
    if settings.get("compression", "NONE") == "GZIP":
        options += ", COMPRESSION gzip"
    path = call.engine.store.folder / f"extract-{new_table()}"
    store = warehouse(call)

    def work() -> Any:
        store.call("export", sql=f"SELECT * EXCLUDE (_twin_at) FROM {physical}", path=str(path), options=options)
        content = path.read_bytes()
        path.unlink()
        return content

    def finished(later: Call, job_body: Body, result: Any) -> None:
        from twin.services.storage_objects import write_object

        write_object(later, bucket, target, result, "application/octet-stream")
        job_body["statistics"]["extract"] = {"destinationUriFileCounts": ["1"]}

    return Step(work, finished)


# Rows by REST


def list_rows(call: Call) -> Body:
    """https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list"""
    name = collection_of(call.name) if call.name.endswith("/data") else call.name
    reply: Body = {"kind": "bigquery#tableDataList", "totalRows": "0"}
    body = call.get(name)
    if body is None:
        anonymous = call.get(f"bigquery-anonymous/{name.rpartition('/anon')[2]}")
        if anonymous is None:
            raise metadata.missing(name)
        physical, fields = anonymous["physical"], []
    else:
        scope = Scope(call, None)
        scope.readable(name)
        if body["type"] not in ("TABLE", "SNAPSHOT"):
            raise invalid(f"Cannot list a table of type {body['type']}.")
        physical, fields = metadata.physical(call, name, body), body.get("schema", {}).get("fields", [])
    start = int(call.params.get("startIndex") or 0)
    if call.params.get("pageToken"):
        start = query.page_start(call.params["pageToken"])
    limit = min(int(call.params.get("maxResults") or 10_000), 50_000)
    picked = [item.strip() for item in str(call.params.get("selectedFields", "")).split(",") if item.strip()]
    page = warehouse(call).call("page", table=physical, limit=limit, offset=start, columns=picked)
    rows = query.with_timestamps(page["rows"], page["schema"], bool(call.params.get("formatOptions.useInt64Timestamp")))
    reply["etag"] = str((body or {}).get("etag", physical))
    reply["totalRows"] = str(page["total"])
    if rows and (fields or body is None):
        reply["rows"] = rows
    if start + len(rows) < page["total"] and rows:
        reply["pageToken"] = query.page_token(start + len(rows))
    return reply


def insert_all(call: Call) -> Body:
    """https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll"""
    name = call.name.removesuffix("/insertAll")
    body = call.get(name)
    if body is None:
        if call.get(collection_of(collection_of(name))) is None:
            raise not_found(f"Not found: Dataset {spoken(collection_of(collection_of(name)))}")
        raise metadata.missing(name)
    if body["type"] != "TABLE":
        raise invalid(f"Cannot add rows to a table of type {body['type']}.")
    encryption.require_readable(call, body)
    fields = body.get("schema", {}).get("fields", [])
    if not fields:
        raise invalid("The destination table has no schema.")
    given = call.body.get("rows", [])
    if not given:
        raise invalid("No rows present in the request.")
    good, errors = [], []
    seen = call.engine.parts["dedupe"]
    for index, item in enumerate(given):
        try:
            row = _checked_row(item.get("json", {}), fields, bool(call.body.get("ignoreUnknownValues")))
        except BadValueError as error:
            field = re.search(r"field: ([\w.]+?)\.?$", str(error))
            errors.append(
                {
                    "index": index,
                    "errors": [
                        {
                            "reason": "invalid",
                            "location": field[1].rstrip(".") if field else "",
                            "debugInfo": "",
                            "message": str(error),
                        }
                    ],
                }
            )
            continue
        identifier = item.get("insertId")
        if identifier and seen.repeated(name, identifier, call.now):
            continue
        good.append(row)
    if errors and not call.body.get("skipInvalidRows"):
        bad = {entry["index"] for entry in errors}
        errors += [
            {"index": index, "errors": [{"reason": "stopped", "location": "", "debugInfo": "", "message": ""}]}
            for index in range(len(given))
            if index not in bad
        ]
        good = []
    if good:
        physical = metadata.physical(call, name, body)
        body = call.copy(name)
        at = call.now.replace(tzinfo=None).isoformat(sep=" ")
        warehouse(call).call("append", table=physical, schema=fields, rows=good, at=at)
        current = [entry for entry in body.get("~buffer", []) if metadata.in_buffer(call, entry)]
        body["~buffer"] = [*current[-200:], [rfc3339(call.now), len(good)]]
        body["numRows"] = str(int(body.get("numRows", "0")) + len(good))
        call.put(name, body)
    reply: Body = {"kind": "bigquery#tableDataInsertAllResponse"}
    if errors:
        reply["insertErrors"] = sorted(errors, key=lambda entry: int(entry["index"]))
    return reply
