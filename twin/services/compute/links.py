"""References between compute resources: one spelling, existence, and what is in use.

https://cloud.google.com/compute/docs/reference/rest/v1 (resource URLs)
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import re
from typing import Any

from twin.kernel.documents import load
from twin.kernel.errors import ApiError, not_found
from twin.kernel.names import relative, singular
from twin.kernel.operations import COMPUTE_BASE
from twin.kernel.semantics import Call
from twin.kernel.types import Body

_LINK = re.compile(
    r"^(?:https://(?:www|compute)\.googleapis\.com/compute/(?:v1|beta|alpha)/|/?compute/v1/)?"
    r"((?:projects/[^/]+/)?(?:global|regions/[^/]+|zones/[^/]+)/([a-zA-Z]+)/([^/]+)(?:/[^ ]*)?)$"
)
# Fields that hold a reference; any other text that looks like one is left as it is.
_FIELDS = frozenset(
    {
        "network", "subnetwork", "backendService", "defaultService", "service", "group", "urlMap", "target", "healthChecks",
        "sslCertificates", "sslPolicy", "securityPolicy", "edgeSecurityPolicy", "targetHttpProxy", "instance", "router",
        "failoverRatio", "tests", "serverTlsPolicy", "nextHopInstance", "nextHopIlb", "vpnGateway", "peerExternalGateway",
        "targetVpnGateway", "peerGcpGateway", "httpFilters", "mirrorBackendService", "natSubnets", "producerForwardingRule",
    }
)  # fmt: skip
# References that are checked: a missing one is refused. Projects that the twin does not hold are trusted.
_CHECKED = frozenset(
    {
        "network",
        "subnetwork",
        "backendService",
        "defaultService",
        "service",
        "group",
        "urlMap",
        "target",
        "healthChecks",
        "sslCertificates",
        "sslPolicy",
    }
)


def missing(name: str) -> ApiError:
    return not_found(f"The resource '{relative(name)}' was not found")


def existing(name: str) -> ApiError:
    return ApiError("ALREADY_EXISTS", f"The resource '{relative(name)}' already exists", reason="alreadyExists")


def normalise(call: Call, body: Body) -> None:
    """Spell references in full and refuse those to nothing. ApiError NOT_FOUND names the missing resource."""
    for key, value in list(body.items()):
        body[key] = _normalised(call, key, value)


def _normalised(call: Call, key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _normalised(call, inner, element) for inner, element in value.items()}
    if isinstance(value, list):
        return [_normalised(call, key, element) for element in value]
    if not isinstance(value, str) or key not in _FIELDS:
        return value
    match = _LINK.match(value)
    if match is None:
        return value
    path = match[1] if match[1].startswith("projects/") else f"projects/{call.project}/{match[1]}"
    project = path.split("/")[1]
    if project.isdigit():
        path = path.replace(f"projects/{project}/", f"projects/{call.engine.id_of(project)}/", 1)
        project = path.split("/")[1]
    name = f"compute/{path}"
    if name not in call.engine.store and name.rpartition("/")[2].isdigit():
        # A numeric id is as good as a name.
        for other, body in call.children(name.rpartition("/")[0]):
            if body.get("id") == name.rpartition("/")[2]:
                name, path = other, relative(other)
    if (
        key in _CHECKED
        and call.engine.project_exists(project)
        and name not in call.engine.store
        and _creatable(match[2])
    ):
        raise missing(name)
    return COMPUTE_BASE + path


def _creatable(word: str) -> bool:
    return any(
        method.collection[-1:] == (word,)
        for method in load("compute", "v1").methods.values()
        if method.kind == "create"
    )


def name_of(link: str) -> str:
    """The canonical name behind a link."""
    match = _LINK.match(link)
    return f"compute/{match[1]}" if match and match[1].startswith("projects/") else ""


def users_of(call: Call, name: str) -> list[str]:
    """Canonical names of resources that refer to `name`."""
    link = COMPUTE_BASE + relative(name)
    project = relative(name).split("/")[1]
    found = []
    for other in call.engine.store.below(f"compute/projects/{project}"):
        if other != name and "/operations/" not in other:
            body = call.get(other)
            if body is not None and _mentions(body, link):
                found.append(other)
    return found


def _mentions(value: Any, link: str) -> bool:
    if isinstance(value, dict):
        return any(
            _mentions(element, link)
            for key, element in value.items()
            if key not in ("selfLink", "selfLinkWithId", "users")
        )
    if isinstance(value, list):
        return any(_mentions(element, link) for element in value)
    return bool(value == link)


def refuse_if_used(call: Call, body: Body) -> None:
    """ApiError (400, resourceInUseByAnotherResource) when something still refers to the resource being deleted."""
    users = users_of(call, call.name)
    if users:
        word = singular(call.name.rsplit("/", 2)[-2])
        spoken = re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match[1], word)
        raise ApiError(
            "INVALID_ARGUMENT",
            f"The {spoken.lower()} resource '{relative(call.name)}' is already being used by '{relative(users[0])}'",
            reason="resourceInUseByAnotherResource",
        )


def full(call: Call, link: str) -> str:
    """Any spelling of a reference, in full: `zones/z/diskTypes/t`, `projects/p/…`, another host or version."""
    path = re.sub(r"^https://(?:www|compute)\.googleapis\.com/compute/(?:v1|beta|alpha)/", "", link)
    if path.startswith("https:") or not path:
        return link
    path = path.lstrip("/").removeprefix("compute/v1/")
    if not path.startswith("projects/"):
        path = f"projects/{call.project}/{path}"
    return COMPUTE_BASE + path
