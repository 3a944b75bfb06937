"""Compares the stages of the pipeline record by record: counts, digests, order, schema.

A stage is a list of records as it holds them. The feed is the truth; `problems` says where another stage differs.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jsonschema

TRADE: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["sequence", "symbol", "price", "quantity", "traded_at"],
    "properties": {
        "sequence": {"type": "integer", "minimum": 1},
        "symbol": {"type": "string", "pattern": "^[A-Z]{3,5}-[A-Z]{3}$"},
        "price": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
        "quantity": {"type": "integer", "exclusiveMinimum": 0},
        "traded_at": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
    },
}
DIGEST: Final[dict[str, Any]] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "feed": TRADE,
    "broker": {
        "type": "object",
        "additionalProperties": False,
        "required": ["schema", "digest", "trade"],
        "properties": {"schema": {"const": "trade/3"}, "digest": DIGEST, "trade": TRADE},
    },
    "warehouse": {
        "type": "object",
        "required": ["sequence", "symbol", "digest", "trade", "received_at", "stored_at"],
        "properties": {
            "sequence": {"type": "integer", "minimum": 1},
            "digest": DIGEST,
            "trade": TRADE,
            "received_at": {"type": "number", "exclusiveMinimum": 0},
            "stored_at": {"type": "number", "exclusiveMinimum": 0},
        },
    },
    "graph": {
        "type": "object",
        "additionalProperties": False,
        "required": ["key", "sequence", "digest"],
        "properties": {"key": {"type": "string"}, "sequence": {"type": "integer"}, "digest": DIGEST},
    },
    "cache": TRADE,
    "api": TRADE,
}


def digest(trade: Mapping[str, Any]) -> str:
    """SHA-256 over canonical JSON, as the patient makes it."""
    return hashlib.sha256(json.dumps(trade, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a stage: its place in the stream and the digest of its content."""

    sequence: int
    digest: str


@dataclass(frozen=True, slots=True)
class Problems:
    """How a stage differs from the feed. All empty: it holds the same records, each once and in order."""

    missing: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    foreign: tuple[int, ...] = ()
    corrupted: tuple[int, ...] = ()
    disordered: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return any((self.missing, self.doubled, self.foreign, self.corrupted, self.disordered))


def problems(truth: Sequence[Row], found: Sequence[Row]) -> Problems:
    """What is wrong with a stage's records, by sequence."""
    expected = {row.sequence: row.digest for row in truth}
    seen = Counter(row.sequence for row in found)
    return Problems(
        missing=tuple(sorted(expected.keys() - seen.keys())),
        doubled=tuple(sorted(sequence for sequence, times in seen.items() if times > 1)),
        foreign=tuple(sorted(seen.keys() - expected.keys())),
        corrupted=tuple(
            sorted({row.sequence for row in found if expected.get(row.sequence, row.digest) != row.digest})
        ),
        disordered=tuple(
            later.sequence for earlier, later in itertools.pairwise(found) if later.sequence < earlier.sequence
        ),
    )


def violations(stage: str, records: Iterable[Any]) -> list[str]:
    """Where records break the schema of their stage: `number in the list: what`."""
    validator = jsonschema.Draft202012Validator(SCHEMAS[stage])
    return [
        f"{number}: {'/'.join(map(str, error.absolute_path))}: {error.message}"
        for number, record in enumerate(records)
        for error in validator.iter_errors(record)
    ]
