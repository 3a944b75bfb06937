"""Load balancing through google-cloud-compute: the rules for serverless backends above all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import compute

from twin.caller import Caller
from twin.process import Running

PROJECT, REGION = "staging-twin", "us-central1"
BASE = "compute.googleapis.com/compute/v1/projects/staging-twin"


@pytest.fixture
def services(twin: Running) -> Iterator[Any]:
    made: Any = compute.BackendServicesClient()
    yield made
    made.transport.close()


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


def serverless(rest: Caller, name: str) -> str:
    body = {"name": name, "networkEndpointType": "SERVERLESS", "cloudRun": {"service": "s"}}
    assert rest("POST", f"{BASE}/regions/{REGION}/networkEndpointGroups", body)[0] == 200
    return f"projects/{PROJECT}/regions/{REGION}/networkEndpointGroups/{name}"


def zonal(rest: Caller, name: str) -> str:
    body = {"name": name, "networkEndpointType": "GCE_VM_IP_PORT", "network": "global/networks/default"}
    assert rest("POST", f"{BASE}/zones/{REGION}-a/networkEndpointGroups", body)[0] == 200
    return f"projects/{PROJECT}/zones/{REGION}-a/networkEndpointGroups/{name}"


def make(services: Any, name: str, group: str, **more: object) -> None:
    backend: dict[str, object] = {"group": group}
    if "zones" in group:
        backend.update(balancing_mode="RATE", max_rate=10)
    body = {"name": name, "load_balancing_scheme": "EXTERNAL_MANAGED", "backends": [backend], **more}
    services.insert(project=PROJECT, backend_service_resource=body).result(timeout=10)


def test_a_serverless_backend_takes_no_timeout_but_thirty(services: Any, rest: Caller, unique: str) -> None:
    make(services, unique, serverless(rest, unique))
    with pytest.raises(exceptions.BadRequest) as refusal:
        services.patch(project=PROJECT, backend_service=unique, backend_service_resource={"timeout_sec": 120})
    said = "Invalid value for field 'resource.timeoutSec': '120'. Timeout sec is not supported for a backend service with Serverless network endpoint groups."
    assert said in str(refusal.value)
    services.patch(project=PROJECT, backend_service=unique, backend_service_resource={"timeout_sec": 30}).result(
        timeout=10
    )
    assert services.get(project=PROJECT, backend_service=unique).timeout_sec == 30


def test_a_zonal_backend_takes_timeout_and_draining(services: Any, rest: Caller, unique: str) -> None:
    make(services, unique, zonal(rest, unique))
    change = {"timeout_sec": 120, "connection_draining": {"draining_timeout_sec": 60}}
    services.patch(project=PROJECT, backend_service=unique, backend_service_resource=change).result(timeout=10)
    found = services.get(project=PROJECT, backend_service=unique)
    assert (found.timeout_sec, found.connection_draining.draining_timeout_sec) == (120, 60)


def test_serverless_backends_take_no_health_check_and_no_utilization(services: Any, rest: Caller, unique: str) -> None:
    group = serverless(rest, unique)
    assert (
        rest("POST", f"{BASE}/global/healthChecks", {"name": unique, "type": "HTTP", "httpHealthCheck": {"port": 80}})[
            0
        ]
        == 200
    )
    check = f"projects/{PROJECT}/global/healthChecks/{unique}"
    with pytest.raises(
        exceptions.BadRequest, match="cannot have a healthcheck with Serverless network endpoint group backends"
    ):
        make(services, unique, group, health_checks=[check])
    body = {"name": unique, "backends": [{"group": group, "max_utilization": 0.5}]}
    with pytest.raises(exceptions.BadRequest, match="not supported for a backend with Serverless"):
        services.insert(project=PROJECT, backend_service_resource=body)


def test_draining_on_serverless_is_accepted(services: Any, rest: Caller, unique: str) -> None:
    make(services, unique, serverless(rest, unique), connection_draining={"draining_timeout_sec": 60})
    assert services.get(project=PROJECT, backend_service=unique).connection_draining.draining_timeout_sec == 60


def test_a_stale_fingerprint_is_refused(services: Any, rest: Caller, unique: str) -> None:
    make(services, unique, serverless(rest, unique))
    old = services.get(project=PROJECT, backend_service=unique).fingerprint
    services.patch(project=PROJECT, backend_service=unique, backend_service_resource={"description": "a"}).result(
        timeout=10
    )
    with pytest.raises(exceptions.PreconditionFailed):
        services.patch(
            project=PROJECT, backend_service=unique, backend_service_resource={"description": "b", "fingerprint": old}
        )


def test_what_is_used_stays_and_what_is_missing_is_named(services: Any, rest: Caller, unique: str) -> None:
    make(services, unique, serverless(rest, unique))
    service = f"projects/{PROJECT}/global/backendServices/{unique}"
    assert rest("POST", f"{BASE}/global/urlMaps", {"name": unique, "defaultService": service})[0] == 200
    with pytest.raises(
        exceptions.BadRequest, match=f"is already being used by 'projects/{PROJECT}/global/urlMaps/{unique}'"
    ):
        services.delete(project=PROJECT, backend_service=unique)
    status, refusal = rest("POST", f"{BASE}/global/urlMaps", {"name": unique + "2", "defaultService": service + "x"})
    assert (status, refusal["error"]["errors"][0]["reason"]) == (404, "notFound")
    assert refusal["error"]["message"] == f"The resource '{service}x' was not found"


def test_a_forwarding_rule_takes_an_address_by_name(rest: Caller, services: Any, unique: str) -> None:
    make(services, unique, serverless(rest, unique))
    rest("POST", f"{BASE}/global/addresses", {"name": unique})
    _, address = rest("GET", f"{BASE}/global/addresses/{unique}")
    rest(
        "POST",
        f"{BASE}/global/urlMaps",
        {"name": unique, "defaultService": f"projects/{PROJECT}/global/backendServices/{unique}"},
    )
    rest(
        "POST",
        f"{BASE}/global/targetHttpProxies",
        {"name": unique, "urlMap": f"projects/{PROJECT}/global/urlMaps/{unique}"},
    )
    body = {
        "name": unique,
        "IPAddress": f"projects/{PROJECT}/global/addresses/{unique}",
        "portRange": "80",
        "target": f"projects/{PROJECT}/global/targetHttpProxies/{unique}",
    }
    assert rest("POST", f"{BASE}/global/forwardingRules", body)[0] == 200
    _, rule = rest("GET", f"{BASE}/global/forwardingRules/{unique}")
    assert (rule["IPAddress"], rule["portRange"]) == (address["address"], "80-80")
    status, _ = rest("DELETE", f"{BASE}/global/addresses/{unique}")
    assert status == 400
    assert rest("DELETE", f"{BASE}/global/forwardingRules/{unique}")[0] == 200
    assert rest("DELETE", f"{BASE}/global/addresses/{unique}")[0] == 200


def test_a_url_map_names_its_matchers(rest: Caller, services: Any, unique: str) -> None:
    make(services, unique, serverless(rest, unique))
    service = f"projects/{PROJECT}/global/backendServices/{unique}"
    body = {"name": unique, "defaultService": service, "hostRules": [{"hosts": ["*"], "pathMatcher": "gone"}]}
    status, refusal = rest("POST", f"{BASE}/global/urlMaps", body)
    assert status == 400
    assert "resource.hostRules[0].pathMatcher" in refusal["error"]["message"]


def test_cdn_gets_its_default_policy(rest: Caller, unique: str) -> None:
    assert (
        rest("POST", f"{BASE}/global/backendBuckets", {"name": unique, "bucketName": "b", "enableCdn": True})[0] == 200
    )
    _, found = rest("GET", f"{BASE}/global/backendBuckets/{unique}")
    assert (found["cdnPolicy"]["cacheMode"], found["cdnPolicy"]["clientTtl"]) == ("CACHE_ALL_STATIC", 3600)


def test_aggregated_lists_group_by_scope(rest: Caller, unique: str) -> None:
    serverless(rest, unique)
    status, found = rest("GET", f"{BASE}/aggregated/networkEndpointGroups?filter=name%3D{unique}")
    assert status == 200
    assert [item["name"] for item in found["items"][f"regions/{REGION}"]["networkEndpointGroups"]] == [unique]
