"""Redis: PING, INFO, and 200 PINGs in one go."""

from __future__ import annotations

import time
from typing import Any, Final

from regreen.facts.services.spec import Missing, Seen, ServiceSpec

_PINGS: Final = 200


def probe(spec: ServiceSpec, limit: float) -> Seen:
    """redis-py's own errors when it does not answer in `limit` seconds."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise Missing("redis") from None
    options: dict[str, Any] = {"password": spec.secret} if spec.secret else {}
    client = redis.Redis.from_url(
        spec.address, socket_connect_timeout=limit, socket_timeout=limit, retry=Retry(NoBackoff(), 0), **options
    )
    try:
        begun = time.monotonic()
        client.ping()
        connected = time.monotonic()
        client.ping()
        pinged = time.monotonic()
        try:
            info: dict[str, Any] = client.info()
        except redis.ResponseError:  # some answer the protocol without it
            info = {}
        start = time.monotonic()
        pipe = client.pipeline(transaction=False)
        for _ in range(_PINGS):
            pipe.ping()
        pipe.execute()
        rate = _PINGS / max(time.monotonic() - start, 1e-9)
    finally:
        client.close()
    version = f"Redis {info['redis_version']}" if "redis_version" in info else "answers PING; no INFO"
    down = "its primary is not reachable" if info.get("master_link_status") == "down" else ""
    loading = "it is loading its data" if info.get("loading") else ""
    return Seen(connected - begun, pinged - connected, version, rate, "PINGs/s", down or loading)
