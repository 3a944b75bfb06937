"""What changes between two sets of inputs, and what live values mean for declared ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.types import FieldSpec
from infra.types.shape import UNKNOWN, empty, plain, same

_IDENTITY = ("name", "id", "path", "priority", "hosts")


@dataclass(frozen=True, slots=True)
class Difference:
    """One changed input: its path as Pulumi writes it (`template.containers[0].image`), what happened, and what it costs."""

    path: str
    kind: str
    replaces: bool

    @property
    def top(self) -> str:
        """The input that it belongs to."""
        return self.path.split(".")[0].split("[")[0]


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Mapping[str, FieldSpec], at: str = ""
) -> list[Difference]:
    """Changes from old inputs to new ones. Leaving out what the API fills itself is none; an unlisted input replaces."""
    found: list[Difference] = []
    for name in sorted({*old, *new} - {"__defaults"}):
        spec = fields.get(name) or FieldSpec("string", unlisted=True)
        place = f"{at}.{name}" if at else name
        found += _compare(old.get(name), new.get(name), spec, place)
    return found


def _compare(old: Any, new: Any, spec: FieldSpec, place: str) -> list[Difference]:
    if new is None and (old is None or spec.computed or spec.virtual or empty(old, spec)):
        return []
    if old is None and (spec.virtual or empty(new, spec)) and new != UNKNOWN:
        return []
    if new == UNKNOWN:
        return [Difference(place, "update", spec.replaces)]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if spec.fields:
            return differences(old, new, spec.fields, place)
        keys = [key for key in sorted({*old, *new}) if not same(old.get(key), new.get(key))]
        return [Difference(f"{place}.{key}", _kind(old.get(key), new.get(key)), spec.replaces) for key in keys]
    if isinstance(old, list) and isinstance(new, list):
        return _lists(old, new, spec, place)
    if old is not None and new is not None and not isinstance(old, (list, dict)) and same(old, new):
        return []
    if old is None and isinstance(new, Mapping) and spec.fields:
        inner = differences({}, new, spec.fields, place)
        if inner:
            return [Difference(place, "add", spec.replaces or all(item.replaces for item in inner))]
    return [Difference(place, _kind(old, new), spec.replaces)]


def _kind(old: Any, new: Any) -> str:
    return "add" if old is None else "delete" if new is None else "update"


def _lists(old: list[Any], new: list[Any], spec: FieldSpec, place: str) -> list[Difference]:
    if spec.unordered:
        old, new = sorted(old, key=entry_key), sorted(new, key=entry_key)
    if len(old) != len(new):
        return [Difference(place, "update", spec.replaces)]
    found: list[Difference] = []
    for index, (one, other) in enumerate(zip(old, new, strict=True)):
        if spec.unordered and entry_key(one) == entry_key(other):
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, spec.fields, f"{place}[{index}]")
        elif other == UNKNOWN or not same(one, other):
            found.append(Difference(f"{place}[{index}]", "update", spec.replaces))
    return found


def entry_key(value: Any) -> str:
    """What an element of an unordered list is, however it is written: mails without case, links without their host."""
    if isinstance(value, Mapping):
        pairs = (
            (key, entry_key(item).lower() if key.endswith("Email") else entry_key(item)) for key, item in value.items()
        )
        return repr(sorted(pair for pair in pairs if not empty(value[pair[0]])))
    return plain(value) if isinstance(value, str) else repr(value)


def seen(declared: Any, live: Any, spec: FieldSpec) -> Any:
    """A declared input as it is live now: what was not declared stays out; what means the same keeps its spelling."""
    if spec.unlisted or spec.secret or not spec.path:
        return declared
    if live is None:
        return declared if empty(declared, spec) else None
    if isinstance(declared, Mapping) and isinstance(live, Mapping):
        if not spec.fields:
            return {
                key: declared[key] if same(declared[key], live[key]) else live[key] for key in declared if key in live
            }
        return seen_inputs(declared, live, spec.fields)
    if isinstance(declared, list) and isinstance(live, list):
        return _seen_list(declared, live, spec)
    return declared if same(declared, live) else live


def seen_inputs(
    declared: Mapping[str, Any], live: Mapping[str, Any], fields: Mapping[str, FieldSpec]
) -> dict[str, Any]:
    """All declared inputs as they are live now, and what others set beside them where a program's silence means "not set"."""
    found = {
        name: seen(value, live.get(name), fields.get(name) or FieldSpec("string", unlisted=True))
        for name, value in declared.items()
    }
    for name, spec in fields.items():
        silent = (
            name not in declared and spec.path and not (spec.computed or spec.virtual or spec.secret or spec.unlisted)
        )
        if (
            silent
            and not spec.fields
            and not isinstance(live.get(name), (dict, list))
            and not empty(live.get(name), spec)
        ):
            found[name] = live[name]
    return {name: value for name, value in found.items() if value is not None}


