"""Cloud Monitoring: policies, channels, services, dashboards, and time series as they were written.

https://cloud.google.com/monitoring/api/v3
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import uuid
from typing import Any

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.filters import compile_filter
from twin.kernel.names import collection_of, last, numeric_id, relative, segment_after
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body
from twin.services import time_series


def missing_monitored(name: str) -> ApiError:
    kind, short = last(collection_of(name)), last(name)
    project = segment_after(name, "projects")
    if "/metricDescriptors/" in name:
        # A metric's type has slashes of its own: custom.googleapis.com/market/volume.
        return not_found(f"Could not find descriptor for metric '{name.partition('/metricDescriptors/')[2]}'.")
    if kind == "serviceLevelObjectives":
        service = segment_after(name, "services")
        return not_found(f'There is no slo with id "{short}" under service "{service}" in project "{project}"')
    words = {
        "uptimeCheckConfigs": f"Config not found for check {short} in project {project}",
        "groups": f"Could not find group definition for '{short}'.",
        "services": f"There is no service with id '{short}' in project '{project}'",
    }
    return not_found(words.get(kind, "Requested entity was not found."))


def get_service(call: Call) -> Body:
    """A service of Monitoring; a missing one is told with the project's number (recorded: monitoringservicelevelobjective)."""
    if call.get(call.name) is None:
        raise not_found(f"There is no service with id '{last(call.name)}' in project '{call.number}'")
    return standard.get(call)


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


def create_objective(call: Call, body: Body) -> None:
    service, short = segment_after(call.name, "services"), last(call.name)
    body["name"] = f"projects/{call.number}/services/{service}/serviceLevelObjectives/{short}"
    if not 0 < float(body.get("goal", 0)) < 1:
        raise invalid("Field goal must be greater than 0 and less than 1.")


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


def create_descriptor(call: Call) -> Body:
    kind = call.body.get("type", "")
    if not kind:
        raise invalid("Field metricDescriptor.type must be set.")
    body = {**call.body, "name": f"projects/{call.project}/metricDescriptors/{kind}"}
    for label in body.get("labels", []):
        if label.get("valueType") == "STRING":
            del label["valueType"]
    return call.put(f"{call.name}/{kind}", body)


def list_descriptors(call: Call) -> Body:
    """A metric's type has slashes, so that descriptors are found below the collection, not in it."""
    text = str(call.params.get("filter", ""))
    keep = compile_filter(text.replace("metric.type", "type")) if text else None
    found = [call.need(name) for name in call.engine.store.below(call.name)]
    found = [body for body in found if keep is None or keep(body)]
    return {"metricDescriptors": found} if found else {}


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
        "timeSeries.create": time_series.create,
        "timeSeries.list": time_series.list_,
        "timeSeries.createService": time_series.create,
        "dashboards.create": create_dashboard,
        "dashboards.patch": patch_dashboard,
        "metricDescriptors.create": create_descriptor,
        "metricDescriptors.list": list_descriptors,
        "metricsScopes.get": scope,
        "services.get": get_service,
    },
    creating={
        "alertPolicies": create_policy,
        "notificationChannels": create_channel,
        "services": create_service,
        "serviceLevelObjectives": create_objective,
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
