"""Views: a query kept under a name. Its columns are read when it is made, as BigQuery does, so a broken one is refused."""

from __future__ import annotations

from twin.kernel.semantics import Call
from twin.kernel.types import Body, rfc3339
from twin.services.bigquery.sql import Scope, described, legacy, parse, to_duckdb


def describe(call: Call, body: Body) -> None:
    """Fill in the schema of a view from its query. ApiError when the query would not run."""
    view = body.get("view") or body["materializedView"]
    text = legacy(view["query"]) if view.get("useLegacySql") else view["query"]
    reference = body["tableReference"]
    scope = Scope(call, {"projectId": reference["projectId"], "datasetId": reference["datasetId"]})
    fields = described(call, to_duckdb(scope, parse(text)[0]))
    told = {field["name"].lower(): field for field in body.get("schema", {}).get("fields", [])}
    body["schema"] = {"fields": [{**field, **_kept(told.get(field["name"].lower(), {}))} for field in fields]}
    if "materializedView" in body:
        body["materializedView"].setdefault("lastRefreshTime", body["creationTime"])
        body["materializedViewStatus"] = {"refreshWatermark": rfc3339(call.now, 3)}


def _kept(field: Body) -> Body:
    """What a person may say about a view's column: nothing of its type."""
    return {key: field[key] for key in ("description", "policyTags") if key in field}
