"""What the runtime costs: the balancer's own time, requests a second, idle WebSockets, cold starts.

Load comes from a process of its own, as do the service's instances, so that the figure is about the balancer and not
about whoever asks. Called from twin.bench; `python -m twin.bench_runtime` prints these figures alone.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from twin.caller import Caller
from twin.process import Running, down, up

_PROJECT = "bench-twin"
_RUN = f"run.googleapis.com/v2/projects/{_PROJECT}/locations/us-central1/services"
_COMPUTE = f"compute.googleapis.com/compute/v1/projects/{_PROJECT}"
_SOCKETS = 500
_SECONDS = 5.0
_WORKERS = 32
_ONE_BY_ONE = 1000

# The smallest server there is: what is measured is the way to it.
_SERVER = """
import asyncio, base64, hashlib, os
BODY = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nContent-Type: text/plain\\r\\n\\r\\nok"
class Served(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.open = transport, False
    def data_received(self, data):
        if self.open:
            return
        if b"pgrade: websocket" in data:
            key = data.lower().split(b"sec-websocket-key: ")[1].split(b"\\r\\n")[0]
            at = data.lower().index(key)
            key = data[at:at + len(key)] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key).digest())
            self.open = True
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
        else:
            self.transport.write(BODY * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", int(os.environ["PORT"]), backlog=1024)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds and rates, as seen by the client."""

    direct: float
    balanced: float
    rate: float
    sockets: int
    rate_with_sockets: float
    cold: float
    failed: int
    requests: int
    cpu: float
    """Seconds of the control process's time per request: what the figures would be on a machine with nothing else to do."""


def measure() -> Measured:
    """All figures, on a twin of its own."""
    with tempfile.TemporaryDirectory(prefix="twin-bench-runtime-") as folder:
        place = Path(folder)
        (place / "server.py").write_text(_SERVER)
        running = up(place / "state", _PROJECT, lifeline=True)
        try:
            service, balancer = _stage(running, place)
            instance = running.admin("GET", "instances")["instances"][0]
            arguments = {"direct": f"http://127.0.0.1:{instance['port']}", "balanced": balancer}
            command = [sys.executable, "-m", "twin.bench_runtime", "--load", json.dumps(arguments)]
            before = sum(psutil.Process(running.pid).cpu_times()[:2])
            ended = subprocess.run(
                command, capture_output=True, check=True, timeout=120, cwd=Path(__file__).parent.parent
            )
            figures = json.loads(ended.stdout)
            cpu = (sum(psutil.Process(running.pid).cpu_times()[:2]) - before) / figures["requests"]
            running.admin("POST", "cool", {"service": "bench"})
            cold = asyncio.run(_once(service))
        finally:
            down(place / "state")
        return Measured(**figures, cold=cold, cpu=cpu)


def _stage(running: Running, place: Path) -> tuple[str, str]:
    running.admin("POST", "images", {"image": "bench:*", "command": ["python", "server.py"], "cwd": str(place)})
    call = Caller(running)
    link = f"projects/{_PROJECT}"
    body: dict[str, Any] = {"template": {"containers": [{"image": "bench:1"}], "maxInstanceRequestConcurrency": 1000}}
    policy = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    calls: list[tuple[str, Any]] = [
        (f"{_RUN}?serviceId=bench", body),
        (f"{_RUN}/bench:setIamPolicy", {"policy": policy}),
        (
            f"{_COMPUTE}/regions/us-central1/networkEndpointGroups",
            {"name": "n", "networkEndpointType": "SERVERLESS", "cloudRun": {"service": "bench"}},
        ),
        (
            f"{_COMPUTE}/global/backendServices",
            {
                "name": "b",
                "protocol": "HTTP",
                "loadBalancingScheme": "EXTERNAL_MANAGED",
                "backends": [{"group": f"{link}/regions/us-central1/networkEndpointGroups/n"}],
            },
        ),
        (f"{_COMPUTE}/global/urlMaps", {"name": "m", "defaultService": f"{link}/global/backendServices/b"}),
        (f"{_COMPUTE}/global/targetHttpProxies", {"name": "p", "urlMap": f"{link}/global/urlMaps/m"}),
        (
            f"{_COMPUTE}/global/forwardingRules",
            {
                "name": "r",
                "portRange": "80",
                "loadBalancingScheme": "EXTERNAL_MANAGED",
                "target": f"{link}/global/targetHttpProxies/p",
            },
        ),
    ]
    for url, content in calls:
        status, answer = call("POST", url, content)
        if status >= 300:
            raise RuntimeError(f"POST {url}: {status} {answer}")
    deadline = time.monotonic() + 20
    while call("GET", f"{_RUN}/bench")[1].get("reconciling"):
        if time.monotonic() > deadline:
            raise RuntimeError("the service did not become ready within 20 s")
        time.sleep(0.02)
    call.close()
    found = running.admin("GET", "endpoints")
    return str(found["services"]["bench"]["url"]), str(found["forwardingRules"]["r"]["url"])


async def _once(url: str) -> float:
    async with aiohttp.ClientSession() as session:
        begun = time.perf_counter()
        async with session.get(url) as answer:
            await answer.read()
        return time.perf_counter() - begun


# The load, in a process of its own: raw connections, so that the client costs little.


class _Client(asyncio.Protocol):
    """One kept connection with one request at a time."""

    def __init__(self, host: str) -> None:
        self._request = f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._answered: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(data)

    async def ask(self) -> tuple[bool, float]:
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self._transport.write(self._request)
        data = await self._answered
        return data.startswith(b"HTTP/1.1 200"), time.perf_counter() - begun

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _clients(url: str, count: int) -> list[_Client]:
    host, _, port = url.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: _Client(host), host, int(port)))[1] for _ in range(count)]


