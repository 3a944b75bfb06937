"""Between v2's record and v1's Knative objects. What v2 has no field for is kept aside and comes back untouched.

https://cloud.google.com/run/docs/reference/rest/v1/namespaces.services, https://cloud.google.com/run/docs/reference/rest/v1/RevisionSpec
"""

from __future__ import annotations

import copy
from typing import Any, Final

from twin.kernel.names import last, segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body, seconds_of

_INGRESS = {
    "INGRESS_TRAFFIC_ALL": "all",
    "INGRESS_TRAFFIC_INTERNAL_ONLY": "internal",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal-and-cloud-load-balancing",
}
_ENVIRONMENTS = {"EXECUTION_ENVIRONMENT_GEN1": "gen1", "EXECUTION_ENVIRONMENT_GEN2": "gen2"}
_MIN, _MAX = "autoscaling.knative.dev/minScale", "autoscaling.knative.dev/maxScale"
_SERVICE_MIN, _SERVICE_MAX = "run.googleapis.com/minScale", "run.googleapis.com/maxScale"
_MODE, _MANUAL = "run.googleapis.com/scalingMode", "run.googleapis.com/manualInstanceCount"
_AFFINITY, _BOOST, _THROTTLE = (
    "run.googleapis.com/sessionAffinity",
    "run.googleapis.com/startup-cpu-boost",
    "run.googleapis.com/cpu-throttling",
)
_EXECUTION, _INGRESS_NOTE, _CLIENT, _CLIENT_VERSION = (
    "run.googleapis.com/execution-environment",
    "run.googleapis.com/ingress",
    "run.googleapis.com/client-name",
    "run.googleapis.com/client-version",
)
_CONNECTOR, _EGRESS, _KEY = (
    "run.googleapis.com/vpc-access-connector",
    "run.googleapis.com/vpc-access-egress",
    "run.googleapis.com/encryption-key",
)
_SERVER = (
    "serving.knative.dev/creator",
    "serving.knative.dev/lastModifier",
    "run.googleapis.com/operation-id",
    "run.googleapis.com/ingress-status",
    "run.googleapis.com/urls",
    "run.googleapis.com/launch-stage",
    "run.googleapis.com/description",
)


def _swap(table: dict[str, str], value: str) -> str:
    return next((key for key, shown in table.items() if shown == value), "")


# v2 → v1


def service(call: Call, name: str, body: Body) -> Body:
    location = segment_after(name, "locations")
    annotations = {**body.get("annotations", {}), **body.get("~annotations", {})}
    annotations.update(
        {
            "serving.knative.dev/creator": body["creator"],
            "serving.knative.dev/lastModifier": body["lastModifier"],
            "run.googleapis.com/operation-id": body["uid"],
            _INGRESS_NOTE: _INGRESS.get(body["ingress"], "all"),
            "run.googleapis.com/ingress-status": _INGRESS.get(body["ingress"], "all"),
            "run.googleapis.com/urls": "[" + ",".join(f'"{url}"' for url in body["urls"]) + "]",
        }
    )
    for field, note in (
        ("client", _CLIENT),
        ("clientVersion", _CLIENT_VERSION),
        ("description", "run.googleapis.com/description"),
    ):
        if body.get(field):
            annotations[note] = body[field]
    if body.get("~launchStage"):
        annotations["run.googleapis.com/launch-stage"] = body["~launchStage"]
    scaling = body.get("scaling", {})
    if "minInstanceCount" in scaling:
        annotations[_SERVICE_MIN] = str(scaling["minInstanceCount"])
    if "maxInstanceCount" in scaling:
        annotations[_SERVICE_MAX] = str(scaling["maxInstanceCount"])
    if "scalingMode" in scaling:
        annotations[_MODE] = scaling["scalingMode"].lower()
    if "manualInstanceCount" in scaling:
        annotations[_MANUAL] = str(scaling["manualInstanceCount"])
    metadata = _metadata(call, name, body, annotations)
    metadata["labels"] = {**body.get("labels", {}), "cloud.googleapis.com/location": location}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"template": _template(body["template"]), "traffic": [_target(target) for target in body["traffic"]]},
        "status": _service_status(body),
    }


