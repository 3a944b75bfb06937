"""DDL statements: what they do to the store, and the empty tables that they make."""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

from typing import Any

from sqlglot import exp

from twin.kernel.errors import ApiError, already_exists
from twin.kernel.names import collection_of
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.bigquery import encryption, metadata
from twin.services.bigquery.metadata import warehouse
from twin.services.bigquery.plan import Step, destination, write_table
from twin.services.bigquery.sql import Scope, bad_query, options_of
from twin.services.bigquery.views import describe
from twin.services.bigquery.warehouse import new_table


def _nothing() -> None:
    return None


def _done(later: Call, body: Body, result: Any) -> None:
    """The work was done while planning."""


def step(call: Call, job: Body, scope: Scope, statement: exp.Expression, kind: str) -> Step:
    """One DDL statement. ApiError (reason invalidQuery) for what the twin does not do."""
    if kind == "CREATE_TABLE":
        return _create_table(call, job, scope, statement)
    if kind == "CREATE_VIEW":
        _create_view(call, job, scope, statement)
    elif kind == "CREATE_SCHEMA":
        _create_schema(call, statement)
    elif kind in ("DROP_TABLE", "DROP_VIEW", "DROP_SCHEMA"):
        _drop(call, job, scope, statement, kind)
    elif kind == "ALTER_TABLE":
        _alter(call, scope, statement)
    else:
        raise bad_query(f"The twin does not run {kind.replace('_', ' ')} statements.")
    return Step(_nothing, _done)


def table_options(statement: exp.Expression) -> Body:
    """OPTIONS of a table as body fields; the key under `kms`."""
    options = options_of(statement)
    body: Body = {}
    if "kms_key_name" in options:
        body["kms"] = options["kms_key_name"]
    if "description" in options:
        body["description"] = options["description"]
    if "friendly_name" in options:
        body["friendlyName"] = options["friendly_name"]
    for node in statement.find_all(exp.PartitionedByProperty):
        # `PARTITION BY d` holds a bare name, `PARTITION BY DATE(ts)` a column.
        columns = [column.name for column in node.find_all(exp.Column)] or [
            word.name for word in node.find_all(exp.Identifier) if not word.name.startswith("_PARTITION")
        ]
        body["timePartitioning"] = {"type": "DAY", **({"field": columns[0]} if columns else {})}
    if options.get("require_partition_filter") is True:
        body["requirePartitionFilter"] = True
    for cluster in statement.find_all(exp.Cluster, exp.ClusterProperty):
        body["clustering"] = {"fields": [item.name for item in cluster.expressions]}
    return body


def _create_table(call: Call, job: Body, scope: Scope, statement: exp.Expression) -> Step:
    schema = statement.this
    table = schema.this if isinstance(schema, exp.Schema) else schema
    name = scope.name_of(table)
    exists = call.get(name) is not None
    if exists and statement.args.get("exists"):
        return Step(_nothing, _done)
    if exists and not statement.args.get("replace"):
        raise already_exists(f"Already Exists: Table {metadata.spoken(name)}")
    destination(call, name, "WRITE_TRUNCATE", "", "WRITE_TRUNCATE")
    into = new_table()
    columns = list(schema.expressions) if isinstance(schema, exp.Schema) else []
    required = {
        column.name
        for column in columns
        if isinstance(column, exp.ColumnDef)
        and any(isinstance(rule.kind, exp.NotNullColumnConstraint) for rule in column.constraints)
    }
    definitions = [
        f'"{column.name}" {column.args["kind"].sql(dialect="duckdb")}'
        for column in columns
        if isinstance(column, exp.ColumnDef)
    ]
    text = f"CREATE TABLE {into} ({', '.join([*definitions, '_twin_at TIMESTAMP'])})"
    options = table_options(statement)
    store = warehouse(call)

    def work() -> Any:
        store.call("statements", sql=[text])
        return store.call("page", table=into, limit=0, offset=0)["schema"]

    def finished(later: Call, body: Body, result: Any) -> None:
        fields = [{**field, "mode": "REQUIRED"} if field["name"] in required else field for field in result]
        made = write_table(later, name, into, fields, 0, options.pop("kms", None))
        later.put(name, {**made, **options})
        body["statistics"]["query"]["ddlOperationPerformed"] = "REPLACE" if exists else "CREATE"
        body["statistics"]["query"]["ddlTargetTable"] = made["tableReference"]

    return Step(work, finished)


