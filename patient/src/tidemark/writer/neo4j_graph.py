"""The graph in Neo4j: symbols and their trades, teams and what they were allotted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from neo4j import AsyncDriver, AsyncGraphDatabase

from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade

_WORD = re.compile(r"[A-Za-z_]+")


class Neo4jGraph:
    """Merging twice is merging once, for one node or for a batch."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._driver: AsyncDriver = AsyncGraphDatabase.driver(
            url, auth=(user, password), connection_timeout=5.0, max_transaction_retry_time=10.0
        )

    async def verify(self) -> None:
        """Raises when the graph does not answer."""
        await self._driver.verify_connectivity()

    async def merge(self, label: str, key: str, **properties: str) -> None:
        """A node, made or updated."""
        await self._run(f"MERGE (n:{_word(label)} {{key: $key}}) SET n += $properties", key=key, properties=properties)

    async def join(self, start: tuple[str, str], name: str, end: tuple[str, str]) -> None:
        """An edge between two nodes that exist. Raises KeyError for one that does not."""
        found = await self._run(
            f"MATCH (a:{_word(start[0])} {{key: $start}}), (b:{_word(end[0])} {{key: $end}}) "
            f"MERGE (a)-[:{_word(name)}]->(b) RETURN a.key AS key",
            start=start[1],
            end=end[1],
        )
        if not found:
            raise KeyError(start, end)

    async def store(self, trades: Sequence[Trade]) -> None:
        """A batch of trades in one transaction, and how far the graph is."""
        rows = [
            {"key": str(trade.sequence), "sequence": trade.sequence, "symbol": trade.symbol, "digest": digest_of(trade)}
            for trade in trades
        ]
        if not rows:
            return
        await self._run(
            "UNWIND $rows AS row MERGE (s:Symbol {key: row.symbol}) "
            "MERGE (t:Trade {key: row.key}) SET t.digest = row.digest, t.sequence = row.sequence "
            "MERGE (s)-[:TRADED]->(t)",
            rows=rows,
        )
        await self._run(
            "MERGE (p:Progress {key: $key}) SET p.sequence = $sequence", key="trades", sequence=trades[-1].sequence
        )

    async def watermark(self) -> int:
        """How far the graph is; 0 when it is empty."""
        rows = await self._run("MATCH (p:Progress {key: $key}) RETURN p.sequence AS sequence", key="trades")
        return int(rows[0]["sequence"]) if rows and rows[0]["sequence"] is not None else 0

    async def trades(self, symbol: str) -> list[dict[str, Any]]:
        """What the graph holds of a symbol, by sequence."""
        return await self._run(
            "MATCH (s:Symbol {key: $symbol})-[:TRADED]->(t:Trade) "
            "RETURN t.key AS key, t.digest AS digest, t.sequence AS sequence ORDER BY t.sequence",
            symbol=symbol,
        )

    async def allot(self, request_id: str, team: str, outcome: str) -> None:
        """A team's request and its end."""
        await self._run(
            "MERGE (t:Team {key: $team}) MERGE (a:Allocation {key: $request}) SET a.outcome = $outcome "
            "MERGE (t)-[:ASKED]->(a)",
            team=team,
            request=request_id,
            outcome=outcome,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._driver.close()

    async def _run(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self._driver.session() as session:

            async def work(transaction: Any) -> list[dict[str, Any]]:
                result = await transaction.run(query, parameters)
                return [dict(record) async for record in result]

            return await session.execute_write(work)


def _word(name: str) -> str:
    """Labels and edge names cannot be parameters, so they are checked."""
    if not _WORD.fullmatch(name):
        raise ValueError(f"{name!r} is no label")
    return name
