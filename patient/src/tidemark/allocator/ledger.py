"""Decisions in PostgreSQL, for accounting."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tidemark.allocator.models import Decision


def ledger_engine(url: str) -> AsyncEngine:
    """The engine of the ledger; connects on first use."""
    return create_async_engine(url)


class Ledger:
    """One row a decision; recording twice is recording once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record(self, decision: Decision) -> None:
        """Add the decision unless it is there."""
        session = AsyncSession(self._engine)
        await session.execute(
            text(
                "INSERT INTO decisions (request_id, outcome, cost) VALUES (:id, :outcome, :cost)"
                " ON CONFLICT (request_id) DO NOTHING"
            ),
            {"id": decision.request_id, "outcome": decision.outcome, "cost": decision.cost},
        )
        await session.commit()
