"""Ask all services at once, and say of each what it is and what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from regreen.facts.services import bolt, http, kafka, postgres, redis, temporal, websocket
from regreen.facts.services.order import with_causes
from regreen.facts.services.spec import Missing, Reading, Seen, ServiceSpec, State, clean, masked

Probe = Callable[[ServiceSpec, float], Seen]
PROBES: Final[Mapping[str, Probe]] = {
    "bolt": bolt.probe,
    "redis": redis.probe,
    "kafka": kafka.probe,
    "postgres": postgres.probe,
    "temporal": temporal.probe,
    "prometheus": http.prometheus,
    "grafana": http.grafana,
    "http": http.probe,
    "websocket": websocket.probe,
    "registry": http.registry,
}
_GRACE: Final = 4.0
_AUTH: Final = ("AuthError", "Unauthorized", "AuthenticationError", "InvalidPassword", "Forbidden")


def collect(specs: Sequence[ServiceSpec], limit: float = 5.0) -> tuple[Reading, ...]:
    """Readings in the order of `specs`, after at most some seconds more than `limit`."""
    results: dict[str, Reading] = {}

    def ask(spec: ServiceSpec) -> None:
        results[spec.name] = read(spec, limit)

    threads = [threading.Thread(target=ask, args=(spec,), daemon=True, name=f"probe {spec.name}") for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(limit + _GRACE)
    late = "no answer, and the probe itself hangs"
    return with_causes([
        results.get(spec.name) or Reading(spec, State.DOWN, None, "Timeout", late, _next(spec, "Timeout")) for spec in specs
    ])  # fmt: skip


def read(spec: ServiceSpec, limit: float = 5.0) -> Reading:
    """One service's state."""
    probe = PROBES.get(spec.kind)
    if probe is None:
        return Reading(spec, State.UNKNOWN, None, "", f"no probe for {spec.kind!r}", f"one of {', '.join(PROBES)}")
    if not spec.address:
        return Reading(spec, State.UNKNOWN, None, "", "it has no address", "give its address in the environment file")
    try:
        seen = probe(spec, limit)
    except Missing as missing:
        return Reading(
            spec, State.UNKNOWN, None, "", f"the package {missing} is not installed", f"uv pip install {missing}"
        )
    except Exception as error:  # noqa: BLE001 - every library has its own; its class is what we report
        kind = type(error).__name__
        return Reading(spec, State.DOWN, None, kind, clean(str(error), spec), _next(spec, kind + str(error)))
    slow = [
        f"{word} took {took:.2f} s, allowed {allowed:.2f} s"
        for word, took, allowed in (
            ("connecting", seen.connect, spec.thresholds.connect),
            ("the query", seen.query, spec.thresholds.query),
        )
        if took > allowed
    ]
    poor = "; ".join(filter(None, [seen.poor, *slow]))
    if poor:
        step = f"look at the load and the log of {spec.name}; or raise its thresholds in the environment file"
        return Reading(spec, State.DEGRADED, seen, "", clean(poor, spec), step)
    return Reading(spec, State.UP, seen, "", clean(seen.detail, spec))


def _next(spec: ServiceSpec, error: str) -> str:
    where = masked(spec.address)
    if any(word in error for word in _AUTH) or "authentication failed" in error:
        return f"the password or token for {spec.name} is wrong: compare it with the secret that the services use"
    if "refused" in error.lower():
        return f"nothing listens at {where}: start {spec.name}, then look at its log"
    if "resolve" in error.lower() or "Name or service" in error or "getaddrinfo" in error:
        return f"the name in {where} is not known: check the address in the environment file"
    if "Refused" in error:
        return f"{spec.name} runs and refuses: read its answer, then its log"
    return f"see whether {spec.name} runs, is paused, or is cut off from here ({where}); then look at its log"
