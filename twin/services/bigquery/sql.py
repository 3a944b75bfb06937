"""From BigQuery's SQL to DuckDB's, with every table name resolved, authorised and unlocked on the way.

sqlglot translates the dialect; what is done here is what it cannot know: names, views, time travel, parameters, options.
"""

# ruff: noqa: S608 - DuckDB text built from names that were resolved and quoted

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from twin.kernel.errors import ApiError, invalid
from twin.kernel.semantics import Call
from twin.kernel.types import Body, rfc3339
from twin.services.bigquery import encryption, metadata
from twin.services.bigquery.types import duckdb_type
from twin.services.bigquery.warehouse import WarehouseError

_MAX_VIEWS = 16


def bad_query(message: str) -> ApiError:
    return invalid(message, "invalidQuery")


def parse(text: str) -> list[exp.Expression]:
    """The statements of a query. ApiError INVALID_ARGUMENT (reason invalidQuery) on a syntax error."""
    # The alias may stand before FOR SYSTEM_TIME; sqlglot wants it there too, but not with AS OF split over lines.
    try:
        found = [statement for statement in sqlglot.parse(text, read="bigquery") if statement is not None]
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        place = details[0]
        raise bad_query(
            f"Syntax error: {place.get('description', str(error).splitlines()[0])} at [{place.get('line', 1)}:{place.get('col', 1)}]"
        ) from error
    if not found:
        raise bad_query("Syntax error: Unexpected end of script at [1:1]")
    return [_plain(statement) for statement in found]  # type: ignore[arg-type]


def _plain(statement: exp.Expression) -> exp.Expression:
    """CREATE TABLE … COPY, CLONE and LIKE as the CREATE TABLE … AS SELECT that they amount to."""
    if not isinstance(statement, exp.Create) or str(statement.args.get("kind", "")).upper() != "TABLE":
        return statement
    clone, like = statement.args.get("clone"), statement.find(exp.LikeProperty)
    if clone is not None:
        statement.set("expression", exp.select("*").from_(clone.this.copy()))
        statement.set("clone", None)
    elif like is not None:
        statement.set("expression", exp.select("*").from_(like.this.copy()).where("FALSE"))
        like.pop()
    return statement


@dataclass(slots=True)
class Scope:
    """One query being translated: whose tables it may read, and with which parameters."""

    call: Call
    default_dataset: Body | None
    parameters: list[Body] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    """Canonical names of the tables that the query reads."""
    created: dict[str, str] = field(default_factory=dict)

    def name_of(self, table: exp.Table) -> str:
        """The canonical name of a table that a query mentions. ApiError INVALID_ARGUMENT without a dataset."""
        parts = [
            part for piece in (table.catalog, table.db, table.name) for part in (piece.split(".") if piece else [])
        ]
        # `project.dataset.table` inside one pair of backquotes arrives in pieces already.
        if len(parts) == 1:
            if not self.default_dataset:
                raise bad_query(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).')
            parts = [
                self.default_dataset.get("projectId", self.call.project),
                self.default_dataset["datasetId"],
                *parts,
            ]
        if len(parts) == 2:
            parts = [self.call.project, *parts]
        project, dataset, name = parts[0], parts[1], ".".join(parts[2:])
        return f"bigquery/projects/{project}/datasets/{dataset}/tables/{name}"

    def readable(self, name: str) -> Body:
        """A table's body, once the caller may read it and its key can be used."""
        call = self.call
        dataset_name = name.rsplit("/", 2)[0]
        dataset = call.get(dataset_name)
        spoken = metadata.spoken(name)
        location = dataset["location"] if dataset else "US"
        if dataset is None:
            raise ApiError(
                "NOT_FOUND",
                f"Not found: Dataset {metadata.spoken(dataset_name)} was not found in location {location}",
                reason="notFound",
            )
        if not call.context.internal and not call.engine.policies.allowed(
            call.context.principal, "bigquery.tables.getData", name, call.now
        ):
            raise ApiError(
                "PERMISSION_DENIED",
                f"Access Denied: Table {spoken}: User does not have permission to query table {spoken}, or perhaps it does not exist.",
                reason="accessDenied",
            )
        body = call.get(name)
        if body is None:
            raise ApiError(
                "NOT_FOUND", f"Not found: Table {spoken} was not found in location {location}", reason="notFound"
            )
        encryption.require_readable(call, body)
        if name not in self.read:
            self.read.append(name)
        return body

    def writable(self, name: str, permission: str = "bigquery.tables.updateData") -> None:
        if not self.call.context.internal and not self.call.engine.policies.allowed(
            self.call.context.principal, permission, name, self.call.now
        ):
            spoken = metadata.spoken(name)
            raise ApiError(
                "PERMISSION_DENIED",
                f"Access Denied: Table {spoken}: Permission {permission} denied on table {spoken} (or it may not exist).",
                reason="accessDenied",
            )


