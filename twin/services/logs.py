"""Cloud Logging: entries that can be read back with the filters that people use, buckets, links, sinks, metrics.

https://cloud.google.com/logging/docs/reference/v2/rest
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import re
from typing import Any
from urllib.parse import unquote

from twin.kernel import operations, paging, standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.filters import compile_filter
from twin.kernel.names import collection_of, last, letters, relative, segment_after
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply

_KEPT_ENTRIES = 20_000
_SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")


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


def delete_log(call: Call) -> Body:
    """`logs.delete`: every entry of the log goes. https://cloud.google.com/logging/docs/reference/v2/rest/v2/projects.logs/delete"""
    owner, _, wanted = unquote(relative(call.name)).partition("/logs/")
    kept = call.children(_log_collection(owner))
    gone = [key for key, body in kept if unquote(str(body["logName"])).partition("/logs/")[2] == wanted]
    if not gone:
        raise missing_log_thing(call.name)
    for key in gone:
        call.delete(key)
    return {}


_OWNERS = {"folders": "folder", "organizations": "org", "billingAccounts": "billing"}


def create_metric(call: Call, body: Body) -> None:
    short = last(call.name)
    body["name"] = short
    descriptor = body.setdefault("metricDescriptor", {})
    descriptor.setdefault("metricKind", "DELTA")
    descriptor.setdefault("valueType", "INT64")
    descriptor.setdefault("unit", "1")
    kind = f"logging.googleapis.com/user/{short}"
    for label in descriptor.get("labels", []):
        if label.get("valueType") == "STRING":
            # The first value of the enum, which protobuf's JSON leaves out.
            del label["valueType"]
    if body.get("description"):
        descriptor.setdefault("description", body["description"])
    if not body.get("disabled"):
        body.pop("disabled", None)
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
    # A folder's or an organization's sink writes as that owner's own agent (recorded).
    kind, owner = relative(call.name).split("/")[:2]
    agent = call.number if kind == "projects" else f"{_OWNERS[kind]}-{owner}"
    body["writerIdentity"] = f"serviceAccount:service-{agent}@gcp-sa-logging.iam.gserviceaccount.com"


def update_sink(call: Call, old: Body, new: Body) -> None:
    for field in ("createTime", "writerIdentity"):
        if field in old:
            new[field] = old[field]


def create_bucket(call: Call, body: Body) -> None:
    body.setdefault("retentionDays", 30)
    body["lifecycleState"] = "ACTIVE"
    for field in ("locked", "analyticsEnabled"):
        if not body.get(field):
            body.pop(field, None)


def update_bucket(call: Call, old: Body, new: Body) -> None:
    if old.get("locked") and (not new.get("locked") or new.get("retentionDays") != old.get("retentionDays")):
        raise ApiError("FAILED_PRECONDITION", "A locked bucket cannot be modified.")
    if not 1 <= int(new.get("retentionDays", 30)) <= 3650:
        raise invalid("Retention days must be between 1 and 3650.")
    for field in ("locked", "analyticsEnabled"):
        if not new.get(field):
            new.pop(field, None)


def create_link(call: Call) -> Body:
    """A link shows a log bucket as a BigQuery dataset. https://cloud.google.com/logging/docs/buckets#create-bq-dataset"""
    standard.require_parents(call, call.name)
    short = str(call.params.get("linkId", ""))
    name = f"{call.name}/{short}"
    if not short:
        raise invalid("Field link_id must be set.")
    if call.get(name) is not None:
        raise ApiError("ALREADY_EXISTS", f"Link {short} already exists")
    body: Body = {
        **call.body,
        "name": relative(name),
        "createTime": call.stamp,
        "lifecycleState": "ACTIVE",
        "bigqueryDataset": {"datasetId": f"bigquery.googleapis.com/projects/{call.project}/datasets/{short}"},
    }
    request = {"parent": relative(call.name).removesuffix("/links"), "linkId": short}
    call.name = name
    call.put(name, body)
    return _link_operation(call, "create", body, {"createLinkRequest": request})


def delete_link(call: Call) -> Body:
    call.need()
    call.delete(call.name)
    return _link_operation(call, "delete", None, {"deleteLinkRequest": {"name": relative(call.name)}})


def _link_operation(call: Call, verb: str, body: Body | None, request: Body) -> Body:
    metadata = {
        "@type": "type.googleapis.com/google.logging.v2.LinkMetadata",
        "startTime": call.stamp,
        "state": "OPERATION_STATE_SUCCEEDED",
        **request,
        "~endTime": call.stamp,
    }
    running = operations.lro(call, verb, call.name, body, "Link", metadata)
    # Operations of Logging carry the project's number, and a state of their own (recorded).
    path = f"{call.api}/{running['name']}"
    name = running["name"].replace(f"projects/{call.project}/", f"projects/{call.number}/", 1)
    said = {key: value for key, value in metadata.items() if key[0] != "~"}
    waiting = {**said, "state": "OPERATION_STATE_SCHEDULED"}
    stored = call.copy(path)
    call.put(path, {**stored, "name": name, "~pending": {**stored["~pending"], "metadata": waiting}})
    return {**running, "name": name, "metadata": waiting}


_GIVEN = {"_Default": ("Default bucket", 30, False), "_Required": ("Audit bucket", 400, True)}


def get_bucket(call: Call) -> Body | Reply:
    """Every folder, organization and billing account has two log buckets from the start."""
    _give_bucket(call)
    return standard.get(call)


def patch_bucket(call: Call) -> Body | Reply:
    _give_bucket(call)
    return standard.patch(call)


def _give_bucket(call: Call) -> None:
    short = last(call.name)
    if short not in _GIVEN or call.get(call.name) is not None or relative(call.name).startswith("projects/"):
        return
    description, days, locked = _GIVEN[short]
    body: Body = {
        "name": relative(call.name),
        "description": description,
        "retentionDays": days,
        "lifecycleState": "ACTIVE",
    }
    call.put(call.name, {**body, "locked": True} if locked else body)


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
        "logs.delete": delete_log,
        "metrics.update": update_metric,
        "buckets.delete": delete_bucket,
        "buckets.get": get_bucket,
        "buckets.patch": patch_bucket,
        "links.create": create_link,
        "links.delete": delete_link,
    },
    creating={"metrics": create_metric, "sinks": create_sink, "buckets": create_bucket},
    updating={"sinks": update_sink, "buckets": update_bucket},
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
        Rule(
            "logging.locked-bucket",
            "a locked log bucket is neither changed nor deleted",
            "https://cloud.google.com/logging/docs/buckets#locking-logs-buckets",
        ),
        Rule(
            "logging.retention-range",
            "retentionDays is 1 to 3650",
            "https://cloud.google.com/logging/docs/buckets#custom-retention",
        ),
    ),
)
