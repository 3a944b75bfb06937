"""Cloud Logging and Cloud Monitoring: what is written can be read back with the filters that people use.

https://cloud.google.com/logging/docs/reference/v2/rest, https://cloud.google.com/monitoring/api/v3
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import re
import uuid
from typing import Any

from twin.kernel import paging, standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.filters import compile_filter
from twin.kernel.names import collection_of, last, letters, numeric_id, relative, segment_after
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply, parse_rfc3339, rfc3339

_KEPT_ENTRIES = 20_000
_SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")

# Logging


def missing_log_thing(name: str) -> ApiError:
    """Each kind has words of its own (recorded)."""
    kind, short = last(collection_of(name)), last(name)
    words = {
        "metrics": f"Metric {short} does not exist.",
        "sinks": f"Sink {short} does not exist",
        "views": f"View {short} does not exist",
        "exclusions": f"Exclusion {relative(name)} does not exist",
        "buckets": f"Bucket `{short}` in location `{segment_after(name, 'locations')}` does not exist",
    }
    return not_found(words.get(kind, f"{relative(name)} does not exist"))


def _log_collection(resource: str) -> str:
    return f"log-entries/{resource}"


def write_entries(call: Call) -> Body:
    """entries.write; also the way in for the runtime's own request logs."""
    shared = {key: call.body[key] for key in ("logName", "resource", "labels") if key in call.body}
    for given in call.body.get("entries", []):
        entry = {**copy.deepcopy(shared), **given}
        if "labels" in shared and "labels" in given:
            entry["labels"] = {**shared["labels"], **given["labels"]}
        name = entry.get("logName", "")
        match = re.match(r"^((?:projects|organizations|folders|billingAccounts)/[^/]+)/logs/(.+)$", name)
        if match is None:
            raise invalid(f"Invalid log name: {name or '(empty)'}")
        if "resource" not in entry:
            raise invalid("Log entries must name a monitored resource.")
        entry.setdefault("timestamp", call.stamp)
        entry["receiveTimestamp"] = call.stamp
        entry.setdefault("insertId", letters(16))
        parts = match[1].split("/")
        owner = f"{parts[0]}/{call.engine.id_of(parts[1])}"
        if not call.context.internal and not call.engine.policies.allowed(
            call.context.principal, "logging.logEntries.create", f"logging/{owner}", call.now
        ):
            raise ApiError(
                "PERMISSION_DENIED", "Permission 'logging.logEntries.create' denied on resource (or it may not exist)."
            )
        key = f"{_log_collection(owner)}/{entry['timestamp']}~{entry['insertId']}".replace(":", "_")
        if not call.body.get("dryRun"):
            call.put(key, entry)
            _trim(call, _log_collection(owner))
    return {}


def _trim(call: Call, collection: str) -> None:
    """Bounded: the oldest entries go first."""
    names = [name for name, _ in call.children(collection)] if len(call.engine.store) > _KEPT_ENTRIES else []
    for name in names[: max(0, len(names) - _KEPT_ENTRIES)]:
        call.delete(name)


def list_entries(call: Call) -> Body:
    resources = call.body.get("resourceNames", [])
    if not resources:
        raise invalid("resource_names must not be empty.")
    text = str(call.body.get("filter", ""))
    keep = _log_filter(text)
    newest_first = str(call.body.get("orderBy", "timestamp asc")).endswith("desc")
    found: list[tuple[str, Body]] = []
    for resource in resources:
        parts = resource.split("/")
        owner = f"{parts[0]}/{call.engine.id_of(parts[1])}" if len(parts) > 1 else resource
        if not call.context.internal and not call.engine.policies.allowed(
            call.context.principal, "logging.logEntries.list", f"logging/{owner}", call.now
        ):
            raise ApiError("PERMISSION_DENIED", "Permission denied for all log views")
        found += [(name, body) for name, body in call.children(_log_collection(owner)) if keep(body)]
    found.sort(key=lambda item: item[0].rpartition("/")[2], reverse=newest_first)
    size = paging.size_of(call.body, 50)
    token = call.body.get("pageToken", "")
    start = 0
    if token:
        after = paging.position_of({"pageToken": token}, "log")
        start = next((place + 1 for place, (name, _) in enumerate(found) if name == after), len(found))
    chosen = found[start : start + size]
    reply: Body = {"entries": [body for _, body in chosen]} if chosen else {}
    if start + size < len(found):
        reply["nextPageToken"] = paging.token_for(chosen[-1][0], "log")
    return reply


