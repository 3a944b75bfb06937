"""Query jobs: one step per statement, each planned when the one before has been written down."""

# ruff: noqa: S608 - DuckDB text built from names that were resolved and quoted
# ruff: noqa: ARG005 - the signature is the caller's
# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import base64
from typing import Any

from sqlglot import exp

from twin.kernel.errors import ApiError, already_exists, invalid
from twin.kernel.names import collection_of
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.bigquery import ddl, encryption, metadata
from twin.services.bigquery.metadata import warehouse
from twin.services.bigquery.plan import Step, destination, key_of, table_name, write_table
from twin.services.bigquery.sql import (
    Scope,
    bad_query,
    described,
    legacy,
    name_columns,
    parse,
    statement_type,
    to_duckdb,
)
from twin.services.bigquery.warehouse import new_table


def scope_of(call: Call, settings: Body) -> Scope:
    return Scope(call, settings.get("defaultDataset"), list(settings.get("queryParameters", [])))


def location_of(call: Call, settings: Body) -> str:
    """Where the first table that the query mentions lies; US when it mentions none."""
    try:
        for statement in parse(settings["query"]):
            for table in statement.find_all(exp.Table):
                if not table.db:
                    continue
                dataset = call.get(collection_of(collection_of(scope_of(call, settings).name_of(table))))
                if dataset is not None:
                    return str(dataset["location"])
    except ApiError:
        pass
    return "US"


def next_step(call: Call, job: Body) -> Step | None:
    settings = job["configuration"]["query"]
    text = legacy(settings["query"]) if settings.get("useLegacySql") else settings["query"]
    statements = parse(text)
    done = int(job.get("~done", 0))
    if done >= len(statements):
        if len(statements) > 1:
            job["statistics"]["query"]["statementType"] = "SCRIPT"
        return None
    job["~done"] = done + 1
    statement = statements[done]
    kind = statement_type(statement)
    job["statistics"].setdefault("query", {}).update(
        statementType=kind, totalBytesBilled="0", totalBytesProcessed="0", cacheHit=False
    )
    scope = scope_of(call, settings)
    if kind == "SELECT":
        return _select(call, job, scope, statement, settings)
    if kind in ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE"):
        return _change_rows(call, job, scope, statement, kind)
    if kind == "CREATE_TABLE_AS_SELECT":
        return _create_as(call, job, scope, statement)
    return ddl.step(call, job, scope, statement, kind)


def dry_run(call: Call, job: Body) -> Body:
    """Statement type and schema of a query, without running it. ApiError when it would be refused."""
    settings = job["configuration"]["query"]
    text = legacy(settings["query"]) if settings.get("useLegacySql") else settings["query"]
    statement = parse(text)[0]
    kind = statement_type(statement)
    statistics: Body = {"statementType": kind, "totalBytesProcessed": "0"}
    if kind == "SELECT":
        scope = scope_of(call, settings)
        name_columns(statement)
        statistics["schema"] = {"fields": described(call, to_duckdb(scope, statement))}
        statistics["totalBytesProcessed"] = str(_bytes_read(scope))
        statistics["referencedTables"] = [call.need(name)["tableReference"] for name in scope.read]
        if not statistics["referencedTables"]:
            del statistics["referencedTables"]
    return statistics


_LEAST_BILLED = 10 * 2**20


def _bytes_read(scope: Scope) -> int:
    """What a query reads: all of the tables that it names, by the twin's estimate of their size."""
    return sum(int((scope.call.get(name) or {}).get("numBytes", 0)) for name in scope.read)


