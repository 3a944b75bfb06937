"""The team's own keys: on what is stored, on what is made, on what runs. Disabled, nobody reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.staging.patient.conftest import eventually
from tests.tiers import cloud
from tests.tiers.cloud import Project
from tests.tiers.flow import Flow
from twin.staging import Staging

TABLES = ("trades", "allocations", "symbols")
AGENTS = ("bigquery-encryption", "dataflow-service-producer-prod", "compute-system")
ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
NEW = "made-by-a-test"


def key_of(record: dict[str, Any], field: str) -> str:
    """The key that a record names, without its version."""
    return str(record.get(field, {}).get("kmsKeyName", "")).partition("/cryptoKeyVersions/")[0]


def test_the_dataset_makes_new_tables_under_the_key(staging: Staging) -> None:
    project = Project(staging)

    dataset = cloud.read(staging, f"{project.bigquery}/datasets/market")

    assert key_of(dataset, "defaultEncryptionConfiguration") == project.key


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_under_the_key(table: str, staging: Staging) -> None:
    project = Project(staging)

    found = cloud.read(staging, f"{project.bigquery}/datasets/market/tables/{table}")

    assert key_of(found, "encryptionConfiguration") == project.key


def test_there_are_no_other_tables(staging: Staging) -> None:
    listed = cloud.read(staging, f"{Project(staging).bigquery}/datasets/market/tables").get("tables", [])

    assert {each["tableReference"]["tableId"] for each in listed} == set(TABLES)


@pytest.fixture
def new_table(staging: Staging) -> Iterator[dict[str, Any]]:
    """A table that somebody makes without a thought of keys; gone afterwards."""
    tables = f"{Project(staging).bigquery}/datasets/market/tables"
    reference = {"projectId": staging.twin.project, "datasetId": "market", "tableId": NEW}
    yield staging.cloud.api.call("POST", tables, {"tableReference": reference})
    staging.cloud.api.call("DELETE", f"{tables}/{NEW}")


def test_a_table_that_is_made_today_is_under_the_key(staging: Staging, new_table: dict[str, Any]) -> None:
    assert key_of(new_table, "encryptionConfiguration") == Project(staging).key


@pytest.mark.parametrize("table", TABLES)
def test_nobody_reads_a_table_while_the_key_is_disabled(table: str, staging: Staging, flow: Flow) -> None:
    flow.settled()
    asked = f"SELECT COUNT(*) FROM market.{table}"
    assert cloud.select(staging, asked) == ""

    with cloud.key_disabled(staging):
        refused = cloud.select(staging, asked)

    assert "KMS" in refused or "key" in refused, refused or "the query answered"
    assert cloud.select(staging, asked) == ""


def test_a_disabled_key_stops_the_stream_and_loses_nothing(staging: Staging, flow: Flow) -> None:
    """What comes while the key is away is stored, once and whole, when it is back."""
    before = flow.settled()

    with cloud.key_disabled(staging):
        wanted = flow.more_after(before, 5)
        eventually(lambda: "warehouse" in trouble(staging) or "trades" in trouble(staging))

    flow.wait(wanted[-1])
    assert flow.watermark()["count"] == wanted[-1]


def trouble(staging: Staging) -> dict[str, str]:
    """What the writer waits for."""
    import httpx

    answer = httpx.get(f"{staging.direct('writer')}/health", timeout=10, trust_env=False)
    return dict(answer.json()["trouble"])


def test_the_key_is_usable_and_rotates_every_90_days(staging: Staging) -> None:
    key = cloud.read(staging, f"{Project(staging).keys}/data")

    assert key["primary"]["state"] == "ENABLED"
    assert key.get("rotationPeriod") == f"{90 * 24 * 3600}s"
    rotates = datetime.fromisoformat(key["nextRotationTime"])
    assert timedelta(0) < rotates - datetime.now(rotates.tzinfo) <= timedelta(days=90)


def test_three_agents_of_google_use_the_key_and_nobody_else(staging: Staging) -> None:
    policy = cloud.read(staging, f"{Project(staging).keys}/data:getIamPolicy")

    bound = {(each["role"], member) for each in policy.get("bindings", ()) for member in each["members"]}
    assert {role for role, _ in bound} == {ROLE}
    assert sorted(member.partition("@")[2].partition(".")[0] for _, member in bound) == sorted(AGENTS)
    assert all(staging.twin.number in member for _, member in bound)


def test_running_jobs_keep_their_state_under_the_key_of_their_region(staging: Staging) -> None:
    project = Project(staging)
    listed = cloud.read(staging, project.jobs)["jobs"]
    running = [each for each in listed if each["currentState"] not in ("JOB_STATE_CANCELLED", "JOB_STATE_CANCELLING")]

    found = {
        each["name"]: cloud.read(staging, f"{project.jobs}/{each['id']}")
        .get("environment", {})
        .get("serviceKmsKeyName")
        for each in running
    }

    jobs = f"projects/{project.name}/locations/us-central1/keyRings/staging-jobs/cryptoKeys/jobs"
    assert found == {"trades-backfill": jobs}
