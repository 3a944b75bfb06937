"""Finding patterns in the graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from twin.backing.cypher import tree, values
from twin.backing.cypher.errors import TYPE, CypherError
from twin.backing.cypher.evaluate import Row, Scope, evaluate, true
from twin.backing.cypher.graph import Edge, Node, Route

_LIMIT: Final = 60  # steps of a variable length without an upper bound: edges never repeat, so this is far


def matches(paths: tuple[tree.Path, ...], where: tree.Expression | None, row: Row, scope: Scope) -> Iterator[Row]:
    """Every way in which these paths fit together, starting from what the row already holds."""
    for found, _ in _all(paths, dict(row), frozenset(), scope):
        if true(where, found, scope):
            yield found


def _all(
    paths: tuple[tree.Path, ...], row: dict[str, Any], used: frozenset[int], scope: Scope
) -> Iterator[tuple[dict[str, Any], frozenset[int]]]:
    if not paths:
        yield row, used
        return
    for found, taken in _path(paths[0], row, used, scope):
        yield from _all(paths[1:], found, taken, scope)


def _path(
    path: tree.Path, row: dict[str, Any], used: frozenset[int], scope: Scope
) -> Iterator[tuple[dict[str, Any], frozenset[int]]]:
    if path.shortest:
        yield from _shortest(path, row, used, scope)
        return
    nodes, edges = path.nodes, path.edges
    backwards = len(nodes) > 1 and _cost(nodes[-1], row, scope) < _cost(nodes[0], row, scope)
    if backwards:
        nodes, edges = nodes[::-1], tuple(_turned(each) for each in edges[::-1])
    first = nodes[0]
    for node in _candidates(first, row, scope):
        bound = {**row, first.name: node}
        for found, taken, route in _steps(nodes, edges, 0, node, bound, used, Route((node,), ()), scope):
            if path.name:
                way = Route(route.nodes[::-1], route.edges[::-1]) if backwards else route
                found = {**found, path.name: way}
            yield found, taken


def _turned(edge: tree.EdgePattern) -> tree.EdgePattern:
    direction = {">": "<", "<": ">", "-": "-"}[edge.direction]
    return tree.EdgePattern(edge.name, edge.types, edge.properties, direction, edge.span)


def _cost(pattern: tree.NodePattern, row: Row, scope: Scope) -> float:
    """Roughly how many nodes fit."""
    if pattern.name in row:
        return 0
    if not pattern.labels:
        return len(scope.graph.nodes)
    least = min(len(scope.graph.labelled.get(label, ())) for label in pattern.labels)
    return min(least, 1) if isinstance(pattern.properties, tree.MapOf) else least


def _wanted(properties: tree.Expression | None, row: Row, scope: Scope) -> dict[str, Any]:
    if properties is None:
        return {}
    found = evaluate(properties, row, scope)
    if not isinstance(found, dict):
        raise CypherError(TYPE, "the properties of a pattern must be a map")
    return found


def _candidates(pattern: tree.NodePattern, row: Row, scope: Scope) -> Iterator[Node]:
    wanted = _wanted(pattern.properties, row, scope)
    graph = scope.graph
    pool: Any
    if pattern.name in row:
        node = row[pattern.name]
        if node is None:
            return
        if not isinstance(node, Node):
            raise CypherError(TYPE, f"Type mismatch: `{pattern.name}` is not a node")
        pool = [node]
    elif pattern.labels and wanted:
        key = next(iter(wanted))
        pool = graph.having(pattern.labels[0], key, wanted[key])
    elif pattern.labels:
        pool = list(graph.labelled.get(pattern.labels[0], {}).values())
    else:
        pool = list(graph.nodes.values())
    for node in pool:
        if _fits(node, pattern, wanted):
            yield node


def _fits(node: Node, pattern: tree.NodePattern, wanted: dict[str, Any]) -> bool:
    return (
        not node.dead
        and node.labels.issuperset(pattern.labels)
        and all(values.equal(node.properties.get(name), value) for name, value in wanted.items())
    )


def _steps(
    nodes: tuple[tree.NodePattern, ...], edges: tuple[tree.EdgePattern, ...], at: int, here: Node,
    row: dict[str, Any], used: frozenset[int], route: Route, scope: Scope,
) -> Iterator[tuple[dict[str, Any], frozenset[int], Route]]:  # fmt: skip
    if at == len(edges):
        yield row, used, route
        return
    edge, target = edges[at], nodes[at + 1]
    wanted_edge = _wanted(edge.properties, row, scope)
    wanted_node = _wanted(target.properties, row, scope)
    bound = row.get(target.name)
    if target.name in row and bound is None:
        return
    for way, there in _ways(edge, wanted_edge, here, used):
        if edge.name in row and row[edge.name] is not (way[0] if edge.span is None else way):
            continue
        if (bound is not None and bound is not there) or not _fits(there, target, wanted_node):
            continue
        found = {**row, edge.name: way[0] if edge.span is None else list(way), target.name: there}
        taken = used | {each.id for each in way}
        passed, previous = [], here
        for each in way:
            previous = each.end if each.start is previous else each.start
            passed.append(previous)
        longer = Route((*route.nodes, *passed), (*route.edges, *way))
        yield from _steps(nodes, edges, at + 1, there, found, taken, longer, scope)


def _ways(
    edge: tree.EdgePattern, wanted: dict[str, Any], here: Node, used: frozenset[int]
) -> Iterator[tuple[tuple[Edge, ...], Node]]:
    if edge.span is None:
        for one, there in _leaving(edge, wanted, here):
            if one.id not in used:
                yield (one,), there
        return
    least, most = edge.span
    most = _LIMIT if most < 0 else most
    waiting: list[tuple[tuple[Edge, ...], Node]] = [((), here)]
    while waiting:
        way, node = waiting.pop()
        if len(way) >= least:
            yield way, node
        if len(way) < most:
            for one, there in _leaving(edge, wanted, node):
                if one.id not in used and one not in way:
                    waiting.append(((*way, one), there))


def _leaving(edge: tree.EdgePattern, wanted: dict[str, Any], here: Node) -> Iterator[tuple[Edge, Node]]:
    if edge.direction in ">-":
        for one in list(here.out.values()):
            if _edge_fits(one, edge, wanted):
                yield one, one.end
    if edge.direction in "<-":
        for one in list(here.into.values()):
            if _edge_fits(one, edge, wanted) and not (edge.direction == "-" and one.start is one.end):
                yield one, one.start


def _edge_fits(one: Edge, edge: tree.EdgePattern, wanted: dict[str, Any]) -> bool:
    return (not edge.types or one.type in edge.types) and all(
        values.equal(one.properties.get(name), value) for name, value in wanted.items()
    )


def _shortest(
    path: tree.Path, row: dict[str, Any], used: frozenset[int], scope: Scope
) -> Iterator[tuple[dict[str, Any], frozenset[int]]]:
    start, end, edge = path.nodes[0], path.nodes[-1], path.edges[0]
    wanted = _wanted(edge.properties, row, scope)
    most = edge.span[1] if edge.span else 1
    for first in _candidates(start, row, scope):
        for last in _candidates(end, {**row, start.name: first}, scope):
            seen, waiting = {first.id}, deque([Route((first,), ())])
            while waiting:
                route = waiting.popleft()
                if route.nodes[-1] is last and route.edges:
                    found = {**row, start.name: first, end.name: last, edge.name: list(route.edges)}
                    yield ({**found, path.name: route} if path.name else found), used
                    break
                if most < 0 or len(route.edges) < most:
                    for one, there in _leaving(edge, wanted, route.nodes[-1]):
                        if there.id not in seen:
                            seen.add(there.id)
                            waiting.append(Route((*route.nodes, there), (*route.edges, one)))