def rows_of(scope: Scope, name: str, body: Body, at: datetime | None = None) -> str:
    """A FROM item for a table's rows, now or as they were at a moment."""
    call = scope.call
    if body["type"] in ("VIEW", "MATERIALIZED_VIEW"):
        return f"({translate_view(scope, body)})"
    if body["type"] == "EXTERNAL":
        from twin.services.bigquery.external import source

        return source(call, body)
    if body["type"] not in ("TABLE", "SNAPSHOT"):
        raise bad_query(f"The twin cannot query tables of type {body['type']}: {metadata.spoken(name)}.")
    if at is None:
        table = metadata.physical(call, name, body)
        return f"(SELECT * EXCLUDE (_twin_at) FROM {table})"
    if at > call.now:
        raise bad_query("Invalid time travel timestamp: it is in the future.")
    stamp = rfc3339(at)
    chosen = [version["physical"] for version in body["~versions"] if version["from"] <= stamp]
    if not chosen:
        created = int(body["creationTime"])
        raise bad_query(
            f"Invalid time travel timestamp {int(at.timestamp() * 1000)} for table {metadata.spoken(name)}@{int(at.timestamp() * 1000)}. "
            f"Cannot read before {created}."
        )
    if not chosen[-1]:
        fields = body.get("schema", {}).get("fields", [])
        empty = ", ".join(f'CAST(NULL AS {duckdb_type(item)}) AS "{item["name"]}"' for item in fields)
        return f"(SELECT {empty or '1'} WHERE false)"
    moment = at.replace(tzinfo=None).isoformat(sep=" ")
    return f"(SELECT * EXCLUDE (_twin_at) FROM {chosen[-1]} WHERE _twin_at IS NULL OR _twin_at <= TIMESTAMP '{moment}')"


def translate_view(scope: Scope, body: Body) -> str:
    if len(scope.read) > _MAX_VIEWS * 4:
        raise bad_query("Too many nested views.")
    query = (body.get("view") or body["materializedView"])["query"]
    statement = parse(query)[0]
    reference = body["tableReference"]
    inner = Scope(
        scope.call, {"projectId": reference["projectId"], "datasetId": reference["datasetId"]}, [], scope.read
    )
    return to_duckdb(inner, statement)


def to_duckdb(scope: Scope, statement: exp.Expression, target: str = "") -> str:
    """DuckDB's text for one statement; the physical table `target`, already in its place, is left alone."""
    statement = statement.copy()
    _bind_parameters(scope, statement)
    common = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    for table in list(statement.find_all(exp.Table)):
        if isinstance(table.this, exp.Func) or (not table.db and table.name.lower() in common):
            continue
        if table.find_ancestor(exp.Unnest) is not None and not table.db:
            continue
        if not table.db and _is_correlated(statement, table):
            continue
        if target and table.name == target:
            continue
        _replace(scope, table)
    try:
        return statement.sql(dialect="duckdb")
    except SqlglotError as error:
        raise bad_query(f"The twin cannot translate this query: {error}") from error


def name_columns(statement: exp.Expression) -> None:
    """Expressions without a name come out as `f0_`, `f1_`, …: counted among the nameless ones, as BigQuery does."""
    query: Any = statement
    while isinstance(query, exp.SetOperation):
        query = query.this
    if not isinstance(query, exp.Select):
        return
    nameless = [
        item
        for item in query.expressions
        if not isinstance(item, (exp.Alias, exp.Column, exp.Star, exp.Dot)) and not item.is_star
    ]
    for position, item in enumerate(nameless):
        item.replace(exp.alias_(item.copy(), f"f{position}_"))


