"""Contracts between services: columns, envelopes, answers and errors, and a suite that takes no unknown marker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import httpx
import jsonschema
import pytest

from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import audit, cloud, stores, system
from tests.tiers.cloud import Project
from tests.tiers.flow import Flow
from tests.tiers.tokens import Door
from twin.staging import Staging

COLUMNS: Final = {
    "trades": {
        "sequence": ("INTEGER", "REQUIRED"), "symbol": ("STRING", "REQUIRED"), "digest": ("STRING", "REQUIRED"),
        "trade": ("STRING", "REQUIRED"), "received_at": ("FLOAT", "NULLABLE"), "stored_at": ("FLOAT", "NULLABLE"),
    },
    "allocations": {
        "request_id": ("STRING", "REQUIRED"), "team": ("STRING", "NULLABLE"), "outcome": ("STRING", "NULLABLE"),
        "cost": ("STRING", "NULLABLE"), "event": ("STRING", "NULLABLE"),
    },
    "symbols": {"symbol": ("STRING", "REQUIRED"), "name": ("STRING", "NULLABLE")},
}  # fmt: skip
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["request_id", "team", "outcome", "cost", "decided_at", "stages"],
    "properties": {
        "request_id": {"type": "string", "minLength": 1},
        "team": {"type": "string"},
        "outcome": {"enum": ["allocated", "refused", "no consensus"]},
        "cost": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
        "decided_at": {"type": "string", "format": "date-time"},
        "stages": {"type": "array", "items": {"type": "string"}},
    },
}
PATHS: Final = {
    "/api/trades", "/api/trades/{symbol}/last", "/api/watermark", "/api/graph/{symbol}", "/api/allocations",
    "/api/allocations/{request_id}", "/api/token",
}  # fmt: skip


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_has_the_columns_that_were_agreed(table: str, staging: Staging) -> None:
    schema = cloud.read(staging, f"{Project(staging).bigquery}/datasets/market/tables/{table}")["schema"]

    assert {each["name"]: (each["type"], each.get("mode", "NULLABLE")) for each in schema["fields"]} == COLUMNS[table]


def test_everything_on_the_topic_of_trades_keeps_its_contract(staging: Staging, flow: Flow) -> None:
    """Of what ingest itself wrote: it says when it received each."""
    flow.more(6)
    flow.settled()

    held = stores.topic(staging.backing.endpoints["kafka"], "trades")
    ours = [each for each in held if "received-at" in each.headers]

    assert len(ours) >= 6
    assert audit.violations("broker", [each.value for each in ours]) == []
    assert all(audit.digest(each.value["trade"]) == each.value["digest"] for each in ours)
    assert all("traceparent" in each.headers for each in ours)


def test_a_decision_s_event_keeps_its_contract(staging: Staging, visitor: Visitor) -> None:
    request = f"contract-{uuid.uuid4().hex[:8]}"
    body = {"request_id": request, "kind": "desk", "count": 100_000, "limit": "1"}
    assert visitor.post("/api/allocations", body).status_code == 201

    def told() -> list[Any]:
        held = stores.topic(staging.backing.endpoints["kafka"], "allocations")
        return [each.value for each in held if each.value["request_id"] == request]

    eventually(lambda: len(told()) == 1)
    (event,) = told()
    checker = jsonschema.FormatChecker()
    assert [
        error.message for error in jsonschema.Draft202012Validator(EVENT, format_checker=checker).iter_errors(event)
    ] == []


def test_the_api_offers_what_was_agreed(staging: Staging) -> None:
    document = httpx.get(f"{staging.direct('api')}/openapi.json", timeout=10, trust_env=False).json()

    assert set(document["paths"]) >= PATHS
    assert set(document["paths"]["/api/allocations"]) == {"post"}
    required = document["components"]["schemas"]["AllocationBody"]["required"]
    assert set(required) >= {"request_id", "kind", "count", "limit"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "desk", "count": 1, "limit": "1"}, "request_id"),
        ({"request_id": "x", "kind": "chair", "count": 1, "limit": "1"}, "kind"),
        ({"request_id": "x", "kind": "desk", "count": "many", "limit": "1"}, "count"),
        ({"request_id": "x", "kind": "desk", "count": 1, "limit": "much"}, "limit"),
    ],
)
def test_a_request_that_breaks_the_contract_is_told_where(body: dict[str, Any], field: str, visitor: Visitor) -> None:
    answer = visitor.post("/api/allocations", body)

    assert answer.status_code == 422, answer.text
    assert field in {str(each["loc"][-1]) for each in answer.json()["detail"]}


@pytest.mark.parametrize("query", [{"from": 0}, {"limit": 0}, {"limit": 100_001}])
def test_a_query_outside_its_bounds_is_refused(query: dict[str, int], visitor: Visitor) -> None:
    assert visitor.get("/api/trades", params=query).status_code == 422


def test_errors_are_json_and_tell_no_inside(door: Door, visitor: Visitor) -> None:
    answers = [visitor.get("/api/trades", known=False), visitor.get("/api/trades/NONE-USD/last")]

    assert [each.status_code for each in answers] == [401, 404]
    for each in answers:
        assert set(each.json()) == {"detail"}
        assert "Traceback" not in each.text
        assert door.bypass_key not in each.text


def test_no_one_but_the_writer_has_rows_with_a_gap(staging: Staging, flow: Flow) -> None:
    """The contract of the stream: sequences without a gap, each once, in warehouse and graph alike."""
    flow.more(10)
    last = flow.settled()

    rows = stores.query(staging, "SELECT sequence FROM market.trades ORDER BY sequence")

    assert [row["sequence"] for row in rows] == list(range(1, last + 1))
    assert [each["sequence"] for each in stores.graphed(staging, range(1, last + 1))] == list(range(1, last + 1))


def collected(code: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The patient's own suite, collected by its own configuration."""
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=code, env=surroundings, capture_output=True, text=True, timeout=120, check=False)


