"""The balancer: routes, time-outs, draining, logs; the CDN and what browsers keep."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.staging.patient.conftest import Visitor, eventually
from tests.tiers import cloud, stores
from tests.tiers.cloud import Project
from twin.staging import Staging

YEAR = "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("/api/health", "application/json", '"environment"'),
        ("/api/ready", "application/json", '"ready"'),
        ("/allocator/health", "application/json", '"ok"'),
        ("/", "text/html; charset=utf-8", "<h1>Tidemark</h1>"),
        ("/anything/else", "text/html; charset=utf-8", "<h1>Tidemark</h1>"),
    ],
)
def test_a_path_leads_to_its_service(path: str, kind: str, says: str, visitor: Visitor) -> None:
    answer = visitor.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert says in answer.text


@pytest.mark.parametrize("path", ["/ws", "/trades/follow"])
def test_the_feed_is_behind_its_own_paths(path: str, visitor: Visitor) -> None:
    """Without an upgrade the feed says what it wants; the web service would have answered with a page."""
    answer = visitor.get(path)

    assert "text/html" not in answer.headers.get("content-type", "")
    assert answer.status_code in (401, 426)


def decision(staging: Staging, think: float) -> int:
    """The status of a decision that takes so long, through the balancer to the machine."""
    body = {
        "request_id": f"slow-{uuid.uuid4().hex[:8]}", "team": "t", "kind": "desk", "count": 1, "limit": "5000",
    }  # fmt: skip
    with httpx.Client(base_url=staging.balancer, headers={"Host": staging.host}, timeout=30, trust_env=False) as client:
        return client.post("/allocator/decisions", json=body, params={"think": think}).status_code


def test_a_decision_that_takes_longer_than_the_old_timeout_is_answered(staging: Staging) -> None:
    assert decision(staging, 5.7) == 201


def test_timeouts_and_draining_are_where_they_have_an_effect(staging: Staging) -> None:
    """30 s on the one backend that has a time-out; none on those of Cloud Run, which take none."""
    listed = cloud.read(staging, f"{Project(staging).compute}/global/backendServices")["items"]
    found = {each["name"]: each for each in listed}

    assert found["allocator-backend"]["timeoutSec"] == 30
    assert {each.get("connectionDraining", {}).get("drainingTimeoutSec", 0) for each in listed} == {60}
    serverless = [each for name, each in found.items() if name != "allocator-backend"]
    assert {each.get("timeoutSec", 30) for each in serverless} == {30}


def test_a_request_in_flight_survives_that_its_machine_leaves(staging: Staging) -> None:
    """Another process of the allocator takes its place meanwhile, so that nobody is ever sent away."""
    assert staging.machine is not None
    machine, other = staging.machine.port, int(staging.instances("allocator")[0]["port"])
    answers: list[int] = []
    flying = threading.Thread(target=lambda: answers.append(decision(staging, 4.0)))
    flying.start()
    eventually(lambda: begun(staging))

    with member(staging, other):
        eventually(lambda: serves(staging, other))
        change(staging, machine, "detach")
        try:
            flying.join(20)
        finally:
            change(staging, machine, "attach")
        eventually(lambda: serves(staging, machine))

    assert answers == [201]


def change(staging: Staging, port: int, verb: str) -> None:
    """Attach a process of this machine to the allocator's group, or detach it."""
    group = f"{Project(staging).compute}/zones/us-central1-a/networkEndpointGroups/allocator-neg"
    body = {"networkEndpoints": [{"ipAddress": "127.0.0.1", "port": port}]}
    staging.cloud.api.call("POST", f"{group}/{verb}NetworkEndpoints", body)


@contextmanager
def member(staging: Staging, port: int) -> Iterator[None]:
    """Attached meanwhile."""
    change(staging, port, "attach")
    try:
        yield
    finally:
        change(staging, port, "detach")


