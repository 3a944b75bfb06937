"""The durable outbox: a trade is on disk before the broker hears of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from tidemark.feed.models import Trade

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER PRIMARY KEY,
    trade TEXT NOT NULL,
    written INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0
)
"""


class Outbox:
    """Trades by sequence, with a mark on those that the broker acknowledged."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(_SCHEMA)

    def append(self, trade: Trade) -> bool:
        """Keep a trade; False when its sequence is known already."""
        cursor = self._database.execute(
            "INSERT OR IGNORE INTO outbox (sequence, trade, written)"
            " VALUES (?, ?, (SELECT COUNT(*) FROM outbox))",
            (trade.sequence, trade.model_dump_json()),
        )
        return cursor.rowcount == 1

    def unpublished(self) -> list[Trade]:
        """What the broker has not acknowledged, in order of sequence."""
        rows = self._database.execute("SELECT trade FROM outbox WHERE published = 0 ORDER BY written")
        return [Trade.model_validate_json(text) for (text,) in rows]

    def between(self, first: int, last: int) -> list[Trade]:
        """Trades from one sequence to another, both included, published or not."""
        rows = self._database.execute(
            "SELECT trade FROM outbox WHERE sequence BETWEEN ? AND ? ORDER BY sequence", (first, last)
        )
        return [Trade.model_validate_json(text) for (text,) in rows]

    def mark_published(self, sequence: int) -> None:
        """The broker has it."""
        self._database.execute("UPDATE outbox SET published = 1 WHERE sequence = ?", (sequence,))

    def mark_all_published(self, sequences: Iterable[int]) -> None:
        """The broker has them all; one transaction, so one wait for the disk."""
        self._database.execute("BEGIN")
        self._database.executemany(
            "UPDATE outbox SET published = 1 WHERE sequence = ?", [(sequence,) for sequence in sequences]
        )
        self._database.execute("COMMIT")

    @property
    def last_sequence(self) -> int:
        """The highest sequence kept; 0 when empty."""
        (last,) = self._database.execute("SELECT COALESCE(MAX(sequence), 0) FROM outbox").fetchone()
        return int(last)

    @property
    def last_published(self) -> int:
        """The highest sequence that the broker acknowledged; 0 when there is none."""
        query = "SELECT COALESCE(MAX(sequence), 0) FROM outbox WHERE published = 1"
        (last,) = self._database.execute(query).fetchone()
        return int(last)

    def close(self) -> None:
        """Close the file. Everything appended is on disk already."""
        self._database.close()
