"""What the runtime reports into the twin's own Cloud Logging and Cloud Monitoring.

Gathered in memory and written a few times a second, in one transaction, so that a request costs no commit. Under load,
at most `_LOGS_A_FLUSH` request entries are kept per flush; counters always count everything.
https://cloud.google.com/run/docs/logging, https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-run
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from twin.kernel.engine import Engine
from twin.kernel.types import Body, Context, rfc3339
from twin.runtime.template import Revision

log = logging.getLogger("twin.runtime")

_EVERY = 0.25
_METRICS_EVERY = 2.0
_LOGS_A_FLUSH = 100
_KEPT = 10_000
_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000]
_SEVERITIES = frozenset(("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"))
LOAD_BALANCER = "type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry"

Key = tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], str]
"""Metric type, its labels, the resource's labels, the resource's type."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that was answered; latency in seconds."""

    verb: str
    url: str
    status: int
    sent: int
    received: int
    latency: float
    agent: str
    trace: str
    referer: str = ""


def run_resource(revision: Revision) -> Body:
    labels = {
        "project_id": revision.project,
        "service_name": revision.service,
        "revision_name": revision.short,
        "configuration_name": revision.service,
        "location": revision.location,
    }
    return {"type": "cloud_run_revision", "labels": labels}


@dataclass(slots=True, eq=False)
class Telemetry:
    """Entries and counters on their way into the store."""

    engine: Engine
    folder: Path
    """Where each service has its log file."""
    _entries: list[tuple[str, Body]] = field(default_factory=list)
    _requests: int = 0
    left_out: int = 0
    """Request entries that were counted but not written."""
    _counts: Counter[Key] = field(default_factory=Counter)
    _latencies: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    _gauges: dict[Key, int] = field(default_factory=dict)
    _files: dict[str, TextIO] = field(default_factory=dict)
    _last_metrics: float = 0.0

    # Gathering

    def line(self, revision: Revision, instance: str, stream: str, line: str) -> None:
        """One line of an instance's output. A line of JSON is taken apart as Cloud Run's agent does."""
        self._file(revision.service).write(f"{revision.short} {instance[:8]} {stream}: {line}\n")
        entry: Body = {"resource": run_resource(revision), "labels": {"instanceId": instance}}
        payload = _json_line(line)
        if payload is None:
            entry["textPayload"] = line
        else:
            severity = str(payload.pop("severity", "")).upper()
            if severity in _SEVERITIES:
                entry["severity"] = severity
            trace = payload.pop("logging.googleapis.com/trace", None)
            if isinstance(trace, str):
                entry["trace"] = trace
            entry["jsonPayload"] = payload
        if stream == "system":
            entry["severity"] = "ERROR"
            kind = "varlog/system"
        else:
            kind = stream
        self._add(revision.project, f"run.googleapis.com%2F{kind.replace('/', '%2F')}", entry)

    def run_request(self, revision: Revision, instance: str, seen: Seen, message: str = "") -> None:
        resource = run_resource(revision)
        self._measure("run.googleapis.com", resource, seen)
        if self._room():
            entry: Body = {"resource": resource, "labels": {"instanceId": instance}, **_http(seen, revision.project)}
            if message:
                entry["textPayload"] = message
            self._add(revision.project, "run.googleapis.com%2Frequests", entry)

    def balanced(self, project: str, labels: dict[str, str], seen: Seen, details: str, cache: Body) -> None:
        resource = {"type": "http_load_balancer", "labels": {"project_id": project, **labels}}
        self._measure("loadbalancing.googleapis.com/https", resource, seen)
        if self._room():
            entry = {"resource": resource, **_http(seen, project)}
            entry["httpRequest"].update(cache)
            entry["jsonPayload"] = {"@type": LOAD_BALANCER, "statusDetails": details}
            self._add(project, "requests", entry)

    def instances(self, revision: Revision, active: int, idle: int) -> None:
        for state, count in (("active", active), ("idle", idle)):
            self._gauges[
                _key("run.googleapis.com/container/instance_count", {"state": state}, run_resource(revision))
            ] = count

    def _measure(self, prefix: str, resource: Body, seen: Seen) -> None:
        labels = {"response_code": str(seen.status), "response_code_class": f"{seen.status // 100}xx"}
        self._counts[_key(f"{prefix}/request_count", labels, resource)] += 1
        name = "request_latencies" if prefix == "run.googleapis.com" else "total_latencies"
        self._latencies[_key(f"{prefix}/{name}", labels, resource)].append(seen.latency * 1000)

    def _room(self) -> bool:
        """May one more request entry be written before the next flush? Those left out are counted."""
        self._requests += 1
        self.left_out += self._requests > _LOGS_A_FLUSH
        return self._requests <= _LOGS_A_FLUSH

    def _add(self, project: str, log_id: str, entry: Body) -> None:
        stamp = rfc3339(self.engine.now())
        entry.update(
            logName=f"projects/{project}/logs/{log_id}",
            timestamp=stamp,
            receiveTimestamp=stamp,
            insertId=secrets.token_hex(8),
        )
        self._entries.append((project, entry))

    def _file(self, service: str) -> TextIO:
        known = self._files.get(service)
        if known is None:
            self.folder.mkdir(exist_ok=True, mode=0o700)
            known = self._files[service] = (self.folder / f"{service}.log").open("a", buffering=1, encoding="utf-8")
        return known

    # Writing

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self.flush()

    def flush(self, final: bool = False) -> None:
        """Write what was gathered. A failure here must not stop the runtime."""
        now = asyncio.get_running_loop().time()
        with_metrics = final or now - self._last_metrics >= _METRICS_EVERY
        self._requests = 0
        if not self._entries and not (with_metrics and (self._counts or self._gauges)):
            return
        entries, self._entries = self._entries, []
        try:
            self.engine.transact(lambda context: self._write(context, entries, with_metrics))
        except Exception:
            log.exception("logs and metrics were lost")
        if with_metrics:
            self._last_metrics = now

    def _write(self, context: Context, entries: list[tuple[str, Body]], with_metrics: bool) -> None:
        store = self.engine.store
        for project, entry in entries:
            store.put(
                f"log-entries/projects/{project}/{entry['timestamp']}~{entry['insertId']}".replace(":", "_"), entry
            )
        for project in {project for project, _ in entries}:
            names = (
                [name for name, _ in store.children(f"log-entries/projects/{project}")] if len(store) > _KEPT else []
            )
            for name in names[: max(0, len(names) - _KEPT)]:
                store.delete(name)
        if not with_metrics:
            return
        stamp = rfc3339(context.now)
        series: dict[str, list[Body]] = defaultdict(list)
        for key, count in self._counts.items():
            series[_project(key)].append(_series(key, "DELTA", "INT64", {"int64Value": str(count)}, stamp))
        for key, values in self._latencies.items():
            series[_project(key)].append(
                _series(key, "DELTA", "DISTRIBUTION", {"distributionValue": _spread(values)}, stamp)
            )
        for key, count in self._gauges.items():
            series[_project(key)].append(_series(key, "GAUGE", "INT64", {"int64Value": str(count)}, stamp))
        self._counts.clear()
        self._latencies.clear()
        self._gauges.clear()
        for project, items in series.items():
            method, name = "monitoring.projects.timeSeries.create", f"monitoring/projects/{project}"
            self.engine.invoke(context, method, name, {"timeSeries": items}, {})

    def close(self) -> None:
        self.flush(final=True)
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()


