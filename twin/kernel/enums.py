"""Names of enum numbers. Google's Python REST clients send numbers (`$alt=json;enum-encoding=int`), the documents list
names only; the installed client's protobuf descriptors know both."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from twin.kernel.metadata import PREFIX
from twin.kernel.shapes import Shape, shape_of

# The descriptor file that an API's enums live in, for the clients in requirements/twin-clients.in.
_MODULES = {
    "cloudkms": ("google.cloud.kms_v1.types", "google.cloud.kms.v1"),
    "run": ("google.cloud.run_v2.types", "google.cloud.run.v2"),
    "secretmanager": ("google.cloud.secretmanager_v1.types", "google.cloud.secretmanager.v1"),
}


# Enums whose numbers leave gaps, of APIs whose client is not among those; all others count as the document lists them.
# https://github.com/googleapis/googleapis/blob/master/google/cloud/redis/v1/cloud_redis.proto
_GAPS = {
    ("redis", "Instance.tier"): {"BASIC": 1, "STANDARD_HA": 3},
    ("redis", "Instance.state"): {
        **{name: place for place, name in enumerate(("CREATING", "READY", "UPDATING", "DELETING", "REPAIRING"), 1)},
        "MAINTENANCE": 6,
        "IMPORTING": 8,
        "FAILING_OVER": 9,
    },
    ("redis", "PersistenceConfig.rdbSnapshotPeriod"): {
        "ONE_HOUR": 3,
        "SIX_HOURS": 4,
        "TWELVE_HOURS": 5,
        "TWENTY_FOUR_HOURS": 6,
    },
}


@cache
def _numbers(api: str) -> dict[str, dict[int, str]]:
    """Per enum (its last name), number → value name. Empty when the client is not installed."""
    known = _MODULES.get(api)
    if known is None:
        return {}
    import enum
    import importlib

    try:
        module: Any = importlib.import_module(known[0])
    except ImportError:
        return {}
    found: dict[str, dict[int, str]] = {}

    def collect(owner: Any, label: str, depth: int) -> None:
        for name, value in vars(owner).items():
            if not isinstance(value, type) or name.startswith("_") or depth > 3:
                continue
            path = f"{label}.{name}" if label else name
            if issubclass(value, enum.IntEnum):
                found[path] = {int(member): member.name for member in value}
            elif getattr(value, "__module__", "").startswith(known[0].rpartition(".")[0]):
                collect(value, path, depth + 1)

    collect(module, "", 0)
    return found


def number_to_name(api: str) -> Callable[[str, int, tuple[str, ...]], str | None]:
    """A function from (label of the field, number, the field's values) to a value's name; None where it is not known."""

    def name_of(label: str, number: int, values: tuple[str, ...]) -> str | None:
        for name, known in _name_to_number(api, label, values).items():
            if known == number:
                return name
        return None

    return name_of


@cache
def _path_of(api: str, label: str, values: tuple[str, ...]) -> str:
    """The enum of a field in the client's descriptors (`CryptoKey.CryptoKeyPurpose`); '' when it is not known."""
    schema, _, field = label.rpartition(".")
    best, shared = "", len(values) // 2
    for path, table in _numbers(api).items():
        owner, _, enum_name = path.rpartition(".")
        if not _same(enum_name, field) or (owner and owner.rpartition(".")[2] not in schema):
            continue
        # The document may be newer than the installed client, or the other way round: the best overlap wins.
        overlap = len(set(values) & set(table.values()))
        if overlap > shared:
            best, shared = path, overlap
    return best


def type_name(api: str) -> Callable[[str, tuple[str, ...]], str]:
    """A function from (label of the field, its values) to the enum's protobuf name, as refusals give it."""

    def name_of(label: str, values: tuple[str, ...]) -> str:
        path = _path_of(api, label, values)
        return f"{_MODULES[api][1]}.{path}" if path else label

    return name_of


@cache
def _name_to_number(api: str, label: str, values: tuple[str, ...]) -> dict[str, int]:
    """Numbers of one enum's names: from the client's descriptors, else by the document's order, which is the proto's."""
    if (api, label) in _GAPS:
        return _GAPS[api, label]
    best = _numbers(api).get(_path_of(api, label, values), {})
    if best:
        return {name: number for number, name in best.items() if name in values}
    return {name: number for number, name in enumerate(values)}


def with_numbers(shape: Shape, value: Any, api: str) -> Any:
    """`value` with enum names replaced by numbers, as `$alt=json;enum-encoding=int` asks for."""
    shape = shape.target()
    if shape.kind == "object" and isinstance(value, dict):
        said = value.get("@type", "").rpartition(".")[2]
        if said and not shape.fields:
            # An `Any` (an operation's metadata and response) holds numbers too, by the schema that it names.
            named = next((name for name in shape.document.schemas if name == said), "")
            named = named or next((name for name in shape.document.schemas if PREFIX.sub("", name) == said), "")
            inner = shape_of(shape.document, named) if named else shape
            return with_numbers(inner, value, api) if inner.fields else value
        return {
            key: with_numbers(field, element, api) if (field := shape.fields.get(key) or shape.extra) else element
            for key, element in value.items()
        }
    if shape.kind == "array" and isinstance(value, list) and shape.items is not None:
        return [with_numbers(shape.items, element, api) for element in value]
    if shape.enum and isinstance(value, str):
        return _name_to_number(api, shape.label, shape.enum).get(value, value)
    return value


def _same(enum_name: str, field: str) -> bool:
    lowered, wanted = enum_name.lower(), field.lower()
    return lowered.endswith(wanted) or wanted.endswith(lowered)
