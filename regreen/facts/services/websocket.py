"""A WebSocket: the handshake, then a ping and its pong."""

from __future__ import annotations

import time

from regreen.facts.services.spec import Missing, Refused, Seen, ServiceSpec


def probe(spec: ServiceSpec, limit: float) -> Seen:
    """Refused when the pong does not come in `limit` seconds; the library's errors for the handshake."""
    try:
        from websockets.sync.client import connect
    except ImportError:
        raise Missing("websockets") from None
    headers = {"Authorization": f"Bearer {spec.secret}"} if spec.secret else None
    begun = time.monotonic()
    with connect(spec.address, open_timeout=limit, close_timeout=1, additional_headers=headers, proxy=None) as wire:
        connected = time.monotonic()
        if not wire.ping().wait(limit):
            raise Refused(f"a ping had no pong within {limit:.0f} s")
        return Seen(connected - begun, time.monotonic() - connected, "handshake and pong")
