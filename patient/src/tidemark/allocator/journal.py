"""Where decisions are kept, step by step, in PostgreSQL, so that an interrupted one goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS stock (
        kind TEXT PRIMARY KEY,
        free INTEGER NOT NULL CHECK (free >= 0)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS allocations (
        request_id TEXT PRIMARY KEY,
        asked JSONB NOT NULL,
        stage TEXT NOT NULL,
        facts JSONB NOT NULL DEFAULT '{}',
        context JSONB NOT NULL DEFAULT '{}',
        touched TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
    )
    """,
)
_STOCK = {"desk": 40, "machine": 12}


def engine_of(url: str, size: int = 5, overflow: int = 10) -> Engine:
    """An engine with a pool that Cloud SQL can carry; connects on first use."""
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(
        address,
        pool_size=size,
        max_overflow=overflow,
        pool_timeout=30,
        pool_recycle=3600,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10},
    )


class Journal:
    """One row a request. A step is written in the transaction that does it, so that it is done once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self) -> None:
        """Make the tables, and the stock of a new house."""
        with self._engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(7301)"))
            for table in _TABLES:
                connection.execute(text(table))
            for kind, free in _STOCK.items():
                connection.execute(
                    text("INSERT INTO stock VALUES (:kind, :free) ON CONFLICT (kind) DO NOTHING"),
                    {"kind": kind, "free": free},
                )

    def restock(self, stock: Mapping[str, int]) -> None:
        """Set what is free."""
        with self._engine.begin() as connection:
            for kind, free in stock.items():
                connection.execute(
                    text("INSERT INTO stock VALUES (:kind, :free) ON CONFLICT (kind) DO UPDATE SET free = :free"),
                    {"kind": kind, "free": free},
                )

    def free(self, kind: str) -> int:
        """How many of a kind are free."""
        with self._engine.connect() as connection:
            return int(connection.scalar(text("SELECT free FROM stock WHERE kind = :kind"), {"kind": kind}) or 0)

    def open(self, request_id: str, asked: Mapping[str, Any], context: Mapping[str, str]) -> dict[str, Any]:
        """The request's row, made unless it is there; what was asked first counts."""
        with self._engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO allocations (request_id, asked, stage, context) VALUES (:id, :asked, 'received', :context)"
                    " ON CONFLICT (request_id) DO NOTHING"
                ),
                {"id": request_id, "asked": json.dumps(asked), "context": json.dumps(context)},
            )
        found = self.find(request_id)
        assert found is not None
        return found

    def find(self, request_id: str) -> dict[str, Any] | None:
        """A request's row, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(
                text("SELECT request_id, asked, stage, facts, context FROM allocations WHERE request_id = :id"),
                {"id": request_id},
            ).first()
        return None if row is None else dict(row._mapping)

    def advance(self, request_id: str, before: str, after: str, facts: Mapping[str, Any]) -> bool:
        """Go from one stage to the next and add facts; False when somebody else has gone already."""
        with self._engine.begin() as connection:
            return _advanced(connection, request_id, before, after, facts)

    def settle(self, request_id: str, kind: str, count: int, facts: Mapping[str, Any]) -> bool:
        """Take from the stock and decide, in one transaction; False when there is not enough, and nothing is taken."""
        with self._engine.begin() as connection:
            taken = connection.execute(
                text("UPDATE stock SET free = free - :count WHERE kind = :kind AND free >= :count"),
                {"kind": kind, "count": count},
            )
            if taken.rowcount != 1:
                return False
            if not _advanced(connection, request_id, "voted", "decided", facts):
                connection.rollback()
            return True

    def unfinished(self, older_than: float) -> list[str]:
        """Requests that nobody has touched for so many seconds, and that have not been announced."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT request_id FROM allocations WHERE stage <> 'announced'"
                    " AND touched < clock_timestamp() - make_interval(secs => :age) ORDER BY touched"
                ),
                {"age": older_than},
            )
            return [str(row[0]) for row in rows]

    def ping(self) -> None:
        """Raises when the database does not answer."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()


def _advanced(connection: Any, request_id: str, before: str, after: str, facts: Mapping[str, Any]) -> bool:
    changed = connection.execute(
        text(
            "UPDATE allocations SET stage = :after, facts = facts || CAST(:facts AS JSONB), touched = clock_timestamp()"
            " WHERE request_id = :id AND stage = :before"
        ),
        {"id": request_id, "before": before, "after": after, "facts": json.dumps(facts)},
    )
    return bool(changed.rowcount == 1)
