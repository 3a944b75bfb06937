"""AuraDB through the front door: its REST API as documented, and Neo4j's own driver on what it hands out."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from twin.process import Running

_CONNECT = """
import sys, neo4j
with neo4j.GraphDatabase.driver(sys.argv[1], auth=("neo4j", sys.stdin.read())) as driver:
    driver.verify_connectivity()
    driver.execute_query("MERGE (n:Seen) SET n.times = coalesce(n.times, 0) + 1")
    print(driver.execute_query("MATCH (n:Seen) RETURN n.times AS times").records[0]["times"])
"""


class Api:
    """A client of api.neo4j.io that comes in through the twin's proxy."""

    def __init__(self, twin: Running, delay: float = 0.0) -> None:
        self.twin = twin
        self.client = twin.admin("POST", "aura", {"delay": delay})
        context = ssl.create_default_context(cafile=str(twin.folder / "ca-bundle.pem"))
        handlers = [urllib.request.ProxyHandler({"https": twin.proxy}), urllib.request.HTTPSHandler(context=context)]
        self._opener = urllib.request.build_opener(*handlers)
        pair = f"{self.client['client_id']}:{self.client['client_secret']}".encode()
        form = b"grant_type=client_credentials"
        status, answer = self.send("POST", "/oauth/token", form, f"Basic {base64.b64encode(pair).decode()}")
        assert (status, answer["expires_in"], answer["token_type"]) == (200, 3600, "bearer")
        self.token = f"Bearer {answer['access_token']}"

    def send(self, verb: str, path: str, data: bytes | None, authorization: str) -> tuple[int, Any]:
        headers = {"Authorization": authorization} if authorization else {}
        request = urllib.request.Request(f"https://api.neo4j.io{path}", data, headers, method=verb)
        try:
            with self._opener.open(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def __call__(self, verb: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self.send(verb, f"/v1/{path}", None if body is None else json.dumps(body).encode(), self.token)

    def create(self, name: str = "graph") -> dict[str, Any]:
        body = {
            "version": "5", "region": "us-central1", "memory": "2GB", "name": name, "type": "professional-db",
            "tenant_id": self.client["tenant_id"], "cloud_provider": "gcp",
        }  # fmt: skip
        status, answer = self("POST", "instances", body)
        assert status == 202, answer
        made: dict[str, Any] = answer["data"]
        return made

    def status(self, name: str) -> str:
        return str(self("GET", f"instances/{name}")[1]["data"]["status"])

    def connect(self, made: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """In a process of its own, as SSL_CERT_FILE is read by the interpreter's TLS library."""
        return subprocess.run(
            [sys.executable, "-c", _CONNECT, made["connection_url"]], input=made["password"], text=True, check=False,
            capture_output=True, env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(self.twin.folder / "ca-bundle.pem")},
        )  # fmt: skip


@pytest.fixture
def api(twin: Running) -> Api:
    return Api(twin)


def test_a_new_instance_takes_its_time_and_then_neo4js_driver_connects(twin: Running) -> None:
    api = Api(twin, delay=60.0)
    made = api.create()
    assert made["connection_url"].startswith("neo4j+s://localhost:")
    assert api.status(made["id"]) == "creating"
    assert "ServiceUnavailable" in api.connect(made).stderr
    twin.admin("POST", "clock", {"advance": 61})
    assert api.status(made["id"]) == "running"
    assert api.connect(made).stdout == "1\n"


def test_the_password_is_in_the_first_answer_only(api: Api) -> None:
    made = api.create()
    assert made["username"] == "neo4j"
    seen = json.dumps([api("GET", "instances"), api("GET", f"instances/{made['id']}")])
    assert made["id"] in seen
    assert made["password"] not in seen
    assert set(api("GET", "instances")[1]["data"][0]) == {"id", "name", "tenant_id", "cloud_provider"}


def test_a_paused_instance_serves_nobody_and_a_resumed_one_has_its_data(api: Api) -> None:
    made = api.create()
    assert api.connect(made).stdout == "1\n"
    assert api("POST", f"instances/{made['id']}/pause")[1]["data"]["status"] == "pausing"
    assert api.status(made["id"]) == "paused"
    assert "ServiceUnavailable" in api.connect(made).stderr
    status, said = api("POST", f"instances/{made['id']}/pause")
    assert (status, said["errors"][0]["reason"]) == (409, "db-not-running")
    api("POST", f"instances/{made['id']}/resume")
    assert api.status(made["id"]) == "running"
    assert api.connect(made).stdout == "2\n"


def test_a_snapshot_brings_back_what_was(api: Api) -> None:
    made = api.create()
    api.connect(made)
    taken = api("POST", f"instances/{made['id']}/snapshots")[1]["data"]["snapshot_id"]
    assert api.connect(made).stdout == "2\n"
    assert api("POST", f"instances/{made['id']}/snapshots/{taken}/restore")[0] == 202
    assert api.status(made["id"]) == "running"
    assert api.connect(made).stdout == "2\n"
    other = api.create("other")
    api.status(other["id"])
    assert api("POST", f"instances/{other['id']}/overwrite", {"source_instance_id": made["id"]})[0] == 202
    assert api.status(other["id"]) == "running"
    assert api.connect(other).stdout == "3\n"


def test_errors_come_in_auras_envelope(api: Api, twin: Running) -> None:
    assert api.send("GET", "/v1/instances", None, "")[0] == 401
    status, said = api.send("POST", "/oauth/token", b"grant_type=client_credentials", "Basic bm86bm8=")
    assert (status, said["error"]) == (401, "access_denied")
    status, said = api("POST", "instances", {"name": "x"})
    assert (status, said["errors"][0]["field"]) == (400, "version")
    status, said = api("GET", "instances/00000000")
    assert (status, said["errors"][0]["message"]) == (404, "DB not found: 00000000")
    twin.admin("POST", "faults", {"method": "aura.instances.get", "status": 503, "count": 1})
    assert api("GET", "instances")[0] == 503
    assert api("GET", "instances")[0] == 200
    twin.admin("POST", "clock", {"advance": 3601})
    assert api("GET", "instances")[0] == 401


def test_a_deleted_instance_is_gone(api: Api) -> None:
    made = api.create()
    api.status(made["id"])
    assert api("DELETE", f"instances/{made['id']}")[1]["data"]["status"] == "destroying"
    assert api("GET", f"instances/{made['id']}")[0] == 404
