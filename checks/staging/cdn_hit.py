"""A second fetch of an asset comes from the cache.

Measured: repeated GETs through the balancer, since edges differ; a hit carries Age, and browsers get the exact
Cache-Control.
"""

from __future__ import annotations

from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, not_required
from regreen.model import Severity, Verdict

ID: Final = "staging.cdn-hit"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/cdn/docs/caching#age"
READS: Final = ()
MEASURES: Final = ("cdn-hit",)


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """No hit in several tries, or a hit with another Cache-Control."""
    if environment.cdn is None:
        return not_required(ID, "[cdn]")
    found = snapshot.measured("cdn-hit")
    if found.error:
        return Verdict.unknown(ID, found.error)
    good = found.value >= 0 and environment.cdn.cache_control in found.seen
    findings = []
    if not good:
        expected = f"a hit with Age, Cache-Control: {environment.cdn.cache_control}"
        findings.append(
            finding(ID, SEVERITY, "backendBucket", environment.cdn.backend_bucket, "/hit", found.seen, expected)
        )
    return Verdict.of(ID, 1, findings, found.seen)
