"""What Prometheus reads from every service, at /metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

REQUESTS = Counter("tidemark_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("tidemark_request_seconds", "Time to answer", ["route"])
TRADES = Counter("tidemark_trades_total", "Trades by what was done with them", ["step"])
WATERMARK = Gauge("tidemark_watermark", "Highest sequence that a step has finished", ["step"])
LAG = Gauge("tidemark_lag_records", "Records of the topic that the writer has not read")
BATCH_SECONDS = Histogram("tidemark_batch_seconds", "Time to store a batch", ["store"])
CACHE = Counter("tidemark_cache_lookups_total", "Lookups in the cache", ["result"])
DECISIONS = Counter("tidemark_decisions_total", "Decisions by outcome", ["outcome"])
VOTE_SECONDS = Histogram("tidemark_vote_seconds", "Time that an agent takes to vote", ["agent"])
CONNECTIONS = Gauge("tidemark_connections", "Open WebSockets")


def exposition() -> tuple[bytes, str]:
    """The text that Prometheus reads, and its type."""
    return generate_latest(), CONTENT_TYPE_LATEST
