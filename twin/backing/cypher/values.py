"""Cypher's values: three-valued equality and order, what a property may be, how properties are kept."""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from twin.backing.cypher.errors import TYPE, CypherError

T = TypeVar("T")
_PLAIN = (bool, int, float, str, bytes, datetime.datetime, datetime.date)


def equal(left: Any, right: Any) -> bool | None:
    """None where either is unknown."""
    if left is None or right is None:
        return None
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return False
        parts = [equal(one, other) for one, other in zip(left, right, strict=True)]
        return False if False in parts else None if None in parts else True
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return False
        parts = [equal(left[name], right[name]) for name in left]
        return False if False in parts else None if None in parts else True
    return bool(left == right)


def less(left: Any, right: Any) -> bool | None:
    """None where the two cannot be compared."""
    if left is None or right is None:
        return None
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (left, right))
    if numbers or (type(left) is type(right) and isinstance(left, (str, bool, datetime.date))):
        try:
            return bool(left < right)
        except TypeError:
            return None
    if isinstance(left, list) and isinstance(right, list):
        for one, other in zip(left, right, strict=False):
            if not equal(one, other):
                return less(one, other)
        return len(left) < len(right)
    return None


def rank(value: Any) -> tuple[Any, ...]:
    """A key that orders any values, as ORDER BY does: maps, entities, lists, strings, booleans, numbers, null."""
    if value is None:
        return (9,)
    if isinstance(value, bool):
        return (6, value)
    if isinstance(value, (int, float)):
        return (8,) if isinstance(value, float) and math.isnan(value) else (7, value)
    if isinstance(value, str):
        return (5, value)
    if isinstance(value, datetime.date):
        return (4, value.isoformat())
    if isinstance(value, list):
        return (3, tuple(rank(each) for each in value))
    if isinstance(value, dict):
        return (0, tuple((name, rank(each)) for name, each in sorted(value.items())))
    return (1, getattr(value, "id", 0))


def key(value: Any) -> Any:
    """Something hashable; values that are the same value have the same key."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return ("list", tuple(key(each) for each in value))
    if isinstance(value, dict):
        return ("map", tuple((name, key(each)) for name, each in sorted(value.items())))
    return value


def distinct(items: Iterable[T], of: Callable[[T], Any]) -> list[T]:
    """Each once, where it first came."""
    seen: dict[Any, T] = {}
    for item in items:
        seen.setdefault(key(of(item)), item)
    return list(seen.values())


def check_property(name: str, value: Any) -> None:
    """CypherError for what no property can hold."""
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, _PLAIN):
            kind = "Map" if isinstance(item, dict) else "null" if item is None else type(item).__name__
            raise CypherError(
                TYPE,
                f"Property values can only be of primitive types or arrays thereof. Encountered: {kind} for `{name}`.",
            )


def dump(properties: dict[str, Any]) -> str:
    return json.dumps(properties, default=_coded)


def _coded(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"\0bytes": base64.b64encode(value).decode()}
    return {"\0time" if isinstance(value, datetime.datetime) else "\0date": value.isoformat()}


def load(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text, object_hook=_decoded)
    return found


def _decoded(facts: dict[str, Any]) -> Any:
    # No name of a property begins with the zero character.
    if len(facts) == 1:
        (kind, text), *_ = facts.items()
        if kind == "\0bytes" and isinstance(text, str):
            return base64.b64decode(text)
        if kind == "\0time" and isinstance(text, str):
            return datetime.datetime.fromisoformat(text)
        if kind == "\0date" and isinstance(text, str):
            return datetime.date.fromisoformat(text)
    return facts
