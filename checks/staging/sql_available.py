"""The database runs, always, and answers a query in time.

Healthy means `state` RUNNABLE *and* `activationPolicy` ALWAYS; a green API state is not connectivity, so a query is
measured as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot
from regreen.facts.cloud.reading import field, finding, not_required, verdict
from regreen.model import Finding, Severity, Verdict

ID: Final = "staging.sql-available"
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://cloud.google.com/sql/docs/postgres/start-stop-restart-instance"
READS: Final = ("sql.instances",)
MEASURES: Final = ("sql-query",)


def judge(snapshot: Snapshot, environment: Environment) -> Verdict:
    """An instance that is not there, stopped or suspended, and a query that fails or is slow."""
    if environment.database is None:
        return not_required(ID, "[database]")
    found = verdict(ID, snapshot, READS, 2, _findings(snapshot, environment))
    query = snapshot.measured("sql-query")
    if found.error or found.findings or not query.error:
        return found
    return Verdict.unknown(ID, f"the API says that it runs; a query was not possible: {query.error}")


def _findings(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    database = environment.database
    assert database is not None
    body = dict(snapshot.of("sql.instances")).get(database.instance)
    if body is None:
        yield finding(ID, SEVERITY, "sql", database.instance, "", "there is no such instance", "the instance exists")
        return
    policy = field(body, "settings", "activationPolicy", default="ALWAYS")
    if policy != "ALWAYS":
        yield finding(ID, SEVERITY, "sql", database.instance, "/settings/activationPolicy", str(policy), "ALWAYS")
    if body.get("state") != "RUNNABLE":
        yield finding(ID, SEVERITY, "sql", database.instance, "/state", str(body.get("state")), "RUNNABLE")
    query = snapshot.measured("sql-query")
    if not query.error and not 0 <= query.value <= database.query:
        seen = query.seen if query.value < 0 else f"SELECT 1 took {query.value * 1000:.0f} ms"
        yield finding(ID, SEVERITY, "sql", database.instance, "/query", seen, f"within {database.query * 1000:.0f} ms")
