"""The comparison itself: every way in which a store can differ is planted in a copy of real records, and is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.tiers import audit, stores
from tests.tiers.audit import Problems, Row
from tests.tiers.flow import Flow
from twin.staging import Staging

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def records() -> Records:
    return [
        {
            "sequence": sequence,
            "symbol": "BTC-USD",
            "price": f"{sequence}.50",
            "quantity": sequence,
            "traded_at": "2026-01-05T00:00:00Z",
        }
        for sequence in range(1, 9)
    ]


def forged(trade: dict[str, Any]) -> dict[str, Any]:
    return trade | {"price": "0.01"}


CHANGES: dict[str, tuple[Callable[[Records], Records], Problems]] = {
    "dropped": (lambda held: held[:3] + held[4:], Problems(missing=(4,))),
    "doubled": (lambda held: [*held[:3], held[2], *held[3:]], Problems(doubled=(3,))),
    "corrupted": (lambda held: [*held[:4], forged(held[4]), *held[5:]], Problems(corrupted=(5,))),
    "swapped": (lambda held: [held[1], held[0], *held[2:]], Problems(disordered=(1,))),
    "foreign": (lambda held: [*held, held[0] | {"sequence": 99}], Problems(foreign=(99,))),
    "stale": (lambda held: held[:-2], Problems(missing=(7, 8))),
}


def test_the_same_records_have_no_problems(records: Records) -> None:
    assert not audit.problems(stores.rows(records), stores.rows(copy.deepcopy(records)))


@pytest.mark.parametrize("change", CHANGES)
def test_each_difference_is_named(change: str, records: Records) -> None:
    edit, expected = CHANGES[change]

    assert audit.problems(stores.rows(records), stores.rows(edit(copy.deepcopy(records)))) == expected


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"sequence": "7"}, "sequence"),
        ({"symbol": "bitcoin"}, "symbol"),
        ({"quantity": 0}, "quantity"),
        ({"price": 12.5}, "price"),
        ({"traded_at": "yesterday"}, "traded_at"),
        ({"note": "hello"}, ""),
    ],
)
def test_each_break_of_the_schema_is_named(change: dict[str, Any], where: str, records: Records) -> None:
    (found,) = audit.violations("feed", [records[0] | change])

    assert found.startswith(f"0: {where}: ")


def test_a_diverging_graph_is_found_and_repaired(staging: Staging, flow: Flow) -> None:
    """One node with another digest, one gone: the audit names both, and a tester puts them right from the warehouse."""
    batch = flow.more(10)
    flow.settled()
    truth = stores.told(stores.stored(staging, batch))
    altered, gone = batch[3], batch[6]
    with stores.graph(staging) as session:
        session.run("MATCH (t:Trade {key: $key}) SET t.digest = $digest", key=str(altered), digest="0" * 64).consume()
        session.run("MATCH (t:Trade {key: $key}) DETACH DELETE t", key=str(gone)).consume()

    found = audit.problems(truth, stores.told(stores.graphed(staging, batch)))

    assert found == Problems(missing=(gone,), corrupted=(altered,))
    stores.mend_graph(staging, stores.stored(staging, batch))
    assert not audit.problems(truth, stores.told(stores.graphed(staging, batch)))


def test_a_stale_cache_is_found(staging: Staging, flow: Flow) -> None:
    batch = flow.more(6)
    flow.settled()
    older, newer = stores.fed(staging, batch)[0::3]
    assert older["symbol"] == newer["symbol"]
    with stores.cache(staging) as client:
        client.set(f"last:{older['symbol']}", stores.text(older), ex=60)

    held = stores.cached(staging)[older["symbol"]]

    newest = next(trade for trade in reversed(stores.fed(staging, batch)) if trade["symbol"] == older["symbol"])
    assert audit.problems(stores.rows([newest]), stores.rows([held])) == Problems(
        missing=(newest["sequence"],), foreign=(older["sequence"],)
    )
    with stores.cache(staging) as client:
        client.set(f"last:{older['symbol']}", stores.text(newest), ex=60)


def test_an_empty_store_is_all_missing() -> None:
    assert audit.problems([Row(1, "a"), Row(2, "b")], []) == Problems(missing=(1, 2))
