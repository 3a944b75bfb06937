"""What the twin costs: start, reset, memory, requests a second, and what the front door adds.

`python -m twin.bench` prints a table; `measure()` returns the numbers with their goals.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twin import bench_runtime
from twin.caller import Caller
from twin.kernel.engine import Engine, Settings, open_engine
from twin.kernel.seed import seed
from twin.kernel.types import Request
from twin.process import down, up
from twin.services import catalogue

_HOST, _RINGS = "cloudkms.googleapis.com", "/v1/projects/bench-twin/locations/us/keyRings"
_OWNER = "user:owner@example.com"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and the goal it is held against."""

    name: str
    value: float
    unit: str
    goal: float
    higher_is_better: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.higher_is_better else self.value <= self.goal


def measure() -> list[Figure]:
    """All figures, on a twin of its own in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        figures = _kernel(Path(folder) / "kernel")
        return figures + _process(Path(folder) / "process") + _runtime()


def _kernel(folder: Path) -> list[Figure]:
    folder.mkdir()
    engine = open_engine(folder, Settings(project="bench-twin"), catalogue.services())
    catalogue.open_parts(engine, folder)
    seed(engine, catalogue.seeders())
    _ask(engine, "POST", _RINGS, b"{}", (("keyRingId", "r"),))
    _ask(engine, "POST", f"{_RINGS}/r/cryptoKeys", b'{"purpose": "ENCRYPT_DECRYPT"}', (("cryptoKeyId", "k"),))
    key = f"{_RINGS}/r/cryptoKeys/k"
    gets = _rate(lambda _: _ask(engine, "GET", key))
    patches = _rate(
        lambda number: _ask(engine, "PATCH", key, b'{"labels": {"n": "%d"}}' % number, (("updateMask", "labels"),))
    )
    engine.parts["warehouse"].close()
    engine.audit.close()
    engine.store.close()
    return [
        Figure("GET, one core, schema-checked", gets, "/s", 5000, higher_is_better=True),
        Figure("PATCH, one core, persisted", patches, "/s", 2000, higher_is_better=True),
    ]


def _ask(engine: Engine, verb: str, path: str, content: bytes = b"", query: tuple[tuple[str, str], ...] = ()) -> None:
    reply = engine.handle(Request(verb, _HOST, path, query, {}, content), _OWNER)
    if reply.status != 200:
        raise RuntimeError(f"{verb} {path}: {reply.status} {reply.body}")
    json.dumps(reply.body)


def _rate(work: Callable[[int], None], seconds: float = 1.5) -> float:
    """How often `work` runs in a second of processor time: of a core of its own, whoever else is on the machine."""
    for number in range(100):
        work(number)
    done, start = 100, time.process_time()
    while time.process_time() < start + seconds:
        work(done)
        done += 1
    return (done - 100) / (time.process_time() - start)


def _process(folder: Path) -> list[Figure]:
    begun = time.perf_counter()
    running = up(folder, "bench-twin")
    call = Caller(running)
    status, _ = call("GET", _HOST + _RINGS)
    started = time.perf_counter() - begun
    if status != 200:
        raise RuntimeError(f"the first request was answered {status}")
    try:
        for number in range(200):
            call("POST", f"{_HOST}{_RINGS}?keyRingId=r{number}", {})
        door = [_timed(call, f"{_HOST}{_RINGS}/r{number % 200}") for number in range(500)]
        resets = []
        for _ in range(5):
            begun = time.perf_counter()
            running.admin("POST", "reset")
            resets.append(time.perf_counter() - begun)
        memory = running.admin("GET", "health")["memory"] / 2**20
    finally:
        call.close()
        down(folder)
    return [
        Figure("command to first answered request", started, "s", 2.0),
        Figure("reset, median", statistics.median(resets) * 1000, "ms", 100),
        Figure("memory", memory, "MiB", 150),
        Figure("GET through proxy and TLS, median", statistics.median(door) * 1000, "ms", 5.0),
    ]


def _runtime() -> list[Figure]:
    seen = bench_runtime.measure()
    return [
        Figure("balancer adds, median", (seen.balanced - seen.direct) * 1000, "ms", 2.0),
        Figure("balancer, sustained", seen.rate, "/s", 2000, higher_is_better=True),
        Figure("idle WebSockets beside", seen.sockets, "", 500, higher_is_better=True),
        Figure("balancer, own time a request", seen.cpu * 1000, "ms", 0.5),
        Figure("requests that failed under load", seen.failed, "", 0),
        Figure("cold start through the service's URL", seen.cold, "s", 2.0),
    ]


def _timed(call: Caller, url: str) -> float:
    begun = time.perf_counter()
    call("GET", url)
    return time.perf_counter() - begun


def main() -> None:
    for figure in measure():
        goal = f"{'at least' if figure.higher_is_better else 'at most'} {figure.goal:g} {figure.unit}"
        print(f"{figure.name:40} {figure.value:10.1f} {figure.unit:4} ({goal}) {'met' if figure.met else 'MISSED'}")


if __name__ == "__main__":
    main()
