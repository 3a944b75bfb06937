"""Column types: BigQuery's, DuckDB's, and values on the wire.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import re
from typing import Any

from twin.kernel.types import Body

_TO_DUCKDB = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "INT64": "BIGINT",
    "FLOAT": "DOUBLE",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "BIGNUMERIC": "DECIMAL(38,18)",
    "BOOLEAN": "BOOLEAN",
    "BOOL": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "DATETIME": "TIMESTAMP",
    "DATE": "DATE",
    "TIME": "TIME",
    "GEOGRAPHY": "VARCHAR",
    "JSON": "JSON",
    "INTERVAL": "INTERVAL",
}
_FROM_DUCKDB = {
    "VARCHAR": "STRING",
    "BLOB": "BYTES",
    "TINYINT": "INTEGER",
    "SMALLINT": "INTEGER",
    "INTEGER": "INTEGER",
    "BIGINT": "INTEGER",
    "HUGEINT": "INTEGER",
    "UBIGINT": "INTEGER",
    "UINTEGER": "INTEGER",
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "UHUGEINT": "INTEGER",
    "DOUBLE": "FLOAT",
    "FLOAT": "FLOAT",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP_NS": "DATETIME",
    "DATE": "DATE",
    "TIME": "TIME",
    "JSON": "JSON",
    "INTERVAL": "INTERVAL",
    "UUID": "STRING",
    '"NULL"': "INTEGER",
}
ALIASES = {
    "INT64": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def duckdb_type(field: Body) -> str:
    """The DuckDB type of one schema field. KeyError for a type that BigQuery does not have."""
    kind = field["type"].upper()
    if kind in ("RECORD", "STRUCT"):
        inner = ", ".join(f"{quoted(child['name'])} {duckdb_type(child)}" for child in field.get("fields", []))
        base = f"STRUCT({inner})"
    else:
        base = _TO_DUCKDB[kind]
    return base + "[]" if field.get("mode") == "REPEATED" else base


def field_of(name: str, duckdb: str) -> Body:
    """The schema field for a DuckDB column type."""
    mode = "NULLABLE"
    if duckdb.endswith("[]"):
        duckdb, mode = duckdb[:-2], "REPEATED"
    if duckdb.startswith("STRUCT("):
        fields = [field_of(inner_name, inner) for inner_name, inner in _members(duckdb[7:-1])]
        return {"name": name, "type": "RECORD", "mode": mode, "fields": fields}
    if duckdb.startswith("DECIMAL("):
        scale = int(duckdb[8:-1].split(",")[1])
        return {"name": name, "type": "NUMERIC" if scale <= 9 else "BIGNUMERIC", "mode": mode}
    return {"name": name, "type": _FROM_DUCKDB.get(duckdb, "STRING"), "mode": mode}


def _members(text: str) -> list[tuple[str, str]]:
    """`a INTEGER, "b c" STRUCT(x DATE)[]` → pairs of name and type."""
    found, depth, start, in_quotes = [], 0, 0, False
    for position, letter in enumerate(text + ","):
        if letter == '"':
            in_quotes = not in_quotes
        elif not in_quotes and letter == "(":
            depth += 1
        elif not in_quotes and letter == ")":
            depth -= 1
        elif letter == "," and depth == 0 and not in_quotes:
            part = text[start:position].strip()
            start = position + 1
            match = re.match(r'("(?:[^"]|"")*"|\S+)\s+(.*)$', part, re.DOTALL)
            if match:
                found.append((match[1].strip('"').replace('""', '"'), match[2]))
    return found


def plain_type(duckdb: str) -> str:
    """The type to cast to before fetching: DuckDB's driver needs a foreign package for zoned timestamps."""
    return duckdb.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMP")


