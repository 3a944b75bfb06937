"""The dynamic provider of AuraDB instances: what a change costs, and that nothing is deleted."""

from __future__ import annotations

import pytest

from infra.components.graphs import AuraProvider
from tests.unit.infra.graphs import PROJECT, REGION, Graph

INPUTS = {
    "api": "https://api.neo4j.io", "clientSecret": "aura-client", "cloud": "gcp", "instance": "g", "memory": "2GB",
    "project": "staging-twin", "region": "us-central1", "type": "professional-db", "version": "5",
}  # fmt: skip
STATE = {**INPUTS, "instanceId": "ce2f5430", "connectionUrl": "neo4j+s://ce2f5430.databases.neo4j.io"}


def test_the_same_again_changes_nothing() -> None:
    assert AuraProvider().diff("ce2f5430", STATE, INPUTS).changes is False


def test_more_memory_is_an_update() -> None:
    found = AuraProvider().diff("ce2f5430", STATE, {**INPUTS, "memory": "4GB"})
    assert (found.changes, found.replaces) == (True, [])


@pytest.mark.parametrize("name", ["cloud", "instance", "project", "region", "type", "version"])
def test_what_makes_another_database_replaces(name: str) -> None:
    found = AuraProvider().diff("ce2f5430", STATE, {**INPUTS, name: "other"})
    assert (found.changes, found.replaces) == (True, [name])


def test_an_instance_is_never_deleted_from_here() -> None:
    with pytest.raises(RuntimeError, match="AuraDB instance g holds data"):
        AuraProvider().delete("ce2f5430", STATE)


def test_the_instance_is_protected_and_its_password_nowhere() -> None:
    graph = Graph.of(
        aura={"g": {key: INPUTS[key] for key in ("api", "clientSecret", "memory", "cloud", "type", "version")}}
    )
    made = graph.one("AuraInstance")
    assert made.protect
    assert {key: made.inputs[key] for key in ("instance", "project", "region")} == {
        "instance": "g", "project": PROJECT, "region": REGION,
    }  # fmt: skip
    assert not [key for key in made.inputs if "password" in key.lower()]