def serves(staging: Staging, port: int) -> bool:
    """Whether the balancer sends a request to this process: seen in the process's own count of them."""

    def count() -> float:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10, trust_env=False).text
        return sum(
            map(float, re.findall(r'^tidemark_requests_total\{.*route="other".*\} ([\d.]+)$', text, re.MULTILINE))
        )

    before = count()
    address = f"{staging.balancer}/allocator/nothing-is-here"
    assert httpx.get(address, headers={"Host": staging.host}, timeout=10, trust_env=False).status_code == 404
    return count() > before


def begun(staging: Staging) -> bool:
    """Whether a decision is being thought about on the machine."""
    with stores.database(staging) as connection:
        row = connection.execute("SELECT count(*) FROM allocations WHERE stage = 'priced'").fetchone()
    return bool(row and row[0])


def asset(visitor: Visitor) -> str:
    """The path of the page's script."""
    found = re.search(r"/_next/static/app\.[0-9a-f]+\.js", visitor.get("/").text)
    assert found is not None
    return found[0]


def forget(staging: Staging) -> None:
    """Empty the CDN."""
    url = f"{Project(staging).compute}/global/urlMaps/staging-lb/invalidateCache"
    staging.cloud.api.call("POST", url, {"path": "/_next/static/*"})


def test_a_second_fetch_of_an_asset_is_a_hit(staging: Staging, visitor: Visitor) -> None:
    path = asset(visitor)
    forget(staging)

    first, second = visitor.get(path), visitor.get(path)

    assert (first.status_code, second.status_code) == (200, 200)
    assert "age" not in first.headers
    assert int(second.headers["age"]) >= 0
    assert second.content == first.content
    assert second.headers["etag"] == first.headers["etag"]


def test_a_browser_keeps_an_asset_for_a_year(staging: Staging, visitor: Visitor) -> None:
    path = asset(visitor)
    forget(staging)

    assert [visitor.get(path).headers["cache-control"] for _ in range(2)] == [YEAR, YEAR]


def test_every_asset_of_the_bucket_says_so_itself(staging: Staging) -> None:
    bucket = f"https://storage.googleapis.com/storage/v1/b/{staging.twin.project}-static/o"
    found = {each["name"]: each.get("cacheControl") for each in cloud.read(staging, bucket)["items"]}

    assert len(found) >= 2
    assert set(found.values()) == {YEAR}
    assert all(re.fullmatch(r"_next/static/\w+\.[0-9a-f]{8}\.\w+", name) for name in found)


def test_a_page_is_never_kept(visitor: Visitor) -> None:
    for _ in range(2):
        page = visitor.get("/")
        assert page.headers["cache-control"] == "no-cache"
        assert "age" not in page.headers


def test_an_asset_that_is_not_there_is_no_page(visitor: Visitor) -> None:
    answer = visitor.get("/_next/static/app.00000000.js")

    assert answer.status_code == 404
    assert "Tidemark" not in answer.text


def test_a_request_is_in_the_log_of_the_balancer_and_of_the_service(staging: Staging, visitor: Visitor) -> None:
    mark = uuid.uuid4().hex
    assert visitor.get("/api/health", params={"mark": mark}).status_code == 200

    def logged() -> set[str]:
        found = cloud.entries(staging, f'httpRequest.requestUrl:"{mark}"')
        return {str(each["resource"]["type"]) for each in found if each["httpRequest"]["status"] == 200}

    eventually(lambda: logged() == {"http_load_balancer", "cloud_run_revision"})


@pytest.mark.parametrize(
    ("condition", "what"),
    [("httpRequest.status=503", "unavailable"), ("jsonPayload.closeCode=1011", "broken inside")],
)
def test_the_log_of_the_day_holds_no_failure(condition: str, what: str, staging: Staging) -> None:
    found: list[dict[str, Any]] = cloud.entries(staging, condition)

    assert [(each["timestamp"], each["resource"]["labels"]) for each in found] == [], what