def _log_filter(text: str) -> Any:
    """The query language, with severities compared by rank (https://cloud.google.com/logging/docs/view/logging-query-language)."""
    pattern = re.compile(r"\bseverity\s*(>=|<=|>|<|=)\s*\"?([A-Za-z]+)\"?")
    ranks = [
        (match[1], _SEVERITIES.index(match[2].upper()) if match[2].upper() in _SEVERITIES else 0)
        for match in pattern.finditer(text)
    ]
    rest = re.sub(r"(^|\s)AND(\s+AND)+\s", " AND ", pattern.sub("", text).replace("\n", " ").strip())
    rest = re.sub(r"^(\s*AND\s+)+|(\s+AND\s*)+$", "", rest).strip()
    rest = re.sub(r"^AND$", "", rest)
    predicate = compile_filter(rest) if rest else None

    def keep(body: Body) -> bool:
        rank = _SEVERITIES.index(body.get("severity", "DEFAULT"))
        for operator, wanted in ranks:
            if not {
                ">=": rank >= wanted,
                "<=": rank <= wanted,
                ">": rank > wanted,
                "<": rank < wanted,
                "=": rank == wanted,
            }[operator]:
                return False
        return predicate is None or predicate(body)

    return keep


def list_logs(call: Call) -> Body:
    owner = relative(call.name).removesuffix("/logs")
    names = sorted({body["logName"] for _, body in call.children(_log_collection(owner))})
    return {"logNames": names} if names else {}


def create_metric(call: Call, body: Body) -> None:
    short = last(call.name)
    body["name"] = short
    descriptor = body.setdefault("metricDescriptor", {})
    descriptor.setdefault("metricKind", "DELTA")
    descriptor.setdefault("valueType", "INT64")
    descriptor.setdefault("unit", "1")
    kind = f"logging.googleapis.com/user/{short}"
    descriptor["type"], descriptor["name"] = kind, f"projects/{call.project}/metricDescriptors/{kind}"


def update_metric(call: Call) -> Body:
    old = call.get(call.name)
    body = copy.deepcopy(call.body)
    create_metric(call, body)
    body["createTime"] = old["createTime"] if old else call.stamp
    body["updateTime"] = call.stamp
    return call.put(call.name, body)


def create_sink(call: Call, body: Body) -> None:
    body["name"] = last(call.name)
    body["writerIdentity"] = f"serviceAccount:service-{call.number}@gcp-sa-logging.iam.gserviceaccount.com"


def update_sink(call: Call, old: Body, new: Body) -> None:
    for field in ("createTime", "writerIdentity"):
        if field in old:
            new[field] = old[field]


def create_bucket(call: Call, body: Body) -> None:
    body.setdefault("retentionDays", 30)
    body["lifecycleState"] = "ACTIVE"


def delete_bucket(call: Call) -> Body | Reply:
    body = call.copy()
    if body.get("locked"):
        raise ApiError("FAILED_PRECONDITION", "A locked bucket cannot be deleted.")
    body["lifecycleState"] = "DELETE_REQUESTED"
    call.put(call.name, body)
    return {}


LOGGING = Semantics(
    api="logging",
    missing=missing_log_thing,
    methods={
        "entries.write": write_entries,
        "entries.list": list_entries,
        "logs.list": list_logs,
        "metrics.update": update_metric,
        "buckets.delete": delete_bucket,
    },
    creating={"metrics": create_metric, "sinks": create_sink, "buckets": create_bucket},
    updating={"sinks": update_sink},
    ids={"metrics": "name", "sinks": "name", "exclusions": "name"},
    packages={"v2": "google.logging.v2"},
    permissions={
        "entries.write": "",
        "entries.list": "",
        "metrics.create": "logging.logMetrics.create",
        "metrics.update": "logging.logMetrics.update",
    },
    rules=(
        Rule("logging.kept", "the latest 20,000 entries of a project are kept", "", "assumed"),
        Rule(
            "logging.severity-order",
            "severities compare by rank",
            "https://cloud.google.com/logging/docs/view/logging-query-language",
        ),
        Rule(
            "logging.bucket-deleted-later",
            "a deleted log bucket is DELETE_REQUESTED for 7 days",
            "https://cloud.google.com/logging/docs/buckets#delete-bucket",
        ),
    ),
)

