"""Cypher's own rules, on a graph in a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twin.backing.cypher.errors import CypherError
from twin.backing.cypher.graph import Edge, Graph, Node
from twin.backing.cypher.parse import parse
from twin.backing.cypher.run import run
from twin.backing.packstream import Reader, pack

Ask = Callable[..., list[list[Any]]]


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    made = Graph(tmp_path / "graph.sqlite")
    yield made
    made.close()


@pytest.fixture
def ask(graph: Graph) -> Ask:
    def _ask(text: str, **parameters: Any) -> list[list[Any]]:
        rows = run(graph, text, parameters).rows
        graph.commit()
        return [[dict(each.properties) if isinstance(each, (Node, Edge)) else each for each in row] for row in rows]

    return _ask


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 / 2", 3), ("-7 / 2", -3), ("-7 % 3", -1), ("7 / 2.0", 3.5), ("2 ^ 3", 8.0), ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9),
        ("'a' + 1", "a1"), ("[1] + 2", [1, 2]), ("null = null", None), ("null IS NULL", True), ("1 < null", None),
        ("1 = '1'", False), ("true = 1", False), ("1 = 1.0", True), ("false AND null", False), ("true AND null", None),
        ("true OR null", True), ("NOT null", None), ("1 < 2 < 3", True), ("1 < 3 < 2", False), ("3 IN [1, null]", None),
        ("1 IN [1, null]", True), ("[1, 2, 3][-1]", 3), ("[1, 2, 3][5]", None), ("[1, 2, 3][1..]", [2, 3]),
        ("{a: {b: 2}}.a.b", 2), ("[x IN range(1, 4) WHERE x % 2 = 0 | x * 10]", [20, 40]), ("all(x IN [] WHERE false)", True),
        ("CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END", "b"), ("CASE WHEN false THEN 1 ELSE 2 END", 2),
        ("coalesce(null, 5)", 5), ("size('äö')", 2), ("substring('hello', 1, 3)", "ell"), ("'abc' STARTS WITH 'ab'", True),
        ("'abc' =~ 'a.c'", True), ("toInteger('x')", None), ("split('a,b', ',')", ["a", "b"]), ("0x1F", 31), ("1e3", 1000.0),
        ("'it\\'s \\u00e9'", "it's é"), ("head([])", None),
    ],
)  # fmt: skip
def test_expressions(ask: Ask, text: str, value: Any) -> None:
    found = ask(f"RETURN {text} AS it")[0][0]
    assert (found, type(found)) == (value, type(value))


def test_merge_makes_once_and_tells_making_from_finding(ask: Ask) -> None:
    text = "MERGE (n:P {key: $k}) ON CREATE SET n.made = 1 ON MATCH SET n.made = n.made + 1 RETURN n.made"
    assert [ask(text, k="a"), ask(text, k="a"), ask(text, k="b")] == [[[1]], [[2]], [[1]]]


def test_the_writers_queries(ask: Ask) -> None:
    rows = [{"symbol": "AU", "key": str(number), "digest": f"d{number}", "sequence": number} for number in (1, 2, 1)]
    ask(
        "UNWIND $rows AS row MERGE (s:Symbol {key: row.symbol}) MERGE (t:Trade {key: row.key})"
        " SET t.digest = row.digest, t.sequence = row.sequence MERGE (s)-[:TRADED]->(t)",
        rows=rows,
    )
    text = "MATCH (s:Symbol {key: $s})-[:TRADED]->(t:Trade) RETURN t.key AS key, t.digest AS d ORDER BY t.sequence"
    assert ask(text, s="AU") == [["1", "d1"], ["2", "d2"]]


def test_groups_order_and_limits(ask: Ask) -> None:
    ask("UNWIND [['a', 1], ['b', 5], ['a', 3], ['c', null]] AS row CREATE (:V {g: row[0], v: row[1]})")
    text = "MATCH (n:V) RETURN n.g AS g, count(*) AS c, sum(n.v) AS s, collect(n.v) AS l, max(n.v) AS m ORDER BY g"
    assert ask(text) == [["a", 2, 4, [1, 3], 3], ["b", 1, 5, [5], 5], ["c", 1, 0, [], None]]
    assert ask("MATCH (n:V) RETURN n.v AS v ORDER BY v DESC") == [[None], [5], [3], [1]]
    assert ask("MATCH (n:V) RETURN n.v AS v ORDER BY v SKIP 1 LIMIT 2") == [[3], [5]]
    assert ask("MATCH (n:V) WITH n.g AS g, count(*) AS c WHERE c > 1 RETURN g") == [["a"]]
    assert ask("MATCH (n:Nothing) RETURN count(n)") == [[0]]
    assert ask("UNWIND [2, 1, 2] AS x RETURN DISTINCT x") == [[2], [1]]


def test_paths_of_any_length(ask: Ask) -> None:
    ask("CREATE (:C {n: 1})-[:N]->(:C {n: 2})-[:N]->(:C {n: 3})-[:N]->(:C {n: 4})")
    assert ask("MATCH (:C {n: 1})-[:N*2..3]->(x) RETURN x.n ORDER BY x.n") == [[3], [4]]
    assert ask("MATCH (:C {n: 3})<-[:N*]-(x) RETURN x.n ORDER BY x.n") == [[1], [2]]
    assert ask("MATCH p = shortestPath((:C {n: 4})-[:N*]-(:C {n: 1})) RETURN [x IN nodes(p) | x.n]") == [[[4, 3, 2, 1]]]
    assert ask("MATCH (c:C) WHERE NOT (c)-->() RETURN c.n") == [[4]]
    assert ask("MATCH (c:C) OPTIONAL MATCH (c)-[:N]->(d) RETURN c.n, d.n ORDER BY c.n") == [
        [1, 2],
        [2, 3],
        [3, 4],
        [4, None],
    ]
    # An edge is used once in a match: from 2 one cannot go to 3 and back over the same edge.
    assert ask("MATCH (:C {n: 2})-[:N]->(x)<-[:N]-(y) RETURN y.n") == []


def test_a_failed_statement_leaves_nothing(ask: Ask, graph: Graph) -> None:
    ask("CREATE CONSTRAINT k FOR (n:P) REQUIRE n.key IS UNIQUE")
    ask("CREATE (:P {key: 1})")
    with pytest.raises(CypherError, match="already exists with label `P` and property `key` = 1"):
        ask("CREATE (:P {key: 2}) CREATE (:Q) CREATE (:P {key: 1})")
    assert ask("MATCH (n) RETURN labels(n), n.key") == [[["P"], 1]]
    with pytest.raises(CypherError, match="still has relationships"):
        ask("CREATE (a:A)-[:R]->(:B) DELETE a")
    assert len(graph.nodes) == 1
    assert not graph.edges


def test_everything_committed_is_there_after_opening_again(ask: Ask, graph: Graph, tmp_path: Path) -> None:
    ask("CREATE INDEX named FOR (n:A) ON (n.x)")
    ask("CREATE (:A {x: [1.5, 2], when: datetime('2024-05-06T07:08:09+02:00'), date: 'text'})-[:R {w: true}]->(:B)")
    ask("MATCH (b:B) SET b:C REMOVE b:B")
    run(graph, "CREATE (:Lost)", {})
    again = Graph(tmp_path / "graph.sqlite")
    assert [sorted(node.labels) for node in again.nodes.values()] == [["A"], ["C"]]
    assert again.nodes[0].properties == graph.nodes[0].properties
    assert [(edge.type, edge.properties) for edge in again.edges.values()] == [("R", {"w": True})]
    assert list(again.rules) == ["named"]
    again.close()
    graph.rollback()


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("MTCH (n) RETURN n", "SyntaxError", "Invalid input 'MTCH'"),
        ("MATCH (n)", "SyntaxError", "cannot conclude with MATCH"),
        ("RETURN 1 RETURN 2", "SyntaxError", "RETURN can only be used at the end"),
        ("RETURN x", "SyntaxError", "Variable `x` not defined"),
        ("RETURN 'open", "SyntaxError", "line 1, column 8"),
        ("RETURN $p", "ParameterMissing", "Expected parameter"),
        ("RETURN 1 / 0", "ArithmeticError", "by zero"),
        ("RETURN 1 + true", "TypeError", "expected a number but was Boolean"),
        ("CREATE (:A {m: {a: 1}})", "TypeError", "primitive types"),
        ("CALL no.such()", "ProcedureNotFound", "no procedure with the name `no.such`"),
        ("CALL { RETURN 1 AS x } RETURN x", "SyntaxError", "not supported by the local graph: CALL"),
        ("LOAD CSV FROM 'x' AS r RETURN r", "SyntaxError", "not supported by the local graph: LOAD"),
        ("MERGE (n:P {key: null})", "SemanticError", "null property value for 'key'"),
        ("DROP CONSTRAINT nope", "ConstraintDropFailed", "does not exist"),
    ],
)
def test_errors_say_what_and_where(ask: Ask, text: str, code: str, message: str) -> None:
    with pytest.raises(CypherError, match=message.replace("(", r"\(")) as caught:
        ask(text)
    assert caught.value.code.rpartition(".")[2] == code


def test_a_null_in_distinct_groups_and_unions(ask: Ask) -> None:
    assert ask("RETURN 1 AS a UNION RETURN 2 AS a UNION RETURN 1 AS a") == [[1], [2]]
    assert ask("RETURN 1 AS a UNION ALL RETURN 1 AS a") == [[1], [1]]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(st.characters(exclude_categories=["Cs"])) | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=20),
    max_leaves=30,
)  # fmt: skip


_EDGES = [sign * 2**bits + off for bits in (4, 7, 15, 31, 63) for sign in (1, -1) for off in (-1, 0, 1)]


@given(_VALUES)
@example([each for each in _EDGES if -(2**63) <= each < 2**63])
@example(["x" * size for size in (15, 16, 255, 256, 65_535, 65_536)])
@example([[0] * size for size in (15, 16, 255, 256, 65_536)])
def test_every_value_comes_back_from_packstream(value: Any) -> None:
    assert Reader(pack(value)).value() == value


@given(st.binary(max_size=60))
def test_broken_packstream_is_refused_and_never_crashes(data: bytes) -> None:
    with contextlib.suppress(CypherError, ValueError, OverflowError, IndexError, TypeError):
        Reader(data).value()


@given(st.text(max_size=80))
def test_no_text_crashes_the_parser(text: str) -> None:
    with contextlib.suppress(CypherError):
        parse(text)
