"""Each fault of the patient's cloud, by what a user sees. `healthy` is what the same user sees without it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.staging.patient.conftest import Visitor, eventually, feed_socket
from twin.process import TwinError
from twin.staging import Staging

P: Final = "staging-twin"
RUN: Final = f"https://run.googleapis.com/v2/projects/{P}/locations/us-central1/services"
BIGQUERY: Final = f"https://bigquery.googleapis.com/bigquery/v2/projects/{P}"
KEY: Final = f"https://cloudkms.googleapis.com/v1/projects/{P}/locations/us/keyRings/staging/cryptoKeys/data"
INVALIDATE: Final = f"https://compute.googleapis.com/compute/v1/projects/{P}/global/urlMaps/staging-lb/invalidateCache"
Sees = Callable[[Staging, Visitor], Any]


def read(staging: Staging, url: str) -> dict[str, Any]:
    return staging.cloud.api.call("GET", url)


def query(staging: Staging, sql: str) -> dict[str, Any]:
    return staging.cloud.api.call("POST", f"{BIGQUERY}/queries", {"query": sql, "useLegacySql": False})


def refused(call: Callable[[], Any]) -> bool:
    try:
        call()
    except TwinError:
        return True
    return False


def new_table(staging: Staging) -> dict[str, Any]:
    table = {"tableReference": {"projectId": P, "datasetId": "market", "tableId": f"t{time.monotonic_ns()}"}}
    made = staging.cloud.api.call("POST", f"{BIGQUERY}/datasets/market/tables", table)
    # Nobody else's tests find it: whatever it is encrypted with stands in what was made.
    staging.cloud.api.call("DELETE", f"{BIGQUERY}/datasets/market/tables/{table['tableReference']['tableId']}")
    return made


def key_of(record: dict[str, Any]) -> bool:
    return bool(record.get("encryptionConfiguration", {}).get("kmsKeyName"))


def with_key_disabled(staging: Staging, sql: str) -> bool:
    """Whether a query still answers while the team's key is disabled."""
    version = f"{KEY}/cryptoKeyVersions/1?updateMask=state"
    staging.cloud.api.call("PATCH", version, {"state": "DISABLED"})
    try:
        return not refused(lambda: query(staging, sql))
    finally:
        staging.cloud.api.call("PATCH", version, {"state": "ENABLED"})


def redeployed(staging: Staging, service: str) -> str:
    """Deploy a service as it is once more; '' when the new revision becomes ready, else why it does not."""
    found = read(staging, f"{RUN}/{service}")
    template = {name: value for name, value in found["template"].items() if name != "revision"}
    template["labels"] = {"deployed": str(time.monotonic_ns())}
    try:
        staging.cloud.api.call("PATCH", f"{RUN}/{service}?updateMask=template", {"template": template})
    except TwinError as error:
        return str(error)
    said: list[str] = [""]

    def settled() -> bool:
        now = read(staging, f"{RUN}/{service}")
        said[0] = json.dumps(now.get("terminalCondition", {}))
        return now["terminalCondition"]["state"] in ("CONDITION_SUCCEEDED", "CONDITION_FAILED") and not now.get(
            "reconciling"
        )

    eventually(settled)
    return "" if "SUCCEEDED" in said[0] else said[0]


def socket_lives(staging: Staging, seconds: float) -> bool:
    """Whether a WebSocket through the balancer is still open after so many seconds."""
    with feed_socket(staging, ping_interval=None) as socket:
        socket.send(json.dumps({"from": 10**8}))
        try:
            socket.recv(timeout=seconds)
        except TimeoutError:
            return True
        except ConnectionClosed:
            return False
    return True


def asset(visitor: Visitor) -> httpx.Response:
    """The second fetch of the page's script."""
    found = re.search(r"/_next/static/app\.[0-9a-f]+\.js", visitor.get("/").text)
    assert found is not None
    visitor.staging.cloud.api.call("POST", INVALIDATE, {"path": "/_next/static/*"})
    visitor.get(found[0])
    return visitor.get(found[0])


def decision(visitor: Visitor, think: float) -> int:
    """The status of a decision that takes its time, through the balancer to the machine."""
    body = {"request_id": f"slow-{time.monotonic_ns()}", "team": "t", "kind": "desk", "count": 1, "limit": "5000"}
    return visitor.post("/allocator/decisions", body, params={"think": think}).status_code


def allocation(visitor: Visitor) -> int:
    body = {"request_id": f"a-{time.monotonic_ns()}", "kind": "machine", "count": 1, "limit": "9000"}
    return visitor.post("/api/allocations", body).status_code


def serving(staging: Staging, service: str) -> bool:
    """True, once the newest revision of a service is the one that serves."""

    def done() -> bool:
        now = read(staging, f"{RUN}/{service}")
        return bool(now["latestReadyRevision"] == now["latestCreatedRevision"] and not now.get("reconciling"))

    eventually(done)
    return True


def cold_seconds(staging: Staging, visitor: Visitor) -> float:
    """How long the first request after a quiet time takes."""
    staging.admin("POST", "cool", {"service": "api"})
    began = time.monotonic()
    assert visitor.get("/api/health").status_code == 200
    return time.monotonic() - began


def log_holds(staging: Staging, condition: str) -> bool:
    body = {"resourceNames": [f"projects/{P}"], "filter": condition}
    return bool(staging.cloud.api.call("POST", "https://logging.googleapis.com/v2/entries:list", body).get("entries"))


def graphs(staging: Staging) -> list[str]:
    """The AuraDB instances, by name."""
    return [each["name"] for each in read(staging, "https://api.neo4j.io/v1/instances")["data"]]


def env_of(staging: Staging, service: str) -> dict[str, Any]:
    return {item["name"]: item for item in read(staging, f"{RUN}/{service}")["template"]["containers"][0]["env"]}


