"""Replay a topic against a second warehouse and compare: `python scripts/replay.py sqlite:///copy.db`."""

from __future__ import annotations

import asyncio
import sys

from tidemark.feed.digests import digest_of_all
from tidemark.ingest.broker import KafkaBroker
from tidemark.runtime.progress import Progress
from tidemark.runtime.settings import settings
from tidemark.writer.cache import InMemoryCache
from tidemark.writer.exactly_once import ExactlyOnceWriter
from tidemark.writer.graph import MemoryGraph
from tidemark.writer.sql import SqlWarehouse


def line(progress: Progress) -> str:
    """What was done, for the terminal."""
    return f"{progress.stored} stored, {progress.repeated} repeated"


async def replay(url: str) -> bool:
    """Whether the copy equals the warehouse of the settings."""
    copy = SqlWarehouse(url)
    broker = KafkaBroker(settings().kafka_bootstrap)
    print(line(await ExactlyOnceWriter(broker, copy, InMemoryCache(), MemoryGraph()).drain()))
    return digest_of_all(copy.trades()) == digest_of_all(SqlWarehouse(settings().warehouse_url).trades())


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(replay(sys.argv[1])) else 1)
