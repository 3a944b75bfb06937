"""Zonal endpoint groups: addresses, their health, and requests that finish when an endpoint leaves.

https://cloud.google.com/load-balancing/docs/negs/zonal-neg-concepts, https://cloud.google.com/load-balancing/docs/health-check-concepts
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from twin.kernel.engine import Engine
from twin.kernel.types import Body
from twin.runtime.probes import probe
from twin.runtime.template import Probe

_LEAST_INTERVAL = 0.2


@dataclass(slots=True, eq=False)
class Endpoint:
    """One address. Healthy until a health check says otherwise; without a check always healthy."""

    host: str
    port: int
    healthy: bool = True
    in_flight: int = 0
    streak: int = 0
    """Probes in a row that spoke against what `healthy` says."""
    _requests: set[asyncio.Task[object]] = field(default_factory=set)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count the current task's request, and let it be cut should the endpoint leave."""
        task = asyncio.current_task()
        assert task is not None
        self.in_flight += 1
        self._requests.add(task)
        try:
            yield
        finally:
            self.in_flight -= 1
            self._requests.discard(task)

    def leave(self, draining: float) -> None:
        """No member any more: what is in flight has `draining` seconds left."""
        if self._requests:
            asyncio.get_running_loop().call_later(draining, self._cut)

    def _cut(self) -> None:
        for task in list(self._requests):
            task.cancel()


def members(engine: Engine, group: str) -> list[tuple[str, int]]:
    """Addresses of a group, loopback only: what is elsewhere is not reached from the twin."""
    body = engine.store.get(group) or {}
    found = []
    for item in body.get("~endpoints", ()):
        host, port = item.get("ipAddress", ""), int(item.get("port") or body.get("defaultPort") or 80)
        try:
            if ipaddress.ip_address(host).is_loopback:
                found.append((host, port))
        except ValueError:
            continue
    return found


@dataclass(slots=True, eq=False)
class Backends:
    """The endpoints behind one backend service."""

    name: str
    engine: Engine
    session: aiohttp.ClientSession
    endpoints: dict[tuple[str, int], Endpoint] = field(default_factory=dict)
    _checking: asyncio.Task[None] | None = None
    _checks: list[Body] = field(default_factory=list)
    _turn: int = 0

    def follow(self, groups: list[str], checks: list[Body], draining: float) -> None:
        """Take over members and checks as they are now; requests at those that left get `draining` seconds."""
        wanted = {address for group in groups for address in members(self.engine, group)}
        for address in wanted - self.endpoints.keys():
            self.endpoints[address] = Endpoint(*address, healthy=not checks)
        for address in self.endpoints.keys() - wanted:
            self.endpoints.pop(address).leave(draining)
        if checks != self._checks or (self._checking is None and checks):
            self._checks = checks
            if self._checking is not None:
                self._checking.cancel()
            for endpoint in self.endpoints.values():
                endpoint.streak = 0
                endpoint.healthy = endpoint.healthy or not checks
            self._checking = asyncio.create_task(self._check(checks[0])) if checks else None

    def pick(self) -> Endpoint | None:
        """The healthy endpoint with the fewest requests, in turn; None when there is none."""
        healthy = [endpoint for endpoint in self.endpoints.values() if endpoint.healthy]
        if not healthy:
            return None
        self._turn += 1
        start = self._turn % len(healthy)
        return min(healthy[start:] + healthy[:start], key=lambda endpoint: endpoint.in_flight)

    async def _check(self, check: Body) -> None:
        interval = max(_LEAST_INTERVAL, float(check.get("checkIntervalSec", 5)))
        while True:
            await asyncio.gather(*(self._ask(endpoint, check) for endpoint in list(self.endpoints.values())))
            # An endpoint that is not settled yet is asked again soon, so that a start does not cost whole intervals.
            unsettled = any(not endpoint.healthy for endpoint in self.endpoints.values())
            await asyncio.sleep(_LEAST_INTERVAL if unsettled else interval)

    async def _ask(self, endpoint: Endpoint, check: Body) -> None:
        kind = check.get("type", "TCP")
        inner = check.get({"HTTP": "httpHealthCheck", "GRPC": "grpcHealthCheck"}.get(kind, "tcpHealthCheck"), {})
        wanted = Probe(
            kind="http" if kind.startswith("HTTP") else "grpc" if kind == "GRPC" else "tcp",
            path=inner.get("requestPath", "/"),
            headers=(("Host", inner["host"]),) if inner.get("host") else (),
            timeout=float(check.get("timeoutSec", 5)),
        )
        fixed = inner.get("portSpecification") == "USE_FIXED_PORT"
        port = int(inner.get("port", endpoint.port)) if fixed else endpoint.port
        passed = not await probe(self.session, endpoint.host, port, wanted)
        endpoint.streak = 0 if passed == endpoint.healthy else endpoint.streak + 1
        if endpoint.streak >= int(check.get("healthyThreshold" if passed else "unhealthyThreshold", 2)):
            endpoint.healthy, endpoint.streak = passed, 0

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
