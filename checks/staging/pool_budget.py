"""All services together cannot ask the database for more connections than it has.

(pool_size + max_overflow) × workers × maximum instances, summed over services, must fit into max_connections less
the reserve. The first part stands in the environment file, the instances are read live.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, present, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.pool-budget"
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://docs.sqlalchemy.org/en/20/core/pooling.html; https://cloud.google.com/sql/docs/postgres/flags"
READS: Final = ("run.services", "sql.instances")
MEASURES: Final = ()


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """A budget that does not fit."""
    users = [item for item in environment.services if item.pool]
    if environment.database is None or not users:
        return not_required(ID, "[database], or no service with a pool")
    return verdict(
        ID,
        snapshot,
        READS,
        present(snapshot, "run.services", (item.name for item in users)),
        _findings(snapshot, environment),
    )


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    database = environment.database
    assert database is not None
    services = dict(snapshot.of("run.services"))
    live = dict(snapshot.of("sql.instances")).get(database.instance)
    flags = {item["name"]: item.get("value", "") for item in field(live, "settings", "databaseFlags", default=())}
    limit = int(flags.get("max_connections") or database.max_connections)
    parts = []
    for item in environment.services:
        if item.pool and item.name in services:
            most = int(field(services[item.name], "template", "scaling", "maxInstanceCount", default=100) or 100)
            parts.append((item.name, item.pool * most))
    asked = sum(number for _, number in parts)
    if asked > limit - database.reserve:
        named = " + ".join(f"{name} {number}" for name, number in parts)
        yield finding(
            ID, SEVERITY, "sql", database.instance, "/connections", f"{named} = {asked} connections",
            f"at most {limit} − {database.reserve} = {limit - database.reserve}",
        )  # fmt: skip
