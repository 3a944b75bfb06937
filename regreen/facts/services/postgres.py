"""PostgreSQL: `SELECT 1`."""

from __future__ import annotations

import time
from typing import Any

from regreen.facts.services.spec import Missing, Seen, ServiceSpec


def probe(spec: ServiceSpec, limit: float) -> Seen:
    """psycopg's own errors when it does not answer in `limit` seconds."""
    try:
        import psycopg
    except ImportError:
        raise Missing("psycopg") from None
    options: dict[str, Any] = {"password": spec.secret} if spec.secret else {}
    begun = time.monotonic()
    with psycopg.connect(spec.address, connect_timeout=max(2, round(limit)), autocommit=True, **options) as connection:
        connected = time.monotonic()
        connection.execute(f"SET statement_timeout = {int(limit * 1000)}")
        start = time.monotonic()
        connection.execute("SELECT 1")
        done = time.monotonic()
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('max_connections')::int, count(*)"
            " FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchone()
    version, most, used = row or ("?", 0, 0)
    poor = f"{used} of {most} connections are taken" if most and used > 0.9 * most else ""
    return Seen(connected - begun, done - start, f"PostgreSQL {version}, {used} of {most} connections", poor=poor)
