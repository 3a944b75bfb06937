"""The program, with the engine's own mocks: which components it declares, in which order, and what it asks for meanwhile."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from infra.config import SECTIONS
from infra.live import LIVE
from infra.program import build
from tests.unit.infra.graphs import HIDDEN, PROJECT, REGION, Graph

#: One resource of every section that a stack's file may hold.
EVERYTHING: dict[str, dict[str, Any]] = {
    "services": {"api": {"image": "registry/api:1"}},
    "backends": {"api-backend": {}},
    "buckets": {"assets": {"keep": {"location": "US"}}},
    "backendBuckets": {"static": {"bucket": "assets", "cdn": True}},
    "urlMaps": {"staging-lb": {}},
    "keyRings": {"staging": {"location": "us"}},
    "keys": {"data": {"ring": "projects/staging-twin/locations/us/keyRings/staging", "rotation": 7776000}},
    "datasets": {"market": {"location": "US"}},
    "secrets": {"signing-key": {}},
    "databases": {"staging-db": {"keep": {"databaseVersion": "POSTGRES_16"}}},
    "caches": {"staging-cache": {"memory": 1}},
}


def test_an_empty_configuration_declares_nothing() -> None:
    assert Graph.of().made == []


def test_every_section_is_declared_once_under_its_own_type() -> None:
    declared = Graph.of(**EVERYTHING).types()

    assert sorted(declared) == sorted(SECTIONS[section].token for section in EVERYTHING)


def test_every_section_but_those_of_others_is_part_of_the_program() -> None:
    assert set(SECTIONS) - set(EVERYTHING) == {"endpointGroups"}  # described for adoption of backends; never changed


def test_services_come_after_the_secrets_that_they_refer_to() -> None:
    graph = Graph.of(
        secrets={"stripe-key": {"accessors": ["serviceAccount:a@p.iam.gserviceaccount.com"]}},
        services={"api": {"image": "registry/api:1"}},
    )

    assert {item.name for item in graph.all("SecretIamMember")} | {"stripe-key"} <= graph.one("Service").after


def test_a_url_map_comes_after_the_backend_buckets_that_it_sends_paths_to() -> None:
    assert "static" in Graph.of(**EVERYTHING).one("URLMap").after


def test_nothing_is_an_output_but_the_address_of_a_service() -> None:
    outputs = Graph.of(**EVERYTHING).outputs

    assert {name: sorted(found) for name, found in outputs.items() if found} == {"api": ["uri"]}


def test_an_unknown_setting_stops_the_program() -> None:
    with pytest.raises(Exception, match="services/api: unknown setting 'minInstance'"):
        Graph.of(services={"api": {"minInstance": 1}})


def test_a_value_that_stays_as_it_is_live_reaches_the_engine_as_a_secret() -> None:
    asked = []

    def live(service: str, container: int, variable: str) -> str:
        asked.append((service, container, variable))
        return "hunter2"

    services = {"api": {"image": "i", "env": {"A": "1", "STRIPE_KEY": LIVE}}}
    graph = Graph(lambda: build({"project": PROJECT, "region": REGION, "services": services}, live))

    assert graph.one("Service").inputs["template"]["containers"][0]["envs"] == [
        {"name": "A", "value": "1"},
        {"name": "STRIPE_KEY", "value": HIDDEN},
    ]
    assert asked == [("api", 0, "STRIPE_KEY")]


def test_without_a_way_to_read_it_such_a_value_stops_the_program() -> None:
    with pytest.raises(pulumi.RunError, match="services/api: STRIPE_KEY is left as it is live"):
        Graph.of(services={"api": {"image": "i", "env": {"STRIPE_KEY": LIVE}}})
