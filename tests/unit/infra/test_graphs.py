"""The AuraDB instance in the stack: protected, without a password, and which changes would make it another database."""

from __future__ import annotations

from typing import Any

import pytest

from infra.components.graphs import AuraProvider
from infra.policies import Planned, broken
from tests.unit.infra.graphs import PROJECT, REGION, Graph

SETTINGS: dict[str, Any] = {"memory": "2GB", "version": "5", "clientSecret": "aura-client"}


def test_an_instance_is_protected_and_knows_where_it_is() -> None:
    graph = Graph.of(aura={"staging-graph": SETTINGS})
    made = graph.one("AuraInstance")

    asked = {key: value for key, value in made.inputs.items() if not key.startswith("__")}
    assert asked == {**SETTINGS, "instance": "staging-graph", "project": PROJECT, "region": REGION}
    assert made.protect
    assert made.parent == "graphs"


def test_a_region_of_its_own_is_kept() -> None:
    assert Graph.of(aura={"g": {**SETTINGS, "region": "europe-west1"}}).one("AuraInstance").inputs["region"] == "europe-west1"  # fmt: skip


def test_no_output_and_no_input_of_it_is_a_password() -> None:
    graph = Graph.of(aura={"staging-graph": SETTINGS})
    made = graph.one("AuraInstance")

    assert not any("password" in key.lower() for key in made.inputs)
    assert broken([Planned("create", made.type, made.name, made.inputs, graph.outputs["graphs"], made.protect)]) == ()


NOW = {"instance": "g", "project": "p", "region": "r", "type": "t", "cloud": "gcp", "version": "5", "memory": "2GB"}


@pytest.mark.parametrize("key", ["cloud", "instance", "project", "region", "type", "version"])
def test_another_kind_of_instance_would_be_another_database(key: str) -> None:
    found = AuraProvider().diff("id", NOW, {**NOW, key: "other"})

    assert (found.changes, found.replaces) == (True, [key])
    assert not found.delete_before_replace


def test_memory_is_changed_in_place() -> None:
    found = AuraProvider().diff("id", NOW, {**NOW, "memory": "4GB"})

    assert (found.changes, found.replaces) == (True, [])


def test_nothing_asked_nothing_changed() -> None:
    assert not AuraProvider().diff("id", NOW, {**NOW, "clientSecret": "another"}).changes


def test_an_instance_is_never_deleted_from_here() -> None:
    with pytest.raises(RuntimeError, match="AuraDB instance g holds data: delete it by hand"):
        AuraProvider().delete("id", NOW)
