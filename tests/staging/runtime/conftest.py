"""A twin with its runtime on: images map to the small service in `app/`."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twin.caller import Caller
from twin.process import Running, down, up

PROJECT = "staging-twin"
RUN = f"run.googleapis.com/v2/projects/{PROJECT}/locations/us-central1/services"
COMPUTE = f"compute.googleapis.com/compute/v1/projects/{PROJECT}"
APP = Path(__file__).parent / "app"


class Stage:
    """A twin, and the calls that tests make on it."""

    def __init__(self, twin: Running) -> None:
        self.twin = twin
        self.call = Caller(twin)

    def ask(self, verb: str, url: str, body: Any = None) -> Any:
        status, answer = self.call(verb, url, body)
        assert status < 300, answer
        return answer

    def deploy(self, name: str, *, wait: bool = True, public: bool = True, scaling: Any = None, **template: Any) -> Any:
        """Create or update a service; returns its record once it has settled."""
        container = {"image": template.pop("image", "us-docker.pkg.dev/x/app:1"), **template.pop("container", {})}
        env = [{"name": key, "value": value} for key, value in template.pop("env", {}).items()]
        if env:
            container["env"] = [*container.get("env", []), *env]
        body: dict[str, Any] = {"template": {"containers": [container], **template}}
        if scaling is not None:
            body["scaling"] = scaling
        if self.call("GET", f"{RUN}/{name}")[0] == 404:
            self.ask("POST", f"{RUN}?serviceId={name}", body)
        else:
            self.ask("PATCH", f"{RUN}/{name}", body)
        if public:
            policy = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
            self.ask("POST", f"{RUN}/{name}:setIamPolicy", {"policy": policy})
        return self.settled(name) if wait else self.service(name)

    def service(self, name: str) -> Any:
        return self.ask("GET", f"{RUN}/{name}")

    def settled(self, name: str) -> Any:
        return until(lambda: (record := self.service(name)) and not record.get("reconciling") and record)

    def url(self, name: str) -> str:
        found: str = self.twin.admin("GET", "endpoints")["services"][name]["url"]
        return found

    def instances(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.twin.admin("GET", "instances")["instances"]
        return [item for item in found if item["service"] == name]

    def balancer(self, name: str, url_map: dict[str, Any], scheme: str = "EXTERNAL_MANAGED") -> str:
        """A url map behind a forwarding rule; returns the rule's loopback URL."""
        self.ask("POST", f"{COMPUTE}/global/urlMaps", {"name": name, **url_map})
        link = f"projects/{PROJECT}/global"
        self.ask("POST", f"{COMPUTE}/global/targetHttpProxies", {"name": name, "urlMap": f"{link}/urlMaps/{name}"})
        rule = {
            "name": name,
            "target": f"{link}/targetHttpProxies/{name}",
            "portRange": "80",
            "loadBalancingScheme": scheme,
        }
        self.ask("POST", f"{COMPUTE}/global/forwardingRules", rule)
        found: str = self.twin.admin("GET", "endpoints")["forwardingRules"][name]["url"]
        return found

    def serverless(self, name: str, service: str, **fields: Any) -> str:
        """A backend service in front of a Cloud Run service; returns its link."""
        neg = {"name": name, "networkEndpointType": "SERVERLESS", "cloudRun": {"service": service}}
        self.ask("POST", f"{COMPUTE}/regions/us-central1/networkEndpointGroups", neg)
        group = f"projects/{PROJECT}/regions/us-central1/networkEndpointGroups/{name}"
        return self.backend(name, group, **fields)

    def zonal(self, name: str, *ports: int, **fields: Any) -> str:
        """A backend service in front of loopback ports; returns its link."""
        place = f"{COMPUTE}/zones/us-central1-a/networkEndpointGroups"
        self.ask("POST", place, {"name": name, "networkEndpointType": "GCE_VM_IP_PORT", "defaultPort": 80})
        self.attach(name, *ports)
        fields = {"balancing": {"balancingMode": "RATE", "maxRatePerEndpoint": 100}, **fields}
        return self.backend(name, f"projects/{PROJECT}/zones/us-central1-a/networkEndpointGroups/{name}", **fields)

    def attach(self, name: str, *ports: int, verb: str = "attach") -> None:
        members = [{"ipAddress": "127.0.0.1", "port": port} for port in ports]
        if members:
            url = f"{COMPUTE}/zones/us-central1-a/networkEndpointGroups/{name}/{verb}NetworkEndpoints"
            self.ask("POST", url, {"networkEndpoints": members})

    def backend(self, name: str, group: str, balancing: Any = None, **fields: Any) -> str:
        body = {
            "name": name,
            "protocol": "HTTP",
            "loadBalancingScheme": "EXTERNAL_MANAGED",
            "backends": [{"group": group, **(balancing or {})}],
            **fields,
        }
        self.ask("POST", f"{COMPUTE}/global/backendServices", body)
        return f"projects/{PROJECT}/global/backendServices/{name}"


def until(look: Callable[[], Any], seconds: float = 15.0) -> Any:
    """What `look` returns, once it is true. Fails with the last value when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {seconds:g} s; last seen: {seen!r}"
        time.sleep(0.02)


def map_images(twin: Running) -> None:
    mapping = {"image": "us-docker.pkg.dev/x/app:*", "command": ["python", "stand_in.py"], "cwd": str(APP)}
    twin.admin("POST", "images", mapping)


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("twin") / "state"
    running = up(folder, PROJECT, strict=True, lifeline=True)
    map_images(running)
    yield running
    violations = running.admin("GET", "violations")["violations"]
    down(folder)
    os.close(running.lifeline)
    assert violations == []


@pytest.fixture
def stage(twin: Running) -> Iterator[Stage]:
    found = Stage(twin)
    yield found
    found.call.close()


@pytest.fixture
def unique() -> str:
    return "t" + uuid.uuid4().hex[:8]
