"""Jobs: their life, their errors, their results. `jobs.insert` answers 200 and the error sits in the job; `jobs.query`
fails over HTTP (https://cloud.google.com/bigquery/docs/error-messages)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Context, Reply, Wait
from twin.services.bigquery import movement, query
from twin.services.bigquery.metadata import BASE, millis, warehouse
from twin.services.bigquery.plan import Step
from twin.services.bigquery.sql import refusal_from_engine
from twin.services.bigquery.warehouse import WarehouseError

_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class _Failed:
    message: str


def insert(call: Call) -> Body:
    """https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/insert"""
    standard.require_parents(call, f"bigquery/projects/{call.project}/jobs")
    body = _new_job(call, call.body.get("configuration", {}), call.body.get("jobReference", {}))
    if body["configuration"].get("dryRun"):
        return _dry_run(call, body)
    name = _job_name(body)
    call.put(name, body)
    _advance(call, name, _planner(call, body))
    return standard.visible(call, name, call.need(name))


def _new_job(call: Call, configuration: Body, reference: Body) -> Body:
    kinds = [kind for kind in ("query", "copy", "load", "extract") if kind in configuration]
    if len(kinds) != 1:
        raise invalid("Required parameter is missing", "required")
    identifier = reference.get("jobId") or f"job_{uuid.uuid4().hex[:27]}"
    name = f"bigquery/projects/{call.project}/jobs/{identifier}"
    if call.get(name) is not None:
        raise ApiError(
            "ALREADY_EXISTS",
            f"Already Exists: Job {call.project}:{reference.get('location', 'US')}.{identifier}",
            reason="duplicate",
        )
    location = reference.get("location") or _location(call, configuration)
    now = millis(call)
    return {
        "kind": "bigquery#job",
        "id": f"{call.project}:{location}.{identifier}",
        "selfLink": f"{BASE}projects/{call.project}/jobs/{identifier}?location={location}",
        "user_email": call.context.principal.partition(":")[2] or call.engine.settings.owner,
        "configuration": {**configuration, "jobType": kinds[0].upper()},
        "jobReference": {"projectId": call.project, "jobId": identifier, "location": location},
        "statistics": {"creationTime": now, "startTime": now},
        "status": {"state": "RUNNING"},
        "etag": standard.fingerprint({"id": identifier, "now": now}),
    }


def _location(call: Call, configuration: Body) -> str:
    """A job runs where its data is."""
    reference: Body = {}
    for kind, field in (
        ("copy", "destinationTable"),
        ("load", "destinationTable"),
        ("extract", "sourceTable"),
        ("query", "defaultDataset"),
        ("query", "destinationTable"),
    ):
        reference = configuration.get(kind, {}).get(field) or reference
    dataset_id, project = reference.get("datasetId"), reference.get("projectId", call.project)
    if not dataset_id and "query" in configuration:
        return query.location_of(call, configuration["query"])
    dataset = call.get(f"bigquery/projects/{project}/datasets/{dataset_id}")
    return str(dataset["location"]) if dataset else "US"


def _job_name(body: Body) -> str:
    reference = body["jobReference"]
    return f"bigquery/projects/{reference['projectId']}/jobs/{reference['jobId']}"


Planner = Callable[[Call, Body], "Step | None"]


def _planner(call: Call, body: Body) -> Planner:
    kind = body["configuration"]["jobType"]
    if kind == "QUERY":
        return query.next_step
    if kind == "LOAD" and call.media is not None:
        movement.keep_upload(call, body)
    return {"COPY": movement.copy_step, "LOAD": movement.load_step, "EXTRACT": movement.extract_step}[kind]


def _advance(call: Call, name: str, planner: Planner) -> None:
    """Plan the job's next step and hand it to the background; end the job when there is none or it is refused."""
    body = call.copy(name)
    try:
        step = planner(call, body)
    except ApiError as error:
        _end(call, name, body, error)
        return
    except WarehouseError as error:
        _end(call, name, body, refusal_from_engine(str(error)))
        return
    if step is None:
        _end(call, name, body, None)
        return
    call.put(name, body)
    chosen = step

    def work() -> Any:
        try:
            return chosen.work()
        except WarehouseError as error:
            return _Failed(str(error))

    def finish(context: Context, result: Any) -> None:
        later = replace(call, context=replace(call.context, now=context.now))
        current = later.copy(name)
        if isinstance(result, _Failed):
            _end(later, name, current, refusal_from_engine(result.message))
            return
        try:
            chosen.finish(later, current, result)
        except ApiError as error:
            _end(later, name, current, error)
            return
        later.put(name, current)
        _advance(later, name, planner)

    call.engine.defer(name, work, finish)


