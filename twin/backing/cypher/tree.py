"""What a query is made of, once parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Property:
    of: Expression
    key: str


@dataclass(frozen=True, slots=True)
class Index:
    of: Expression
    at: Expression


@dataclass(frozen=True, slots=True)
class Slice:
    of: Expression
    start: Expression | None
    end: Expression | None


@dataclass(frozen=True, slots=True)
class Unary:
    sign: str
    of: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class HasLabels:
    of: Expression
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    """In lower case."""
    arguments: tuple[Expression, ...]
    distinct: bool = False
    star: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    items: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """`n {.name, .*, other: 1}`"""

    of: Expression
    items: tuple[tuple[str, Expression | None], ...]
    everything: bool


@dataclass(frozen=True, slots=True)
class Case:
    subject: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class Each:
    """`[x IN list WHERE … | …]`, and with `quantifier` any, all, none, single."""

    name: str
    of: Expression
    where: Expression | None
    result: Expression | None
    quantifier: str = ""


@dataclass(frozen=True, slots=True)
class Exists:
    paths: tuple[Path, ...]
    where: Expression | None


Expression: TypeAlias = (
    Literal | Parameter | Variable | Property | Index | Slice | Unary | Binary | HasLabels | Call | ListOf | MapOf
    | Projection | Case | Each | Exists
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodePattern:
    name: str
    labels: tuple[str, ...]
    properties: Expression | None


@dataclass(frozen=True, slots=True)
class EdgePattern:
    name: str
    types: tuple[str, ...]
    properties: Expression | None
    direction: str
    """`>`, `<` or `-`."""
    span: tuple[int, int] | None = None
    """Least and most steps of a variable length; None for a single step. Most is -1 without a limit."""


@dataclass(frozen=True, slots=True)
class Path:
    name: str
    nodes: tuple[NodePattern, ...]
    edges: tuple[EdgePattern, ...]
    shortest: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    paths: tuple[Path, ...]
    where: Expression | None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class SetItem:
    kind: str
    """`property`, `replace`, `merge` or `labels`."""
    target: Expression
    key: str = ""
    value: Expression | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merge:
    path: Path
    created: tuple[SetItem, ...]
    matched: tuple[SetItem, ...]


@dataclass(frozen=True, slots=True)
class Set:
    items: tuple[SetItem, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    items: tuple[SetItem, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    targets: tuple[Expression, ...]
    detach: bool


@dataclass(frozen=True, slots=True)
class Unwind:
    of: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    of: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Return:
    """RETURN, or WITH when `last` is False."""

    items: tuple[Item, ...]
    everything: bool
    distinct: bool
    order: tuple[tuple[Expression, bool], ...]
    skip: Expression | None
    limit: Expression | None
    where: Expression | None = None
    last: bool = True


@dataclass(frozen=True, slots=True)
class Foreach:
    name: str
    of: Expression
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Procedure:
    name: str
    arguments: tuple[Expression, ...]
    yields: tuple[tuple[str, str], ...]
    where: Expression | None = None


Clause: TypeAlias = Match | Create | Merge | Set | Remove | Delete | Unwind | Return | Foreach | Procedure


@dataclass(frozen=True, slots=True)
class Schema:
    """CREATE, DROP and SHOW of constraints and indexes."""

    verb: str
    kind: str
    name: str = ""
    label: str = ""
    keys: tuple[str, ...] = ()
    rule: str = ""
    edge: bool = False
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    parts: tuple[tuple[Clause, ...], ...]
    union_all: bool = False
    schema: Schema | None = None
    explain: bool = False

    @property
    def writes(self) -> bool:
        """Whether it may change the graph."""
        if self.schema is not None:
            return self.schema.verb != "SHOW"
        return any(
            isinstance(each, (Create, Merge, Set, Remove, Delete, Foreach)) for part in self.parts for each in part
        )


Row: TypeAlias = Mapping[str, Any]
