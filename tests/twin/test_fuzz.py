"""Requests made from the schemas and bent: never a 500, never a hang, never growth without bound."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.kernel.documents import Method, load
from twin.kernel.engine import Engine, Settings, open_engine
from twin.kernel.seed import seed
from twin.kernel.shapes import Shape, shape_of
from twin.kernel.types import Request
from twin.services import catalogue

APIS = [
    ("bigquery", "v2"), ("cloudkms", "v1"), ("cloudresourcemanager", "v1"), ("cloudresourcemanager", "v3"), ("compute", "v1"),
    ("dataflow", "v1b3"), ("iam", "v1"), ("iamcredentials", "v1"), ("logging", "v2"), ("monitoring", "v3"), ("redis", "v1"), ("run", "v1"), ("run", "v2"), ("secretmanager", "v1"),
    ("serviceusage", "v1"), ("sqladmin", "v1"), ("sqladmin", "v1beta4"), ("storage", "v1"),
]  # fmt: skip
METHODS = sorted(method.id + "@" + version for api, version in APIS for method in load(api, version).methods.values())
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**40),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just("projects/p/x"),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("fuzz")
    made = open_engine(Path(folder), Settings(project="fuzz-twin"), catalogue.services())
    catalogue.open_parts(made, Path(folder))
    seed(made, catalogue.seeders())
    yield made
    made.parts["warehouse"].close()
    made.audit.close()
    made.store.close()


def value_of(draw: st.DrawFn, shape: Shape, depth: int) -> Any:
    """Mostly what the schema wants, sometimes something odd."""
    shape = shape.target()
    if draw(st.integers(0, 11)) == 0:
        return draw(ODD)
    if shape.kind == "object":
        if depth > 3:
            return {}
        names = draw(st.lists(st.sampled_from(sorted(shape.fields)), max_size=4, unique=True)) if shape.fields else []
        return {name: value_of(draw, shape.fields[name], depth + 1) for name in names}
    if shape.kind == "array" and shape.items is not None:
        return [value_of(draw, shape.items, depth + 1) for _ in range(draw(st.integers(0, 2)))]
    if shape.enum:
        return draw(st.sampled_from(shape.enum))
    plain = {"boolean": st.booleans(), "integer": st.integers(-5, 10_000), "number": st.floats(-5, 5), "any": ODD}
    if shape.kind in plain:
        return draw(plain[shape.kind])
    return draw(
        st.sampled_from(
            [
                "",
                "x",
                "1",
                "2026-01-01T00:00:00Z",
                "60s",
                "eA==",
                "projects/fuzz-twin/locations/us/keyRings/r/cryptoKeys/k",
            ]
        )
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    chosen = draw(st.sampled_from(METHODS))
    identifier, _, version = chosen.partition("@")
    method: Method = next(
        document.methods[identifier]
        for api, known in APIS
        if known == version and identifier in (document := load(api, known)).methods
    )
    word = st.sampled_from(["fuzz-twin", "us-central1", "us", "a", "b-1", "1", "-"])
    segments = []
    for position, part in enumerate(method.flat):
        before = method.flat[position - 1] if position else ""
        segments.append(("fuzz-twin" if before == "projects" else draw(word)) if part.startswith("{") else part)
    path = "/" + "/".join(segments) + (f":{method.custom}" if method.custom else "")
    spare = [name for name, spec in method.parameters.items() if spec.location == "query"]
    query = (
        [
            (name, draw(st.sampled_from(["", "1", "true", "x", "name"])))
            for name in draw(st.lists(st.sampled_from(spare), max_size=3, unique=True))
        ]
        if spare
        else []
    )
    body = b""
    if method.request:
        body = json.dumps(value_of(draw, shape_of(method.document, method.request), 0)).encode()
    host = {"sql": "sqladmin"}.get(identifier.split(".")[0], identifier.split(".")[0])
    return Request(
        method.verb,
        f"us-central1-{host}.googleapis.com" if host == "run" else f"{host}.googleapis.com",
        path,
        tuple(query),
        {},
        body,
    )


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_no_request_is_a_bug(engine: Engine, request: Request) -> None:
    before, begun = len(engine.store), time.monotonic()
    reply = engine.handle(request, "user:owner@example.com")
    assert time.monotonic() - begun < 10, "a hang"
    assert reply.status != 500, reply.body
    assert reply.status in (200, 204, 206, 400, 401, 403, 404, 409, 412, 416, 429, 501), reply.body
    assert len(engine.store) < before + 60


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=40))
def test_no_filter_is_a_bug(engine: Engine, text: str) -> None:
    path = "/compute/v1/projects/fuzz-twin/global/networks"
    reply = engine.handle(Request("GET", "compute.googleapis.com", path, (("filter", text),)), "user:owner@example.com")
    assert reply.status in (200, 400)
