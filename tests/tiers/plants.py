"""Faults that a tester plants into a running system, each with its way back: what `patient/cloud/faults.toml` has not.

Every one is a context manager: broken inside, healed after it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from tests.staging.patient.conftest import eventually
from tests.tiers import cloud, stores
from tests.tiers.cloud import Project
from twin.staging import Staging

Plant = Callable[[Staging], AbstractContextManager[None]]
LOST: Final = 7
"""The trade that the data faults are about: one of the first, stored long ago."""


@contextmanager
def row_lost(staging: Staging) -> Iterator[None]:
    """A row of the warehouse is gone."""
    (row,) = stores.query(staging, f"SELECT * FROM market.trades WHERE sequence = {LOST}")
    stores.query(staging, f"DELETE FROM market.trades WHERE sequence = {LOST}")
    yield
    insert(staging, row)


@contextmanager
def row_doubled(staging: Staging) -> Iterator[None]:
    """A row of the warehouse is there twice."""
    (row,) = stores.query(staging, f"SELECT * FROM market.trades WHERE sequence = {LOST}")
    insert(staging, row)
    yield
    stores.query(staging, f"DELETE FROM market.trades WHERE sequence = {LOST}")
    insert(staging, row)


def insert(staging: Staging, row: Mapping[str, Any]) -> None:
    """Put a row of `market.trades` back as it was."""
    values = ", ".join(
        "NULL" if value is None else json.dumps(value) if not isinstance(value, str) else "'" + value.replace("'", "\\'") + "'"
        for value in row.values()
    )  # fmt: skip
    stores.query(staging, f"INSERT INTO market.trades ({', '.join(row)}) VALUES ({values})")


@contextmanager
def node_lost(staging: Staging) -> Iterator[None]:
    """A trade is missing in the graph."""
    with stores.graph(staging) as session:
        session.run("MATCH (t:Trade {key: $key}) DETACH DELETE t", key=str(LOST)).consume()
    yield
    stores.mend_graph(staging, stores.stored(staging, range(LOST, LOST + 1)))


def stopped(service: str) -> Plant:
    """A backing service is down."""

    @contextmanager
    def plant(staging: Staging) -> Iterator[None]:
        staging.backing.stop(service)
        try:
            yield
        finally:
            staging.backing.start(service)

    return plant


def hanging(service: str) -> Plant:
    """A service's process stands still: it is there, and does nothing."""

    @contextmanager
    def plant(staging: Staging) -> Iterator[None]:
        (instance,) = staging.instances(service)
        os.kill(instance["pid"], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(instance["pid"], signal.SIGCONT)

    return plant


@contextmanager
def policy(staging: Staging, resource: str, role: str, member: str) -> Iterator[None]:
    """One more binding in a policy."""
    verb = "POST" if "cloudresourcemanager" in resource else "GET"
    before = staging.cloud.api.call(verb, f"{resource}:getIamPolicy", {} if verb == "POST" else None)
    before.pop("etag", None)
    after = {**before, "bindings": [*before.get("bindings", ()), {"role": role, "members": [member]}]}
    staging.cloud.api.call("POST", f"{resource}:setIamPolicy", {"policy": after})
    try:
        yield
    finally:
        staging.cloud.api.call("POST", f"{resource}:setIamPolicy", {"policy": before})


def allocator_open(staging: Staging) -> AbstractContextManager[None]:
    """Everybody may invoke the allocator."""
    return policy(staging, f"{Project(staging).run}/allocator", "roles/run.invoker", "allUsers")


def secret_open(staging: Staging) -> AbstractContextManager[None]:
    """The web service may read a key that it does not need."""
    project = Project(staging)
    role = "roles/secretmanager.secretAccessor"
    return policy(staging, f"{project.secrets}/stripe-key", role, project.account("web-sa"))


def account_mighty(staging: Staging) -> AbstractContextManager[None]:
    """The api's account may read the project's configuration and logs."""
    project = Project(staging)
    resource = f"https://cloudresourcemanager.googleapis.com/v3/projects/{project.name}"
    return policy(staging, resource, "roles/editor", project.account("api-sa"))


def key_open(staging: Staging) -> AbstractContextManager[None]:
    """The api may use the data key itself."""
    project = Project(staging)
    return policy(
        staging, f"{project.keys}/data", "roles/cloudkms.cryptoKeyEncrypterDecrypter", project.account("api-sa")
    )


@contextmanager
def grant_wiped(staging: Staging) -> Iterator[None]:
    """Somebody who could read the dataset cannot any more."""
    url = f"{Project(staging).bigquery}/datasets/market"
    before = cloud.read(staging, url)["access"]
    after = [each for each in before if each.get("userByEmail") != "desk-lead@tidemark.example"]
    staging.cloud.api.call("PATCH", url, {"access": after})
    yield
    staging.cloud.api.call("PATCH", url, {"access": before})


@contextmanager
def table_stray(staging: Staging) -> Iterator[None]:
    """A table that nobody agreed to."""
    tables = f"{Project(staging).bigquery}/datasets/market/tables"
    reference = {"projectId": staging.twin.project, "datasetId": "market", "tableId": "copy_of_trades"}
    staging.cloud.api.call("POST", tables, {"tableReference": reference})
    yield
    staging.cloud.api.call("DELETE", f"{tables}/copy_of_trades")


@contextmanager
def service_stray(staging: Staging) -> Iterator[None]:
    """A second web service that nobody knows of."""
    project = Project(staging)
    template = {name: value for name, value in cloud.services(staging)["web"]["template"].items() if name != "revision"}
    staging.cloud.api.call("POST", f"{project.run}?serviceId=web-debug", {"template": template})
    cloud.settled(staging, "web-debug")
    yield
    staging.cloud.api.call("DELETE", f"{project.run}/web-debug")


@contextmanager
def secret_logged(staging: Staging) -> Iterator[None]:
    """Somebody printed a key."""
    name = f"projects/{staging.twin.project}/logs/debugging"
    entry = {
        "logName": name, "resource": {"type": "global"}, "textPayload": f"key={stores.secret(staging, 'stripe-key')}",
    }  # fmt: skip
    staging.cloud.api.call("POST", "https://logging.googleapis.com/v2/entries:write", {"entries": [entry]})
    yield
    staging.cloud.api.call("DELETE", f"https://logging.googleapis.com/v2/{name}")


@contextmanager
def page_cached(staging: Staging) -> Iterator[None]:
    """The CDN keeps pages, too."""
    url = f"{Project(staging).compute}/global/backendServices/web-backend"
    staging.cloud.api.call("PATCH", url, {"enableCDN": True, "cdnPolicy": {"cacheMode": "FORCE_CACHE_ALL"}})
    yield
    staging.cloud.api.call("PATCH", url, {"enableCDN": False})
    maps = f"{Project(staging).compute}/global/urlMaps/staging-lb/invalidateCache"
    staging.cloud.api.call("POST", maps, {"path": "/*"})


@contextmanager
def asset_gone(staging: Staging) -> Iterator[None]:
    """The bucket lost the page's script."""
    project = Project(staging)
    name = str(staging.cloud.values.fill("{asset:app.js}"))
    objects = f"storage.googleapis.com/storage/v1/b/{project.name}-static/o"
    content = staging.cloud.values.assets["app.js"].read_bytes()
    staging.cloud.api.call("DELETE", f"https://{objects}/{name}")
    staging.cloud.api.call("POST", f"{project.compute}/global/urlMaps/staging-lb/invalidateCache", {"path": "/_next/*"})
    yield
    upload = f"https://storage.googleapis.com/upload/storage/v1/b/{project.name}-static/o?uploadType=media&name={name}"
    staging.cloud.api.send("POST", upload, content, "text/javascript")
    staging.cloud.api.call(
        "PATCH", f"https://{objects}/{name}", {"cacheControl": "public, max-age=31536000, immutable"}
    )


@contextmanager
def machine_hanging(staging: Staging) -> Iterator[None]:
    """The allocator's machine stands still."""
    import psutil

    assert staging.machine is not None
    processes = psutil.Process(staging.machine.process.pid).children(recursive=True)
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: not answers(staging), within=40)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
        eventually(lambda: answers(staging), within=40)


def answers(staging: Staging) -> bool:
    """Whether the allocator answers through the balancer."""
    import httpx

    address = f"{staging.balancer}/allocator/health"
    try:
        return httpx.get(address, headers={"Host": staging.host}, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


PLANTS: Final[dict[str, Plant]] = {
    "row-lost": row_lost,
    "row-doubled": row_doubled,
    "node-lost": node_lost,
    "cache-down": stopped("redis"),
    "machine-graph-down": stopped("graph"),
    "database-down": stopped("postgres"),
    "writer-hanging": hanging("writer"),
    "ingest-hanging": hanging("ingest"),
    "machine-hanging": machine_hanging,
    "allocator-open": allocator_open,
    "secret-open": secret_open,
    "account-mighty": account_mighty,
    "key-open": key_open,
    "grant-wiped": grant_wiped,
    "table-stray": table_stray,
    "service-stray": service_stray,
    "secret-logged": secret_logged,
    "page-cached": page_cached,
    "asset-gone": asset_gone,
}