async def _latency(url: str) -> float:
    """Median of one request at a time."""
    (client,) = await _clients(url, 1)
    seen = [(await client.ask())[1] for _ in range(_ONE_BY_ONE)]
    client.close()
    return statistics.median(seen)


async def _rate(url: str) -> tuple[float, int, int]:
    """Requests a second over some seconds, and how many of them failed."""
    clients = await _clients(url, _WORKERS)
    end, done, failed = time.perf_counter() + _SECONDS, 0, 0

    async def work(client: _Client) -> None:
        nonlocal done, failed
        while time.perf_counter() < end:
            good, _ = await client.ask()
            done += 1
            failed += not good

    begun = time.perf_counter()
    await asyncio.gather(*(work(client) for client in clients))
    rate = done / (time.perf_counter() - begun)
    for client in clients:
        client.close()
    return rate, failed, done


async def _load(direct: str, balanced: str) -> dict[str, float]:
    alone, through = await _latency(direct), await _latency(balanced)
    rate, failed, done = await _rate(balanced)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        # The server says nothing, so nobody waits for its goodbye.
        patience = aiohttp.ClientWSTimeout(ws_close=0.05)
        sockets = [await session.ws_connect(balanced + "/follow", timeout=patience) for _ in range(_SOCKETS)]
        beside, more, again = await _rate(balanced)
        alive = sum(1 for socket in sockets if not socket.closed)
        await asyncio.gather(*(socket.close() for socket in sockets))
    return {
        "direct": alone,
        "balanced": through,
        "rate": rate,
        "sockets": alive,
        "rate_with_sockets": beside,
        "failed": failed + more,
        "requests": _ONE_BY_ONE + done + again,
    }


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--load"]:
        print(json.dumps(asyncio.run(_load(**json.loads(arguments[1])))))
        return
    seen = measure()
    print(f"one request: direct {seen.direct * 1000:.2f} ms, balanced {seen.balanced * 1000:.2f} ms")
    print(f"sustained: {seen.rate:.0f}/s; beside {seen.sockets} idle WebSockets: {seen.rate_with_sockets:.0f}/s")
    print(
        f"failed: {seen.failed}; cold start: {seen.cold:.2f} s; balancer's own time: {seen.cpu * 1000:.3f} ms a request"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
