"""Cypher's functions, those that staging systems use."""

from __future__ import annotations

import datetime
import math
import random
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from twin.backing.cypher import values
from twin.backing.cypher.errors import SYNTAX, TYPE, CypherError, unsupported
from twin.backing.cypher.graph import Edge, Node, Route


def type_name(value: Any) -> str:
    """What Neo4j calls it."""
    names: dict[type, str] = {
        bool: "Boolean", int: "Integer", float: "Float", str: "String", list: "List", dict: "Map", Node: "Node",
        Edge: "Relationship", Route: "Path", bytes: "ByteArray", type(None): "Null",
    }  # fmt: skip
    return names.get(type(value), type(value).__name__)


def text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise CypherError(TYPE, f"Type mismatch: expected String but was {type_name(value)}")


def element_id(entity: Node | Edge) -> str:
    """Nodes and edges count separately in Neo4j; here one counter serves both."""
    return f"{4 if isinstance(entity, Node) else 5}:twin:{entity.id}"


def _size(value: Any) -> int:
    if isinstance(value, (str, list)):
        return len(value)
    raise CypherError(TYPE, f"Type mismatch: expected String or List but was {type_name(value)}")


def _properties(value: Any) -> dict[str, Any]:
    return dict(value if isinstance(value, dict) else value.properties)


def _integer(value: Any) -> int | None:
    try:
        return int(float(value)) if not isinstance(value, int) else int(value)
    except (ValueError, OverflowError):
        return None


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).strip().lower())


def _range(start: int, end: int, step: int = 1) -> list[int]:
    if not step:
        raise CypherError(TYPE, "step argument to range() cannot be zero")
    return list(range(start, end + (1 if step > 0 else -1), step))


def _round(value: float, digits: int = 0) -> float:
    scale = 10**digits
    return float(math.floor(value * scale + 0.5) / scale)


def _moment(value: Any = None) -> datetime.datetime:
    if value is None:
        return datetime.datetime.now(datetime.UTC)
    if isinstance(value, str):
        try:
            found = datetime.datetime.fromisoformat(value)
        except ValueError as error:
            raise CypherError(TYPE, f"Text cannot be parsed to a DateTime: {value!r}") from error
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
    raise unsupported("datetime() of anything but a text")


_STRICT: Final[dict[str, Callable[..., Any]]] = {
    # null in, null out
    "size": _size, "length": lambda path: len(path.edges), "labels": lambda node: sorted(node.labels),
    "type": lambda edge: edge.type, "id": lambda entity: entity.id, "elementid": element_id,
    "keys": lambda value: list(_properties(value)), "properties": _properties,
    "nodes": lambda path: list(path.nodes), "relationships": lambda path: list(path.edges),
    "startnode": lambda edge: edge.start, "endnode": lambda edge: edge.end,
    "head": lambda items: items[0] if items else None, "last": lambda items: items[-1] if items else None,
    "tail": lambda items: items[1:], "reverse": lambda value: value[::-1], "range": _range,
    "toupper": str.upper, "upper": str.upper, "tolower": str.lower, "lower": str.lower, "trim": str.strip,
    "ltrim": str.lstrip, "rtrim": str.rstrip, "replace": str.replace, "split": str.split,
    "left": lambda value, count: value[:count], "right": lambda value, count: value[-count:] if count else "",
    "substring": lambda value, start, count=None: value[start : None if count is None else start + count],
    "tostring": text, "tointeger": _integer, "tofloat": _float, "toboolean": _truth,
    "abs": abs, "ceil": lambda value: float(math.ceil(value)), "floor": lambda value: float(math.floor(value)),
    "round": _round, "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "log10": math.log10,
    "sign": lambda value: (value > 0) - (value < 0), "isempty": lambda value: not value,
    "date": lambda value: datetime.date.fromisoformat(value), "datetime": _moment,
}  # fmt: skip
_FREE: Final[dict[str, Callable[..., Any]]] = {
    "timestamp": lambda: int(time.time() * 1000),
    "rand": random.random,
    "randomuuid": lambda: str(uuid.uuid4()),
    "pi": lambda: math.pi,
    "e": lambda: math.e,
    "exists": lambda value: value is not None,
    "valuetype": lambda value: type_name(value).upper(),
}


def call(name: str, arguments: list[Any]) -> Any:
    """CypherError for an unknown function or arguments that do not fit."""
    how = _STRICT.get(name)
    if name in ("datetime", "date") and not arguments:
        moment = _moment()
        return moment if name == "datetime" else moment.date()
    if how is not None and None in arguments:
        return None
    how = how or _FREE.get(name)
    if how is None:
        raise CypherError(SYNTAX, f"Unknown function '{name}' (or not supported by the local graph)")
    try:
        return how(*arguments)
    except (TypeError, AttributeError, ValueError) as error:
        kinds = ", ".join(type_name(each) for each in arguments)
        raise CypherError(TYPE, f"{name}() does not take ({kinds})") from error


def total(name: str, found: list[Any]) -> Any:
    """An aggregate of values that are not null."""
    if name == "count":
        return len(found)
    if name == "collect":
        return found
    if name in ("min", "max"):
        return (min if name == "min" else max)(found, key=values.rank) if found else None
    try:
        if name == "sum":
            return sum(found)
        if name == "avg":
            return sum(found) / len(found) if found else None
        return statistics.stdev(found) if len(found) > 1 else 0.0
    except TypeError as error:
        raise CypherError(TYPE, f"{name}() takes numbers") from error