# Monitoring


def missing_monitored(name: str) -> ApiError:
    kind, short = last(collection_of(name)), last(name)
    project = segment_after(name, "projects")
    words = {
        "uptimeCheckConfigs": f"Config not found for check {short} in project {project}",
        "groups": f"Could not find group definition for '{short}'.",
        "metricDescriptors": f"Could not find descriptor for metric '{short}'.",
        "services": f"There is no service with id '{short}' in project '{project}'",
    }
    return not_found(words.get(kind, "Requested entity was not found."))


def create_policy(call: Call, body: Body) -> None:
    body.setdefault("enabled", True)
    record = {"mutateTime": call.stamp, "mutatedBy": call.context.principal.partition(":")[2]}
    body["creationRecord"], body["mutationRecord"] = record, dict(record)
    for condition in body.get("conditions", []):
        condition.setdefault("name", f"{relative(call.name)}/conditions/{numeric_id(19)}")


def update_policy(call: Call, old: Body, new: Body) -> None:
    new["creationRecord"] = old["creationRecord"]
    new["mutationRecord"] = {"mutateTime": call.stamp, "mutatedBy": call.context.principal.partition(":")[2]}
    for condition in new.get("conditions", []):
        condition.setdefault("name", f"{relative(call.name)}/conditions/{numeric_id(19)}")


def create_channel(call: Call, body: Body) -> None:
    if not body.get("type"):
        raise invalid("Field type must be set.")
    body.setdefault("enabled", True)
    body["creationRecord"] = {"mutateTime": call.stamp}
    body["mutationRecords"] = [{"mutateTime": call.stamp}]


def create_service(call: Call, body: Body) -> None:
    body["name"] = f"projects/{call.number}/services/{last(call.name)}"


def create_uptime(call: Call, body: Body) -> None:
    body.setdefault("period", "60s")
    body.setdefault("checkerType", "STATIC_IP_CHECKERS")
    if "httpCheck" in body:
        body["httpCheck"].setdefault("requestMethod", "GET")
        body["httpCheck"].setdefault("path", "/")


def create_dashboard(call: Call) -> Body:
    standard.require_parents(call, call.name)
    body = copy.deepcopy(call.body)
    _default_axes(body)
    short = last(body.get("name", "")) or str(uuid.uuid4())
    name = f"{call.name}/{short}"
    if call.get(name) is not None:
        raise ApiError("ALREADY_EXISTS", f"Dashboard {short} already exists.")
    body["name"] = f"projects/{call.number}/dashboards/{short}"
    body["etag"] = standard.fingerprint(body)
    return call.put(name, body)


def _default_axes(value: Any) -> None:
    """A chart's data set is drawn against Y1 unless it says otherwise."""
    if isinstance(value, dict):
        for data in value.get("dataSets", []):
            data.setdefault("targetAxis", "Y1")
        for element in value.values():
            _default_axes(element)
    elif isinstance(value, list):
        for element in value:
            _default_axes(element)


def patch_dashboard(call: Call) -> Body:
    old = call.need()
    given = call.body.get("etag")
    if given and given != old["etag"]:
        raise ApiError("ABORTED", "The dashboard was changed concurrently: etag mismatch.")
    body = copy.deepcopy(call.body)
    _default_axes(body)
    body["name"] = old["name"]
    body["etag"] = standard.fingerprint(body)
    return call.put(call.name, body)


def create_series(call: Call) -> Body:
    """timeSeries.create, and the runtime's own request counts."""
    for series in call.body.get("timeSeries", []):
        metric, resource = (
            series.get("metric", {}),
            series.get("resource", {"type": "global", "labels": {"project_id": call.project}}),
        )
        if not metric.get("type"):
            raise invalid("Field timeSeries[0].metric.type must be set.")
        digest = standard.fingerprint({"m": metric, "r": resource}).replace("/", "_")
        name = f"time-series/projects/{call.project}/{digest}"
        old = call.get(name) or {
            "metric": metric,
            "resource": resource,
            "metricKind": series.get("metricKind", "GAUGE"),
            "valueType": series.get("valueType", "DOUBLE"),
            "points": [],
        }
        points = []
        for point in series.get("points", []):
            interval = dict(point.get("interval", {}))
            interval.setdefault("endTime", call.stamp)
            interval.setdefault("startTime", interval["endTime"])
            points.append({**point, "interval": interval})
        kept = sorted([*old["points"], *points], key=lambda point: str(point["interval"]["endTime"]))[-2000:]
        call.put(name, {**old, "points": kept})
    return {}