def _seen_list(declared: list[Any], live: list[Any], spec: FieldSpec) -> list[Any]:
    if spec.unordered:
        ranked = {entry_key(item): item for item in declared}
        matched = [item for item in declared if entry_key(item) in {entry_key(one) for one in live}]
        rest = [one for one in live if entry_key(one) not in ranked]
        if len(matched) == len(declared) and not rest:
            return declared
    pairs = _paired(declared, live)
    return [
        seen(mine, one, FieldSpec("object", ("_",), fields=spec.fields)) if mine is not None else one
        for mine, one in pairs
    ]


def _paired(declared: list[Any], live: list[Any]) -> list[tuple[Any, Any]]:
    """Each live element with the declared one that it is: by its name where it has one, else by its place."""
    pairs = []
    for index, one in enumerate(live):
        mine = declared[index] if index < len(declared) else None
        if isinstance(one, Mapping):
            named = next((key for key in _IDENTITY if key in one), None)
            if named is not None:
                mine = next(
                    (item for item in declared if isinstance(item, Mapping) and item.get(named) == one[named]), None
                )
        pairs.append((mine, one))
    return pairs


def overlay(live: Any, new: Any, spec: FieldSpec, gone: bool = False) -> Any:
    """A new API value on top of the live one: what the table does not know, and what the API fills itself, is kept.

    `gone`: say None for what is no longer declared, as a merging PATCH needs it.
    """
    if isinstance(new, list) and isinstance(live, list):
        inner = FieldSpec("object", fields=spec.fields)
        if spec.single and new and live:
            return [overlay(live[0], new[0], inner)]
        return [overlay(one, item, inner) if one is not None else item for one, item in _matching(live, new)]
    if not isinstance(new, Mapping) or not isinstance(live, Mapping):
        return new
    if not spec.fields:
        return {**new, **({key: None for key in live if key not in new} if gone else {})}
    made = dict(new)
    by_root: dict[str, list[FieldSpec]] = {}
    for item in spec.fields.values():
        if item.path:
            by_root.setdefault(item.path[0], []).append(item)
    for key, value in live.items():
        specs = by_root.get(key)
        if key in made:
            if specs and len(specs) == 1 and len(specs[0].path) == 1:
                made[key] = overlay(value, made[key], specs[0], gone)
        elif specs is None or any(item.computed or item.virtual for item in specs):
            made[key] = value
        elif gone:
            made[key] = None
    return made


def _matching(live: list[Any], new: list[Any]) -> list[tuple[Any, Any]]:
    pairs = []
    for item in new:
        one = None
        if isinstance(item, Mapping):
            named = next((key for key in _IDENTITY if key in item), None)
            if named is not None:
                one = next((old for old in live if isinstance(old, Mapping) and old.get(named) == item[named]), None)
            elif len(live) == len(new) == 1:
                one = live[0]
        pairs.append((one, item))
    return pairs
