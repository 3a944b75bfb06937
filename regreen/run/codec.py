"""Records to JSON and back, by their type hints: dataclasses, tuples, enums, bytes, and the two kinds of place.

Bytes travel as base64. Text keeps the surrogates that stand for undecodable bytes of a path: JSON escapes
them (`\\udcff`), so a file of it is plain ASCII.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin

from regreen.model import Resource, Span

T = TypeVar("T")


class RecordError(ValueError):
    """A saved record does not have the shape that its type asks for."""


def encode(value: object) -> Any:
    """The plain JSON value (dict, list, str, int, float, bool, None) of a record."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: encode(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value


def decode(kind: type[T], data: object) -> T:
    """The record of a type that `encode` wrote. Raises RecordError, naming the field."""
    return typing.cast("T", _decode(kind, data, kind.__name__))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, data: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = get_args(kind)
        if data is None and type(None) in options:
            return None
        if Span in options and isinstance(data, dict):  # Where = Span | Resource
            return _decode(Resource if "kind" in data else Span, data, where)
        return _decode(next(option for option in options if option is not type(None)), data, where)
    if origin is tuple:
        inner = get_args(kind)
        if not isinstance(data, list):
            raise RecordError(f"{where}: expected a list, found {type(data).__name__}")
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_decode(inner[0], item, f"{where}[{n}]") for n, item in enumerate(data))
        if len(inner) != len(data):
            raise RecordError(f"{where}: expected {len(inner)} values, found {len(data)}")
        return tuple(_decode(one, item, f"{where}[{n}]") for n, (one, item) in enumerate(zip(inner, data, strict=True)))
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data, where)
    if kind is bytes and isinstance(data, str):
        return base64.b64decode(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(data)
        except ValueError as error:
            raise RecordError(f"{where}: {error}") from None
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise RecordError(f"{where}: expected {kind.__name__}, found {type(data).__name__}")
    return data


def _dataclass(kind: Any, data: object, where: str) -> object:
    if not isinstance(data, dict):
        raise RecordError(f"{where}: expected an object, found {type(data).__name__}")
    hints = _hints(kind)
    values: dict[str, object] = {}
    for item in dataclasses.fields(kind):
        if item.name in data:
            values[item.name] = _decode(hints[item.name], data[item.name], f"{where}.{item.name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise RecordError(f"{where}: the field {item.name!r} is missing")
    return kind(**values)