def _is_correlated(statement: exp.Expression, table: exp.Table) -> bool:
    """`FROM t, t.items` names a column of an earlier item, not a table; only a bare name of an alias can be one."""
    aliases = {item.alias_or_name.lower() for item in statement.find_all(exp.Table) if item is not table and item.alias}
    return table.name.lower() in aliases


def _replace(scope: Scope, table: exp.Table) -> None:
    if "INFORMATION_SCHEMA" in table.name.upper() or table.db.upper() == "INFORMATION_SCHEMA":
        from twin.services.bigquery.information import information_schema

        source, default_alias = information_schema(scope, table), table.name.rpartition(".")[2]
    elif table.name.endswith("*"):
        source, default_alias = _wildcard(scope, table), table.name.rstrip("*")
    else:
        name = scope.name_of(table)
        body = scope.readable(name)
        source, default_alias = rows_of(scope, name, body, _moment(scope, table)), table.name.rpartition(".")[2]
    subquery = sqlglot.parse_one(f"SELECT * FROM {source} AS x", read="duckdb").args["from_"].this
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(default_alias, quoted=True))
    subquery.set("alias", alias)
    for key in ("joins", "pivots", "sample"):
        if table.args.get(key):
            subquery.set(key, table.args[key])
    table.replace(subquery)


def _moment(scope: Scope, table: exp.Table) -> datetime | None:
    version = table.args.get("version")
    if version is None:
        return None
    expression = version.expression
    text = expression.sql(dialect="duckdb")
    reply = metadata.warehouse(scope.call).call(
        "page", table=f"(SELECT CAST({_now(scope, text)} AS TIMESTAMP WITH TIME ZONE) AS at)", limit=1, offset=0
    )
    micros = int(reply["rows"][0]["f"][0]["v"])
    return datetime.fromtimestamp(micros / 1e6, scope.call.now.tzinfo)


def _now(scope: Scope, text: str) -> str:
    """CURRENT_TIMESTAMP means the twin's clock."""
    return re.sub(r"\bCURRENT_TIMESTAMP(\(\))?", f"TIMESTAMPTZ '{rfc3339(scope.call.now)}'", text)


def _wildcard(scope: Scope, table: exp.Table) -> str:
    prefix = scope.name_of(table).rstrip("*")
    collection = prefix.rpartition("/")[0]
    parts = []
    for name, body in scope.call.children(collection):
        if name.startswith(prefix) and body["type"] == "TABLE":
            readable = scope.readable(name)
            suffix = name[len(prefix) :]
            parts.append(f"SELECT *, '{suffix}' AS _TABLE_SUFFIX FROM {rows_of(scope, name, readable)}")
    if not parts:
        raise ApiError("NOT_FOUND", f"{metadata.spoken(prefix)}* does not match any table.", reason="notFound")
    return "(" + " UNION ALL BY NAME ".join(parts) + ")"


# Parameters


def _bind_parameters(scope: Scope, statement: exp.Expression) -> None:
    named = {item["name"].lower(): item for item in scope.parameters if item.get("name")}
    for parameter in list(statement.find_all(exp.Parameter)):
        name = parameter.name.lower()
        if name not in named:
            raise bad_query(f"Query parameter '{parameter.name}' not found")
        parameter.replace(_literal(named[name]["parameterType"], named[name].get("parameterValue", {})))
    positional = [item for item in scope.parameters if not item.get("name")]
    for position, holder in enumerate(list(statement.find_all(exp.Placeholder, bfs=False))):
        if position >= len(positional):
            raise bad_query("Query parameter number exceeds the parameters given")
        holder.replace(_literal(positional[position]["parameterType"], positional[position].get("parameterValue", {})))
    for call in list(statement.find_all(exp.Format)):
        # BigQuery's FORMAT speaks printf; DuckDB's format() does not.
        call.replace(exp.Anonymous(this="printf", expressions=[call.this, *call.expressions]))
    for stamp in list(statement.find_all(exp.CurrentTimestamp)):
        stamp.replace(sqlglot.parse_one(f"TIMESTAMP '{rfc3339(scope.call.now)}'", read="bigquery"))