def _create_view(call: Call, job: Body, scope: Scope, statement: exp.Expression) -> None:
    table = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
    name = scope.name_of(table)
    if call.get(name) is not None:
        if statement.args.get("exists"):
            return
        if not statement.args.get("replace"):
            raise already_exists(f"Already Exists: Table {metadata.spoken(name)}")
    destination(call, name, "", "", "WRITE_TRUNCATE")
    dataset = call.need(collection_of(collection_of(name)))
    query = statement.expression.sql(dialect="bigquery")
    made: Body = {"view": {"query": query, "useLegacySql": False}}
    if statement.find(exp.MaterializedProperty) is not None:
        made = {"materializedView": {"query": query, "enableRefresh": True, "refreshIntervalMs": "1800000"}}
    body = metadata.new_body(
        call,
        made,
        dataset,
        name.rpartition("/")[2],
    )
    describe(call, body)
    call.put(name, body)
    job["statistics"]["query"].update(ddlOperationPerformed="CREATE", ddlTargetTable=body["tableReference"])


def _create_schema(call: Call, statement: exp.Expression) -> None:
    node = statement.this
    pieces = (
        [piece for piece in (node.catalog, node.db, node.name) if piece] if isinstance(node, exp.Table) else [node.name]
    )
    project = pieces[0] if len(pieces) > 1 else call.project
    name = f"bigquery/projects/{project}/datasets/{pieces[-1]}"
    if call.get(name) is not None:
        if statement.args.get("exists"):
            return
        raise already_exists(f"Already Exists: Dataset {metadata.spoken(name)}")
    options = options_of(statement)
    body: Body = {"datasetReference": {"datasetId": pieces[-1], "projectId": project}}
    if "location" in options:
        body["location"] = options["location"]
    if "default_kms_key_name" in options:
        body["defaultEncryptionConfiguration"] = {"kmsKeyName": options["default_kms_key_name"]}
    call.invoke("bigquery.datasets.insert", f"bigquery/projects/{project}/datasets", body, call.context.principal)


def _drop(call: Call, job: Body, scope: Scope, statement: exp.Expression, kind: str) -> None:
    table = statement.find(exp.Table)
    if table is None:
        raise bad_query("The DROP statement names nothing.")
    if kind == "DROP_SCHEMA":
        pieces = [piece for piece in (table.catalog, table.db, table.name) if piece]
        name = f"bigquery/projects/{pieces[0] if len(pieces) > 1 else call.project}/datasets/{pieces[-1]}"
    else:
        name = scope.name_of(table)
    if call.get(name) is None:
        if statement.args.get("exists"):
            return
        raise metadata.missing(name)
    if kind == "DROP_SCHEMA":
        if call.engine.store.below(name) and not statement.args.get("cascade"):
            raise ApiError(
                "INVALID_ARGUMENT", f"Dataset {metadata.spoken(name)} is still in use", reason="resourceInUse"
            )
        for child in call.engine.store.below(name):
            call.delete(child)
    else:
        scope.writable(name, "bigquery.tables.delete")
        reference = call.need(name)["tableReference"]
        job["statistics"]["query"].update(ddlOperationPerformed="DROP", ddlTargetTable=reference)
    call.delete(name)


def _alter(call: Call, scope: Scope, statement: exp.Expression) -> None:
    name = scope.name_of(statement.this)
    body = call.copy(name)
    scope.writable(name, "bigquery.tables.update")
    fields = body.setdefault("schema", {}).setdefault("fields", [])
    for action in statement.args.get("actions", []):
        if isinstance(action, exp.ColumnDef):
            physical = metadata.physical(call, name, body)
            body = call.copy(name)
            fields = body.setdefault("schema", {}).setdefault("fields", [])
            kind = action.args["kind"].sql(dialect="duckdb")
            warehouse(call).call("statements", sql=[f'ALTER TABLE {physical} ADD COLUMN "{action.name}" {kind}'])
            schema = warehouse(call).call("page", table=physical, limit=0, offset=0)["schema"]
            fields.append(next(field for field in schema if field["name"] == action.name))
        elif isinstance(action, exp.Drop) and str(action.args.get("kind", "")).upper() == "COLUMN":
            physical = metadata.physical(call, name, body)
            body = call.copy(name)
            column = (action.args.get("tables") or [action.this])[0].name
            if not any(field["name"].lower() == column.lower() for field in body["schema"]["fields"]):
                raise bad_query(f"Column {column} not found in table {metadata.spoken(name)}")
            warehouse(call).call("statements", sql=[f'ALTER TABLE {physical} DROP COLUMN "{column}"'])
            fields = [field for field in body["schema"]["fields"] if field["name"].lower() != column.lower()]
            body["schema"]["fields"] = fields
        elif isinstance(action, exp.AlterSet):
            options = options_of(action)
            key = options.get("kms_key_name")
            if key:
                _rekey(call, body, str(key))
            if "description" in options:
                body["description"] = options["description"]
        else:
            raise bad_query(f"The twin does not run this ALTER TABLE action: {action.sql(dialect='bigquery')}")
    body["lastModifiedTime"] = metadata.millis(call)
    call.put(name, body)


def _rekey(call: Call, body: Body, key: str) -> None:
    if "encryptionConfiguration" not in body:
        raise bad_query(
            "Cannot set kms_key_name on a table that is protected by Google-managed encryption: copy the table instead."
        )
    encryption.protect(call, body, key, body["location"])