def _end(call: Call, name: str, body: Body, error: ApiError | None) -> None:
    body["status"] = {"state": "DONE"}
    body["statistics"]["endTime"] = millis(call)
    body["statistics"].setdefault("totalBytesProcessed", "0")
    if error is not None:
        proto: Body = {"reason": error.word, "message": error.message}
        if error.word == "invalidQuery":
            proto["location"] = "query"
        body["status"] = {"state": "DONE", "errorResult": proto, "errors": [proto]}
        body["~http"] = {"status": error.status, "http": error.http}
    call.put(name, body)
    call.announce("job-done", name)


def _dry_run(call: Call, body: Body) -> Body:
    statistics = query.dry_run(call, body) if "query" in body["configuration"] else {}
    body["statistics"].update(totalBytesProcessed=statistics.get("totalBytesProcessed", "0"), query=statistics)
    body["status"] = {"state": "DONE"}
    return {key: value for key, value in body.items() if not key.startswith("~")}


def get(call: Call) -> Body:
    body = call.get(call.name)
    location = call.params.get("location")
    if body is None or (location and location.upper() != body["jobReference"]["location"].upper()):
        raise not_found(f"Not found: Job {call.project}:{last(call.name)}")
    return standard.visible(call, call.name, body)


def list_(call: Call) -> Body:
    found = standard.list_(call)
    states = call.params.get("stateFilter")
    jobs = []
    for body in found.get("jobs", []):
        if states and body["status"]["state"].lower() not in [state.lower() for state in states]:
            continue
        shown = {
            key: body[key]
            for key in ("kind", "id", "jobReference", "statistics", "status", "user_email")
            if key in body
        }
        if call.params.get("projection") == "full":
            shown["configuration"] = body["configuration"]
        shown["state"] = body["status"]["state"]
        if "errorResult" in body["status"]:
            shown["errorResult"] = body["status"]["errorResult"]
        jobs.append(shown)
    jobs.sort(key=lambda body: body["statistics"]["creationTime"], reverse=True)
    found.pop("jobs", None)
    return {**found, "etag": standard.fingerprint({"j": jobs}), **({"jobs": jobs} if jobs else {})}


def cancel(call: Call) -> Body:
    body = call.get(call.name)
    if body is None:
        raise not_found(f"Not found: Job {call.project}:{last(call.name)}")
    return {"kind": "bigquery#jobCancelResponse", "job": standard.visible(call, call.name, body)}


def delete(call: Call) -> Body | Reply:
    call.need()
    call.delete(call.name)
    return Reply(204)


