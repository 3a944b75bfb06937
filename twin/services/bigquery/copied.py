"""Snapshots and clones: copies that say what they were made from.

https://cloud.google.com/bigquery/docs/table-snapshots-intro, https://cloud.google.com/bigquery/docs/table-clones-intro
"""

from __future__ import annotations

from twin.kernel.errors import invalid
from twin.kernel.semantics import Call
from twin.kernel.types import Body, parse_rfc3339, rfc3339
from twin.services.bigquery.metadata import spoken

_SOURCES = {"COPY": ("TABLE",), "SNAPSHOT": ("TABLE", "SNAPSHOT"), "CLONE": ("TABLE",), "RESTORE": ("SNAPSHOT",)}


def require_kind(kind: str, source: str, body: Body) -> None:
    """ApiError INVALID_ARGUMENT when a copy of this kind cannot be made from a table of that type."""
    allowed = _SOURCES.get(kind, ("TABLE",))
    if body["type"] not in allowed:
        words = " or ".join(allowed)
        raise invalid(f"Cannot copy {spoken(source)}: a {kind} needs a {words}, this is a {body['type']}.")


def marked(call: Call, kind: str, made: Body, base: Body, settings: Body) -> Body:
    """The new table with its origin: a snapshot is read-only and may end by itself."""
    origin = {"baseTableReference": base["tableReference"]}
    stamp = rfc3339(call.now, 3)
    if kind == "SNAPSHOT":
        made = {**made, "type": "SNAPSHOT", "snapshotDefinition": {**origin, "snapshotTime": stamp}}
    elif kind == "CLONE":
        made = {**made, "cloneDefinition": {**origin, "cloneTime": stamp}}
    until = settings.get("destinationExpirationTime")
    if until:
        made["expirationTime"] = str(int(parse_rfc3339(str(until)).timestamp() * 1000))
    return made
