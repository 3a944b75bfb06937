"""The warehouse behind a thin interface, and the one that lives in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade


class Warehouse(ABC):
    """Trades by sequence. An insert is all or nothing."""

    @abstractmethod
    def insert(self, trades: Sequence[Trade]) -> None:
        """Add trades whose sequences are new. Raises KeyError for one that is not; then none is added."""

    @abstractmethod
    def digest(self, sequence: int) -> str | None:
        """The digest of a stored trade, or None."""

    @abstractmethod
    def watermark(self) -> int:
        """The highest sequence stored; 0 when empty."""

    @abstractmethod
    def trades(self, symbol: str | None = None) -> Iterator[Trade]:
        """Stored trades by sequence, of one symbol or all."""

    def count(self) -> int:
        """How many trades are stored."""
        return sum(1 for _ in self.trades())


class MemoryWarehouse(Warehouse):
    """For tests and for a laptop."""

    def __init__(self) -> None:
        self._rows: dict[int, Trade] = {}

    def insert(self, trades: Sequence[Trade]) -> None:
        for trade in trades:
            if trade.sequence in self._rows:
                raise KeyError(trade.sequence)
        self._rows.update({trade.sequence: trade for trade in trades})

    def digest(self, sequence: int) -> str | None:
        row = self._rows.get(sequence)
        return None if row is None else digest_of(row)

    def watermark(self) -> int:
        return max(self._rows, default=0)

    def trades(self, symbol: str | None = None) -> Iterator[Trade]:
        for _, row in sorted(self._rows.items()):
            if symbol in (None, row.symbol):
                yield row
