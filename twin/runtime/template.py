"""A revision as the runtime reads it, from Cloud Run's v2 record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from twin.kernel.names import last, segment_after
from twin.kernel.types import Body, seconds_of

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True, slots=True)
class Probe:
    """https://cloud.google.com/run/docs/configuring/healthchecks; times in seconds."""

    kind: Literal["http", "tcp", "grpc"]
    path: str = "/"
    service: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: a plain value, or a secret and its version."""

    name: str
    value: str = ""
    secret: str = ""
    version: str = "latest"


@dataclass(frozen=True, slots=True)
class Revision:
    """What an instance needs to know. `name` is the canonical name in the store."""

    name: str
    service: str
    project: str
    location: str
    account: str
    image: str
    command: tuple[str, ...]
    variables: tuple[Variable, ...]
    container_port: int
    timeout: float
    concurrency: int
    minimum: int
    maximum: int
    affinity: bool
    cpu_idle: bool
    boost: bool
    memory: int
    """Bytes; 0 for no limit."""
    startup: Probe
    liveness: Probe | None
    readiness: Probe | None

    @property
    def short(self) -> str:
        return last(self.name)


def read_revision(name: str, body: Body) -> Revision:
    """The revision behind a record. The container with a port is the one that is run: the twin runs no sidecars."""
    containers = body.get("containers", [{}])
    container = next((item for item in containers if item.get("ports")), containers[0])
    port = int(container.get("ports", [{}])[0].get("containerPort", 8080))
    scaling = body.get("scaling", {})
    resources = container.get("resources", {})
    return Revision(
        name=name,
        service=segment_after(name, "services"),
        project=segment_after(name, "projects"),
        location=segment_after(name, "locations"),
        account=body.get("serviceAccount", ""),
        image=container.get("image", ""),
        command=(*container.get("command", ()), *container.get("args", ())),
        variables=tuple(_variable(item) for item in container.get("env", ())),
        container_port=port,
        timeout=seconds_of(body.get("timeout", "300s")),
        concurrency=int(body.get("maxInstanceRequestConcurrency", 80)) or 1000,
        minimum=int(scaling.get("minInstanceCount", 0)),
        maximum=max(1, int(scaling.get("maxInstanceCount", 100))),
        affinity=bool(body.get("sessionAffinity")),
        cpu_idle=bool(resources.get("cpuIdle", True)),
        boost=bool(resources.get("startupCpuBoost")),
        memory=memory_of(str(resources.get("limits", {}).get("memory", ""))),
        startup=_probe(container.get("startupProbe")) or Probe("tcp", period=240, timeout=240, failures=1),
        liveness=_probe(container.get("livenessProbe")),
        readiness=_probe(container.get("readinessProbe")),
    )


def memory_of(quantity: str) -> int:
    """Bytes of a Kubernetes quantity such as `512Mi`; 0 for none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|k|M|G)?", quantity)
    return int(float(match[1]) * _UNITS[match[2] or ""]) if match else 0


def _variable(item: Body) -> Variable:
    reference = item.get("valueSource", {}).get("secretKeyRef")
    if reference:
        return Variable(item["name"], secret=reference["secret"], version=str(reference.get("version", "latest")))
    return Variable(item["name"], value=item.get("value", ""))


def _probe(body: Body | None) -> Probe | None:
    if not body:
        return None
    http, grpc = body.get("httpGet"), body.get("grpc")
    return Probe(
        kind="http" if http is not None else "grpc" if grpc is not None else "tcp",
        path=(http or {}).get("path", "/"),
        service=(grpc or {}).get("service", ""),
        headers=tuple((item["name"], item.get("value", "")) for item in (http or {}).get("httpHeaders", ())),
        delay=float(body.get("initialDelaySeconds", 0)),
        period=float(body.get("periodSeconds", 10)),
        timeout=float(body.get("timeoutSeconds", 1)),
        failures=int(body.get("failureThreshold", 3)),
    )
