"""The trail: who changed what and when, and who was refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.tiers import cloud
from tests.tiers.cloud import Project
from tests.tiers.flow import Flow
from twin.staging import SERVICES, Staging

STRANGER = "user:curious@elsewhere.example"


def trail(staging: Staging) -> list[dict[str, Any]]:
    return list(staging.admin("GET", "audit")["entries"])


def test_a_change_is_told_with_who_what_and_when(staging: Staging) -> None:
    url = f"{Project(staging).bigquery}/datasets/market/tables/symbols"
    before = datetime.now(UTC)
    described = cloud.read(staging, url).get("description", "")
    staging.cloud.api.call("PATCH", url, {"description": "asked for by an auditor"})
    staging.cloud.api.call("PATCH", url, {"description": described})

    told = [each for each in trail(staging) if each["method"] == "bigquery.tables.patch"][-2:]

    owner = f"user:{staging.cloud.values.plain['owner']}"
    assert [(each["principal"], each["status"]) for each in told] == [(owner, 200)] * 2
    assert all(str(each["resource"]).endswith("/datasets/market/tables/symbols") for each in told)
    times = [datetime.fromisoformat(each["time"]) for each in told]
    assert before <= times[0] <= times[1] <= datetime.now(UTC)


def test_a_refusal_is_told_with_its_reason(staging: Staging) -> None:
    with cloud.acting(staging, STRANGER) as caller:
        assert cloud.status(caller, "GET", f"{Project(staging).secrets}/stripe-key/versions/latest:access") == 403

    told = [each for each in trail(staging) if each["principal"] == STRANGER][-1]

    assert (told["method"], told["status"]) == ("secretmanager.projects.secrets.versions.access", 403)
    assert "secretmanager.versions.access" in told["message"]


def test_reading_a_secret_leaves_no_value_in_the_trail(staging: Staging) -> None:
    value = cloud.read(staging, f"{Project(staging).secrets}/stripe-key/versions/latest:access")["payload"]["data"]

    assert value not in str(trail(staging))


def test_services_did_nothing_but_ask_the_warehouse(staging: Staging, flow: Flow) -> None:
    """Whatever else changed was changed by a person, and the trail has a name for it."""
    flow.more(1)
    flow.settled()
    project = Project(staging)
    services = {project.account(f"{service}-sa") for service in SERVICES}

    done: dict[str, set[str]] = {}
    for entry in trail(staging):
        if entry["principal"] in services and entry["status"] == 200:
            done.setdefault(entry["principal"], set()).add(entry["method"])

    assert set(done) == {project.account("writer-sa"), project.account("api-sa")}
    assert set().union(*done.values()) <= {"bigquery.jobs.insert", "bigquery.jobs.query"}
