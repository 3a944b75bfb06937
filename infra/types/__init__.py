"""The one table of the resource types that are used here: where each input stands in the API, and what a change of it means.

Shared by the rehearsal provider, adoption, drift and undo. `table.json` is made by `python -m scripts.gcp_types` from
published facts; an input that the table does not know counts as replace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

TABLE: Final = Path(__file__).with_name("table.json")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One input. `path` is its place in the API's object, empty where it is not sent there.

    `kind`: string, integer, number, boolean, map, object, list (of scalars), objects (a list of objects). `computed`: the API
    fills it where it is not declared, so that leaving it out is no change. `url`: it is part of the address. `virtual`: it is
    for the provider only. `single`: the API has a list of at most one. `int64`: the API writes the number as text. `unlisted`:
    no source says anything of it. `unordered`: the order of the list means nothing.
    """

    kind: str
    path: tuple[str, ...] = ()
    immutable: bool = False
    computed: bool = False
    secret: bool = False
    url: bool = False
    virtual: bool = False
    unlisted: bool = False
    single: bool = False
    int64: bool = False
    unordered: bool = False
    default: Any = None
    fields: Mapping[str, FieldSpec] = field(default_factory=dict)

    @property
    def replaces(self) -> bool:
        """Whether another value means another resource."""
        return self.immutable or self.unlisted


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """One resource type: addresses relative to `base`, with `{input}` in them, and its fields by input name."""

    token: str
    base: str
    own: str
    collection: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    update: str = ""
    mask: bool = False
    fingerprint: bool = False
    reference: str = ""
    setters: Mapping[str, str] = field(default_factory=dict)
    companions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forgets: bool = False
    member: str = ""
    outputs: tuple[str, ...] = ()
    fields: Mapping[str, FieldSpec] = field(default_factory=dict)
    source: str = ""


@cache
def types() -> Mapping[str, TypeSpec]:
    """The table, by type token (`gcp:kms/cryptoKey:CryptoKey`)."""
    document = json.loads(TABLE.read_text(encoding="utf-8"))
    return {token: _type(token, row) for token, row in document["types"].items()}


def known(token: str) -> TypeSpec:
    """One type. Raises LookupError that says what is known."""
    found = types().get(token)
    if found is None:
        raise LookupError(
            f"{token} is not in the table of resource types (infra/types); known are {', '.join(sorted(types()))}"
        )
    return found


def _type(token: str, row: Mapping[str, Any]) -> TypeSpec:
    own = row.get("self") or row.get("resource") or ""
    return TypeSpec(
        token,
        row["base"],
        own,
        row.get("collection", ""),
        row.get("query", {}),
        tuple(row.get("import", (own,))),
        row.get("update", ""),
        bool(row.get("mask")),
        bool(row.get("fingerprint")),
        row.get("reference", ""),
        row.get("setters", {}),
        {key: tuple(value) for key, value in row.get("with", {}).items()},
        bool(row.get("forgets")),
        row.get("verb", "") if row.get("member") else "",
        tuple(row.get("outputs", ())),
        _fields(row["fields"]),
        row.get("source", ""),
    )


def _fields(rows: Mapping[str, Any]) -> dict[str, FieldSpec]:
    return {name: _field(name, row) for name, row in rows.items()}


def _field(name: str, row: Mapping[str, Any]) -> FieldSpec:
    sent = not (row.get("url") or row.get("virtual") or row.get("unlisted") or row.get("output"))
    path = row.get("api", name) if sent else ""
    return FieldSpec(
        row["kind"],
        tuple(path.split(".")) if path else (),
        bool(row.get("immutable")),
        bool(row.get("computed")),
        bool(row.get("secret")),
        bool(row.get("url")),
        bool(row.get("virtual")),
        bool(row.get("unlisted")),
        bool(row.get("single")),
        bool(row.get("int64")),
        bool(row.get("set")),
        row.get("default"),
        _fields(row.get("fields", {})),
    )