def _bill(job: Body, scope: Scope, settings: Body) -> None:
    """https://cloud.google.com/bigquery/pricing: at least 10 MB where anything is read. ApiError beyond the limit given."""
    read = _bytes_read(scope)
    billed = -(-read // 2**20) * 2**20
    billed = max(billed, _LEAST_BILLED) if scope.read else 0
    limit = settings.get("maximumBytesBilled")
    if limit and int(limit) < billed:
        raise invalid(
            f"Query exceeded limit for bytes billed: {limit}. {billed} or higher required.", "bytesBilledLimitExceeded"
        )
    job["statistics"]["totalBytesProcessed"] = str(read)
    job["statistics"]["query"].update(totalBytesProcessed=str(read), totalBytesBilled=str(billed))


def _select(call: Call, job: Body, scope: Scope, statement: exp.Expression, settings: Body) -> Step:
    name_columns(statement)
    text = to_duckdb(scope, statement)
    _referenced(job, scope)
    _bill(job, scope, settings)
    into = new_table()
    store = warehouse(call)
    target = settings.get("destinationTable")
    if target and not job.get("~result") and not str(target["datasetId"]).startswith("_"):
        name = table_name(target, call.project)
        existing, disposition = destination(
            call, name, settings.get("writeDisposition", ""), settings.get("createDisposition", ""), "WRITE_EMPTY"
        )
        wanted = key_of(settings)
        if existing is not None and wanted and disposition != "WRITE_TRUNCATE":
            _same_key(existing, wanted)
        if existing is not None and disposition == "WRITE_APPEND":
            physical = metadata.physical(call, name, existing)
            statements = [f"CREATE TABLE {into} AS SELECT * FROM {physical}", f"INSERT INTO {into} BY NAME {text}"]

            def appended(later: Call, body: Body, result: Any) -> None:
                write_table(
                    later, name, into, existing["schema"].get("fields", []), result["rows"][into], None, keep_key=True
                )

            return Step(lambda: store.call("statements", sql=statements, measure=[into]), appended)
    else:
        name = ""
        wanted = key_of(settings)
        if wanted:
            encryption.check_location(wanted, job["jobReference"]["location"])

    def finished(later: Call, body: Body, result: Any) -> None:
        body["~result"], body["~schema"], body["~total"] = into, result["schema"], result["rows"][into]
        if name:
            warehouse(later).call("statements", sql=[f"ALTER TABLE {into} ADD COLUMN _twin_at TIMESTAMP"])
            write_table(later, name, into, result["schema"], result["rows"][into], wanted)
        else:
            body["configuration"]["query"]["destinationTable"] = {
                "projectId": later.project,
                "datasetId": "_" + body["jobReference"]["jobId"][-20:].replace("-", "_"),
                "tableId": "anon" + into[2:],
            }
            later.put(f"bigquery-anonymous/{into[2:]}", {"physical": into})

    return Step(lambda: store.call("query", sql=text, into=into), finished)


def _same_key(existing: Body, wanted: str) -> None:
    current = existing.get("encryptionConfiguration", {}).get("kmsKeyName", "")
    if encryption.plain_key(current) != encryption.plain_key(wanted):
        # https://cloud.google.com/bigquery/docs/customer-managed-encryption#troubleshooting_errors
        raise invalid("Existing table encryption settings do not match encryption settings specified in the request")


def _referenced(job: Body, scope: Scope) -> None:
    tables = []
    for name in scope.read:
        parts = name.split("/")
        tables.append({"projectId": parts[2], "datasetId": parts[4], "tableId": parts[6]})
    if tables:
        job["statistics"]["query"]["referencedTables"] = tables


def _target_of(statement: exp.Expression) -> exp.Table:
    found = statement.this
    if isinstance(found, exp.Schema):
        found = found.this
    if not isinstance(found, exp.Table):
        found = next(iter(statement.find_all(exp.Table)), None)
    if not isinstance(found, exp.Table):
        raise bad_query("The statement names no table.")
    return found


def _change_rows(call: Call, job: Body, scope: Scope, statement: exp.Expression, kind: str) -> Step:
    statement = statement.copy()
    target = _target_of(statement) if kind != "TRUNCATE_TABLE" else statement.expressions[0]
    name = scope.name_of(target)
    existing = scope.readable(name)
    if existing["type"] != "TABLE":
        raise bad_query(f"DML is not supported over {existing['type']} {metadata.spoken(name)}.")
    scope.writable(name)
    if kind in ("UPDATE", "DELETE", "MERGE") and any(
        metadata.in_buffer(call, entry) for entry in existing.get("~buffer", [])
    ):
        # https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax (limitations)
        raise bad_query(
            f"UPDATE or DELETE statement over table {metadata.spoken(name).replace(':', '.')} would affect rows in the streaming buffer, which is not supported"
        )
    if kind in ("UPDATE", "DELETE") and statement.args.get("where") is None:
        raise bad_query(f"{kind} must have a WHERE clause at [1:1]")
    physical, into = metadata.physical(call, name, existing), new_table()
    fields = existing.get("schema", {}).get("fields", [])
    if kind == "TRUNCATE_TABLE":
        text = f"DELETE FROM {into}"
    else:
        if isinstance(statement, exp.Insert) and not isinstance(statement.this, exp.Schema):
            columns = [exp.to_identifier(field["name"], quoted=True) for field in fields]
            statement.set("this", exp.Schema(this=target.copy(), expressions=columns))
        placed = _target_of(statement)
        placed.set("db", None)
        placed.set("catalog", None)
        original = placed.args.get("alias")
        placed.set("this", exp.to_identifier(into))
        if original is None and not isinstance(statement, exp.Insert):
            placed.set("alias", exp.TableAlias(this=exp.to_identifier(name.rpartition("/")[2], quoted=True)))
        text = to_duckdb(scope, statement, into)
    statements = [f"CREATE TABLE {into} AS SELECT * FROM {physical}", text]
    store = warehouse(call)

    def finished(later: Call, body: Body, result: Any) -> None:
        write_table(later, name, into, fields, result["rows"][into], None, keep_key=True)
        statistics = body["statistics"]["query"]
        statistics["numDmlAffectedRows"] = str(result["affected"])
        word = {"INSERT": "insertedRowCount", "UPDATE": "updatedRowCount", "DELETE": "deletedRowCount"}.get(kind)
        if word:
            statistics["dmlStats"] = {word: str(result["affected"])}

    return Step(lambda: store.call("statements", sql=statements, measure=[into]), finished)


def _create_as(call: Call, job: Body, scope: Scope, statement: exp.Expression) -> Step | None:
    target = _target_of(statement)
    name = scope.name_of(target)
    exists = call.get(name) is not None
    if exists and statement.args.get("exists"):
        return Step(lambda: None, lambda later, body, result: None)
    if exists and not statement.args.get("replace"):
        raise already_exists(f"Already Exists: Table {metadata.spoken(name)}")
    destination(call, name, "WRITE_TRUNCATE", "", "WRITE_TRUNCATE")
    text, into = to_duckdb(scope, statement.expression), new_table()
    _referenced(job, scope)
    options = ddl.table_options(statement)
    store = warehouse(call)

    def finished(later: Call, body: Body, result: Any) -> None:
        warehouse(later).call("statements", sql=[f"ALTER TABLE {into} ADD COLUMN _twin_at TIMESTAMP"])
        made = write_table(later, name, into, result["schema"], result["rows"][into], options.pop("kms", None))
        later.put(name, {**made, **options})
        body["statistics"]["query"]["ddlOperationPerformed"] = "REPLACE" if exists else "CREATE"
        body["statistics"]["query"]["ddlTargetTable"] = made["tableReference"]

    return Step(lambda: store.call("query", sql=text, into=into), finished)


# Pages and timestamps


def page_token(start: int) -> str:
    return base64.urlsafe_b64encode(f"row:{start}".encode()).decode()


def page_start(token: str) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
        if word != "row":
            raise ValueError(token)
        return int(number)
    except ValueError:
        raise invalid("Invalid page token.") from None


def with_timestamps(rows: list[Body], fields: list[Body], int64: bool) -> list[Body]:
    """Timestamps as microseconds, or as seconds in a float's notation when the client did not ask for integers."""
    if int64 or not any(field["type"] == "TIMESTAMP" for field in fields):
        return rows
    places = [
        place for place, field in enumerate(fields) if field["type"] == "TIMESTAMP" and field.get("mode") != "REPEATED"
    ]
    for row in rows:
        for place in places:
            value = row["f"][place]["v"]
            if value is not None:
                row["f"][place] = {"v": repr(int(value) / 1e6)}
    return rows
