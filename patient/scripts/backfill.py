"""Publish a range of sequences again from the outbox: `python scripts/backfill.py outbox.db 120 180`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tidemark.ingest.broker import KafkaBroker
from tidemark.ingest.outbox import Outbox
from tidemark.ingest.wire import encode
from tidemark.runtime.settings import settings

USAGE = """
usage: backfill.py OUTBOX FIRST LAST
"""


async def backfill(path: Path, first: int, last: int) -> int:
    """How many records went out."""
    broker = KafkaBroker(settings().kafka_bootstrap)
    count = 0
<<<<<<< HEAD
    for trade in Outbox(path).between(first, last):
=======
    for trade in Outbox(path).between(first, last - 1):
>>>>>>> half-open-ranges
        await broker.publish(settings().trades_topic, trade.symbol, encode(trade))
        count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(USAGE)
    print(asyncio.run(backfill(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
