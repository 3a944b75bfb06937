"""A trade's digest: the same at every stage of the pipeline, or something changed it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from tidemark.feed.models import Trade


def digest_of(trade: Trade) -> str:
    """SHA-256 over the trade's canonical JSON."""
    text = json.dumps(trade.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_all(trades: Iterable[Trade]) -> str:
    """One digest for many trades, whatever their order."""
    lines = sorted(f"{trade.sequence}:{digest_of(trade)}" for trade in trades)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