def _http(seen: Seen, project: str) -> Body:
    request: Body = {
        "requestMethod": seen.verb,
        "requestUrl": seen.url,
        "requestSize": str(seen.received),
        "status": seen.status,
        "responseSize": str(seen.sent),
        "userAgent": seen.agent,
        "remoteIp": "127.0.0.1",
        "latency": f"{seen.latency:.6f}s",
        "protocol": "HTTP/1.1",
    }
    if seen.referer:
        request["referer"] = seen.referer
    entry: Body = {"httpRequest": request, "severity": _severity(seen.status)}
    if seen.trace:
        entry["trace"] = f"projects/{project}/traces/{seen.trace}"
    return entry


def _severity(status: int) -> str:
    return "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO"


def _key(metric: str, labels: dict[str, str], resource: Body) -> Key:
    return (metric, tuple(labels.items()), tuple(resource["labels"].items()), resource["type"])


def _project(key: Key) -> str:
    return dict(key[2])["project_id"]


def _series(key: Key, kind: str, values: str, value: Body, stamp: str) -> Body:
    metric, labels, resource, resource_type = key
    return {
        "metric": {"type": metric, "labels": dict(labels)},
        "resource": {"type": resource_type, "labels": dict(resource)},
        "metricKind": kind,
        "valueType": values,
        "points": [{"interval": {"startTime": stamp, "endTime": stamp}, "value": value}],
    }


def _spread(values: list[float]) -> Body:
    buckets = [0] * (len(_BOUNDS) + 1)
    for value in values:
        buckets[next((place for place, bound in enumerate(_BOUNDS) if value < bound), len(_BOUNDS))] += 1
    return {
        "count": str(len(values)),
        "mean": sum(values) / len(values),
        "bucketOptions": {"explicitBuckets": {"bounds": _BOUNDS}},
        "bucketCounts": [str(count) for count in buckets],
    }


def _json_line(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