def cell(value: Any, field: Body) -> Body:
    """One value as `tabledata.list` and query results print it. Timestamps are microseconds since the epoch."""
    if field.get("mode") == "REPEATED":
        single = {**field, "mode": "NULLABLE"}
        return {"v": [cell(element, single) for element in value or []]}
    if value is None:
        return {"v": None}
    kind = field["type"]
    if kind == "RECORD":
        members = value if isinstance(value, dict) else {}
        return {"v": {"f": [cell(members.get(child["name"]), child) for child in field["fields"]]}}
    return {"v": _text(value, kind)}


def _text(value: Any, kind: str) -> str:
    if kind == "TIMESTAMP" and isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.UTC)
        delta = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return str((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, float):
        return (
            "NaN"
            if value != value
            else "Infinity"
            if value == float("inf")
            else "-Infinity"
            if value == float("-inf")
            else repr(value)
        )
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


class BadValueError(ValueError):
    """A JSON value that does not fit its column."""


def from_json(value: Any, field: Body) -> Any:
    """A JSON value (streamed or loaded) made fit for DuckDB's JSON reader. BadValueError in BigQuery's words."""
    if field.get("mode") == "REPEATED":
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadValueError(f"Field: {field['name']}; Value: not an array")
        single = {**field, "mode": "NULLABLE"}
        return [from_json(element, single) for element in value]
    if value is None:
        return None
    kind = ALIASES.get(field["type"].upper(), field["type"].upper())
    if kind == "RECORD":
        if not isinstance(value, dict):
            raise BadValueError("This field is a record.")
        return {child["name"]: from_json(value.get(child["name"]), child) for child in field.get("fields", [])}
    if kind == "JSON":
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, (dict, list)):
        raise BadValueError(
            f"This field: {field['name']} is not a record."
            if isinstance(value, dict)
            else "Array specified for non-repeated field."
        )
    return _scalar(value, kind)


def _scalar(value: Any, kind: str) -> Any:
    text = str(value)
    if kind == "INTEGER":
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+(\.0*)?", text):
            raise BadValueError(f"Cannot convert value to integer (bad value): {value}")
        return int(float(text)) if "." in text else int(text)
    if kind == "FLOAT":
        try:
            return float(text)
        except ValueError:
            raise BadValueError(f"Cannot convert value to floating point (bad value): {value}") from None
    if kind in ("NUMERIC", "BIGNUMERIC"):
        try:
            return format(decimal.Decimal(text), "f")
        except decimal.InvalidOperation:
            raise BadValueError(f"Invalid NUMERIC value: {value}") from None
    if kind == "BOOLEAN":
        if isinstance(value, bool):
            return value
        if text.lower() in ("true", "false", "t", "f", "1", "0", "yes", "no", "y", "n"):
            return text.lower() in ("true", "t", "1", "yes", "y")
        raise BadValueError(f"Cannot convert value to boolean (bad value): {value}")
    if kind == "TIMESTAMP":
        return _timestamp(value)
    if kind in ("DATE", "TIME", "DATETIME"):
        return _civil(text, kind)
    if kind == "BYTES":
        try:
            return base64.b64decode(text, validate=True).hex()
        except ValueError:
            raise BadValueError(f"Could not decode base64 string to bytes: {value}") from None
    return text if not isinstance(value, bool) else text.lower()


def _timestamp(value: Any) -> str:
    try:
        if isinstance(value, (int, float)) or re.fullmatch(r"-?\d+(\.\d+)?([eE]\d+)?", str(value)):
            moment = datetime.datetime.fromtimestamp(float(value), datetime.UTC)
        else:
            text = re.sub(r"\s*UTC$", "+00:00", str(value).strip())
            moment = datetime.datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError, OSError):
        raise BadValueError(
            f"Could not parse '{value}' as a timestamp. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]]"
        ) from None
    return moment.astimezone(datetime.UTC).isoformat()


def _civil(text: str, kind: str) -> str:
    try:
        if kind == "DATE":
            return datetime.date.fromisoformat(text).isoformat()
        if kind == "TIME":
            return datetime.time.fromisoformat(text).isoformat()
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None).isoformat()
    except ValueError:
        raise BadValueError(f"Invalid {kind.lower()}: '{text}'") from None
