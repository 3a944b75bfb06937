"""Each service account can do what its service needs, and is denied the rest; so is everybody else."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from tests.staging.patient.conftest import Visitor
from tests.tiers import cloud
from tests.tiers.cloud import Project
from twin.staging import SERVICES, Staging

ACTIONS: Final = {
    "read rows": ("POST", "{bigquery}/queries", {"query": "SELECT COUNT(*) FROM market.symbols", "useLegacySql": False}),
    "change rows": ("POST", "{bigquery}/queries", {"query": "DELETE FROM market.symbols WHERE FALSE", "useLegacySql": False}),
    "drop a table": ("DELETE", "{bigquery}/datasets/market/tables/no-such-table", None),
    "drop a dataset": ("DELETE", "{bigquery}/datasets/no_such_dataset", None),
    "list secrets": ("GET", "{secrets}", None),
    "write a secret": ("POST", "{secrets}/no-such-secret:addVersion", {"payload": {"data": "eA=="}}),
    "delete a secret": ("DELETE", "{secrets}/no-such-secret", None),
    "look at services": ("GET", "{run}", None),
    "delete a service": ("DELETE", "{run}/no-such-service", None),
    "encrypt": ("POST", "{keys}/data:encrypt", {"plaintext": "eA=="}),
    "destroy a key": ("POST", "{keys}/data/cryptoKeyVersions/99:destroy", {}),
    "read the policy": ("POST", "https://cloudresourcemanager.googleapis.com/v3/projects/{name}:getIamPolicy", {}),
    "change the balancer": ("DELETE", "{compute}/global/urlMaps/no-such-map", None),
    "read logs": (
        "POST", "https://logging.googleapis.com/v2/entries:list", {"resourceNames": ["projects/{name}"], "filter": ""},
    ),
    "be somebody else": (
        "POST", "https://iam.googleapis.com/v1/projects/{name}/serviceAccounts/writer-sa@{name}.iam.gserviceaccount.com/keys", {},
    ),
}  # fmt: skip
"""What might be tried; where it is allowed, nothing is there to be harmed."""
ALLOWED: Final[dict[str, set[str]]] = {
    "writer": {"read rows", "change rows", "drop a table"},
    "api": {"read rows"},
    "allocator": set(),
    "ingest": set(),
    "web": set(),
    "websocket-service": set(),
}
"""`drop a table` comes with the dataset's WRITER, which Google makes no smaller: bigquery.dataEditor."""


def tried(staging: Staging, principal: str, *actions: str) -> dict[str, int]:
    """The status of these actions by this principal; of all of them where none is named."""
    project = Project(staging)
    places = {name: getattr(project, name) for name in ("name", "bigquery", "secrets", "run", "keys", "compute")}

    def filled(item: Any) -> Any:
        if isinstance(item, str):
            return item.format(**places)
        if isinstance(item, list):
            return [filled(each) for each in item]
        return {key: filled(value) for key, value in item.items()} if isinstance(item, dict) else item

    with cloud.acting(staging, principal) as caller:
        return {
            name: cloud.status(caller, verb, filled(url), filled(body))
            for name, (verb, url, body) in ACTIONS.items()
            if name in actions or not actions
        }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_account_can_do_what_it_needs_and_no_more(service: str, staging: Staging) -> None:
    answers = tried(staging, Project(staging).account(f"{service}-sa"))

    assert {name for name, status in answers.items() if status != 403} == ALLOWED[service]
    # A statement that changes rows may be refused with 400 while another one changes them: allowed all the same.
    assert {name: status for name, status in answers.items() if status not in (200, 400, 403, 404)} == {}


def test_somebody_outside_may_do_nothing(staging: Staging) -> None:
    assert set(tried(staging, "user:stranger@elsewhere.example").values()) == {403}


@pytest.mark.parametrize("action", ["read rows", "list secrets", "look at services", "read the policy", "read logs"])
def test_what_is_denied_above_is_there_to_be_had(action: str, staging: Staging) -> None:
    assert tried(staging, f"user:{staging.cloud.values.plain['owner']}", action) == {action: 200}


def test_the_people_of_the_dataset_kept_their_access(staging: Staging) -> None:
    """Adopting a dataset to give it a key must not wipe what was granted."""
    entries = cloud.read(staging, f"{Project(staging).bigquery}/datasets/market")["access"]

    found = {
        (each["role"], each.get("userByEmail") or each.get("groupByEmail") or each.get("specialGroup"))
        for each in entries
    }

    name = staging.twin.project
    assert found == {
        ("OWNER", "projectOwners"), ("WRITER", "projectWriters"), ("READER", "projectReaders"),
        ("READER", "desk-lead@tidemark.example"), ("READER", "auditors@tidemark.example"),
        ("WRITER", f"writer-sa@{name}.iam.gserviceaccount.com"), ("READER", f"api-sa@{name}.iam.gserviceaccount.com"),
    }  # fmt: skip


@pytest.mark.parametrize("service", ["allocator", "ingest", "writer"])
def test_a_service_behind_the_api_answers_no_stranger(service: str, staging: Staging) -> None:
    answer = httpx.get(f"{staging.url(service)}/health", timeout=10, trust_env=False)

    assert answer.status_code == 403


def test_the_api_may_invoke_the_allocator(staging: Staging, visitor: Visitor) -> None:
    body = {"request_id": "may-i-2", "kind": "desk", "count": 100_000, "limit": "1"}

    answer = visitor.post("/api/allocations", body)

    assert (answer.status_code, answer.json().get("outcome")) == (201, "refused"), answer.text


def test_nobody_but_the_api_is_an_invoker_of_the_allocator(staging: Staging) -> None:
    project = Project(staging)

    policy = cloud.read(staging, f"{project.run}/allocator:getIamPolicy")

    assert [(each["role"], each["members"]) for each in policy.get("bindings", ())] == [
        ("roles/run.invoker", [project.account("api-sa")])
    ]
