"""External tables: files in Cloud Storage, read when a query asks for them.

https://cloud.google.com/bigquery/docs/external-data-cloud-storage
"""

# ruff: noqa: S608 - DuckDB text built from names that were resolved and quoted

from __future__ import annotations

from fnmatch import fnmatchcase

from twin.kernel.errors import invalid
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.bigquery import files
from twin.services.bigquery.metadata import check_fields, spoken, warehouse
from twin.services.bigquery.sql import bad_query, refusal_from_engine
from twin.services.bigquery.types import duckdb_type
from twin.services.bigquery.warehouse import WarehouseError


def describe(call: Call, body: Body) -> None:
    """The schema of an external table: as given, or read from its files where they are in the twin."""
    settings = body["externalDataConfiguration"]
    if not settings.get("sourceFormat"):
        raise invalid("Required parameter is missing: externalDataConfiguration.sourceFormat", "required")
    body.setdefault("requirePartitionFilter", False)
    given = settings.get("schema", {}).get("fields") or body["schema"].get("fields")
    if given:
        check_fields(given)
        body["schema"] = {"fields": given}
        settings.pop("schema", None)
    elif any(_found(call, uri) for uri in settings.get("sourceUris", [])):
        try:
            reply = warehouse(call).call("dry", sql=f"SELECT * FROM {source(call, body)}")
        except WarehouseError as error:
            raise refusal_from_engine(str(error)) from error
        body["schema"] = {"fields": reply["schema"]}


def _found(call: Call, uri: str) -> bool:
    bucket, _, pattern = uri.removeprefix("gs://").partition("/")
    return any(fnmatchcase(item["name"], pattern) for _, item in call.children(f"storage/b/{bucket}/o"))


def source(call: Call, body: Body) -> str:
    """A FROM item over the files. ApiError (reason invalidQuery) for formats that the twin does not read."""
    settings = body["externalDataConfiguration"]
    paths = files.source_files(call, settings.get("sourceUris", []))
    names = "[" + ", ".join("'" + file.replace("'", "''") + "'" for file in paths) + "]"
    fields = body.get("schema", {}).get("fields", [])
    form = settings["sourceFormat"]
    if form == "PARQUET":
        return f"(SELECT * FROM read_parquet({names}))"
    if form == "CSV":
        options = settings.get("csvOptions", {})
        flat = {**options, "autodetect": settings.get("autodetect", False)}
        return f"(SELECT * FROM read_csv({names}, {files.csv_options(flat, fields)}))"
    if form == "NEWLINE_DELIMITED_JSON":
        columns = ", ".join(f"'{field['name']}': '{duckdb_type(field)}'" for field in fields)
        typed = f", columns={{{columns}}}" if columns else ""
        return f"(SELECT * FROM read_json({names}, format='newline_delimited'{typed}))"
    name = "bigquery/projects/{projectId}/datasets/{datasetId}/tables/{tableId}".format(**body["tableReference"])
    raise bad_query(f"The twin does not read {form} files: external table {spoken(name)}.")