def list_series(call: Call) -> Body:
    """timeSeries.list over an interval; alignment by sum, mean, min, max, count."""
    text = str(call.params.get("filter", ""))
    if not text:
        raise invalid('Field filter had an invalid value of "": must be specified.')
    end = parse_rfc3339(str(call.params.get("interval.endTime") or rfc3339(call.now)))
    start = parse_rfc3339(str(call.params.get("interval.startTime") or rfc3339(end)))
    predicate = compile_filter(re.sub(r"\b(metric|resource)\.label\.", r"\1.labels.", text))
    found = []
    for _, series in call.children(f"time-series/projects/{call.project}"):
        if not predicate(series):
            continue
        points = [point for point in series["points"] if start <= parse_rfc3339(point["interval"]["endTime"]) <= end]
        aligner = call.params.get("aggregation.perSeriesAligner", "ALIGN_NONE")
        if points and aligner not in ("ALIGN_NONE", ""):
            points = [_aligned(points, str(aligner), rfc3339(start), rfc3339(end))]
        if points:
            found.append({**series, "points": list(reversed(points))})
    return {"timeSeries": found} if found else {}


def _aligned(points: list[Body], aligner: str, start: str, end: str) -> Body:
    values = [
        float(next(iter(point["value"].values())))
        for point in points
        if point.get("value") and not isinstance(next(iter(point["value"].values())), (dict, bool))
    ]
    total = sum(values)
    result = {
        "ALIGN_SUM": total,
        "ALIGN_DELTA": total,
        "ALIGN_MEAN": total / len(values) if values else 0.0,
        "ALIGN_MAX": max(values, default=0.0),
        "ALIGN_MIN": min(values, default=0.0),
        "ALIGN_COUNT": float(len(values)),
    }.get(aligner)
    if result is None:
        raise invalid(f"The twin does not align by {aligner}.")
    return {"interval": {"startTime": start, "endTime": end}, "value": {"doubleValue": result}}


def create_descriptor(call: Call) -> Body:
    kind = call.body.get("type", "")
    name = f"{call.name}/{kind.replace('/', '%2F')}"
    return call.put(name, {**call.body, "name": f"projects/{call.project}/metricDescriptors/{kind}"})


def scope(call: Call) -> Body:
    project = call.engine.id_of(last(call.name))
    body = call.get(f"cloudresourcemanager/projects/{project}")
    if body is None:
        raise ApiError("PERMISSION_DENIED", "The caller does not have permission")
    number = body["projectNumber"]
    name = f"locations/global/metricsScopes/{number}"
    return {
        "name": name,
        "createTime": body["createTime"],
        "updateTime": body["createTime"],
        "monitoredProjects": [{"name": f"{name}/projects/{number}", "createTime": body["createTime"]}],
    }


MONITORING = Semantics(
    api="monitoring",
    missing=missing_monitored,
    methods={
        "timeSeries.create": create_series,
        "timeSeries.list": list_series,
        "timeSeries.createService": create_series,
        "dashboards.create": create_dashboard,
        "dashboards.patch": patch_dashboard,
        "metricDescriptors.create": create_descriptor,
        "metricsScopes.get": scope,
    },
    creating={
        "alertPolicies": create_policy,
        "notificationChannels": create_channel,
        "services": create_service,
        "uptimeCheckConfigs": create_uptime,
    },
    updating={"alertPolicies": update_policy},
    ids={
        "alertPolicies": "generate:number",
        "notificationChannels": "generate:number",
        "groups": "generate:number",
        "snoozes": "generate:number",
    },
    packages={"v3": "google.monitoring.v3"},
    permissions={"metricsScopes.get": ""},
    rules=(
        Rule(
            "monitoring.own-series",
            "time series are what was written; Google's own metrics come from the runtime only",
            "",
            "assumed",
        ),
        Rule(
            "monitoring.number-in-names",
            "services and dashboards carry the project's number",
            "k8s-config-connector recordings, monitoring _http.log",
        ),
    ),
)
