"""Constraints and indexes: CREATE, DROP, SHOW."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.backing.cypher.errors import CONSTRAINT_EXISTS, CONSTRAINT_MISSING, CypherError
from twin.backing.cypher.graph import Graph, Rule
from twin.backing.cypher.tree import Schema

if TYPE_CHECKING:
    from twin.backing.cypher.run import Result


def run(graph: Graph, what: Schema) -> Result:
    """CypherError when the rule is there already, is not there, or the data breaks it."""
    from twin.backing.cypher.run import Result

    if what.verb == "SHOW":
        return _show(graph, what.kind)
    counter = "constraints" if what.kind == "CONSTRAINT" else "indexes"
    changed = _create(graph, what) if what.verb == "CREATE" else _drop(graph, what)
    word = "added" if what.verb == "CREATE" else "removed"
    return Result([], [], "s", {f"{counter}-{word}": 1} if changed else {})


def _create(graph: Graph, what: Schema) -> bool:
    name = what.name or f"{what.kind.lower()}_{what.label.lower()}_{'_'.join(what.keys)}"
    rule = Rule(name, what.label, what.keys, what.rule, what.edge)
    for other in graph.rules.values():
        same = (other.label, other.keys, other.rule, other.edge) == (rule.label, rule.keys, rule.rule, rule.edge)
        if same or other.name == name:
            if what.lenient:
                return False
            raise CypherError(CONSTRAINT_EXISTS, f"An equivalent {what.kind.lower()} already exists: `{other.name}`")
    if rule.rule:
        for node in list(graph.labelled.get(rule.label, {}).values()):
            graph.obey(rule, node)
    graph.set_rules({**graph.rules, name: rule})
    return True


def _drop(graph: Graph, what: Schema) -> bool:
    found = graph.rules.get(what.name)
    if found is None or bool(found.rule) != (what.kind == "CONSTRAINT"):
        if what.lenient:
            return False
        raise CypherError(CONSTRAINT_MISSING, f"Unable to drop {what.kind.lower()} `{what.name}`: it does not exist")
    graph.set_rules({name: rule for name, rule in graph.rules.items() if name != what.name})
    return True


def _show(graph: Graph, kind: str) -> Result:
    from twin.backing.cypher.run import Result

    if kind == "DATABASE":
        return Result(["name", "currentStatus", "default"], [["neo4j", "online", True], ["system", "online", False]])
    rows = []
    for number, rule in enumerate(graph.rules.values(), 1):
        entity = "RELATIONSHIP" if rule.edge else "NODE"
        if kind == "CONSTRAINT" and rule.rule:
            rows.append([number, rule.name, rule.rule, entity, [rule.label], list(rule.keys)])
        if kind == "INDEX" and rule.rule not in ("NODE_PROPERTY_EXISTENCE",):
            rows.append([number, rule.name, "ONLINE", "RANGE", entity, [rule.label], list(rule.keys)])
    common = ["entityType", "labelsOrTypes", "properties"]
    return Result(
        ["id", "name", "type" if kind == "CONSTRAINT" else "state", *(["type"] if kind == "INDEX" else []), *common],
        rows,
    )
