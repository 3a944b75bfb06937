"""Hashed assets may be cached for a year, and nothing else is forced to be.

CACHE_ALL_STATIC without a client time-to-live cuts the browsers' max-age to an hour; USE_ORIGIN_HEADERS with a year
on the objects does what is meant. FORCE_CACHE_ALL would cache whatever comes, private answers included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.cdn-cache-policy"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = (
    "https://cloud.google.com/cdn/docs/caching#cache-modes; https://cloud.google.com/cdn/docs/using-ttl-overrides"
)
READS: Final = ("compute.backendBuckets", "storage.objects")
MEASURES: Final = ()


_YEAR: Final = 31_536_000


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """A cache mode that shortens or forces, and objects without the Cache-Control that the environment asks for."""
    if environment.cdn is None:
        return not_required(ID, "[cdn]")
    examined = len(snapshot.of("storage.objects")) + present(
        snapshot, "compute.backendBuckets", [environment.cdn.backend_bucket]
    )
    return verdict(ID, snapshot, READS, examined, _findings(snapshot, environment))


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    cdn = environment.cdn
    assert cdn is not None
    body = dict(snapshot.of("compute.backendBuckets")).get(cdn.backend_bucket)
    if body is not None and body.get("enableCdn"):
        mode = field(body, "cdnPolicy", "cacheMode", default="CACHE_ALL_STATIC")
        client = int(field(body, "cdnPolicy", "clientTtl", default=0))
        if mode == "FORCE_CACHE_ALL" or (mode == "CACHE_ALL_STATIC" and client < _YEAR):
            seen = mode if mode == "FORCE_CACHE_ALL" else f"{mode}: browsers keep for {client or 3600} s"
            yield finding(
                ID, SEVERITY, "backendBucket", cdn.backend_bucket, "/cdnPolicy/cacheMode", seen, "USE_ORIGIN_HEADERS"
            )
    for name, item in snapshot.of("storage.objects"):
        found = item.get("cacheControl", "")
        if found != cdn.cache_control:
            yield finding(
                ID, SEVERITY, "object", f"{cdn.bucket}/{name}", "/cacheControl", found or "none", cdn.cache_control
            )
