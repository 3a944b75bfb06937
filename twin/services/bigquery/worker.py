"""The DuckDB process. Speaks length-prefixed pickles over its standard streams and dies with its parent.

Kept apart from the control process so that a long query neither blocks it nor grows it, and a crash costs one query.
"""

# ruff: noqa: S608 - DuckDB text built from names that were resolved and quoted
# ruff: noqa: ARG002 - the signature is the caller's

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import farmhash
from duckdb.sqltypes import BIGINT, BLOB

from twin.services.bigquery.frames import read_frame, write_frame
from twin.services.bigquery.types import cell, duckdb_type, field_of, plain_type, quoted

Reply = dict[str, Any]


def _farm64(data: bytes) -> int:
    """FARM_FINGERPRINT: FarmHash's Fingerprint64 as a signed number."""
    value: int = farmhash.Fingerprint64(data)
    return value - (1 << 64) if value >> 63 else value


class Worker:
    """One database file, one connection, one command at a time."""

    def __init__(self, path: str) -> None:
        self._database = duckdb.connect(path)
        for setting in (
            "TimeZone='UTC'",
            "threads=2",
            "memory_limit='1GB'",
            "default_null_order='nulls_first'",
        ):
            self._database.execute(f"SET {setting}")
        self._folder = Path(path).parent
        self._hashes = False

    def run(self, command: Reply) -> Reply:
        """Run one command in one transaction; a failure leaves nothing behind."""
        if not self._hashes and "farm_fingerprint" in str(command.get("sql", "")).lower():
            self._add_hash()
        self._database.execute("BEGIN")
        try:
            reply: Reply = getattr(self, "do_" + command["do"])(command)
            self._database.execute("COMMIT")
        except duckdb.Error as error:
            self._database.execute("ROLLBACK")
            return {"error": str(error)}
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        return reply

    def _add_hash(self) -> None:
        """FARM_FINGERPRINT of text and bytes. On first use: DuckDB imports numpy for functions in Python."""
        self._database.create_function("farm64", _farm64, [BLOB], BIGINT)
        self._database.execute(
            "CREATE TEMP MACRO farm_fingerprint(value) AS "
            "farm64(CASE WHEN typeof(value) = 'BLOB' THEN value::BLOB ELSE encode(value::VARCHAR) END)"
        )
        self._hashes = True

    def do_statements(self, command: Reply) -> Reply:
        """Run statements; the count of the last one."""
        affected = 0
        for statement in command["sql"]:
            row = self._database.execute(statement).fetchone()
            affected = int(row[0]) if row and isinstance(row[0], int) else affected
        return {"affected": affected, **self._measure(command.get("measure", []))}

    def do_query(self, command: Reply) -> Reply:
        """Run a SELECT into a table; its schema and size."""
        for statement in command.get("before", []):
            self._database.execute(statement)
        table = command["into"]
        self._database.execute(f"CREATE TABLE {table} AS {command['sql']}")
        schema = self._schema(table)
        return {"schema": schema, **self._measure([table])}

    def do_dry(self, command: Reply) -> Reply:
        rows = self._database.execute(f"DESCRIBE {command['sql']}").fetchall()
        return {"schema": [field_of(row[0], row[1]) for row in rows]}

    def _schema(self, table: str) -> list[Reply]:
        return [
            field_of(row[0], row[1])
            for row in self._database.execute(f"DESCRIBE {table}").fetchall()
            if row[0] != "_twin_at"
        ]

    def _measure(self, tables: list[str]) -> Reply:
        """Rows per table: BigQuery prints them as numRows."""
        sizes = {}
        for table in tables:
            row = self._database.execute(f"SELECT count(*) FROM {table}").fetchone()
            sizes[table] = int(row[0]) if row else 0
        return {"rows": sizes}

    def do_page(self, command: Reply) -> Reply:
        """Rows of a table as BigQuery prints them."""
        table = command["table"]
        where = f" WHERE {command['where']}" if command.get("where") else ""
        columns = [
            (row[0], row[1]) for row in self._database.execute(f"DESCRIBE {table}").fetchall() if row[0] != "_twin_at"
        ]
        wanted = command.get("columns")
        if wanted:
            columns = [column for column in columns if column[0] in wanted]
        picked = ", ".join(
            quoted(name) if plain_type(kind) == kind else f"CAST({quoted(name)} AS {plain_type(kind)})"
            for name, kind in columns
        )
        fields = [field_of(name, kind) for name, kind in columns]
        sql = (
            f"SELECT {picked or '1'} FROM {table}{where} LIMIT {int(command['limit'])} OFFSET {int(command['offset'])}"
        )
        rows = self._database.execute(sql).fetchall() if columns else []
        total = self._database.execute(f"SELECT count(*) FROM {table}{where}").fetchone()
        return {
            "rows": [{"f": [cell(value, field) for value, field in zip(row, fields, strict=True)]} for row in rows],
            "total": int(total[0]) if total else 0,
            "schema": fields,
        }

    def do_create(self, command: Reply) -> Reply:
        columns = [f"{quoted(field['name'])} {duckdb_type(field)}" for field in command["schema"]]
        columns.append("_twin_at TIMESTAMP")
        self._database.execute(f"CREATE TABLE {command['table']} ({', '.join(columns)})")
        return {}

    def do_append(self, command: Reply) -> Reply:
        """Rows that the control process has already checked, through DuckDB's JSON reader."""
        schema = command["schema"]
        if not command["rows"]:
            return {"count": 0}
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=self._folder, encoding="utf-8") as file:
            for row in command["rows"]:
                file.write(json.dumps(row) + "\n")
            file.flush()
            types = ", ".join(f"{_literal(field['name'])}: {_literal(_reading_type(field))}" for field in schema)
            picked = ", ".join(_read_expression(field) for field in schema)
            names = ", ".join(quoted(field["name"]) for field in schema)
            at = f"TIMESTAMP {_literal(command['at'])}" if command.get("at") else "NULL"
            self._database.execute(
                f"INSERT INTO {command['table']} ({names}, _twin_at) SELECT {picked}, {at} "
                f"FROM read_json({_literal(file.name)}, format='newline_delimited', columns={{{types}}})"
            )
        return {"count": len(command["rows"])}

    def do_load_file(self, command: Reply) -> Reply:
        """CSV or Parquet straight into a table; without a schema the reader's own is taken."""
        path, options = command["path"], command["options"]
        if command["format"] == "PARQUET":
            source = f"read_parquet({_literal(path)})"
        else:
            source = f"read_csv({_literal(path)}, {options})"
        table = command["table"]
        if command.get("schema"):
            names = ", ".join(quoted(field["name"]) for field in command["schema"])
            self._database.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {source}")
        else:
            self._database.execute(
                f"CREATE TABLE {table} AS SELECT *, CAST(NULL AS TIMESTAMP) AS _twin_at FROM {source}"
            )
        return {"schema": self._schema(table), **self._measure([table])}

    def do_export(self, command: Reply) -> Reply:
        self._database.execute(f"COPY ({command['sql']}) TO {_literal(command['path'])} ({command['options']})")
        return {}

    def do_drop(self, command: Reply) -> Reply:
        for table in command["tables"]:
            self._database.execute(f"DROP TABLE IF EXISTS {table}")
        return {}

    def do_keep(self, command: Reply) -> Reply:
        """Drop every table that is not named."""
        kept = set(command["tables"])
        rows = self._database.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        return self.do_drop({"tables": [quoted(row[0]) for row in rows if row[0] not in kept]})

    def do_reset(self, command: Reply) -> Reply:
        rows = self._database.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        return self.do_drop({"tables": [quoted(row[0]) for row in rows]})


def _reading_type(field: Reply) -> str:
    """BLOBs come as hex text and JSON as text; everything else in its own type."""
    return re.sub(r"\b(BLOB|JSON)\b", "VARCHAR", duckdb_type(field))


def _read_expression(field: Reply) -> str:
    kind, name = duckdb_type(field), quoted(field["name"])
    if kind == "BLOB":
        return f"unhex({name})"
    if kind == "BLOB[]":
        return f"list_transform({name}, x -> unhex(x))"
    return f"CAST({name} AS {kind})" if "JSON" in kind else name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def main() -> None:
    worker = Worker(sys.argv[1])
    while (command := read_frame(sys.stdin.buffer)) is not None:
        write_frame(sys.stdout.buffer, worker.run(command))


if __name__ == "__main__":
    main()
