"""The balancer and Cloud Run answered no request with 503 in the window.

Looked for in the request logs of the window that the environment file names. An empty log of a service that had no
traffic proves nothing, so without requests in the window this is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, last, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.no-503-in-window"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/logging/docs/view/logging-query-language"
READS: Final = ("logging.unavailable", "monitoring.requests")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """Services with such entries, each once."""
    trouble = snapshot.trouble(*READS)
    if trouble:
        return Verdict.unknown(ID, trouble)
    entries = snapshot.of("logging.unavailable")
    if not entries.items and not snapshot.of("monitoring.requests").items:
        return Verdict.unknown(ID, f"no request in the last {environment.window_hours} h: silence proves nothing")
    return verdict(
        ID, snapshot, READS, max(1, len(snapshot.of("monitoring.requests"))), _findings(snapshot, environment)
    )


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    seen: dict[str, list[str]] = {}
    for _, entry in snapshot.of("logging.unavailable"):
        labels = field(entry, "resource", "labels", default={})
        name = (
            labels.get("service_name") or labels.get("backend_service_name") or labels.get("url_map_name") or "unknown"
        )
        seen.setdefault(last(name), []).append(str(entry.get("timestamp", "")))
    for name, moments in sorted(seen.items()):
        observed = f"{len(moments)} times, last at {max(moments)}"
        expected = f"none in {environment.window_hours} h"
        yield finding(ID, SEVERITY, "run", name, "/503", observed, expected)
