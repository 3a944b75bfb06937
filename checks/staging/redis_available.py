"""The cache is ready, of the tier that is asked for, and answers in time.

Memorystore says READY for a BASIC instance too, which has no replica to fail over to. A PING is measured as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.redis-available"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/memorystore/docs/redis/redis-tiers"
READS: Final = ("redis.instances",)
MEASURES: Final = ("redis-ping",)


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """An instance that is not there or not ready, of a lesser tier, and a PING that fails or is slow."""
    if environment.cache is None:
        return not_required(ID, "[cache]")
    found = verdict(ID, snapshot, READS, 2, _findings(snapshot, environment))
    ping = snapshot.measured("redis-ping")
    if found.error or found.findings or not ping.error:
        return found
    return Verdict.unknown(ID, f"the API says that it is ready; a PING was not possible: {ping.error}")


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    cache = environment.cache
    assert cache is not None
    body = dict(snapshot.of("redis.instances")).get(cache.instance)
    if body is None:
        yield finding(ID, SEVERITY, "redis", cache.instance, "", "there is no such instance", "the instance exists")
        return
    if body.get("state") != "READY":
        yield finding(ID, SEVERITY, "redis", cache.instance, "/state", str(body.get("state")), "READY")
    if cache.tier == "STANDARD_HA" and body.get("tier") != "STANDARD_HA":
        yield finding(ID, SEVERITY, "redis", cache.instance, "/tier", str(body.get("tier")), "STANDARD_HA")
    ping = snapshot.measured("redis-ping")
    if not ping.error and not 0 <= ping.value <= cache.ping:
        seen = ping.seen if ping.value < 0 else f"PING took {ping.value * 1000:.0f} ms"
        yield finding(ID, SEVERITY, "redis", cache.instance, "/ping", seen, f"within {cache.ping * 1000:.0f} ms")
