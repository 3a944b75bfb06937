"""The record that travels through the broker: a trade, its schema, its digest."""

from __future__ import annotations

import json

from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade
from tidemark.runtime.errors import DigestMismatch

SCHEMA = "trade/3"


def encode(trade: Trade) -> bytes:
    """A record's value."""
    envelope = {"schema": SCHEMA, "digest": digest_of(trade), "trade": trade.model_dump(mode="json")}
    return json.dumps(envelope, sort_keys=True).encode()


def decode(value: bytes) -> Trade:
    """The trade in a record. Raises DigestMismatch when it is not what was sent, ValueError otherwise."""
    envelope = json.loads(value)
    if envelope.get("schema") != SCHEMA:
        raise ValueError(f"schema {envelope.get('schema')!r}: this writer reads {SCHEMA}")
    trade = Trade.model_validate(envelope["trade"])
    if digest_of(trade) != envelope["digest"]:
        raise DigestMismatch(trade.sequence)
    return trade
