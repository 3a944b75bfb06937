"""The graph: nodes and edges in memory, every committed change in SQLite before anybody hears of it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin.backing.cypher import values
from twin.backing.cypher.errors import CONSTRAINT, CypherError


@dataclass(slots=True, eq=False)
class Node:
    id: int
    labels: set[str]
    properties: dict[str, Any]
    out: dict[int, Edge] = field(default_factory=dict)
    into: dict[int, Edge] = field(default_factory=dict)
    dead: bool = False


@dataclass(slots=True, eq=False)
class Edge:
    id: int
    type: str
    start: Node
    end: Node
    properties: dict[str, Any]
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A path: nodes and edges in turn."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A constraint (`rule` says which) or an index (no rule)."""

    name: str
    label: str
    keys: tuple[str, ...]
    rule: str = ""
    edge: bool = False


class Graph:
    """One database. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode=WAL")
        # A killed process loses nothing; a power cut may lose the last commits.
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(
            "CREATE TABLE IF NOT EXISTS node (id INTEGER PRIMARY KEY, labels TEXT, properties TEXT);"
            "CREATE TABLE IF NOT EXISTS edge (id INTEGER PRIMARY KEY, type TEXT, start INTEGER, end INTEGER, properties TEXT);"
            "CREATE TABLE IF NOT EXISTS rule (name TEXT PRIMARY KEY, body TEXT);"
        )
        self.nodes: dict[int, Node] = {}
        self.edges: dict[int, Edge] = {}
        self.rules: dict[str, Rule] = {}
        self.labelled: dict[str, dict[int, Node]] = {}
        self._found: dict[tuple[str, str], dict[Any, dict[int, Node]]] = {}
        self._undo: list[Callable[[], None]] = []
        self._changed: set[Node | Edge] = set()
        self._rules_changed = False
        self._next = 0
        self._load()

    def _load(self) -> None:
        for number, labels, properties in self._file.execute("SELECT id, labels, properties FROM node"):
            node = Node(number, set(json.loads(labels)), values.load(properties))
            self.nodes[number] = node
            for label in node.labels:
                self.labelled.setdefault(label, {})[number] = node
        for number, kind, start, end, properties in self._file.execute(
            "SELECT id, type, start, end, properties FROM edge"
        ):
            self._join(Edge(number, kind, self.nodes[start], self.nodes[end], values.load(properties)))
        for _, body in self._file.execute("SELECT name, body FROM rule"):
            facts = json.loads(body)
            self.rules[facts["name"]] = Rule(**{**facts, "keys": tuple(facts["keys"])})
        self._next = max([*self.nodes, *self.edges, -1]) + 1

    def close(self) -> None:
        self._file.close()

    def copy_to(self, path: Path) -> None:
        """Everything that is committed, as a file of its own."""
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._file.backup(copy)

    def replace_by(self, path: Path) -> None:
        """Take over all of such a copy; what is open is rolled back."""
        self.rollback()
        with contextlib.closing(sqlite3.connect(path)) as copy:
            copy.backup(self._file)
        for each in (self.nodes, self.edges, self.rules, self.labelled, self._found):
            each.clear()
        self._load()

    # Reading

    def having(self, label: str, key: str, value: Any) -> Iterator[Node]:
        """Nodes of a label whose property equals a value, by an index that is made on first use."""
        index = self._found.get((label, key))
        if index is None:
            index = self._found[label, key] = {}
            for node in self.labelled.get(label, {}).values():
                if key in node.properties:
                    index.setdefault(values.key(node.properties[key]), {})[node.id] = node
        yield from list(index.get(values.key(value), {}).values())

    # Writing: each change knows how to be taken back

    def create_node(self, labels: tuple[str, ...], properties: dict[str, Any]) -> Node:
        node = Node(self._number(), set(), {})
        self.nodes[node.id] = node
        self._changed.add(node)

        def undo() -> None:
            self.nodes.pop(node.id, None)

        self._undo.append(undo)
        self.label(node, labels)
        self.put(node, properties)
        return node

    def create_edge(self, kind: str, start: Node, end: Node, properties: dict[str, Any]) -> Edge:
        edge = Edge(self._number(), kind, start, end, properties)
        self._join(edge)
        self._changed.add(edge)
        self._undo.append(lambda: self._part(edge))
        return edge

    def label(self, node: Node, labels: tuple[str, ...], *, off: bool = False) -> None:
        before = set(node.labels)
        self._index(node, off=True)
        node.labels = node.labels - set(labels) if off else node.labels | set(labels)
        self._index(node)
        self._changed.add(node)

        def undo() -> None:
            self._index(node, off=True)
            node.labels = before
            self._index(node)

        self._undo.append(undo)

    def put(self, entity: Node | Edge, properties: dict[str, Any]) -> None:
        """Replace all properties; None removes one."""
        before = entity.properties
        after = {name: value for name, value in properties.items() if value is not None}
        for name, value in after.items():
            values.check_property(name, value)
        if isinstance(entity, Edge):
            entity.properties = after
        else:
            self._index(entity, off=True)
            entity.properties = after
            self._index(entity)
        self._changed.add(entity)

        def undo() -> None:
            if isinstance(entity, Node):
                self._index(entity, off=True)
            entity.properties = before
            if isinstance(entity, Node):
                self._index(entity)

        self._undo.append(undo)

    def delete(self, entity: Node | Edge) -> None:
        if entity.dead:
            return
        entity.dead = True
        self._changed.add(entity)
        if isinstance(entity, Edge):
            self._part(entity)
        else:
            self._index(entity, off=True)
            del self.nodes[entity.id]

        def undo() -> None:
            entity.dead = False
            if isinstance(entity, Edge):
                self._join(entity)
            else:
                self.nodes[entity.id] = entity
                self._index(entity)

        self._undo.append(undo)

    def set_rules(self, rules: dict[str, Rule]) -> None:
        before, self.rules, self._rules_changed = self.rules, rules, True

        def undo() -> None:
            self.rules = before

        self._undo.append(undo)

    # Transactions

    def mark(self) -> int:
        """A point to which a failed statement is taken back."""
        return len(self._undo)

    def check(self) -> None:
        """CypherError when a changed node breaks a constraint, or one with edges was deleted."""
        for entity in self._changed:
            if not isinstance(entity, Node):
                continue
            if entity.dead and (entity.out or entity.into):
                raise CypherError(
                    CONSTRAINT,
                    f"Cannot delete node<{entity.id}>, because it still has relationships. "
                    "To delete this node, you must first delete its relationships.",
                )
            for rule in self.rules.values() if not entity.dead else ():
                if rule.rule and rule.label in entity.labels:
                    self.obey(rule, entity)

    def obey(self, rule: Rule, node: Node) -> None:
        """CypherError when this node breaks this constraint."""
        have = [node.properties.get(key) for key in rule.keys]
        keys = ", ".join(f"`{key}`" for key in rule.keys)
        if rule.rule != "UNIQUENESS" and None in have:
            raise CypherError(CONSTRAINT, f"Node({node.id}) with label `{rule.label}` must have the property {keys}")
        if rule.rule == "NODE_PROPERTY_EXISTENCE" or None in have:
            return
        for other in self.having(rule.label, rule.keys[0], have[0]):
            if other is not node and all(
                values.equal(other.properties.get(key), value) for key, value in zip(rule.keys, have, strict=True)
            ):
                word = f"property {keys} = {have[0]!r}" if len(have) == 1 else f"properties {keys}"
                raise CypherError(CONSTRAINT, f"Node({other.id}) already exists with label `{rule.label}` and {word}")

    def commit(self) -> None:
        """Everything since the last commit, on disk."""
        if self._changed or self._rules_changed:
            with self._file:
                for entity in self._changed:
                    self._save(entity)
                if self._rules_changed:
                    self._file.execute("DELETE FROM rule")
                    for rule in self.rules.values():
                        body = {
                            "name": rule.name,
                            "label": rule.label,
                            "keys": rule.keys,
                            "rule": rule.rule,
                            "edge": rule.edge,
                        }
                        self._file.execute("INSERT INTO rule VALUES (?, ?)", (rule.name, json.dumps(body)))
        self._settled()

    def rollback(self, mark: int = 0) -> None:
        """Take back everything since the mark."""
        while len(self._undo) > mark:
            self._undo.pop()()
        if not mark:
            self._settled()

    def _settled(self) -> None:
        self._undo.clear()
        self._changed.clear()
        self._rules_changed = False

    def _save(self, entity: Node | Edge) -> None:
        alive = entity.id in (self.nodes if isinstance(entity, Node) else self.edges)
        table = "node" if isinstance(entity, Node) else "edge"
        if not alive:
            self._file.execute(f"DELETE FROM {table} WHERE id = ?", (entity.id,))  # noqa: S608 - one of two words
        elif isinstance(entity, Node):
            row = (entity.id, json.dumps(sorted(entity.labels)), values.dump(entity.properties))
            self._file.execute("INSERT OR REPLACE INTO node VALUES (?, ?, ?)", row)
        else:
            edge = (entity.id, entity.type, entity.start.id, entity.end.id, values.dump(entity.properties))
            self._file.execute("INSERT OR REPLACE INTO edge VALUES (?, ?, ?, ?, ?)", edge)

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def _join(self, edge: Edge) -> None:
        self.edges[edge.id] = edge
        edge.start.out[edge.id] = edge
        edge.end.into[edge.id] = edge

    def _part(self, edge: Edge) -> None:
        self.edges.pop(edge.id, None)
        edge.start.out.pop(edge.id, None)
        edge.end.into.pop(edge.id, None)

    def _index(self, node: Node, *, off: bool = False) -> None:
        for label in node.labels:
            if off:
                self.labelled.get(label, {}).pop(node.id, None)
            else:
                self.labelled.setdefault(label, {})[node.id] = node
        for (label, name), index in self._found.items():
            if label in node.labels and name in node.properties:
                key = values.key(node.properties[name])
                if off:
                    index.get(key, {}).pop(node.id, None)
                else:
                    index.setdefault(key, {})[node.id] = node
