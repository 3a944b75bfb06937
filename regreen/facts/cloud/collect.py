"""Collects a snapshot: every kind that the checks ask for, in parallel; what cannot be read is said in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from regreen.facts.cloud.aura import address, instances
from regreen.facts.cloud.data import datasets, keys, tables
from regreen.facts.cloud.experiments import EXPERIMENTS, Reach
from regreen.facts.cloud.google import CloudError, Google
from regreen.facts.cloud.snapshot import Body, Collection, Measurement, Snapshot

if TYPE_CHECKING:
    from regreen.environment import Environment

#: Enough to hide latency, few enough for the read quotas of a fresh project (Compute: 1,500 a minute, Run: 3,000).
_WORKERS: Final = 12
_SECRET_LIMIT: Final = 12
Items = Iterable[tuple[str, Body]]
Collector = Callable[[Google, "Environment"], Items]


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _each(google: Google, names: Iterable[str], read: Callable[[str], Body]) -> Items:
    """Read one thing for each name, several at a time."""
    wanted = list(names)
    with ThreadPoolExecutor(_WORKERS) as pool:
        yield from zip(wanted, pool.map(read, wanted), strict=True)


def _location(environment: Environment) -> str:
    return f"projects/{environment.project.id}/locations/{environment.project.region}"


def _run_services(google: Google, environment: Environment) -> Items:
    parent = _location(environment)
    for item in google.pages("run", "v2", "projects.locations.services.list", "services", parent=parent):
        yield _last(item["name"]), item


def _run_jobs(google: Google, environment: Environment) -> Items:
    parent = _location(environment)
    for item in google.pages("run", "v2", "projects.locations.jobs.list", "jobs", parent=parent):
        yield _last(item["name"]), item


def _run_revisions(google: Google, environment: Environment) -> Items:
    """Every revision of every service: `-` stands for any service in the parent."""
    parent = f"{_location(environment)}/services/-"
    for item in google.pages("run", "v2", "projects.locations.services.revisions.list", "revisions", parent=parent):
        yield _last(item["name"]), item


def _run_policies(google: Google, environment: Environment) -> Items:
    prefix = f"{_location(environment)}/services/"
    names = [name for name, _ in _run_services(google, environment)]
    return _each(
        google,
        names,
        lambda name: google.call("run", "v2", "projects.locations.services.getIamPolicy", resource=prefix + name),
    )


def _global(method: str) -> Collector:
    def collect(google: Google, environment: Environment) -> Items:
        for item in google.pages("compute", "v1", f"{method}.list", "items", project=environment.project.id):
            yield item["name"], item

    return collect


def _aggregated(method: str, key: str) -> Collector:
    def collect(google: Google, environment: Environment) -> Items:
        pages = google.pages("compute", "v1", f"{method}.aggregatedList", "items", project=environment.project.id)
        for scope in pages:
            for item in scope.get(key, ()):
                yield item["name"], item

    return collect


def _secrets(google: Google, environment: Environment) -> Items:
    parent = f"projects/{environment.project.id}"
    for item in google.pages("secretmanager", "v1", "projects.secrets.list", "secrets", parent=parent):
        yield _last(item["name"]), item


def _of_secrets(method: str, **extra: Any) -> Collector:
    """One read for every secret that the environment file names; one that does not exist is left out."""

    def collect(google: Google, environment: Environment) -> Items:
        parent = f"projects/{environment.project.id}/secrets/"
        there = {name for name, _ in _secrets(google, environment)}
        names = [item.name for item in environment.secrets if item.name in there]
        word = "resource" if method.endswith("getIamPolicy") else "parent"

        def read(name: str) -> Body:
            return google.call("secretmanager", "v1", method, **{word: parent + name}, **extra)

        return _each(google, names, read)

    return collect


def _sql(google: Google, environment: Environment) -> Items:
    for item in google.pages("sqladmin", "v1", "instances.list", "items", project=environment.project.id):
        yield item["name"], item


def _redis(google: Google, environment: Environment) -> Items:
    parent = _location(environment)
    for item in google.pages("redis", "v1", "projects.locations.instances.list", "instances", parent=parent):
        yield _last(item["name"]), item


def _dataflow(google: Google, environment: Environment) -> Items:
    """Running jobs, in full: a list gives summaries without the key."""
    where = {"projectId": environment.project.id, "location": environment.project.region}
    found = google.pages(
        "dataflow", "v1b3", "projects.locations.jobs.list", "jobs", **where, filter="ACTIVE", view="JOB_VIEW_SUMMARY"
    )
    names = {item["id"]: item["name"] for item in found}
    for job, body in _each(
        google,
        names,
        lambda job: google.call(
            "dataflow", "v1b3", "projects.locations.jobs.get", **where, jobId=job, view="JOB_VIEW_ALL"
        ),
    ):
        yield names[job], body


def _bucket(google: Google, environment: Environment) -> Items:
    if environment.cdn is not None:
        yield environment.cdn.bucket, google.call("storage", "v1", "buckets.get", bucket=environment.cdn.bucket)


def _objects(google: Google, environment: Environment) -> Items:
    if environment.cdn is None:
        return
    prefix = environment.cdn.path.lstrip("/").rstrip("*")
    for item in google.pages(
        "storage", "v1", "objects.list", "items", bucket=environment.cdn.bucket, prefix=prefix, maxResults=500
    ):
        yield item["name"], item


def _project(google: Google, environment: Environment) -> Items:
    name = f"projects/{environment.project.id}"
    yield environment.project.id, google.call("cloudresourcemanager", "v3", "projects.get", name=name)


def _project_policy(google: Google, environment: Environment) -> Items:
    resource = f"projects/{environment.project.id}"
    yield (
        environment.project.id,
        google.call("cloudresourcemanager", "v3", "projects.getIamPolicy", resource=resource, body={}),
    )


def _since(environment: Environment) -> str:
    return (datetime.now(UTC) - timedelta(hours=environment.window_hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _logged(condition: str) -> Collector:
    def collect(google: Google, environment: Environment) -> Items:
        body = {
            "resourceNames": [f"projects/{environment.project.id}"],
            "filter": f'timestamp>="{_since(environment)}" AND {condition}',
            "orderBy": "timestamp desc",
            "pageSize": 200,
        }
        found = google.call("logging", "v2", "entries.list", body=body)
        for number, item in enumerate(found.get("entries", ())):
            yield item.get("insertId") or str(number), item

    return collect


def _series(metric: str) -> Collector:
    def collect(google: Google, environment: Environment) -> Items:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = google.pages(
            "monitoring", "v3", "projects.timeSeries.list", "timeSeries", name=f"projects/{environment.project.id}",
            filter=f'metric.type = "{metric}"', interval_startTime=_since(environment), interval_endTime=now,
        )  # fmt: skip
        for number, item in enumerate(found):
            yield str(number), item

    return collect


COLLECTORS: Final[Mapping[str, Collector]] = {
    "project": _project,
    "project.policy": _project_policy,
    "run.services": _run_services,
    "run.revisions": _run_revisions,
    "run.policies": _run_policies,
    "run.jobs": _run_jobs,
    "compute.urlMaps": _global("urlMaps"),
    "compute.backendServices": _global("backendServices"),
    "compute.backendBuckets": _global("backendBuckets"),
    "compute.forwardingRules": _global("globalForwardingRules"),
    "compute.endpointGroups": _aggregated("networkEndpointGroups", "networkEndpointGroups"),
    "bigquery.datasets": datasets,
    "bigquery.tables": tables,
    "kms.keys": keys,
    "secretmanager.secrets": _secrets,
    "secretmanager.versions": _of_secrets("projects.secrets.versions.list", pageSize=_SECRET_LIMIT),
    "secretmanager.policies": _of_secrets("projects.secrets.getIamPolicy"),
    "sql.instances": _sql,
    "redis.instances": _redis,
    "dataflow.jobs": _dataflow,
    "storage.buckets": _bucket,
    "storage.objects": _objects,
    "logging.unavailable": _logged("httpRequest.status=503"),
    "logging.internal-closes": _logged('(jsonPayload.closeCode=1011 OR textPayload:"1011")'),
    "monitoring.requests": _series("run.googleapis.com/request_count"),
    "monitoring.instances": _series("run.googleapis.com/container/instance_count"),
    "aura.instances": instances,
    "aura.address": address,
}


def collect(
    environment: Environment,
    kinds: Iterable[str],
    experiments: Iterable[str] = (),
    google: Google | None = None,
    reach: Reach | None = None,
) -> Snapshot:
    """Read the kinds and make the experiments that are asked for, all of them side by side.

    Never raises for what one API says: its words are kept as the collection's error.
    """
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    wanted = sorted({*kinds, "project"})
    own = google is None
    try:
        google = google or Google(environment.project.id)
    except CloudError as error:
        return Snapshot(
            environment.project.id, "", taken, {kind: Collection(error=str(error)) for kind in wanted},
            {name: Measurement(error=str(error)) for name in experiments},
        )  # fmt: skip
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = {kind: pool.submit(_gather, kind, google, environment) for kind in wanted}
        collections = {kind: future.result() for kind, future in found.items()}
        sampled = _with_sample(environment, collections)
        # Experiments come after the reading: a handshake must not warm a service that a check finds cold.
        tried = {name: pool.submit(_measure, name, sampled, reach or Reach()) for name in sorted(set(experiments))}
        measurements = {name: future.result() for name, future in tried.items()}
    if own:
        google.close()
    body = dict(collections["project"]).get(environment.project.id, {})
    number = _last(str(body.get("name", "")))
    return Snapshot(environment.project.id, number, taken, collections, measurements)


def _gather(kind: str, google: Google, environment: Environment) -> Collection:
    try:
        return Collection(dict(COLLECTORS[kind](google, environment)))
    except CloudError as error:
        return Collection(error=str(error))
    except Exception as error:  # noqa: BLE001 - blindness must be said, and must not blind the other collectors
        return Collection(error=f"{type(error).__name__}: {error}")


def _with_sample(environment: Environment, collections: Mapping[str, Collection]) -> Environment:
    """The environment with an asset to fetch: the first object below the CDN's path, where the file names none."""
    cdn, objects = environment.cdn, collections.get("storage.objects")
    if cdn is None or cdn.sample or objects is None or not objects.items:
        return environment
    return replace(environment, cdn=replace(cdn, sample="/" + min(objects.items)))


def _measure(name: str, environment: Environment, reach: Reach) -> Measurement:
    try:
        return EXPERIMENTS[name](environment, reach)
    except Exception as error:  # noqa: BLE001 - an experiment that breaks is UNKNOWN, with its words
        return Measurement(error=f"{type(error).__name__}: {error}")
