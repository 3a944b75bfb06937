"""Services on a laptop: everything in this process or in a file, no cloud."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tidemark.allocator.models import Kind
from tidemark.allocator.pricing import FixedPrices
from tidemark.allocator.workflow import AllocationWorkflow, Stock
from tidemark.api.app import Services, create_app
from tidemark.api.auth import Tokens
from tidemark.feed.client import FeedClient
from tidemark.feed.server import TradeFeed, deterministic_trades
from tidemark.ingest.broker import Broker, KafkaBroker, MemoryBroker
from tidemark.ingest.outbox import Outbox
from tidemark.ingest.service import Ingest
from tidemark.runtime.settings import Settings
from tidemark.writer.cache import RedisCache
from tidemark.writer.exactly_once import ExactlyOnceWriter
from tidemark.writer.graph import MemoryGraph
from tidemark.writer.sql import SqlWarehouse


def broker_of(chosen: Settings) -> Broker:
    """The broker that the settings name."""
    return KafkaBroker(chosen.kafka_bootstrap) if chosen.broker == "kafka" else MemoryBroker()


async def feed(chosen: Settings) -> None:
    """Serve a thousand trades, ten a second, until the process is stopped."""
    trades = list(deterministic_trades(1000))
    async with TradeFeed(trades, chosen.feed_token.get_secret_value(), interval=0.1) as served:
        await served.start(chosen.feed_host, chosen.feed_port)
        await asyncio.Event().wait()


async def ingest(chosen: Settings) -> None:
    """Follow the feed into the broker."""
    outbox = Outbox(chosen.outbox_path)
    client = FeedClient(chosen.feed_url, chosen.feed_token.get_secret_value(), outbox.last_sequence + 1)
    await Ingest(outbox, broker_of(chosen), chosen.trades_topic).run(client.trades())


async def writer(chosen: Settings) -> None:
    """Bring the topic to the stores, for ever."""
    stores = SqlWarehouse(chosen.warehouse_url), RedisCache.connect(chosen.redis_url), MemoryGraph()
    service = ExactlyOnceWriter(broker_of(chosen), *stores, topic=chosen.trades_topic)
    while True:
        await service.drain()
        await asyncio.sleep(0.2)


def services_of(chosen: Settings) -> Services:
    """What the api stands on, by the settings."""
    prices = FixedPrices({Kind.DESK: Decimal(400), Kind.MACHINE: Decimal(1500)})
    stock = Stock({Kind.DESK: 40, Kind.MACHINE: 12})
    return Services(
        tokens=Tokens(
            chosen.signing_key.get_secret_value(), chosen.environment, chosen.e2e_bypass_key.get_secret_value()
        ),
        warehouse=SqlWarehouse(chosen.warehouse_url),
        cache=RedisCache.connect(chosen.redis_url),
        workflow=AllocationWorkflow(stock, prices, broker_of(chosen)),
    )


def api(chosen: Settings) -> None:
    """Serve REST and WebSocket."""
    import uvicorn

    uvicorn.run(create_app(services_of(chosen)), host=chosen.api_host, port=chosen.api_port)


def run(service: str, chosen: Settings) -> None:
    """Run one of feed, ingest, writer and api. SystemExit for one that needs the stack."""
    if service == "api":
        api(chosen)
    elif service in ("feed", "ingest", "writer"):
        asyncio.run({"feed": feed, "ingest": ingest, "writer": writer}[service](chosen))
    else:
        raise SystemExit(f"{service} needs the stack: set PORT and the TIDEMARK_* variables")
