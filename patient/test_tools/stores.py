"""Stores that watch, and stores that fail."""

from __future__ import annotations

from collections.abc import Sequence

from tidemark.feed.models import Trade
from tidemark.writer.warehouse import MemoryWarehouse, Warehouse


class RecordingWarehouse(Warehouse, MemoryWarehouse):
    """Remembers the size of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def insert(self, trades: Sequence[Trade]) -> None:
        super().insert(trades)
        self.batches.append(len(trades))


class FailingWarehouse(RecordingWarehouse):
    """Fails so many times, then works."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def insert(self, trades: Sequence[Trade]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the warehouse is away")
        super().insert(trades)
