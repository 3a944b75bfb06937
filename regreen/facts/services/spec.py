"""What is asked of a service, and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from regreen.redact import HIDDEN, redact


class State(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Seconds; slower is degraded."""

    connect: float = 1.0
    query: float = 0.5


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service, where it is and what it needs. The secret is a password or token and is never shown."""

    name: str
    kind: str
    """bolt, redis, kafka, postgres, temporal, prometheus, grafana, http, websocket or registry."""
    address: str
    needs: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a probe that succeeded measured: seconds, and things a second."""

    connect: float
    query: float
    detail: str = ""
    throughput: float | None = None
    unit: str = ""
    poor: str = ""
    """Why it counts as degraded although it answered."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A service's state, with the way out."""

    spec: ServiceSpec
    state: State
    seen: Seen | None = None
    error: str = ""
    """The error's class."""
    detail: str = ""
    next_step: str = ""
    causes: tuple[str, ...] = ()
    """The services whose trouble this one only passes on; none for a root cause."""

    def form(self) -> Mapping[str, Any]:
        """For JSON."""
        seen = self.seen
        return {
            "name": self.spec.name,
            "kind": self.spec.kind,
            "address": masked(self.spec.address),
            "needs": list(self.spec.needs),
            "state": str(self.state),
            "connect_seconds": None if seen is None else round(seen.connect, 4),
            "query_seconds": None if seen is None else round(seen.query, 4),
            "throughput": None if seen is None or seen.throughput is None else round(seen.throughput, 1),
            "throughput_unit": "" if seen is None else seen.unit,
            "thresholds": {"connect": self.spec.thresholds.connect, "query": self.spec.thresholds.query},
            "error": self.error,
            "detail": self.detail,
            "next_step": self.next_step,
            "causes": list(self.causes),
        }


class Missing(Exception):  # noqa: N818 - not an error: a library is not installed
    """The probe's library is not installed; the name of the package."""


class Refused(Exception):  # noqa: N818 - the service's answer
    """The service answered, with a refusal."""


def masked(address: str) -> str:
    """An address without its password, and without what a query may carry."""
    if "://" not in address:
        return redact(address)
    try:
        parts = urlsplit(address)
        user, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return HIDDEN
    if at:
        name, colon, _ = user.partition(":")
        user = f"{name}:{HIDDEN}" if colon else HIDDEN
    return urlunsplit((parts.scheme, f"{user}{at}{host}", parts.path, HIDDEN if parts.query else "", ""))


def clean(text: str, spec: ServiceSpec) -> str:
    """A message without this service's secret, in one line."""
    secrets = {spec.secret}
    if "://" in spec.address:
        secrets.add(urlsplit(spec.address).password or "")
        text = text.replace(spec.address, masked(spec.address))
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return redact(" ".join(text.split()))[:300]
