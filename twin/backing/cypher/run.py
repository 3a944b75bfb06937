"""Running a query, clause by clause: rows go in, rows come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from twin.backing.cypher import procedures, schema, tree, values
from twin.backing.cypher.errors import NOT_FOUND, SYNTAX, TYPE, CypherError
from twin.backing.cypher.evaluate import Row, Scope, aggregate, aggregates, evaluate, true
from twin.backing.cypher.graph import Edge, Graph, Node, Route
from twin.backing.cypher.match import matches
from twin.backing.cypher.parse import parse


@dataclass(slots=True)
class Result:
    """Columns, rows, and what was changed."""

    columns: list[str]
    rows: list[list[Any]]
    kind: str = "r"
    counters: dict[str, int] = field(default_factory=dict)


def run(graph: Graph, text: str, parameters: Mapping[str, Any]) -> Result:
    """Run a statement inside the current transaction; a failed one leaves no trace. CypherError says what is wrong."""
    query = parse(text)
    if query.explain:
        return Result([], [], "rw" if query.writes else "r")
    mark = graph.mark()
    try:
        if query.schema is not None:
            return schema.run(graph, query.schema)
        made = _Running(graph, parameters)
        result = made.query(query)
        graph.check()
    except CypherError:
        graph.rollback(mark) if mark else graph.rollback()
        raise
    except RecursionError:
        graph.rollback(mark) if mark else graph.rollback()
        raise CypherError(SYNTAX, "the query is nested too deeply") from None
    return result


class _Running:
    def __init__(self, graph: Graph, parameters: Mapping[str, Any]) -> None:
        self._graph = graph
        self._scope = Scope(graph, parameters, lambda paths, where, row: matches(paths, where, row, self._scope))
        self._counters: dict[str, int] = {}

    def query(self, query: tree.Query) -> Result:
        columns: list[str] | None = None
        rows: list[list[Any]] = []
        for part in query.parts:
            names, found = self._part(part)
            if columns is not None and names != columns:
                raise CypherError(SYNTAX, "All sub queries in an UNION must have the same return column names")
            columns = names
            rows += found
        if len(query.parts) > 1 and not query.union_all:
            rows = values.distinct(rows, lambda row: row)
        kind = ("rw" if columns else "w") if query.writes else "r"
        return Result(columns or [], rows, kind, self._counters)

    def _part(self, clauses: tuple[tree.Clause, ...]) -> tuple[list[str], list[list[Any]]]:
        rows: list[Row] = [{}]
        last = clauses[-1]
        for clause in clauses:
            rows = self._clause(clause, rows)
        if isinstance(last, tree.Return):
            columns = [item.name for item in last.items]
            if last.everything:
                seen = {name: None for row in rows for name in row if not name.startswith(" ")}
                columns = [*seen, *(name for name in columns if name not in seen)]
            if len(set(columns)) < len(columns):
                raise CypherError(SYNTAX, "Multiple result columns with the same name are not supported")
            return columns, [[row.get(name) for name in columns] for row in rows]
        if isinstance(last, tree.Procedure) and len(clauses) == 1:
            columns = procedures.columns(last)
            return columns, [[row[name] for name in columns] for row in rows]
        return [], []

    def _clause(self, clause: tree.Clause, rows: list[Row]) -> list[Row]:
        if isinstance(clause, tree.Match):
            return [found for row in rows for found in self._match(clause, row)]
        if isinstance(clause, tree.Return):
            return self._return(clause, rows)
        if isinstance(clause, tree.Unwind):
            return [found for row in rows for found in self._unwind(clause, row)]
        if isinstance(clause, tree.Procedure):
            return [found for row in rows for found in self._procedure(clause, row)]
        return (
            [self._write(clause, row) for row in rows]
            if not isinstance(clause, tree.Merge)
            else [found for row in rows for found in self._merge(clause, row)]
        )

    def _match(self, clause: tree.Match, row: Row) -> Iterator[Row]:
        found = False
        for each in matches(clause.paths, clause.where, row, self._scope):
            found = True
            yield each
        if clause.optional and not found:
            names = [name for path in clause.paths for name in _names(path)]
            yield {**dict.fromkeys(names), **row}

    def _unwind(self, clause: tree.Unwind, row: Row) -> Iterator[Row]:
        of = evaluate(clause.of, row, self._scope)
        for item in of if isinstance(of, list) else [] if of is None else [of]:
            yield {**row, clause.name: item}

    def _procedure(self, clause: tree.Procedure, row: Row) -> Iterator[Row]:
        for found in procedures.call(self._graph, clause):
            joined = {**row, **found}
            if true(clause.where, joined, self._scope):
                yield joined

    def _write(self, clause: tree.Clause, row: Row) -> Row:
        if isinstance(clause, tree.Create):
            for path in clause.paths:
                row = self._create(path, row)
        elif isinstance(clause, (tree.Set, tree.Remove)):
            self._set(clause.items, row, remove=isinstance(clause, tree.Remove))
        elif isinstance(clause, tree.Delete):
            for target in clause.targets:
                self._delete(evaluate(target, row, self._scope), clause.detach)
        elif isinstance(clause, tree.Foreach):
            for item in evaluate(clause.of, row, self._scope) or []:
                inner: list[Row] = [{**row, clause.name: item}]
                for each in clause.clauses:
                    inner = self._clause(each, inner)
        return row

    def _create(self, path: tree.Path, row: Row) -> Row:
        found = dict(row)
        nodes = []
        for pattern in path.nodes:
            if pattern.name in found:
                node = found[pattern.name]
                if not isinstance(node, Node):
                    raise CypherError(TYPE, f"Failed to create relationship: node `{pattern.name}` is missing")
                if (pattern.labels or pattern.properties) and pattern.name in row:
                    raise CypherError(SYNTAX, f"Variable `{pattern.name}` already declared")
            else:
                node = self._graph.create_node(pattern.labels, self._properties(pattern.properties, found))
                self._count("nodes-created")
                self._count("labels-added", len(pattern.labels))
                self._count("properties-set", len(node.properties))
                found[pattern.name] = node
            nodes.append(node)
        edges = []
        for number, link in enumerate(path.edges):
            if len(link.types) != 1 or link.span is not None:
                raise CypherError(SYNTAX, "Exactly one relationship type must be specified for CREATE")
            ends = (nodes[number], nodes[number + 1])
            start, end = ends[::-1] if link.direction == "<" else ends
            properties = {
                name: value for name, value in self._properties(link.properties, found).items() if value is not None
            }
            for name, value in properties.items():
                values.check_property(name, value)
            edge = self._graph.create_edge(link.types[0], start, end, properties)
            self._count("relationships-created")
            self._count("properties-set", len(properties))
            found[link.name] = edge
            edges.append(edge)
        if path.name:
            found[path.name] = Route(tuple(nodes), tuple(edges))
        return found

    def _properties(self, what: tree.Expression | None, row: Row) -> dict[str, Any]:
        found = evaluate(what, row, self._scope) if what is not None else {}
        if not isinstance(found, dict):
            raise CypherError(TYPE, "properties must be a map")
        return found

    def _merge(self, clause: tree.Merge, row: Row) -> list[Row]:
        for pattern in clause.path.nodes:
            wanted = self._properties(pattern.properties, row) if pattern.name not in row else {}
            missing = next((name for name, value in wanted.items() if value is None), None)
            if missing is not None:
                raise CypherError(
                    "Neo.ClientError.Statement.SemanticError",
                    f"Cannot merge the node because of null property value for '{missing}'",
                )
        found: list[Row] = list(matches((clause.path,), None, row, self._scope))
        for each in found:
            self._set(clause.matched, each)
        if found:
            return found
        made = self._create(clause.path, row)
        self._set(clause.created, made)
        return [made]

    def _set(self, items: tuple[tree.SetItem, ...], row: Row, *, remove: bool = False) -> None:
        for item in items:
            target = evaluate(item.target, row, self._scope)
            if target is None:
                continue
            if not isinstance(target, (Node, Edge)):
                raise CypherError(TYPE, "SET and REMOVE work on nodes and relationships")
            if target.dead:
                raise CypherError(NOT_FOUND, f"Node or relationship {target.id} has been deleted in this transaction")
            if item.kind == "labels":
                if not isinstance(target, Node):
                    raise CypherError(TYPE, "only nodes have labels")
                changed = len(set(item.labels) & target.labels) if remove else len(set(item.labels) - target.labels)
                self._graph.label(target, item.labels, off=remove)
                self._count("labels-removed" if remove else "labels-added", changed)
                continue
            value = evaluate(item.value, row, self._scope) if item.value is not None else None
            if item.kind == "property":
                after = {**target.properties, item.key: value}
                count = 1
            else:
                given = dict(value.properties) if isinstance(value, (Node, Edge)) else value
                if not isinstance(given, dict):
                    raise CypherError(TYPE, "SET n = … takes a map, a node or a relationship")
                after = {**target.properties, **given} if item.kind == "merge" else given
                count = len(given)
            self._graph.put(target, after)
            self._count("properties-set", count)

    def _delete(self, target: Any, detach: bool) -> None:
        if target is None:
            return
        if isinstance(target, Route):
            for each in (*target.edges, *target.nodes):
                self._delete(each, detach)
            return
        if not isinstance(target, (Node, Edge)):
            raise CypherError(TYPE, "DELETE takes nodes, relationships and paths")
        if target.dead:
            return
        if isinstance(target, Node) and detach:
            for edge in {*target.out.values(), *target.into.values()}:
                self._graph.delete(edge)
                self._count("relationships-deleted")
        self._graph.delete(target)
        self._count("nodes-deleted" if isinstance(target, Node) else "relationships-deleted")

    def _return(self, clause: tree.Return, rows: list[Row]) -> list[Row]:
        made = (
            self._grouped(clause, rows)
            if any(aggregates(item.of) for item in clause.items)
            else self._plain(clause, rows)
        )
        if clause.distinct:
            made = values.distinct(made, lambda pair: list(pair[0].values()))
        for key, down in reversed(clause.order):
            texts = {item.of: item.name for item in clause.items}
            known = tree.Variable(texts[key]) if key in texts else key

            def ranked(pair: tuple[Row, Row], known: tree.Expression = known) -> Any:
                return values.rank(evaluate(known, {**pair[1], **pair[0]}, self._scope))

            made.sort(key=ranked, reverse=down)
        start = self._whole(clause.skip, "SKIP") or 0
        count = self._whole(clause.limit, "LIMIT")
        made = made[start : None if count is None else start + count]
        kept: list[Row] = [new for new, _ in made]
        return kept if clause.where is None else [row for row in kept if true(clause.where, row, self._scope)]

    def _plain(self, clause: tree.Return, rows: list[Row]) -> list[tuple[Row, Row]]:
        made: list[tuple[Row, Row]] = []
        for row in rows:
            new = {name: value for name, value in row.items() if not name.startswith(" ")} if clause.everything else {}
            for item in clause.items:
                new[item.name] = evaluate(item.of, row, self._scope)
            made.append((new, row))
        return made

    def _grouped(self, clause: tree.Return, rows: list[Row]) -> list[tuple[Row, Row]]:
        keys = [item for item in clause.items if not aggregates(item.of)]
        groups: dict[Any, list[Row]] = {}
        for row in rows:
            key = values.key([evaluate(item.of, row, self._scope) for item in keys])
            groups.setdefault(key, []).append(row)
        if not groups and not keys:
            groups[()] = []
        return [
            ({item.name: aggregate(item.of, group, self._scope) for item in clause.items}, group[0] if group else {})
            for group in groups.values()
        ]

    def _whole(self, what: tree.Expression | None, word: str) -> int | None:
        if what is None:
            return None
        found = evaluate(what, {}, self._scope)
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise CypherError(SYNTAX, f"{word} takes a whole number from 0")
        return found

    def _count(self, name: str, more: int = 1) -> None:
        if more:
            self._counters[name] = self._counters.get(name, 0) + more


def _names(path: tree.Path) -> list[str]:
    return [
        each for each in (path.name, *(node.name for node in path.nodes), *(edge.name for edge in path.edges)) if each
    ]
