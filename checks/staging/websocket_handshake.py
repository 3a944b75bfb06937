"""A WebSocket through the balancer opens in time, and stays open while idle.

Measured, not read: the handshake on a service that was made cold where that can be done, and a connection with
nothing but pings for longer than the old idle time-out.
"""

from __future__ import annotations

from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import finding, not_required
from regreen.model import Severity, Verdict

ID: Final = "staging.websocket-handshake"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/run/docs/triggering/websockets"
READS: Final = ()
MEASURES: Final = ("handshake", "keepalive")


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """A handshake that takes too long, and a connection that does not live."""
    balancer = environment.balancer
    if balancer is None or not balancer.handshake_path:
        return not_required(ID, "[balancer] with handshake_path")
    opened, kept = snapshot.measured("handshake"), snapshot.measured("keepalive")
    if opened.error or kept.error:
        return Verdict.unknown(ID, opened.error or kept.error)
    found = []
    if not opened.seen.startswith("open") or opened.value > balancer.handshake:
        found.append(
            finding(
                ID,
                SEVERITY,
                "urlMap",
                balancer.url_map,
                "/handshake",
                f"{opened.seen} after {opened.value:.2f} s",
                f"open within {balancer.handshake:g} s",
            )
        )
    if kept.seen != "open":
        found.append(
            finding(
                ID,
                SEVERITY,
                "urlMap",
                balancer.url_map,
                "/keepalive",
                f"{kept.seen} after {kept.value:.1f} s",
                f"open for {balancer.idle:g} s with nothing but pings",
            )
        )
    return Verdict.of(ID, 2, found, f"handshake {opened.value:.2f} s ({opened.seen}), idle for {kept.value:.1f} s")
