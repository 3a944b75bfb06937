"""The runtime as a whole: follows the records, owns processes and ports, answers the admin endpoint.

It is on once an image is mapped to a command (`POST /-/images`); before that, Cloud Run services are records only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from twin.frontdoor.face import Face
from twin.frontdoor.mint import Mint
from twin.kernel.engine import Engine
from twin.kernel.names import last
from twin.kernel.types import Body
from twin.runtime import conditions, pages
from twin.runtime.balancer import Balancer
from twin.runtime.cdn import Cdn
from twin.runtime.faces import Faces
from twin.runtime.images import Images
from twin.runtime.instance import Workshop
from twin.runtime.invoke import Front
from twin.runtime.jobs import Jobs
from twin.runtime.ports import Ports
from twin.runtime.processes import Processes
from twin.runtime.service import Service
from twin.runtime.surroundings import Surroundings
from twin.runtime.telemetry import Telemetry
from twin.runtime.template import Revision

log = logging.getLogger("twin.runtime")

_TICK = 1.0
_IDLE = 900.0
"""Seconds after which an idle instance above the minimum is stopped (up to 15 minutes on Cloud Run)."""
Admin = Callable[[Body], Any]


class Runtime:
    """One twin's runtime."""

    def __init__(self, engine: Engine, face: Face, mint: Mint, folder: Path, port: Callable[[], int]) -> None:
        self._engine, self._face, self._folder = engine, face, folder
        (folder / "runtime").mkdir(exist_ok=True, mode=0o700)
        self.images = Images(engine.store)
        self.ports = Ports(engine.store)
        self.processes = Processes(folder / "runtime")
        self.telemetry = Telemetry(engine, folder / "logs")
        # Kept connections are dropped sooner than common servers drop them (uvicorn: 5 s).
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4, use_dns_cache=False)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None), trust_env=False, read_bufsize=2**17,
        )  # fmt: skip
        surroundings = Surroundings(engine, mint, folder, port)
        self._workshop = Workshop(
            self.images, self.ports, self.processes, surroundings, self._session, self.telemetry.line, self._counted
        )
        self.services: dict[str, Service] = {}
        self.front = Front(engine, mint, self._session, self.telemetry)
        self.balancer = Balancer(engine, self._session, self.front, self.telemetry, Cdn(engine), self.services.get)
        self.faces = Faces(self.ports)
        self.jobs = Jobs(engine, self._workshop)
        self._idle = float(engine.store.setting("runtime.idle") or _IDLE)
        self._events: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._due = asyncio.Event()
        self._attached = False
        self._closing = False

    @property
    def on(self) -> bool:
        return len(self.images) > 0

    async def open(self) -> None:
        """Take over what the store holds, and follow it from now on."""
        self._engine.listeners.append(self._heard)
        for work in (self.telemetry.run(), self._follow_records(), self._ticking()):
            self._spawn(work)
        if self.on:
            self._take_over(again=False)
        self._due.set()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Following the records

    def _heard(self, topic: str, name: str) -> None:
        """Something was committed. Cloud Run is followed at once, so that nobody sees a service Ready too early."""
        if self._closing:
            return
        if topic == "invalidate-cache":
            self._invalidate(name)
        elif name.startswith("run/") and self.on:
            if topic == "revision":
                conditions.unproven(self._engine, name)
            elif topic == "execution":
                self.jobs.begin(name)
            elif "/services/" in name and "/revisions/" not in name:
                self._take_over_one(name)
        self._due.set()

    def _take_over(self, again: bool) -> None:
        store = self._engine.store
        names = {name for place in store.collections("run/projects/", "services") for name, _ in store.children(place)}
        for name in names | self.services.keys():
            self._take_over_one(name, again)
        self._attached = True

    def _take_over_one(self, name: str, again: bool = False) -> None:
        known = self.services.get(name)
        if name not in self._engine.store:
            if known is not None:
                del self.services[name]
                self._spawn(known.close())
            return
        if known is None:
            known = self.services[name] = Service(name, self._engine, self._workshop, self._idle)
        known.follow(again)

    async def _follow_records(self) -> None:
        """Faces, hosts and endpoint groups follow any change, a moment later."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._follow_once()
            except Exception:
                log.exception("the runtime could not follow the records")
            await asyncio.sleep(0.02)

    async def _follow_once(self) -> None:
        self.balancer.follow()
        wanted: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {}
        for short, rule in self.balancer.rules().items():
            wanted[f"forwarding-rule.{short}"] = self._at_rule(rule)
        for service in self.services.values():
            wanted[f"service.{service.short}"] = self._at_service(service.name, "")
        await self.faces.follow(wanted)
        hosts: dict[str, Any] = {"*.a.run.app": self._nowhere}
        for name, service in self.services.items():
            for url in service.record.get("urls", ()):
                host = url.removeprefix("https://")
                hosts[host] = self._at_service(name, "")
                hosts.update({f"{tag}---{host}": self._at_service(name, tag) for tag in service.tags})
        hosts.update({host: self._at_rule(rule) for host, rule in self.balancer.hosts().items()})
        for host in [host for host, answer in self._face.hosts.items() if getattr(answer, "twin_runtime", False)]:
            del self._face.hosts[host]
        if self.on:
            self._face.hosts.update(hosts)

    def _at_service(self, name: str, tag: str) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            service = self.services.get(name)
            if service is None:
                return pages.not_found()
            return await self.front.answer(request, service, tag=tag)

        return _marked(answer)

    def _at_rule(self, rule: str) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self.balancer.answer(request, rule)

        return _marked(answer)

    async def _nowhere(self, request: web.BaseRequest) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return pages.not_found()

    def _invalidate(self, event: str) -> None:
        url_map, _, rest = event.partition("?")
        path, _, host = rest.removeprefix("path=").rpartition("&host=")
        backends = set(_links(self._engine.store.get(url_map) or {}))
        self.balancer.cdn.cache.invalidate(backends, host, path)

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            for service in list(self.services.values()):
                service.idle_seconds = self._idle
                service.tick()
                for pool in service.pools.values():
                    busy = sum(1 for instance in pool.ready() if instance.in_flight)
                    self.telemetry.instances(pool.revision, busy, len(pool.ready()) - busy)

    def _counted(self, revision: Revision, event: str) -> None:
        key = f"{revision.service}.{event}"
        self._events[key] = self._events.get(key, 0) + 1

    # The admin endpoint

    def routes(self) -> dict[tuple[str, str], Admin]:
        return {
            ("GET", "images"): lambda _: {"images": self.images.listed()},
            ("POST", "images"): self._map_image,
            ("GET", "endpoints"): self._endpoints,
            ("GET", "instances"): lambda _: {"instances": self._instances()},
            ("POST", "cool"): self._cool,
            ("GET", "runtime"): lambda _: self.health(),
            ("POST", "runtime"): self._configure,
        }

    async def _map_image(self, body: Body) -> Body:
        was_on = self.on
        image = self.images.add(body)
        if was_on:
            # Services whose latest revision had no command, or failed, get another try.
            self._take_over(again=False)
        else:
            self._take_over(again=True)
        await self._follow_once()
        return {"image": image.pattern, "command": list(image.command)}

    async def _endpoints(self, body: Body) -> Body:  # noqa: ARG002 - the signature of an admin route
        await self._follow_once()
        services = {}
        for service in self.services.values():
            services[service.short] = {
                "url": self.faces.url(f"service.{service.short}"),
                "uri": service.record.get("uri", ""),
                "revisions": {
                    name: {
                        "instances": len(pool.live()),
                        "ready": len(pool.ready()),
                        "minimum": pool.minimum,
                        "failure": pool.failure,
                    }
                    for name, pool in service.pools.items()
                },
                "instances": sum(len(pool.live()) for pool in service.pools.values()),
            }
        rules = {short: {"url": self.faces.url(f"forwarding-rule.{short}")} for short in self.balancer.rules()}
        return {"services": services, "forwardingRules": rules}

    def _instances(self) -> list[Body]:
        return [
            {
                "service": service.short,
                "revision": last(instance.revision.name),
                "id": instance.id,
                "pid": instance.pid,
                "port": instance.port,
                "state": instance.state,
                "inFlight": instance.in_flight,
                "startupSeconds": round(instance.startup_seconds, 3),
                "cpuIdle": instance.revision.cpu_idle,
                "startupCpuBoost": instance.revision.boost,
            }
            for service in self.services.values()
            for instance in service.instances()
        ]

    async def _cool(self, body: Body) -> Body:
        """Stop idle instances above the minimum at once; answers when they are gone."""
        found = [service for service in self.services.values() if service.short == body["service"]]
        if not found:
            raise ValueError(
                f"no service {body['service']} runs here; there are: {sorted(item.short for item in self.services.values())}"
            )
        gone = [instance for service in found for pool in service.pools.values() for instance in pool.cool()]
        for instance in gone:
            await instance.gone.wait()
        return {"stopped": len(gone)}

    def _configure(self, body: Body) -> Body:
        """`idleSeconds`: how long an idle instance above the minimum stays."""
        self._idle = float(body["idleSeconds"])
        self._engine.store.set_setting("runtime.idle", str(self._idle))
        return {"idleSeconds": self._idle}

    def health(self) -> Body:
        """For `GET /-/health`: what runs, what died."""
        return {
            "on": self.on,
            "guard": self.processes.guard_pid,
            "guards": self.processes.guards,
            "instances": len(self._instances()),
            "services": {service.short: service.state() for service in self.services.values()},
            "events": dict(self._events),
            "idleSeconds": self._idle,
            "cached": len(self.balancer.cdn.cache),
            "requestLogsLeftOut": self.telemetry.left_out,
        }

    def changed_at_once(self) -> None:
        """Everything may have changed at once: after a reset or a restore."""
        self.balancer.cdn.cache.clear()
        if self.on:
            self._take_over(again=False)
        self._due.set()

    async def close(self) -> None:
        """End every child, every listener and every task."""
        self._closing = True
        self._engine.listeners.remove(self._heard)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.faces.close()
        for service in self.services.values():
            for pool in service.pools.values():
                pool.retired, pool.minimum = True, 0
        await self.processes.close()
        await asyncio.gather(*(service.close() for service in self.services.values()), return_exceptions=True)
        await self.jobs.close()
        await self.balancer.close()
        with contextlib.suppress(Exception):
            self.telemetry.close()
        await self._session.close()


def _marked(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    answer.twin_runtime = True  # type: ignore[attr-defined]
    return answer


def _links(body: Any) -> list[str]:
    """All backends that a url map names, as canonical names."""
    from twin.runtime.balancer import name_of

    if isinstance(body, dict):
        own = [
            name_of(body[field])
            for field in ("defaultService", "service", "backendService")
            if isinstance(body.get(field), str)
        ]
        return own + [name for value in body.values() for name in _links(value)]
    return [name for value in body for name in _links(value)] if isinstance(body, list) else []
