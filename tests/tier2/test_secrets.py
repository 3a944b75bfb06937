"""Secrets: by reference, readable by those who need them, and written nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.tiers import cloud, stores
from tests.tiers.cloud import Project
from tests.tiers.flow import Flow
from twin.staging import SERVICES, Staging

SECRET = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET|WEBHOOK|_URL)$")
PUBLIC = {"TIDEMARK_ALLOCATOR_URL"}
"""An address without a password in it."""
NAMES = (
    "aura-client", "database-url", "e2e-bypass-key", "elevenlabs-key", "feed-token", "graph-password", "graph-uri",
    "redis-url", "signing-key", "slack-webhook", "stripe-key",
)  # fmt: skip
KNOWN_TO_ALL = {"redis-url"}
"""Holds no password here: an address alone."""


def references(service: dict[str, Any]) -> dict[str, str]:
    """The secrets that a service reads, and which version of each."""
    found = {}
    for item in cloud.environment(service).values():
        reference = item.get("valueSource", {}).get("secretKeyRef")
        if reference:
            found[str(reference["secret"]).rpartition("/")[2]] = str(reference.get("version", "latest"))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_secret_comes_by_reference(service: str, staging: Staging) -> None:
    variables = cloud.environment(cloud.services(staging)[service])

    plain = {name for name, item in variables.items() if SECRET.search(name) and item.get("value")}

    assert plain - PUBLIC == set()


def test_the_secrets_are_these(staging: Staging) -> None:
    listed = cloud.read(staging, Project(staging).secrets).get("secrets", [])

    assert {str(each["name"]).rpartition("/")[2] for each in listed} == set(NAMES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_reference_leads_to_a_version_that_is_enabled(service: str, staging: Staging) -> None:
    secrets = Project(staging).secrets
    wanted = references(cloud.services(staging)[service])

    found = {
        name: cloud.refusal(staging, "GET", f"{secrets}/{name}/versions/{number}")
        or cloud.read(staging, f"{secrets}/{name}/versions/{number}")["state"]
        for name, number in wanted.items()
    }

    assert found == dict.fromkeys(wanted, "ENABLED")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_read_its_own_secrets_and_no_others(service: str, staging: Staging) -> None:
    project = Project(staging)
    record = cloud.services(staging)[service]
    account = f"serviceAccount:{record['template']['serviceAccount']}"

    with cloud.acting(staging, account) as caller:
        answers = {
            name: cloud.status(caller, "GET", f"{project.secrets}/{name}/versions/latest:access") for name in NAMES
        }

    assert account == project.account(f"{service}-sa")
    assert {name for name, status in answers.items() if status == 200} == set(references(record))
    assert {status for name, status in answers.items() if name not in references(record)} == {403}


def test_the_api_comes_up_again_with_the_secrets_that_it_names(staging: Staging) -> None:
    """A deployment reads every secret; one that is missing or barred shows only now."""
    assert cloud.deployed(staging, "api") == ""


def known(staging: Staging) -> dict[str, str]:
    """What must not be read anywhere but in Secret Manager, by the secret's name."""
    return {name: stores.secret(staging, name) for name in NAMES if name not in KNOWN_TO_ALL}


def leaks(secrets: dict[str, str], text: str) -> set[str]:
    """The secrets whose value stands in a text; of an address, its password."""
    parts = {
        name: value.partition("://")[2].partition("@")[0].rpartition(":")[2] or value for name, value in secrets.items()
    }
    return {name for name, part in parts.items() if len(part) > 7 and part in text}


@pytest.fixture
def lists(staging: Staging) -> dict[str, str]:
    """What somebody with the viewer's role reads, by address."""
    project = Project(staging)
    urls = [
        project.run, *(f"{project.run}/{name}/revisions" for name in SERVICES), project.secrets, project.jobs,
        f"{project.bigquery}/datasets/market", f"{project.bigquery}/jobs?allUsers=true&projection=full&maxResults=1000",
        f"{project.compute}/global/urlMaps", f"{project.compute}/global/backendServices",
        f"https://sqladmin.googleapis.com/sql/v1beta4/projects/{project.name}/instances",
    ]  # fmt: skip
    return {url: json.dumps(cloud.read(staging, url)) for url in urls}


def test_no_secret_stands_in_the_configuration(staging: Staging, lists: dict[str, str]) -> None:
    secrets = known(staging)

    assert {url: leaks(secrets, text) for url, text in lists.items() if leaks(secrets, text)} == {}


def test_no_secret_stands_in_a_log(staging: Staging, flow: Flow) -> None:
    flow.settled()
    secrets = known(staging)
    files = [path for path in (staging.folder / "logs").rglob("*") if path.is_file()]
    texts = {path.name: path.read_text(errors="replace") for path in files}
    texts["Cloud Logging"] = json.dumps(cloud.entries(staging, ""))
    texts["the audit log"] = json.dumps(staging.admin("GET", "audit"))

    assert len(files) >= len(SERVICES)
    assert {name: leaks(secrets, text) for name, text in texts.items() if leaks(secrets, text)} == {}


def test_no_secret_stands_in_the_code_that_runs(staging: Staging) -> None:
    (mapped,) = [
        each for each in staging.admin("GET", "images")["images"] if str(each["image"]).rpartition("/")[2] == "api:*"
    ]
    sources = sorted((Path(mapped["cwd"]) / "src").rglob("*.py"))

    found = {path.name: leaks(known(staging), path.read_text()) for path in sources}

    assert len(sources) > 20
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


def test_a_leak_would_be_seen() -> None:
    """The search itself: in plain text, and the password inside an address."""
    secrets = {
        "stripe-key": "0123456789abcdef",
        "database-url": "postgresql://postgres:pass-word-1@127.0.0.1:1/tidemark",
    }

    assert leaks(secrets, '{"value": "0123456789abcdef"}') == {"stripe-key"}
    assert leaks(secrets, "could not connect as postgres:pass-word-1") == {"database-url"}
    assert leaks(secrets, "nothing of the kind") == set()
