"""What both versions share: defaults, checks, revisions, conditions.

https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services
"""

from __future__ import annotations

import copy
import re

from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import collection_of, last, letters, numeric_id, relative, segment_after
from twin.kernel.semantics import Call
from twin.kernel.types import Body, seconds_of

MAX_TIMEOUT = 3600
_NAME = re.compile(r"^[a-z]([-a-z0-9]{0,47}[a-z0-9])?$")
_WORDS = {"services": "service", "jobs": "job", "revisions": "revision", "executions": "execution"}


def missing(name: str) -> ApiError:
    """`service "projects/…" not found`, as recorded from v2; v1 words it its own way."""
    word = _WORDS.get(last(collection_of(name)), "Resource")
    return not_found(f'{word} "{relative(name)}" not found')


def existing(name: str) -> ApiError:
    word = _WORDS.get(last(collection_of(name)), "Resource")
    return ApiError(
        "ALREADY_EXISTS",
        f"Resource '{last(name)}' already exists." if not word else f"{word} {last(name)} already exists",
        reason="alreadyExists",
    )


def check_name(name: str) -> None:
    if not _NAME.match(name):
        raise invalid(
            f"Violation in CreateServiceRequest.service_id: must use only lowercase, digits, and hyphens; must begin with letter; must "
            f"not end with hyphen; must be less than 50 characters. Found '{name}'."
        )


def default_account(call: Call) -> str:
    return f"{call.number}-compute@developer.gserviceaccount.com"


def default_template(call: Call, template: Body) -> None:
    """A revision template as the server completes it."""
    template.setdefault("timeout", "300s")
    template.setdefault("serviceAccount", default_account(call))
    template.setdefault("maxInstanceRequestConcurrency", 80)
    template.setdefault("scaling", {})
    template["scaling"].setdefault("maxInstanceCount", 100)
    containers = template.get("containers", [])
    for container in containers:
        _default_container(container)
    ingress = [container for container in containers if container.get("ports")]
    if len(containers) == 1 and not ingress:
        containers[0]["ports"] = [{"name": "http1", "containerPort": 8080}]
        ingress = containers
    for container in ingress:
        port = container["ports"][0]
        port.setdefault("name", "http1")
        port.setdefault("containerPort", 8080)
        if "startupProbe" not in container:
            container["startupProbe"] = {
                "timeoutSeconds": 240,
                "periodSeconds": 240,
                "failureThreshold": 1,
                "tcpSocket": {"port": port["containerPort"]},
            }
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                _default_probe(container[probe], port["containerPort"])


def _default_container(container: Body) -> None:
    resources = container.setdefault("resources", {})
    limits = resources.setdefault("limits", {})
    limits.setdefault("cpu", "1000m")
    limits.setdefault("memory", "512Mi")
    resources.setdefault("cpuIdle", True)


def _default_probe(probe: Body, port: int) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("failureThreshold", 3)
    for kind in ("httpGet", "tcpSocket", "grpc"):
        if kind in probe:
            probe[kind].setdefault("port", port)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")


def check_template(call: Call, template: Body, where: str = "template") -> None:
    """ApiError INVALID_ARGUMENT for what a revision cannot be."""
    if not template.get("containers"):
        raise _violation(f"{where}.containers", "at least one container is required")
    for position, container in enumerate(template["containers"]):
        if not container.get("image"):
            raise _violation(f"{where}.containers[{position}].image", "image is required")
        _check_env(call, template, container, f"{where}.containers[{position}]")
    seconds = seconds_of(template["timeout"])
    if not 0 < seconds <= MAX_TIMEOUT:
        raise _violation(f"{where}.timeout", f"must be between 0 and {MAX_TIMEOUT} seconds")
    scaling = template.get("scaling", {})
    if int(scaling.get("minInstanceCount", 0)) > int(scaling.get("maxInstanceCount", 100)):
        raise _violation(f"{where}.scaling", "max_instance_count must be greater than or equal to min_instance_count")
    if not 0 <= int(template.get("maxInstanceRequestConcurrency", 80)) <= 1000:
        raise _violation(f"{where}.max_instance_request_concurrency", "must be between 0 and 1000")
    account = template["serviceAccount"]
    project = account.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
    if call.engine.project_exists(project) and call.get(f"iam/projects/{project}/serviceAccounts/{account}") is None:
        raise ApiError(
            "PERMISSION_DENIED",
            f"Permission 'iam.serviceaccounts.actAs' denied on service account {account} (or it may not exist).",
        )


