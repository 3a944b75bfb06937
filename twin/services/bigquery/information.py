"""INFORMATION_SCHEMA views, made from the store. https://cloud.google.com/bigquery/docs/information-schema-intro"""

# ruff: noqa: S608 - DuckDB text built from names that were resolved and quoted

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.kernel.errors import ApiError
from twin.kernel.types import Body

if TYPE_CHECKING:
    from sqlglot import exp

    from twin.services.bigquery.sql import Scope


def information_schema(scope: Scope, table: exp.Table) -> str:
    """A FROM item with the view's rows. ApiError NOT_FOUND for a view that the twin does not make."""
    pieces = [part for piece in (table.catalog, table.db, table.name) for part in (piece.split(".") if piece else [])]
    at = next(position for position, piece in enumerate(pieces) if piece.upper() == "INFORMATION_SCHEMA")
    view = pieces[at + 1].upper() if at + 1 < len(pieces) else ""
    before = pieces[:at]
    project = before[0] if len(before) > 1 else scope.call.project
    dataset = before[-1] if before and not before[-1].lower().startswith("region-") else ""
    makers = {
        "TABLES": _tables,
        "COLUMNS": _columns,
        "SCHEMATA": _schemata,
        "TABLE_OPTIONS": _options,
        "TABLE_STORAGE": _storage,
    }
    if view not in makers:
        raise ApiError(
            "NOT_FOUND", f"Not found: Table INFORMATION_SCHEMA.{view} is not served by the twin", reason="notFound"
        )
    return _values(*makers[view](scope, project, dataset))


Rows = tuple[tuple[str, ...], list[tuple[object, ...]]]


def _table_bodies(scope: Scope, project: str, dataset: str) -> list[Body]:
    found = []
    for name, _ in scope.call.children(f"bigquery/projects/{project}/datasets"):
        if not dataset or name.endswith(f"/{dataset}"):
            found += [body for _, body in scope.call.children(f"{name}/tables")]
    return found


def _tables(scope: Scope, project: str, dataset: str) -> Rows:
    columns = ("table_catalog", "table_schema", "table_name", "table_type", "is_insertable_into", "creation_time")
    kinds = {"TABLE": "BASE TABLE", "VIEW": "VIEW", "EXTERNAL": "EXTERNAL", "MATERIALIZED_VIEW": "MATERIALIZED VIEW"}
    rows: list[tuple[object, ...]] = []
    for body in _table_bodies(scope, project, dataset):
        reference = body["tableReference"]
        insertable = "YES" if body["type"] == "TABLE" else "NO"
        rows.append(
            (
                project,
                reference["datasetId"],
                reference["tableId"],
                kinds[body["type"]],
                insertable,
                _Millis(body["creationTime"]),
            )
        )
    return columns, rows


def _columns(scope: Scope, project: str, dataset: str) -> Rows:
    columns = (
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "is_nullable",
        "data_type",
    )
    rows: list[tuple[object, ...]] = []
    new = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
    for body in _table_bodies(scope, project, dataset):
        reference = body["tableReference"]
        for position, field in enumerate(body.get("schema", {}).get("fields", []), 1):
            nullable = "NO" if field.get("mode") == "REQUIRED" else "YES"
            kind = new.get(field["type"], field["type"])
            kind = f"ARRAY<{kind}>" if field.get("mode") == "REPEATED" else kind
            rows.append(
                (project, reference["datasetId"], reference["tableId"], field["name"], position, nullable, kind)
            )
    return columns, rows


def _schemata(scope: Scope, project: str, dataset: str) -> Rows:
    rows: list[tuple[object, ...]] = [
        (project, body["datasetReference"]["datasetId"], body["location"], _Millis(body["creationTime"]))
        for _, body in scope.call.children(f"bigquery/projects/{project}/datasets")
        if not dataset or body["datasetReference"]["datasetId"] == dataset
    ]
    return ("catalog_name", "schema_name", "location", "creation_time"), rows


def _options(scope: Scope, project: str, dataset: str) -> Rows:
    rows: list[tuple[object, ...]] = []
    for body in _table_bodies(scope, project, dataset):
        reference = body["tableReference"]
        key = body.get("encryptionConfiguration", {}).get("kmsKeyName")
        if key:
            rows.append((project, reference["datasetId"], reference["tableId"], "kms_key_name", "STRING", f'"{key}"'))
    return ("table_catalog", "table_schema", "table_name", "option_name", "option_type", "option_value"), rows


def _storage(scope: Scope, project: str, dataset: str) -> Rows:
    rows: list[tuple[object, ...]] = [
        (project, body["tableReference"]["datasetId"], body["tableReference"]["tableId"], int(body.get("numRows", 0)))
        for body in _table_bodies(scope, project, dataset)
    ]
    return ("project_id", "table_schema", "table_name", "total_rows"), rows


class _Millis(str):
    """Milliseconds since the epoch, shown as a timestamp."""


def _values(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    names = ", ".join(columns)
    if not rows:
        return "(SELECT " + ", ".join(f"CAST(NULL AS VARCHAR) AS {name}" for name in columns) + " WHERE false)"
    lines = ", ".join("(" + ", ".join(_shown(value) for value in row) + ")" for row in rows)
    return f"(SELECT * FROM (VALUES {lines}) AS v({names}))"


def _shown(value: object) -> str:
    if isinstance(value, _Millis):
        return f"to_timestamp({int(value)} / 1000.0)"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
