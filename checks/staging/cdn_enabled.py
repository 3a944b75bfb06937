"""Hashed assets come from a backend bucket with Cloud CDN.

The backend bucket must exist, stand on the right bucket, have Cloud CDN on, and be where the balancer sends the
assets' path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checks.staging.load_balancer_routes import destination
from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, last, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cdn-enabled"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/cdn/docs/setting-up-cdn-with-bucket"
READS: Final = ("compute.backendBuckets", "compute.urlMaps")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """A backend bucket that is missing, off, or not on the assets' path."""
    if environment.cdn is None:
        return not_required(ID, "[cdn]")
    return verdict(ID, snapshot, READS, 1, _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    cdn, balancer = environment.cdn, environment.balancer
    assert cdn is not None
    body = dict(snapshot.of("compute.backendBuckets")).get(cdn.backend_bucket)
    name = cdn.backend_bucket
    if body is None:
        yield finding(ID, SEVERITY, "backendBucket", name, "", "there is no such backend bucket", "it exists")
        return
    if not body.get("enableCdn"):
        yield finding(ID, SEVERITY, "backendBucket", name, "/enableCdn", "off", "on")
    if body.get("bucketName") != cdn.bucket:
        yield finding(ID, SEVERITY, "backendBucket", name, "/bucketName", str(body.get("bucketName")), cdn.bucket)
    maps = dict(snapshot.of("compute.urlMaps"))
    if balancer is not None and balancer.url_map in maps:
        found = last(destination(maps[balancer.url_map], balancer.host, cdn.path))
        if found != name:
            yield finding(
                ID, SEVERITY, "urlMap", balancer.url_map, f"/routes{cdn.path}", f"{cdn.path} goes to {found or 'nothing'}",
                f"it goes to {name}", path=cdn.path, backend=name,
            )  # fmt: skip