def _violation(field: str, text: str) -> ApiError:
    error = invalid(f"Violation in {field}: {text}")
    error.details = (
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": text}],
        },
    )
    return error


def _check_env(call: Call, template: Body, container: Body, where: str) -> None:
    names = [variable.get("name") for variable in container.get("env", [])]
    for name in names:
        if names.count(name) > 1:
            raise _violation(f"{where}.env", f"duplicate environment variable {name}")
    for position, variable in enumerate(container.get("env", [])):
        reference = variable.get("valueSource", {}).get("secretKeyRef")
        if reference:
            reference.setdefault("version", "latest")
            _check_secret(call, template, reference, f"{where}.env[{position}].value_source.secret_key_ref.secret")


def _check_secret(call: Call, template: Body, reference: Body, where: str) -> None:
    """A revision's account must be able to read each secret when it is deployed."""
    secret, version = reference["secret"], reference["version"]
    path = secret if secret.startswith("projects/") else f"projects/{call.project}/secrets/{secret}"
    project = call.engine.id_of(segment_after(path, "projects"))
    name = f"secretmanager/projects/{project}/secrets/{last(path)}"
    spoken = f"projects/{call.engine.number_of(project)}/secrets/{last(path)}/versions/{version}"
    if call.get(name) is None:
        raise _violation(where, f"Secret {spoken} was not found")
    if not any(True for _ in call.children(f"{name}/versions")) or (
        version != "latest" and call.get(f"{name}/versions/{version}") is None
    ):
        raise _violation(where, f"Secret {spoken} was not found")
    member = f"serviceAccount:{template['serviceAccount']}"
    if not call.engine.policies.allowed(member, "secretmanager.versions.access", name, call.now):
        raise _violation(
            where,
            f"Permission denied on secret: {spoken} for Revision service account {template['serviceAccount']}. The service account used must be "
            "granted the 'Secret Manager Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project or higher level.",
        )


def condition(call: Call, kind: str) -> Body:
    return {"type": kind, "state": "CONDITION_SUCCEEDED", "lastTransitionTime": call.stamp}


def make_revision(call: Call, service: Body) -> str:
    """A new revision from the service's template; returns its short name."""
    name = call.name
    count = int(service.get("~revisions", 0)) + 1
    template = service["template"]
    short = template.pop("revision", "") or f"{last(name)}-{count:05d}-{letters(3)}"
    if call.get(f"{name}/revisions/{short}") is not None:
        raise ApiError(
            "ALREADY_EXISTS",
            f"Revision named '{short}' with different configuration already exists.",
            reason="alreadyExists",
        )
    service["~revisions"] = count
    body: Body = {
        **{
            key: copy.deepcopy(value)
            for key, value in template.items()
            if key not in ("annotations", "labels", "~annotations")
        },
        "name": f"{relative(name)}/revisions/{short}",
        "uid": letters(32),
        "generation": "1",
        "labels": template.get("labels", {}),
        "annotations": template.get("annotations", {}),
        "~annotations": template.get("~annotations", {}),
        "createTime": call.stamp,
        "updateTime": call.stamp,
        "launchStage": service.get("launchStage", "GA"),
        "service": last(name),
        "observedGeneration": "1",
        "conditions": [
            condition(call, kind) for kind in ("Ready", "ContainerHealthy", "ContainerReady", "ResourcesAvailable")
        ],
        "logUri": "https://console.cloud.google.com/logs/viewer",
        "etag": f'"{letters(12)}"',
        "~template": _essence(template),
    }
    for empty in ("labels", "annotations"):
        if not body[empty]:
            del body[empty]
    call.put(f"{name}/revisions/{short}", body)
    service["latestCreatedRevision"] = service["latestReadyRevision"] = f"{relative(name)}/revisions/{short}"
    call.announce("revision", f"{name}/revisions/{short}")
    return short


def _essence(template: Body) -> Body:
    return {key: copy.deepcopy(value) for key, value in template.items() if key != "revision"}


def _launch(body: Body) -> None:
    """An answer says what the resource needs, not what was asked for: GA, while it uses nothing that is in preview.

    https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services#Service.FIELDS.launch_stage
    """
    given = body.get("launchStage", "GA")
    if given in ("ALPHA", "BETA"):
        body["~launchStage"] = given
    body["launchStage"] = "GA"


