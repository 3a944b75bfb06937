"""Injected trouble and quotas: what a client meets when Google has a bad day or it asks too often."""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from twin.kernel.errors import ApiError, invalid
from twin.kernel.types import Body

if TYPE_CHECKING:
    from twin.kernel.engine import Engine

_STATUS = {
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    403: "PERMISSION_DENIED",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGE = {
    429: "Resource has been exhausted (e.g. check quota).",
    500: "Internal error encountered.",
    503: "The service is currently unavailable.",
    403: "The caller does not have permission",
    504: "Deadline exceeded",
}


@dataclass(slots=True)
class Fault:
    """Trouble for the methods whose id matches a glob."""

    method: str
    status: int = 0
    """HTTP status to answer with; 0 only delays."""
    latency: float = 0.0
    rate: float = 1.0
    remaining: int = -1
    """How often it still strikes; -1 without end."""
    drop: bool = False
    """Do the work, then close the connection without an answer."""


@dataclass(slots=True)
class Faults:
    active: list[Fault] = field(default_factory=list)
    random: random.Random = field(default_factory=lambda: random.Random(20260101))  # noqa: S311 - repeatable on purpose

    def add(self, spec: Body) -> Fault:
        """A fault from the admin endpoint's JSON. ApiError INVALID_ARGUMENT for what it does not know."""
        unknown = set(spec) - {"method", "status", "latency", "rate", "count", "drop"}
        status = spec.get("status", 0)
        if unknown or not isinstance(spec.get("method"), str) or (status and status not in _STATUS):
            raise invalid(f"a fault has method, status ({sorted(_STATUS)}), latency, rate, count, drop; got {spec}")
        fault = Fault(
            spec["method"],
            status,
            min(float(spec.get("latency", 0)), 600.0),
            float(spec.get("rate", 1)),
            int(spec.get("count", -1)),
            bool(spec.get("drop", False)),
        )
        self.active.append(fault)
        return fault

    def strike(self, method: str) -> tuple[float, bool]:
        """Seconds to wait and whether to drop the answer; raises ApiError when the fault is an error."""
        delay, drop = 0.0, False
        for fault in self.active:
            if not fault.remaining or not fnmatchcase(method, fault.method) or self.random.random() >= fault.rate:
                continue
            if fault.remaining > 0:
                fault.remaining -= 1
            delay += fault.latency
            drop = drop or fault.drop
            if fault.status:
                error = ApiError(_STATUS[fault.status], _MESSAGE[fault.status], http=fault.status)
                error.delay = delay  # type: ignore[attr-defined]
                if fault.status in (429, 503):
                    error.headers["Retry-After"] = "1"
                raise error
        return delay, drop


@dataclass(slots=True)
class Quotas:
    """Requests a minute by method glob, over a sliding window."""

    limits: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, deque[float]] = field(default_factory=dict)

    def take(self, method: str, engine: Engine) -> None:
        if not self.limits:
            return
        now = time.monotonic()
        for pattern, limit in self.limits.items():
            if not fnmatchcase(method, pattern):
                continue
            seen = self._seen.setdefault(pattern, deque())
            while seen and seen[0] <= now - 60:
                seen.popleft()
            if len(seen) >= limit:
                raise _exhausted(method, limit, engine)
            seen.append(now)


def _exhausted(method: str, limit: int, engine: Engine) -> ApiError:
    # https://cloud.google.com/docs/quotas/troubleshoot
    service = method.partition(".")[0] + ".googleapis.com"
    consumer = f"project_number:{engine.settings.number}"
    metric = f"{service}/default_requests"
    return ApiError(
        "RESOURCE_EXHAUSTED",
        f"Quota exceeded for quota metric '{metric}' and limit 'Requests per minute' of service '{service}' for consumer '{consumer}'.",
        details=(
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "RATE_LIMIT_EXCEEDED",
                "domain": "googleapis.com",
                "metadata": {
                    "service": service,
                    "consumer": f"projects/{engine.settings.number}",
                    "quota_limit_value": str(limit),
                },
            },
        ),
    )