def run_query(call: Call) -> Body | Reply:
    """`jobs.query`: insert, wait, first page; errors come back over HTTP."""
    given = call.body
    carried = (
        "query",
        "defaultDataset",
        "useLegacySql",
        "parameterMode",
        "queryParameters",
        "destinationEncryptionConfiguration",
        "maximumBytesBilled",
        "createSession",
    )
    settings = {key: given[key] for key in carried if key in given}
    if not settings.get("query"):
        raise invalid("Required parameter is missing: query", "required")
    settings.setdefault("useLegacySql", True)
    configuration: Body = {"query": settings}
    if "labels" in given:
        configuration["labels"] = given["labels"]
    reference = {"location": given["location"]} if given.get("location") else {}
    body = _new_job(call, configuration, reference)
    if given.get("dryRun"):
        done = _dry_run(call, body)
        return {
            "kind": "bigquery#queryResponse",
            "jobReference": {key: value for key, value in done["jobReference"].items() if key != "jobId"},
            "schema": done["statistics"]["query"].get("schema", {}),
            "totalBytesProcessed": done["statistics"]["totalBytesProcessed"],
            "jobComplete": True,
            "cacheHit": False,
        }
    name = _job_name(body)
    call.put(name, body)
    _advance(call, name, _planner(call, body))
    int64 = bool(given.get("formatOptions", {}).get("useInt64Timestamp"))
    limit = int(given.get("maxResults") or _PAGE)
    return _await(call, name, float(given.get("timeoutMs", 10_000)) / 1000, "bigquery#queryResponse", limit, 0, int64)


def results(call: Call) -> Body | Reply:
    """https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults"""
    identifier = call.params["jobId"]
    name = f"bigquery/projects/{call.project}/jobs/{identifier}"
    body = call.get(name)
    if body is None:
        raise not_found(f"Not found: Job {call.project}:{identifier}")
    if body["configuration"]["jobType"] != "QUERY":
        raise invalid("Job is not a query job.")
    start = int(call.params.get("startIndex") or 0)
    if call.params.get("pageToken"):
        start = query.page_start(call.params["pageToken"])
    limit = call.params.get("maxResults")
    int64 = bool(call.params.get("formatOptions.useInt64Timestamp"))
    seconds = float(call.params.get("timeoutMs", 10_000)) / 1000
    return _await(
        call, name, seconds, "bigquery#getQueryResultsResponse", _PAGE if limit is None else int(limit), start, int64
    )


def _await(call: Call, name: str, seconds: float, kind: str, limit: int, start: int, int64: bool) -> Reply:
    def resume(context: Context) -> Body:
        return _results_body(
            replace(call, context=replace(call.context, now=context.now)), name, kind, limit, start, int64
        )

    return Reply(wait=Wait(name, min(seconds, 200.0), resume))


def _results_body(call: Call, name: str, kind: str, limit: int, start: int, int64: bool) -> Body:
    body = call.need(name)
    reply: Body = {"kind": kind, "jobReference": body["jobReference"], "jobComplete": body["status"]["state"] == "DONE"}
    if kind.endswith("ResultsResponse"):
        reply["etag"] = body["etag"]
    if not reply["jobComplete"]:
        return reply
    failure = body["status"].get("errorResult")
    if failure is not None:
        http = body.get("~http", {"status": "INVALID_ARGUMENT", "http": 400})
        raise ApiError(http["status"], failure["message"], reason=failure["reason"], http=http["http"])
    statistics = body["statistics"].get("query", {})
    if "numDmlAffectedRows" in statistics:
        reply["numDmlAffectedRows"] = statistics["numDmlAffectedRows"]
        if "dmlStats" in statistics and kind.endswith("queryResponse"):
            reply["dmlStats"] = statistics["dmlStats"]
    reply.update(totalBytesProcessed=body["statistics"].get("totalBytesProcessed", "0"), cacheHit=False)
    if "~schema" in body:
        reply["schema"] = {"fields": body["~schema"]}
        reply["totalRows"] = str(body["~total"])
        if limit:
            page = warehouse(call).call("page", table=body["~result"], limit=limit, offset=start)
            rows = query.with_timestamps(page["rows"], page["schema"], int64)
            if rows:
                reply["rows"] = rows
            if start + len(rows) < body["~total"] and rows:
                reply["pageToken"] = query.page_token(start + len(rows))
    else:
        reply["totalRows"] = "0"
        if kind.endswith("ResultsResponse"):
            reply["schema"] = {}
    return reply


def service_account(call: Call) -> Body:
    """BigQuery's encryption agent exists from when somebody asks for it."""
    from twin.services.usage import ensure_agent

    return {"kind": "bigquery#getServiceAccountResponse", "email": ensure_agent(call, "bigquery.googleapis.com")}