def _metadata(call: Call, name: str, body: Body, annotations: Body) -> Body:
    word = name.rsplit("/", 2)[-2]
    return {
        "name": last(name),
        "namespace": call.number,
        "selfLink": f"/apis/serving.knative.dev/v1/namespaces/{call.number}/{word}/{last(name)}",
        "uid": body["uid"],
        "resourceVersion": body["etag"].strip('"'),
        "generation": int(body["generation"]),
        "creationTimestamp": body["createTime"],
        "annotations": annotations,
    }


def _service_status(body: Body) -> Body:
    ready, created = last(body["latestReadyRevision"]), last(body["latestCreatedRevision"])
    conditions = [shown_condition(body["terminalCondition"])] + [shown_condition(item) for item in body["conditions"]]
    traffic = []
    for target in body["trafficStatuses"]:
        shown = _target(target)
        shown["revisionName"] = shown.get("revisionName") or ready
        if target.get("uri"):
            shown["url"] = target["uri"]
        traffic.append(shown)
    return {
        "observedGeneration": int(body["observedGeneration"]),
        "conditions": conditions,
        "latestReadyRevisionName": ready,
        "latestCreatedRevisionName": created,
        "traffic": traffic,
        "url": body["uri"],
        "address": {"url": body["uri"]},
    }


def shown_condition(item: Body) -> Body:
    status = {"CONDITION_SUCCEEDED": "True", "CONDITION_FAILED": "False"}.get(item["state"], "Unknown")
    shown: Body = {"type": item["type"], "status": status, "lastTransitionTime": item["lastTransitionTime"]}
    if item.get("message"):
        shown["message"] = item["message"]
    return shown


def _target(target: Body) -> Body:
    shown: Body = {}
    if target.get("percent"):
        shown["percent"] = target["percent"]
    if target.get("revision"):
        shown["revisionName"] = target["revision"]
    else:
        shown["latestRevision"] = True
    if target.get("tag"):
        shown["tag"] = target["tag"]
    return shown


def _template(template: Body) -> Body:
    metadata: Body = {"annotations": template_annotations(template)}
    if template.get("labels"):
        metadata["labels"] = template["labels"]
    if template.get("revision"):
        metadata["name"] = template["revision"]
    return {"metadata": metadata, "spec": revision_spec(template)}


def template_annotations(template: Body) -> Body:
    annotations = {**template.get("annotations", {}), **template.get("~annotations", {})}
    scaling = template.get("scaling", {})
    if scaling.get("minInstanceCount"):
        annotations[_MIN] = str(scaling["minInstanceCount"])
    if "maxInstanceCount" in scaling:
        annotations[_MAX] = str(scaling["maxInstanceCount"])
    if template.get("sessionAffinity"):
        annotations[_AFFINITY] = "true"
    if template.get("executionEnvironment") in _ENVIRONMENTS:
        annotations[_EXECUTION] = _ENVIRONMENTS[template["executionEnvironment"]]
    if template.get("encryptionKey"):
        annotations[_KEY] = template["encryptionKey"]
    access = template.get("vpcAccess", {})
    if access.get("connector"):
        annotations[_CONNECTOR] = access["connector"]
    if access.get("egress"):
        annotations[_EGRESS] = access["egress"].lower().replace("_", "-")
    containers = template.get("containers", [])
    if any(container.get("resources", {}).get("startupCpuBoost") for container in containers):
        annotations[_BOOST] = "true"
    if any(container.get("resources", {}).get("cpuIdle") is False for container in containers):
        annotations[_THROTTLE] = "false"
    return annotations


def revision_spec(template: Body) -> Body:
    spec: Body = {
        "containerConcurrency": template.get("maxInstanceRequestConcurrency", 80),
        "timeoutSeconds": int(seconds_of(template["timeout"])),
        "serviceAccountName": template["serviceAccount"],
        "containers": [container_v1(container) for container in template.get("containers", [])],
    }
    if template.get("volumes"):
        spec["volumes"] = [volume_v1(volume) for volume in template["volumes"]]
    return spec


