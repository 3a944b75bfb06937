"""The project's resources as a tester reads and changes them, and the same as somebody else."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.staging.patient.conftest import eventually
from twin.caller import Caller
from twin.process import TwinError
from twin.staging import Staging

SETTLED = ("CONDITION_SUCCEEDED", "CONDITION_FAILED")
_NUMBERS = itertools.count()


class Project:
    """Addresses of what the project holds."""

    def __init__(self, staging: Staging) -> None:
        self.name = staging.twin.project
        self.bigquery = f"https://bigquery.googleapis.com/bigquery/v2/projects/{self.name}"
        self.run = f"https://run.googleapis.com/v2/projects/{self.name}/locations/us-central1/services"
        self.secrets = f"https://secretmanager.googleapis.com/v1/projects/{self.name}/secrets"
        self.keys = f"https://cloudkms.googleapis.com/v1/projects/{self.name}/locations/us/keyRings/staging/cryptoKeys"
        self.compute = f"https://compute.googleapis.com/compute/v1/projects/{self.name}"
        self.jobs = f"https://dataflow.googleapis.com/v1b3/projects/{self.name}/locations/us-central1/jobs"
        self.logs = f"https://logging.googleapis.com/v2/projects/{self.name}/logs"

    @property
    def key(self) -> str:
        """The data key's own name."""
        return f"projects/{self.name}/locations/us/keyRings/staging/cryptoKeys/data"

    def account(self, short: str) -> str:
        """A service account as a principal."""
        return f"serviceAccount:{short}@{self.name}.iam.gserviceaccount.com"


def read(staging: Staging, url: str) -> dict[str, Any]:
    """A resource, as the project's owner reads it."""
    return staging.cloud.api.call("GET", url)


def refusal(staging: Staging, verb: str, url: str, body: Any = None) -> str:
    """Why the owner's call is refused; '' when it is not."""
    try:
        staging.cloud.api.call(verb, url, body)
    except TwinError as error:
        return str(error)
    return ""


@contextmanager
def acting(staging: Staging, principal: str) -> Iterator[Caller]:
    """Calls as somebody: (status, body) each."""
    caller = Caller(staging.twin, principal)
    try:
        yield caller
    finally:
        caller.close()


def status(caller: Caller, verb: str, url: str, body: Any = None) -> int:
    """The status of a call."""
    return int(caller(verb, url.removeprefix("https://"), body)[0])


@contextmanager
def key_disabled(staging: Staging) -> Iterator[None]:
    """The data key cannot be used meanwhile; afterwards it is as it was before."""
    version = f"{Project(staging).keys}/data/cryptoKeyVersions/1"
    before = read(staging, version)["state"]
    staging.cloud.api.call("PATCH", f"{version}?updateMask=state", {"state": "DISABLED"})
    try:
        yield
    finally:
        staging.cloud.api.call("PATCH", f"{version}?updateMask=state", {"state": before})


def select(staging: Staging, sql: str) -> str:
    """Why a query is refused; '' when it answers."""
    body = {"query": sql, "useLegacySql": False, "timeoutMs": 20_000}
    return refusal(staging, "POST", f"{Project(staging).bigquery}/queries", body)


def services(staging: Staging) -> dict[str, dict[str, Any]]:
    """The Cloud Run services, by their short names."""
    listed = read(staging, Project(staging).run).get("services", [])
    return {str(each["name"]).rpartition("/")[2]: each for each in listed}


def environment(service: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables of a service's first container, by name."""
    return {item["name"]: item for item in service["template"]["containers"][0].get("env", ())}


def deployed(staging: Staging, service: str) -> str:
    """Deploy a service once more, as it is; '' when the new revision serves, else why it does not."""
    url = f"{Project(staging).run}/{service}"
    found = read(staging, url)
    template = {name: value for name, value in found["template"].items() if name != "revision"}
    mark = f"{int(time.time())}-{next(_NUMBERS)}"
    template["annotations"] = {**template.get("annotations", {}), "tidemark.example/tried": mark}
    said = refusal(staging, "PATCH", f"{url}?updateMask=template", {"template": template})
    return said or settled(staging, service)


def settled(staging: Staging, service: str) -> str:
    """Wait for a service's newest revision; '' when it serves, else what Cloud Run says of it."""
    url = f"{Project(staging).run}/{service}"

    def done() -> bool:
        found = read(staging, url)
        return found["terminalCondition"]["state"] in SETTLED and not found.get("reconciling")

    eventually(done, within=60)
    condition = read(staging, url)["terminalCondition"]
    return "" if condition["state"] == "CONDITION_SUCCEEDED" else str(condition.get("message") or condition)


def entries(staging: Staging, condition: str) -> list[dict[str, Any]]:
    """Log entries that match."""
    body = {"resourceNames": [f"projects/{staging.twin.project}"], "filter": condition, "pageSize": 1000}
    return list(
        staging.cloud.api.call("POST", "https://logging.googleapis.com/v2/entries:list", body).get("entries", ())
    )