def test_the_suite_collects_under_strict_markers() -> None:
    done = collected(system.code(), "--strict-markers", "tests/unit")

    assert done.returncode == 0, done.stdout[-2000:]
    assert "PytestUnknownMarkWarning" not in done.stdout + done.stderr


def test_an_unknown_marker_is_refused(tmp_path: Path) -> None:
    """What `strict` is for: planted beside the suite, under the suite's own configuration."""
    planted = tmp_path / "test_planted.py"
    planted.write_text("import pytest\n\n\n@pytest.mark.teir1\ndef test_nothing() -> None:\n    pass\n")

    done = collected(
        system.code(), "-c", str(configuration(system.code())), "--rootdir", str(system.code()), str(planted)
    )

    assert done.returncode != 0
    assert "'teir1' not found in `markers`" in done.stdout


def configuration(code: Path) -> Path:
    """The file that pytest itself reports."""
    said = collected(code, "tests/unit/test_clock.py", "-v").stdout
    named = next(line.partition("configfile: ")[2] for line in said.splitlines() if "configfile: " in line)
    return code / named.split()[0].rstrip(",")


def test_the_graph_is_the_instance_of_aura_and_is_encrypted_on_its_way(staging: Staging) -> None:
    address = stores.secret(staging, "graph-uri")
    instances = cloud.read(staging, "https://api.neo4j.io/v1/instances")["data"]

    assert [each["name"] for each in instances] == ["staging-graph"]
    assert address.startswith("neo4j+s://")
    with stores.graph(staging) as session:
        record = session.run("RETURN 1 AS one").single()
    assert record is not None
    assert json.dumps(dict(record)) == '{"one": 1}'


def test_database_and_cache_are_kept_alive_by_their_settings(staging: Staging) -> None:
    name = staging.twin.project
    database = cloud.read(staging, f"https://sqladmin.googleapis.com/sql/v1beta4/projects/{name}/instances/staging-db")
    cache = cloud.read(
        staging, f"https://redis.googleapis.com/v1/projects/{name}/locations/us-central1/instances/staging-cache"
    )

    assert (database["state"], database["settings"]["activationPolicy"]) == ("RUNNABLE", "ALWAYS")
    assert (cache["state"], cache["tier"]) == ("READY", "STANDARD_HA")
    with stores.cache(staging) as client:
        assert client.ping() is True
