"""The warehouse in SQL: PostgreSQL in staging, SQLite on a laptop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade
from tidemark.writer.warehouse import Warehouse

_METADATA = MetaData()
_TRADES = Table(
    "trades",
    _METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("symbol", String(9), nullable=False, index=True),
    Column("digest", String(64), nullable=False),
    Column("trade", Text, nullable=False),
)


class SqlWarehouse(Warehouse):
    """Trades in one table, a row each, inside a transaction per batch."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url)
        _METADATA.create_all(self.engine)

    def insert(self, trades: Sequence[Trade]) -> None:
        rows = [
            {
                "sequence": trade.sequence,
                "symbol": trade.symbol,
                "digest": digest_of(trade),
                "trade": trade.model_dump_json(),
            }
            for trade in trades
        ]
        if not rows:
            return
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(_TRADES), rows)
        except IntegrityError as error:
            raise KeyError(trades[0].sequence) from error

    def digest(self, sequence: int) -> str | None:
        with self.engine.connect() as connection:
            return connection.scalar(select(_TRADES.c.digest).where(_TRADES.c.sequence == sequence))

    def watermark(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(select(func.coalesce(func.max(_TRADES.c.sequence), 0))) or 0)

    def trades(self, symbol: str | None = None) -> Iterator[Trade]:
        query = select(_TRADES.c.trade).order_by(_TRADES.c.sequence)
        if symbol is not None:
            query = query.where(_TRADES.c.symbol == symbol)
        with self.engine.connect() as connection:
            rows = connection.execute(query).fetchall()
        for (text,) in rows:
            yield Trade.model_validate_json(text)

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()
