"""The probes on real services: all green; and with one stopped, one paused, one that refuses, what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regreen.facts.services.collect import collect
from regreen.facts.services.order import start_order
from regreen.facts.services.spec import ServiceSpec, State, Thresholds
from regreen.status import form, of_stack
from twin.backing import Backing


@pytest.fixture
def specs(stack: Backing) -> list[ServiceSpec]:
    """The five, and a writer that is gone and needs kafka; generous limits, as other tests may run beside."""
    services = {"writer": "http://127.0.0.1:9"}
    listed = of_stack({"backing": stack.endpoints, "services": services}, [])
    return [replace(spec, thresholds=Thresholds(10, 10)) for spec in listed]


def test_all_five_are_up_with_times_and_rates(stack: Backing, specs: list[ServiceSpec]) -> None:
    readings = {reading.spec.name: reading for reading in collect(specs)}
    for name in ("kafka", "postgres", "redis", "graph", "registry"):
        assert readings[name].state is State.UP, readings[name]
        assert readings[name].seen is not None
    rates = {name: reading.seen.throughput for name, reading in readings.items() if reading.seen is not None}
    assert (rates["kafka"] or 0) > 10
    assert (rates["redis"] or 0) > 10
    # Everything it needs is up: then the writer itself is the root.
    assert form(tuple(readings.values()), ())["root_causes"] == ["writer"]


def test_with_kafka_stopped_kafka_is_the_root_and_the_writer_a_cascade(
    stack: Backing, specs: list[ServiceSpec]
) -> None:
    stack.stop("kafka")
    try:
        said = form(collect(specs, limit=2), start_order(specs))
    finally:
        stack.start("kafka")
    assert said["healthy"] is False
    assert said["root_causes"] == ["kafka"]
    assert said["cascades"] == {"writer": ["kafka"]}
    kafka = next(each for each in said["services"] if each["name"] == "kafka")
    assert (kafka["state"], kafka["error"]) == ("down", "KafkaException")
    assert "kafka" in kafka["next_step"]
    assert said["start_order"].index("kafka") < said["start_order"].index("writer")


def test_a_paused_service_is_down_within_its_limit_and_up_again(stack: Backing, specs: list[ServiceSpec]) -> None:
    graph = [spec for spec in specs if spec.kind == "bolt"]
    stack.pause("graph")
    try:
        (paused,) = collect(graph, limit=1)
    finally:
        stack.resume("graph")
    assert paused.state is State.DOWN
    assert collect(graph)[0].state is State.UP


def test_a_wrong_password_is_told_from_a_service_that_is_down(stack: Backing, specs: list[ServiceSpec]) -> None:
    graph = next(spec for spec in specs if spec.kind == "bolt")
    postgres = next(spec for spec in specs if spec.kind == "postgres")
    password = stack.endpoints["graph_password"]
    wrong = [replace(graph, secret="wrong"), replace(postgres, address=postgres.address.replace(password, "wrong"))]
    for reading in collect(wrong):
        assert reading.state is State.DOWN
        assert reading.next_step.startswith(f"the password or token for {reading.spec.name} is wrong")
        assert "wrong" not in str(reading.form()["address"])
