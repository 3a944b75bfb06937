"""Neo4j over Bolt: log on, then `RETURN 1`."""

from __future__ import annotations

import time

from regreen.facts.services.spec import Missing, Seen, ServiceSpec


def probe(spec: ServiceSpec, limit: float) -> Seen:
    """Neo4j's own errors when it does not answer in `limit` seconds."""
    try:
        import neo4j
    except ImportError:
        raise Missing("neo4j") from None
    begun = time.monotonic()
    with neo4j.GraphDatabase.driver(
        spec.address, auth=("neo4j", spec.secret), connection_timeout=limit, connection_acquisition_timeout=limit,
        max_transaction_retry_time=0,
    ) as driver:  # fmt: skip
        driver.verify_connectivity()
        connected = time.monotonic()
        with driver.session(default_access_mode=neo4j.READ_ACCESS) as session:
            record = session.run("RETURN 1 AS one").single(strict=True)
        done = time.monotonic()
        poor = "" if record["one"] == 1 else "RETURN 1 gave something else"
        return Seen(connected - begun, done - connected, driver.get_server_info().agent, poor=poor)
