"""The procedures that drivers and people call to look around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twin.backing.cypher.errors import PROCEDURE, SYNTAX, CypherError
from twin.backing.cypher.graph import Edge, Graph, Node
from twin.backing.cypher.tree import Procedure

VERSION: Final = "5.26.0"
_Rows = list[dict[str, Any]]


_COMPONENTS: Final[_Rows] = [{"name": "Neo4j Kernel", "versions": [VERSION], "edition": "regreen-twin"}]


def _labels(graph: Graph) -> _Rows:
    return [{"label": label} for label, nodes in sorted(graph.labelled.items()) if nodes]


def _types(graph: Graph) -> _Rows:
    return [{"relationshipType": name} for name in sorted({edge.type for edge in graph.edges.values()})]


def _keys(graph: Graph) -> _Rows:
    entities: list[Node | Edge] = [*graph.nodes.values(), *graph.edges.values()]
    return [{"propertyKey": name} for name in sorted({name for each in entities for name in each.properties})]


_KNOWN: Final[dict[str, tuple[tuple[str, ...], Callable[[Graph], _Rows]]]] = {
    "dbms.components": (("name", "versions", "edition"), lambda _: _COMPONENTS),
    "db.labels": (("label",), _labels),
    "db.relationshiptypes": (("relationshipType",), _types),
    "db.propertykeys": (("propertyKey",), _keys),
    "db.ping": (("success",), lambda _: [{"success": True}]),
    "db.awaitindexes": ((), lambda _: []),
}


def columns(call: Procedure) -> list[str]:
    """What a call that stands alone returns."""
    return [name for _, name in call.yields] or list(_found(call)[0])


def call(graph: Graph, call: Procedure) -> _Rows:
    """CypherError for a procedure that is not there."""
    known, work = _found(call)
    for column, _ in call.yields:
        if column not in known:
            raise CypherError(SYNTAX, f"Unknown procedure output: `{column}`")
    rows = work(graph)
    return [{name: row[column] for column, name in call.yields} for row in rows] if call.yields else rows


def _found(call: Procedure) -> tuple[tuple[str, ...], Callable[[Graph], _Rows]]:
    found = _KNOWN.get(call.name.lower())
    if found is None:
        raise CypherError(
            PROCEDURE,
            f"There is no procedure with the name `{call.name}` registered for this database instance. "
            "Please ensure you've spelled the procedure name correctly.",
        )
    return found