def container_v1(container: Body) -> Body:
    shown = {key: copy.deepcopy(value) for key, value in container.items() if key in _SAME}
    if container.get("env"):
        shown["env"] = [_variable_v1(variable) for variable in container["env"]]
    if container.get("resources", {}).get("limits"):
        shown["resources"] = {"limits": dict(container["resources"]["limits"])}
    return shown


_SAME = (
    "name",
    "image",
    "command",
    "args",
    "ports",
    "volumeMounts",
    "workingDir",
    "livenessProbe",
    "startupProbe",
    "readinessProbe",
)


def _variable_v1(variable: Body) -> Body:
    reference = variable.get("valueSource", {}).get("secretKeyRef")
    if reference:
        return {
            "name": variable["name"],
            "valueFrom": {"secretKeyRef": {"name": reference["secret"], "key": reference.get("version", "latest")}},
        }
    return dict(variable)


def volume_v1(volume: Body) -> Body:
    if "secret" in volume:
        secret = volume["secret"]
        items = [
            {
                "key": item.get("version", "latest"),
                "path": item["path"],
                **({"mode": item["mode"]} if "mode" in item else {}),
            }
            for item in secret.get("items", [])
        ]
        return {
            "name": volume["name"],
            "secret": {"secretName": secret["secret"], **({"items": items} if items else {})},
        }
    return dict(volume)


def revision(call: Call, name: str, body: Body) -> Body:
    annotations = template_annotations(body)
    metadata = _metadata(call, name, body, annotations)
    metadata["labels"] = {
        **body.get("labels", {}),
        "serving.knative.dev/service": body["service"],
        "cloud.googleapis.com/location": segment_after(name, "locations"),
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": metadata,
        "spec": revision_spec(body),
        "status": {
            "observedGeneration": 1,
            "conditions": [shown_condition(item) for item in body["conditions"]],
            "logUrl": body["logUri"],
        },
    }


# v1 → v2

_SYSTEM: Final = ("run.googleapis.com", "cloud.googleapis.com", "serving.knative.dev", "autoscaling.knative.dev")


def to_record(given: Body, old: Body | None) -> Body:
    """A v2 body from a Knative service; annotations without a v2 field are kept aside."""
    metadata = given.get("metadata", {})
    annotations = dict(metadata.get("annotations", {}))
    for note in _SERVER:
        annotations.pop(note, None)
    record: Body = {}
    launch = metadata.get("annotations", {}).get("run.googleapis.com/launch-stage")
    record["launchStage"] = launch or "GA"
    description = metadata.get("annotations", {}).get("run.googleapis.com/description")
    if description:
        record["description"] = description
    ingress = annotations.pop(_INGRESS_NOTE, "")
    record["ingress"] = _swap(_INGRESS, ingress) or (old or {}).get("ingress", "INGRESS_TRAFFIC_ALL")
    for field, note in (("client", _CLIENT), ("clientVersion", _CLIENT_VERSION)):
        if note in annotations:
            record[field] = annotations.pop(note)
    scaling: Body = {}
    if _SERVICE_MIN in annotations:
        scaling["minInstanceCount"] = int(annotations.pop(_SERVICE_MIN))
    if _SERVICE_MAX in annotations:
        scaling["maxInstanceCount"] = int(annotations.pop(_SERVICE_MAX))
    if _MODE in annotations:
        scaling["scalingMode"] = annotations.pop(_MODE).upper()
    if _MANUAL in annotations:
        scaling["manualInstanceCount"] = int(annotations.pop(_MANUAL))
    if scaling:
        record["scaling"] = scaling
    _share(record, annotations)
    labels = {
        key: value for key, value in metadata.get("labels", {}).items() if not key.startswith("cloud.googleapis.com/")
    }
    if labels:
        record["labels"] = labels
    spec = given.get("spec", {})
    record["template"] = template_v2(spec.get("template", {}))
    traffic = spec.get("traffic")
    if traffic:
        record["traffic"] = [_target_v2(target) for target in traffic]
    elif old:
        record["traffic"] = old["traffic"]
    return record


