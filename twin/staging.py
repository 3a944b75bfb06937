"""The whole staging system on this machine: twin, backing services, the patient's cloud, the patient's processes.

`up` brings it up and waits until it works; what it returns is where everything is. The cloud is made by API calls as
they stand in `cloud/healthy.json` of the patient; `cloud/faults.toml` breaks it, fault by fault.
"""

from __future__ import annotations

import contextlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import twin.backing as backing
from twin import process
from twin.process import Running, TwinError
from twin.staging_cloud import Cloud, Values
from twin.staging_machine import Machine

Health = Literal["healthy", "as-found"]
SERVICES: Final = ("websocket-service", "ingest", "writer", "allocator", "api", "web")
BACKING: Final = ("kafka", "postgres", "redis", "graph")
PATIENT: Final = Path(__file__).resolve().parent.parent / "patient"
_READY: Final = 30.0
KEPT: Final = "cloud.json"
"""What the placeholders of a staging's cloud stood for, in its folder: written once the cloud is made."""
_SETTLED: Final = ("CONDITION_SUCCEEDED", "CONDITION_FAILED")
_IDLE: Final = """
import http.server, os
class Idle(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Idle).serve_forever()
"""
_ANSWERS: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(slots=True)
class Staging:
    """A staging system that runs. Close it, or it ends with whoever started it."""

    twin: Running
    backing: Any
    machine: Machine | None
    cloud: Cloud
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each step of starting took."""

    @property
    def folder(self) -> Path:
        return self.twin.folder

    def admin(self, verb: str, path: str, body: Any = None) -> dict[str, Any]:
        """The twin's admin endpoint. TwinError when it refuses."""
        return self.twin.admin(verb, path, body)

    @property
    def endpoints(self) -> dict[str, Any]:
        """Where each service and each forwarding rule listens."""
        return self.admin("GET", "endpoints")

    @property
    def balancer(self) -> str:
        """The load balancer's address on the loopback."""
        return str(self.endpoints["forwardingRules"]["staging-http"]["url"])

    @property
    def host(self) -> str:
        """The host name that the balancer's rules expect."""
        return "staging.tidemark.example"

    def url(self, service: str) -> str:
        """A service's own address, past the balancer."""
        return str(self.endpoints["services"][service]["url"])

    def secret(self, name: str) -> str:
        """A secret's value, as the seed chose it."""
        return self.cloud.values.chosen(name)

    def instances(self, service: str) -> list[dict[str, Any]]:
        """The processes of a service."""
        return [each for each in self.admin("GET", "instances")["instances"] if each["service"] == service]

    def direct(self, service: str) -> str:
        """An instance's own address, past the balancer and past Cloud Run: for workers, which nobody may invoke."""
        return f"http://127.0.0.1:{self.instances(service)[0]['port']}"

    def break_(self, *faults: str) -> None:
        """Plant faults of `cloud/faults.toml`, by their ids."""
        self.cloud.faults.plant(faults)

    def repaired(self) -> None:
        """The healthy cloud again, in place: everything that the faults changed."""
        self.cloud.faults.heal()

    def wait_healthy(self, services: Sequence[str] = SERVICES, within: float = _READY) -> None:
        """Until every one of these answers /health with 200 and serves its latest revision. TwinError otherwise."""
        waiting = list(services)
        project = self.twin.project
        records = f"https://run.googleapis.com/v2/projects/{project}/locations/us-central1/services"
        end = time.monotonic() + within
        said: dict[str, str] = {}
        while waiting:
            known = self.endpoints["services"]
            for name in list(waiting):
                said[name] = self._state(known.get(name), name) or _behind(
                    self.cloud.api.call("GET", f"{records}/{name}")
                )
                if not said[name]:
                    waiting.remove(name)
            if waiting and time.monotonic() > end:
                told = "; ".join(f"{name}: {said[name]}" for name in waiting)
                raise TwinError(f"not healthy within {within:.0f} s: {told}; see {self.folder / 'logs'}")
            if waiting:
                time.sleep(0.05)

    def wait_settled(self, within: float = _READY) -> None:
        """Until every service is ready or has failed for good: what a broken system comes to. TwinError otherwise."""
        records = f"https://run.googleapis.com/v2/projects/{self.twin.project}/locations/us-central1/services"
        end = time.monotonic() + within
        while True:
            moving = [
                each["name"].rpartition("/")[2]
                for each in self.cloud.api.call("GET", records).get("services", ())
                if each.get("reconciling") or each.get("terminalCondition", {}).get("state") not in _SETTLED
            ]
            if not moving:
                return
            if time.monotonic() > end:
                raise TwinError(f"not settled within {within:.0f} s: {', '.join(moving)}; see {self.folder / 'logs'}")
            time.sleep(0.05)

    def _state(self, known: dict[str, Any] | None, name: str) -> str:
        """What is wrong with a service; '' for nothing."""
        if known is None:
            return "there is no such service"
        pools = known["revisions"]
        failed = [pool["failure"] for pool in pools.values() if pool["failure"]]
        if failed:
            return str(failed[-1])
        if name == "web":  # may be cold, and that is right
            return ""
        if not any(pool["ready"] for pool in pools.values()):
            return "no instance is ready"
        try:
            with _ANSWERS.open(f"{self.direct(name)}/ready", timeout=10) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            return error.read().decode(errors="replace")[:300]
        except (OSError, IndexError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def close(self, keep: bool = False) -> None:
        """Stop everything and remove its folder (with `keep`, leave the state)."""
        if self.machine is not None:
            self.machine.close()
        process.down(self.folder, keep=True)
        self.backing.close()
        if self.twin.lifeline >= 0:
            with contextlib.suppress(OSError):
                os.close(self.twin.lifeline)
        if not keep:
            process.down(self.folder)


def up(
    folder: Path,
    code: Path,
    cloud: Health = "healthy",
    faults: Sequence[str] = (),
    *,
    patient: Path = PATIENT,
    otlp: str = "",
    rate: float = 10.0,
    count: int = 0,
    attached: bool = True,
    services: Sequence[str] = SERVICES,
) -> Staging:
    """Start a staging system that runs the patient's code in `code`, and wait until it is healthy; a broken one, until
    each of its services is ready or has failed. One that was closed with `keep` goes on as it was, on its own ports.

    `otlp` is where the services send their traces, `rate` and `count` how the feed speaks (trades a second; 0 for no end).
    With `attached` all of it ends with this process, however that dies. TwinError when it does not come up; then
    nothing is left behind.
    """
    if not (code / "src" / "tidemark").is_dir():
        raise TwinError(f"{code} holds no src/tidemark: give the folder of the remediated patient")
    clock = _Steps()
    with contextlib.ExitStack() as cleanup:
        twin = process.up(folder, lifeline=attached)
        cleanup.callback(process.down, folder)
        clock.step("twin")
        stores = backing.start(twin.folder, BACKING)
        cleanup.callback(stores.close)
        clock.step("backing")
        (twin.folder / "data").mkdir(exist_ok=True, mode=0o700)
        values = Values(twin, stores.endpoints, data=twin.folder / "data", otlp=otlp, rate=rate, count=count)
        for name in SERVICES:
            twin.admin("POST", "images", image_of(name, code) if name in services else idle_of(name))
        kept = values.recall(folder / KEPT)
        made = Cloud(twin, patient, values)
        staging = Staging(twin, stores, None, made, clock.taken)
        if not kept:
            made.build(cloud, faults)
            values.keep(folder / KEPT)
        clock.step("cloud")
        staging.machine = Machine.start(twin, code, values)
        cleanup.callback(staging.machine.close)
        clock.step("machine")
        if cloud == "healthy" and not faults and not kept:
            staging.wait_healthy(services)
        else:
            staging.wait_settled()
        staging.machine.wait(_READY)
        clock.step("healthy")
        cleanup.pop_all()
    return staging


def image_of(name: str, code: Path) -> dict[str, Any]:
    """How an image of the patient is run."""
    return {
        "image": f"us-docker.pkg.dev/*/tidemark/{name}:*",
        "command": ["python", "-m", "tidemark", name],
        "cwd": str(code),
        "env": {"PYTHONPATH": str(code / "src"), "PYTHONUNBUFFERED": "1"},
        "google": True,
    }


def idle_of(name: str) -> dict[str, Any]:
    """A stand-in for a service that a minimal staging leaves out: it answers, and does nothing."""
    return {
        "image": f"us-docker.pkg.dev/*/tidemark/{name}:*",
        "command": ["python", "-c", _IDLE],
    }


def _behind(record: dict[str, Any]) -> str:
    """What keeps a service's newest revision from serving; '' for nothing."""
    if record.get("reconciling") or record.get("latestReadyRevision") != record.get("latestCreatedRevision"):
        return str(record.get("terminalCondition", {}).get("message") or "its newest revision does not serve yet")
    return ""


class _Steps:
    """Seconds since the last step."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._last = time.monotonic()

    def step(self, name: str) -> None:
        now = time.monotonic()
        self.taken[name] = round(now - self._last, 2)
        self._last = now
