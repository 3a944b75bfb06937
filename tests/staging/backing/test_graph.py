"""Neo4j's own driver on the local graph."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import neo4j
import pytest
from neo4j.exceptions import AuthError, ClientError, ConstraintError, CypherSyntaxError

from twin.backing import Backing


@pytest.fixture
def driver(stack: Backing) -> Iterator[neo4j.Driver]:
    with neo4j.GraphDatabase.driver(
        stack.endpoints["graph"], auth=("neo4j", stack.endpoints["graph_password"])
    ) as made:
        made.execute_query("MATCH (n) DETACH DELETE n")
        yield made


def test_nodes_edges_and_paths_arrive_whole(driver: neo4j.Driver) -> None:
    driver.execute_query("CREATE (:A {x: 1})-[:R {w: 2.5}]->(:B {y: 'ü', l: [1, 2]})")
    record = driver.execute_query("MATCH p = (a:A)-[r]->(b) RETURN a, r, b, p").records[0]
    assert (record["a"].labels, dict(record["a"])) == (frozenset({"A"}), {"x": 1})
    assert (record["r"].type, dict(record["r"])) == ("R", {"w": 2.5})
    assert dict(record["b"]) == {"y": "ü", "l": [1, 2]}
    assert record["r"].start_node.element_id == record["a"].element_id
    assert [node.element_id for node in record["p"].nodes] == [record["a"].element_id, record["b"].element_id]


def test_a_rolled_back_transaction_leaves_nothing_and_a_committed_one_counts(driver: neo4j.Driver) -> None:
    with driver.session() as session:
        transaction = session.begin_transaction()
        transaction.run("CREATE (:Z)").consume()
        transaction.rollback()
        assert session.run("MATCH (z:Z) RETURN count(z)").single(strict=True).value() == 0
        counters = session.execute_write(lambda each: each.run("CREATE (:Z {a: 1})").consume().counters)
        assert (counters.nodes_created, counters.properties_set) == (1, 1)
        assert session.run("MATCH (z:Z) RETURN count(z)").single(strict=True).value() == 1


def test_rows_show_what_was_when_they_were_asked_for(driver: neo4j.Driver) -> None:
    with driver.session(fetch_size=1) as session, session.begin_transaction() as transaction:
        transaction.run("CREATE (:V {n: 1}), (:V {n: 2})").consume()
        before = transaction.run("MATCH (v:V) RETURN v ORDER BY v.n")
        transaction.run("MATCH (v:V) SET v.n = 9").consume()
        assert [record["v"]["n"] for record in before] == [1, 2]


def test_a_transaction_that_stays_open_makes_others_wait_and_its_end_lets_them_in(driver: neo4j.Driver) -> None:
    with driver.session() as first, ThreadPoolExecutor(1) as pool:
        transaction = first.begin_transaction()
        transaction.run("CREATE (:W)").consume()
        waiting = pool.submit(lambda: driver.execute_query("MATCH (w:W) RETURN count(w) AS c").records[0]["c"])
        with pytest.raises(FutureTimeout):
            waiting.result(0.2)
        transaction.rollback()
        assert waiting.result(5) == 0


def test_errors_have_neo4js_codes_and_the_session_goes_on(driver: neo4j.Driver, stack: Backing) -> None:
    driver.execute_query("CREATE CONSTRAINT once IF NOT EXISTS FOR (n:Once) REQUIRE n.key IS UNIQUE")
    driver.execute_query("CREATE (:Once {key: 1})")
    with driver.session() as session:
        with pytest.raises(CypherSyntaxError, match=r"Invalid input 'MTCH'.*line 1, column 1"):
            session.run("MTCH (n) RETURN n").consume()
        with pytest.raises(ConstraintError, match="already exists with label `Once`") as caught:
            session.run("CREATE (:Once {key: 1})").consume()
        assert caught.value.code == "Neo.ClientError.Schema.ConstraintValidationFailed"
        with pytest.raises(ClientError, match=r"Expected parameter\(s\): p"):
            session.run("RETURN $p").consume()
        with pytest.raises(ClientError, match="Writing in read access mode not allowed"):
            session.execute_read(lambda each: each.run("CREATE (:N)").consume())
        assert session.run("MATCH (n:Once) RETURN count(n)").single(strict=True).value() == 1
    wrong = neo4j.GraphDatabase.driver(stack.endpoints["graph"], auth=("neo4j", "wrong"))
    with wrong, pytest.raises(AuthError):
        wrong.verify_connectivity()


def test_many_rows_come_in_batches(driver: neo4j.Driver) -> None:
    with driver.session(fetch_size=100) as session:
        assert [row["i"] for row in session.run("UNWIND range(1, 1234) AS i RETURN i")] == list(range(1, 1235))


def test_a_routing_driver_is_led_back_here(stack: Backing) -> None:
    address = stack.endpoints["graph"].replace("bolt://", "neo4j://")
    with neo4j.GraphDatabase.driver(address, auth=("neo4j", stack.endpoints["graph_password"])) as driver:
        assert driver.execute_query("RETURN 1 AS one").records[0]["one"] == 1


async def _ask(address: str, password: str) -> int:
    async with (
        neo4j.AsyncGraphDatabase.driver(address, auth=("neo4j", password)) as driver,
        driver.session() as session,
    ):
        found = await (await session.run("RETURN 2 AS two")).single(strict=True)
        return int(found["two"])


@pytest.mark.asyncio
async def test_the_asynchronous_driver_connects(stack: Backing) -> None:
    assert await _ask(stack.endpoints["graph"], stack.endpoints["graph_password"]) == 2


def test_what_was_committed_survives_kill_9(driver: neo4j.Driver, stack: Backing) -> None:
    driver.execute_query("CREATE (:Kept {n: 1})-[:TO]->(:Kept {n: 2})")
    stack.kill("graph")
    stack.start("graph")
    records = driver.execute_query("MATCH (a:Kept)-[:TO]->(b:Kept) RETURN a.n AS a, b.n AS b").records
    assert [record.data() for record in records] == [{"a": 1, "b": 2}]
