"""Put hashed assets behind Cloud CDN, cached for a year by browsers.

The cache mode leaves the objects' own Cache-Control as it is, and a step sets that on the objects. HTML is never
forced into the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.add-cdn"
CHECKS: Final = ("staging.cdn-enabled", "staging.cdn-cache-policy")
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Set the backend bucket's CDN settings; a step sets the objects' headers."""
    assert environment.cdn is not None, "the checks need it"
    name, bucket = environment.cdn.backend_bucket, environment.cdn.bucket
    mine = [item for item in findings if not item.get("path")]
    values: list[tuple[tuple[str | int, ...], Any]] = []
    if stack.get("backendBuckets", name) is None:
        values += [(("backendBuckets", name, "bucket"), bucket)]
    if any(item.subject.startswith("backendBucket/") for item in mine):
        values += [
            (("backendBuckets", name, "bucket"), bucket),
            (("backendBuckets", name, "cdn"), True),
            (("backendBuckets", name, "cacheMode"), "USE_ORIGIN_HEADERS"),
            (("backendBuckets", name, "clientTtl"), None),
            (("backendBuckets", name, "defaultTtl"), None),
            (("backendBuckets", name, "maxTtl"), None),
        ]
    steps = [f"set-cache-control:{bucket}"] if any(item.subject.startswith("object/") for item in mine) else []
    return change(ID, stack, f"Cloud CDN for {bucket}", mine, values, steps=steps)