def settle(call: Call, service: Body, old: Body | None) -> None:
    """Defaults, checks, a revision when the template changed, traffic, conditions: a service after any write."""
    template = service.setdefault("template", {})
    default_template(call, template)
    check_template(call, template)
    service.setdefault("ingress", "INGRESS_TRAFFIC_ALL")
    _launch(service)
    service.setdefault("traffic", [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}])
    generation = int(old["generation"]) + 1 if old else 1
    service["generation"] = service["observedGeneration"] = str(generation)
    caller = call.context.principal.partition(":")[2] or call.engine.settings.owner
    service["creator"] = old["creator"] if old else caller
    service["lastModifier"] = caller
    service["updateTime"] = call.stamp
    if old is None or _essence(template) != _essence(old["template"]) or template.get("revision"):
        make_revision(call, service)
    _check_traffic(call, service)
    service["terminalCondition"] = condition(call, "Ready")
    service["conditions"] = [condition(call, "RoutesReady"), condition(call, "ConfigurationsReady")]
    location = segment_after(call.name, "locations")
    short = last(call.name)
    service.setdefault("~hash", letters(10))
    urls = [
        f"https://{short}-{call.number}.{location}.run.app",
        f"https://{short}-{service['~hash']}-{_region_code(location)}.a.run.app",
    ]
    service["uri"], service["urls"] = urls[1], urls
    service["trafficStatuses"] = [_traffic_status(service, target) for target in service["traffic"]]
    service["etag"] = f'"{letters(16)}"'
    service.pop("reconciling", None)


def _region_code(location: str) -> str:
    parts = location.split("-")
    return "".join(part[0] for part in parts)[:2] if len(parts) > 1 else "uc"


def _check_traffic(call: Call, service: Body) -> None:
    total = sum(int(target.get("percent", 0)) for target in service["traffic"])
    if total != 100:
        raise _violation("traffic", f"Traffic percentages must sum to 100, they sum to {total}")
    for position, target in enumerate(service["traffic"]):
        revision = target.get("revision")
        if revision:
            target["revision"] = last(revision)
            target.setdefault("type", "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION")
            if call.get(f"{call.name}/revisions/{last(revision)}") is None:
                raise _violation(f"traffic[{position}].revision", f"Revision '{last(revision)}' is not found")
        else:
            target.setdefault("type", "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST")


def _traffic_status(service: Body, target: Body) -> Body:
    status: Body = {key: target[key] for key in ("type", "revision", "percent", "tag") if key in target}
    if target.get("tag"):
        status["uri"] = service["uri"].replace("https://", f"https://{target['tag']}---", 1)
    return status


def new_service(call: Call, body: Body) -> None:
    body["name"] = relative(call.name)
    body["uid"] = numeric_id(20)
    body["createTime"] = call.stamp


def delete_service(call: Call, body: Body) -> None:
    if body.get("deletionProtection"):
        raise ApiError("FAILED_PRECONDITION", f"{relative(call.name)} has deletion protection.")


def settle_job(call: Call, job: Body, old: Body | None) -> None:
    """Jobs have defaults of their own."""
    outer = job.setdefault("template", {})
    outer.setdefault("taskCount", 1)
    template = outer.setdefault("template", {})
    template.setdefault("maxRetries", 3)
    template.setdefault("timeout", "600s")
    template.setdefault("serviceAccount", default_account(call))
    template.setdefault("executionEnvironment", "EXECUTION_ENVIRONMENT_GEN2")
    for position, container in enumerate(template.get("containers", [])):
        limits = container.setdefault("resources", {}).setdefault("limits", {})
        limits.setdefault("cpu", "1000m")
        limits.setdefault("memory", "512Mi")
        _check_env(call, template, container, f"template.template.containers[{position}]")
    _launch(job)
    job["generation"] = job["observedGeneration"] = str(int(old["generation"]) + 1 if old else 1)
    caller = call.context.principal.partition(":")[2] or call.engine.settings.owner
    job["creator"] = old["creator"] if old else caller
    job["lastModifier"] = caller
    job["updateTime"] = call.stamp
    job["terminalCondition"] = condition(call, "Ready")
    job.setdefault("latestCreatedExecution", {})
    job["etag"] = f'"{letters(16)}"'