def _literal(kind: Body, value: Body) -> exp.Expression:
    return sqlglot.parse_one(_literal_text(kind, value), read="duckdb")  # type: ignore[return-value]


def _literal_text(kind: Body, value: Body) -> str:
    word = kind["type"].upper()
    if word == "ARRAY":
        elements = [_literal_text(kind["arrayType"], element) for element in value.get("arrayValues", [])]
        return f"CAST([{', '.join(elements)}] AS {_parameter_type(kind)})"
    if word == "STRUCT":
        given = value.get("structValues", {})
        members = [
            f"'{item['name']}': {_literal_text(item['type'], given.get(item['name'], {}))}"
            for item in kind["structTypes"]
        ]
        return "{" + ", ".join(members) + "}"
    if "value" not in value or value["value"] is None:
        return f"CAST(NULL AS {_parameter_type(kind)})"
    text = str(value["value"]).replace("'", "''")
    if word == "BYTES":
        return f"from_base64('{text}')"
    return f"CAST('{text}' AS {_parameter_type(kind)})"


def _parameter_type(kind: Body) -> str:
    word = kind["type"].upper()
    if word == "ARRAY":
        return _parameter_type(kind["arrayType"]) + "[]"
    return duckdb_type({"name": "p", "type": word})


def options_of(statement: exp.Expression) -> dict[str, Any]:
    """OPTIONS(…) of a DDL statement; names in lower case, values as Python sees them."""
    found: dict[str, Any] = {}
    for node in statement.find_all(exp.Property):
        if type(node) is exp.Property:
            value = node.args.get("value")
            found[node.name.lower()] = value.to_py() if isinstance(value, (exp.Literal, exp.Boolean)) else value
    return found


def statement_type(statement: exp.Expression) -> str:
    """`statistics.query.statementType` (https://cloud.google.com/bigquery/docs/reference/rest/v2/Job)."""
    if isinstance(statement, exp.Create):
        kind = str(statement.args.get("kind", "")).upper()
        if kind == "TABLE" and statement.expression is not None:
            return "CREATE_TABLE_AS_SELECT"
        return f"CREATE_{kind}"
    if isinstance(statement, exp.Drop):
        return f"DROP_{str(statement.args.get('kind', 'TABLE')).upper()}"
    table = {
        exp.Insert: "INSERT",
        exp.Update: "UPDATE",
        exp.Delete: "DELETE",
        exp.Merge: "MERGE",
        exp.TruncateTable: "TRUNCATE_TABLE",
        exp.Alter: "ALTER_TABLE",
    }
    for kind_, word in table.items():
        if isinstance(statement, kind_):
            return word
    return "SELECT" if isinstance(statement, exp.Query) else "SCRIPT"


def refusal_from_engine(message: str) -> ApiError:
    """DuckDB's complaint in BigQuery's manner."""
    text = message.splitlines()[0]
    if match := re.search(r'(?:Referenced column|column) "([^"]+)" not found', text):
        return bad_query(f"Unrecognized name: {match[1]} at [1:1]")
    if match := re.search(r"(?:Scalar|Aggregate) Function with name (\w+) does not exist", text):
        return bad_query(f"Function not found: {match[1]} at [1:1]")
    if "Division by zero" in text or "division by zero" in text:
        return bad_query("division by zero")
    return bad_query(text)


def legacy(text: str) -> str:
    """Legacy SQL's bracketed table names; nothing else of it is understood."""
    return re.sub(r"\[([\w-]+):([\w]+)\.([\w$]+)\]", r"`\1.\2.\3`", text)


def described(call: Call, text: str) -> list[Body]:
    """The columns of a SELECT in DuckDB's words. ApiError (reason invalidQuery) when it would not run."""
    try:
        found: list[Body] = metadata.warehouse(call).call("dry", sql=text)["schema"]
    except WarehouseError as error:
        raise refusal_from_engine(str(error)) from error
    return found