def _target_v2(target: Body) -> Body:
    shown: Body = {}
    if target.get("percent"):
        shown["percent"] = target["percent"]
    if target.get("revisionName") and not target.get("latestRevision"):
        shown["revision"] = target["revisionName"]
        shown["type"] = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    else:
        shown["type"] = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    if target.get("tag"):
        shown["tag"] = target["tag"]
    return shown


def template_v2(template: Body) -> Body:
    metadata, spec = template.get("metadata", {}), template.get("spec", {})
    notes = dict(metadata.get("annotations", {}))
    record: Body = {"containers": [container_v2(container) for container in spec.get("containers", [])]}
    if metadata.get("name"):
        record["revision"] = metadata["name"]
    if metadata.get("labels"):
        record["labels"] = metadata["labels"]
    if spec.get("timeoutSeconds"):
        record["timeout"] = f"{spec['timeoutSeconds']}s"
    if spec.get("serviceAccountName"):
        record["serviceAccount"] = spec["serviceAccountName"]
    if spec.get("containerConcurrency"):
        record["maxInstanceRequestConcurrency"] = spec["containerConcurrency"]
    if spec.get("volumes"):
        record["volumes"] = [_volume_v2(volume) for volume in spec["volumes"]]
    scaling: Body = {}
    if _MIN in notes:
        scaling["minInstanceCount"] = int(notes.pop(_MIN))
    if _MAX in notes:
        scaling["maxInstanceCount"] = int(notes.pop(_MAX))
    if scaling:
        record["scaling"] = scaling
    if notes.pop(_AFFINITY, "false").lower() == "true":
        record["sessionAffinity"] = True
    if _EXECUTION in notes:
        record["executionEnvironment"] = _swap(_ENVIRONMENTS, notes.pop(_EXECUTION))
    if _KEY in notes:
        record["encryptionKey"] = notes.pop(_KEY)
    access: Body = {}
    if _CONNECTOR in notes:
        access["connector"] = notes.pop(_CONNECTOR)
    if _EGRESS in notes:
        access["egress"] = notes.pop(_EGRESS).upper().replace("-", "_")
    if access:
        record["vpcAccess"] = access
    boost, throttle = notes.pop(_BOOST, "false").lower() == "true", notes.pop(_THROTTLE, "true").lower() == "true"
    for container in record["containers"]:
        resources = container.setdefault("resources", {})
        if boost:
            resources["startupCpuBoost"] = True
        resources["cpuIdle"] = throttle
    for note in (_CLIENT, _CLIENT_VERSION):
        notes.pop(note, None)
    _share(record, notes)
    return record


def _share(record: Body, notes: Body) -> None:
    """Both faces show a user's own annotations; v2 has no place for the system's, so those that no field holds are kept aside.

    cloud.google.com/run/docs/reference/rest/v2/projects.locations.services#Service.FIELDS.annotations
    """
    own = {key: value for key, value in notes.items() if not key.partition("/")[0].endswith(_SYSTEM)}
    aside = {key: value for key, value in notes.items() if key not in own}
    if own:
        record["annotations"] = own
    if aside:
        record["~annotations"] = aside


def container_v2(container: Body) -> Body:
    record: Body = {key: copy.deepcopy(value) for key, value in container.items() if key in _SAME}
    if container.get("env"):
        record["env"] = [_variable_v2(variable) for variable in container["env"]]
    limits: Any = container.get("resources", {}).get("limits")
    if limits:
        record["resources"] = {"limits": dict(limits)}
    return record


def _variable_v2(variable: Body) -> Body:
    reference = variable.get("valueFrom", {}).get("secretKeyRef")
    if reference:
        return {
            "name": variable["name"],
            "valueSource": {"secretKeyRef": {"secret": reference["name"], "version": reference.get("key", "latest")}},
        }
    return {"name": variable["name"], **({"value": variable["value"]} if "value" in variable else {})}


def _volume_v2(volume: Body) -> Body:
    if "secret" in volume:
        secret = volume["secret"]
        items = [{"version": item.get("key", "latest"), "path": item["path"]} for item in secret.get("items", [])]
        return {
            "name": volume["name"],
            "secret": {"secret": secret["secretName"], **({"items": items} if items else {})},
        }
    return dict(volume)
