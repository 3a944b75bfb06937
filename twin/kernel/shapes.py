"""Schemas of a discovery document, compiled into readers of requests and checkers of responses.

A reader normalises as Google's JSON parser does: `int64` becomes a string, enum numbers become names, original
(snake case) field names are accepted, url-safe base64 is accepted, null means absent, output-only fields are dropped
(https://protobuf.dev/programming-guides/json/, https://google.aip.dev/203).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Any

from twin.kernel.documents import Document
from twin.kernel.names import camel, snake
from twin.kernel.types import Body, parse_rfc3339

Problem = tuple[str, str]
"""(path in snake case, Google's sentence about it)."""
EnumNumber = Callable[[str, int, tuple[str, ...]], "str | None"]
EnumType = Callable[[str, tuple[str, ...]], str]
"""(label of the field, its values) → the enum's protobuf name."""

_OUTPUT_ONLY = re.compile(r"^\s*(\[Output[ -]Only\]|Output[ -]only\b|@OutputOnly)", re.IGNORECASE)
_INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_MAX_DEPTH = 60


class Shape:
    """The type of one value."""

    __slots__ = (
        "document",
        "enum",
        "extra",
        "fields",
        "format",
        "items",
        "kind",
        "label",
        "nullable",
        "read_only",
        "ref",
    )

    def __init__(self, document: Document, spec: Body, label: str = "") -> None:
        self.document = document
        self.label = label
        self.read_only = bool(spec.get("readOnly")) or bool(_OUTPUT_ONLY.match(spec.get("description", "")))
        self.ref = spec.get("$ref", "")
        self.enum: tuple[str, ...] = tuple(spec.get("enum", ()))
        self.format: str = spec.get("format", "")
        self.kind: str = spec.get("type", "object" if not self.ref else "ref")
        self.fields: dict[str, Shape] = {}
        self.items: Shape | None = None
        self.extra: Shape | None = None
        self.nullable = False
        if self.kind == "array":
            self.items = Shape(document, spec.get("items", {"type": "any"}), label)
        if self.kind == "object":
            if "additionalProperties" in spec:
                self.extra = Shape(document, spec["additionalProperties"], label)
            self.fields = {
                name: Shape(document, value, f"{label}.{name}" if label else name)
                for name, value in spec.get("properties", {}).items()
            }

    def target(self) -> Shape:
        return shape_of(self.document, self.ref) if self.ref else self


def shape_of(document: Document, ref: str) -> Shape:
    """The compiled shape of one schema; compiled on first use."""
    found: Shape | None = document.shapes.get(ref)
    if found is None:
        found = document.shapes[ref] = Shape(document, document.schemas[ref], ref)
    return found


class Reader:
    """Reads one request body. Collects all problems instead of stopping at the first."""

    def __init__(
        self, number_of: EnumNumber | None = None, bound: Iterable[str] = (), type_of: EnumType | None = None
    ) -> None:
        """`bound`: fields that the path or query binds; the same names are accepted in a body, and ignored."""
        self.problems: list[Problem] = []
        self._number_of = number_of
        self._bound = frozenset(bound)
        self._type_of = type_of

    def read(self, shape: Shape, value: Any, path: str = "", depth: int = 0) -> Any:
        """`value` as the server understands it; trouble goes into `problems`."""
        shape = shape.target()
        if depth > _MAX_DEPTH:
            self.problems.append(
                (path, "Invalid JSON payload received. Message too deep. Max recursion depth reached.")
            )
            return None
        if shape.kind == "object":
            return self._object(shape, value, path, depth)
        if shape.kind == "array":
            if isinstance(value, (dict, str, int, float)):
                # Proto3's JSON parser accepts a single value for a repeated field.
                value = [value]
            items = shape.items
            assert items is not None
            return [
                self.read(items, element, f"{path}[{position}]", depth + 1)
                for position, element in enumerate(value)
                if element is not None
            ]
        return self._scalar(shape, value, path)

    def _object(self, shape: Shape, value: Any, path: str, depth: int) -> Any:
        if not isinstance(value, dict):
            if not shape.fields and shape.extra is None:
                return value
            if isinstance(value, str) and shape.format:
                return value
            kind = shape.label or "object"
            self.problems.append((path, f"Invalid value at '{path}' (type.googleapis.com/{kind}), {_shown(value)}"))
            return None
        result: Body = {}
        fields, extra = shape.fields, shape.extra
        if not fields and extra is None:
            return value
        for key, element in value.items():
            field = fields.get(key)
            name = key
            if field is None and "_" in key:
                name = camel(key)
                field = fields.get(name)
            if field is None:
                if extra is not None:
                    inner = f"{path}[{key!r}]" if path else key
                    result[key] = element if extra.kind == "any" else self.read(extra, element, inner, depth + 1)
                elif key == "@type":
                    result[key] = element
                elif not depth and name in self._bound:
                    continue
                else:
                    where = f" at '{path}'" if path else ""
                    self.problems.append(
                        (path, f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.')
                    )
                continue
            if element is None:
                continue
            if field.read_only:
                continue
            inner = f"{path}.{snake(name)}" if path else snake(name)
            result[name] = self.read(field, element, inner, depth + 1)
        return result

    def _scalar(self, shape: Shape, value: Any, path: str) -> Any:
        try:
            return _coerced(shape, value, self._number_of)
        except ValueError:
            kind = _type_name(shape)
            if shape.enum and self._type_of is not None:
                kind = f"type.googleapis.com/{self._type_of(shape.label, shape.enum)}"
            self.problems.append((path, f"Invalid value at '{path}' ({kind}), {_shown(value)}"))
            return None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _type_name(shape: Shape) -> str:
    if shape.enum:
        return f"type.googleapis.com/{shape.label}"
    if shape.format in _INTEGERS:
        return f"TYPE_{shape.format.upper()}"
    return {
        "boolean": "TYPE_BOOL",
        "integer": "TYPE_INT32",
        "number": "TYPE_DOUBLE" if shape.format != "float" else "TYPE_FLOAT",
        "string": {
            "byte": "TYPE_BYTES",
            "google-datetime": "type.googleapis.com/google.protobuf.Timestamp",
            "google-duration": "type.googleapis.com/google.protobuf.Duration",
            "google-fieldmask": "type.googleapis.com/google.protobuf.FieldMask",
        }.get(shape.format, "TYPE_STRING"),
    }.get(shape.kind, "TYPE_STRING")


def _coerced(shape: Shape, value: Any, number_of: EnumNumber | None) -> Any:
    kind = shape.kind
    if kind == "any":
        return value
    if shape.enum:
        return _enum(shape, value, number_of)
    if shape.format in _INTEGERS and kind in ("string", "integer"):
        number = _integer(value, shape.format)
        return str(number) if kind == "string" else number
    if kind == "integer":
        return _integer(value, "int32")
    if kind == "boolean":
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return bool(value == "true")
        raise ValueError(value)
    if kind == "number":
        if isinstance(value, bool):
            raise ValueError(value)
        return value if isinstance(value, (int, float)) else float(value)
    if not isinstance(value, str):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not shape.format:
            raise ValueError(value)
        raise ValueError(value)
    if shape.format == "byte":
        return standard_base64(value)
    if shape.format == "google-datetime":
        parse_rfc3339(value)
    if shape.format == "google-duration" and not re.fullmatch(r"-?\d+(\.\d{1,9})?s", value):
        raise ValueError(value)
    return value


def _integer(value: Any, form: str) -> int:
    if isinstance(value, bool):
        raise ValueError(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    if not isinstance(value, (int, float, str)) or (isinstance(value, str) and len(value) > 25):
        raise ValueError(value)
    number = int(value)
    low, high = _INTEGERS[form]
    if not low <= number <= high:
        raise ValueError(value)
    return number


def _enum(shape: Shape, value: Any, number_of: EnumNumber | None) -> str:
    if isinstance(value, str) and value in shape.enum:
        return value
    number = int(value) if isinstance(value, str) and value.isdigit() else value
    if isinstance(number, int) and not isinstance(number, bool):
        known = number_of(shape.label, number, shape.enum) if number_of else None
        if known is not None:
            return known
    raise ValueError(value)


def standard_base64(text: str) -> str:
    """Base64 in the standard alphabet with padding, from either alphabet. ValueError when it is not base64."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    plain += "=" * (-len(plain) % 4)
    try:
        base64.b64decode(plain, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
    return plain


def check(shape: Shape, value: Any, path: str, problems: list[str], depth: int = 0) -> None:
    """The oracle: does a response conform to the official schema? Each departure is one line in `problems`."""
    if shape.ref:
        shape = shape_of(shape.document, shape.ref)
    kind = shape.kind
    if kind == "object":
        if not isinstance(value, dict):
            if shape.fields or shape.extra is not None:
                problems.append(f"{path}: {type(value).__name__} where {shape.label} is an object")
            return
        fields, extra = shape.fields, shape.extra
        for key, element in value.items():
            field = fields.get(key)
            if field is not None:
                check(field, element, f"{path}.{key}", problems, depth + 1)
            elif extra is not None:
                check(extra, element, f"{path}.{key}", problems, depth + 1)
            elif fields and key != "@type":
                problems.append(f"{path}.{key}: {shape.label} has no such field")
    elif kind == "array":
        if not isinstance(value, list):
            problems.append(f"{path}: {type(value).__name__} where a list is due")
            return
        items = shape.items
        assert items is not None
        for position, element in enumerate(value):
            check(items, element, f"{path}[{position}]", problems, depth + 1)
    elif kind == "string":
        if not isinstance(value, str):
            problems.append(f"{path}: {type(value).__name__} where a string is due")
        elif shape.enum and value not in shape.enum:
            problems.append(f"{path}: {value!r} is not one of {shape.label}'s values")
        elif shape.format in _INTEGERS and not value.lstrip("-").isdigit():
            problems.append(f"{path}: {value!r} is no {shape.format}")
    elif kind == "boolean":
        if not isinstance(value, bool):
            problems.append(f"{path}: {type(value).__name__} where a boolean is due")
    elif kind == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            problems.append(f"{path}: {type(value).__name__} where an integer is due")
    elif kind == "number" and (not isinstance(value, (int, float)) or isinstance(value, bool)):
        problems.append(f"{path}: {type(value).__name__} where a number is due")