#: fault → what is looked at, what a healthy system shows, what the broken one shows
ROWS: Final[dict[str, tuple[Sees, Any, Any]]] = {
    "dataset-without-key": (lambda s, _: key_of(new_table(s)), True, False),
    "tables-without-key": (
        lambda s, _: with_key_disabled(s, "SELECT COUNT(*) FROM market.symbols"), False, True,
    ),
    "key-not-rotated": (lambda s, _: "nextRotationTime" in read(s, KEY), True, False),
    "key-grant-missing": (lambda s, _: refused(lambda: new_table(s)), False, True),
    "key-disabled": (lambda s, _: refused(lambda: query(s, "SELECT * FROM market.symbols")), False, True),
    "job-without-key": (
        lambda s, _: all(
            read(s, f"https://dataflow.googleapis.com/v1b3/projects/{P}/locations/us-central1/jobs/{job['id']}")
            .get("environment", {}).get("serviceKmsKeyName")
            for job in read(s, f"https://dataflow.googleapis.com/v1b3/projects/{P}/locations/us-central1/jobs")["jobs"]
            if job["currentState"] not in ("JOB_STATE_CANCELLED", "JOB_STATE_CANCELLING")
        ), True, False,
    ),
    "database-stopped": (
        lambda s, _: read(s, f"https://sqladmin.googleapis.com/sql/v1beta4/projects/{P}/instances/staging-db")["settings"][
            "activationPolicy"
        ], "ALWAYS", "NEVER",
    ),
    "cache-without-replica": (
        lambda s, _: read(s, f"https://redis.googleapis.com/v1/projects/{P}/locations/us-central1/instances/staging-cache")[
            "tier"
        ], "STANDARD_HA", "BASIC",
    ),
    "plain-secrets": (lambda s, _: "plain-stripe-key" in json.dumps(env_of(s, "api")), False, True),
    "bypass-key-missing": (lambda s, v: (serving(s, "api"), v.get("/api/trades").status_code)[1], 200, 401),
    "variable-missing": (
        lambda s, _: (
            serving(s, "allocator"),
            httpx.get(f"{s.direct('allocator')}/health", trust_env=False).json()["environment"],
        )[1], "staging", "development",
    ),
    "request-timeout-short": (
        lambda s, _: (serving(s, "websocket-service"), socket_lives(s, 6.0))[1], True, False,
    ),
    "no-affinity": (
        lambda s, v: (serving(s, "api"), "GCLB" in str(v.get("/api/health").headers) or "GAESA" in str(v.get("/api/health").headers))[1], True, False,
    ),
    "cold-start": (lambda s, v: (serving(s, "api"), cold_seconds(s, v) < 0.5)[1], True, False),
    "no-maximum": (
        lambda s, _: read(s, f"{RUN}/websocket-service")["template"]["scaling"].get("maxInstanceCount"), 10, 100,
    ),
    "probes-missing": (
        lambda s, _: "livenessProbe" in read(s, f"{RUN}/writer")["template"]["containers"][0], True, False,
    ),
    "pool-budget": (lambda s, _: read(s, f"{RUN}/allocator")["template"]["scaling"]["maxInstanceCount"] * 15 <= 110, True, False),
    "image-missing": (
        lambda s, v: (redeployed(s, "web") == "", v.get("/").status_code), (True, 200), (False, 200),
    ),
    "invoker-missing": (lambda _, v: allocation(v), 201, 502),
    "bypass-key-in-production": (
        lambda s, _: "api-production" in {item["name"].rpartition("/")[2] for item in read(s, RUN)["services"]}, False, True,
    ),
    "backend-timeout-short": (lambda _, v: decision(v, 6.0), 201, 504),
    "no-draining": (
        lambda s, _: read(s, f"https://compute.googleapis.com/compute/v1/projects/{P}/global/backendServices/allocator-backend")[
            "connectionDraining"
        ].get("drainingTimeoutSec", 0), 60, 0,
    ),
    "route-wrong": (lambda _, v: v.get("/api/health").headers["content-type"], "application/json", "text/html; charset=utf-8"),
    "static-route-missing": (lambda _, v: "age" in asset(v).headers, True, False),
    "no-cdn": (lambda _, v: "age" in asset(v).headers, True, False),
    "cache-policy-wrong": (
        lambda _, v: "max-age=31536000" in asset(v).headers["cache-control"], True, False,
    ),
    "assets-not-cacheable": (lambda _, v: "immutable" in asset(v).headers["cache-control"], True, False),
    "secret-missing": (lambda s, _: redeployed(s, "api") == "", True, False),
    "accessor-missing": (lambda s, _: redeployed(s, "api") == "", True, False),
    "graph-self-hosted": (
        lambda s, v: (serving(s, "api"), v.get("/api/graph/BTC-USD").status_code, graphs(s)), (True, 200, ["staging-graph"]),
        (True, 200, []),
    ),
    "unavailable-in-window": (lambda s, _: log_holds(s, "httpRequest.status=503 AND resource.labels.service_name=\"api\""), False, True),
    "closed-1011-in-window": (lambda s, _: log_holds(s, "jsonPayload.closeCode=1011"), False, True),
}  # fmt: skip


def test_every_fault_has_its_row(staging: Staging) -> None:
    assert ROWS.keys() == staging.cloud.faults.table.keys()


@pytest.mark.parametrize("fault", ROWS)
def test_a_fault_shows_and_a_healthy_system_does_not_show_it(fault: str, staging: Staging, visitor: Visitor) -> None:
    sees, healthy, broken = ROWS[fault]
    assert sees(staging, visitor) == healthy

    staging.break_(fault)

    assert sees(staging, visitor) == broken
