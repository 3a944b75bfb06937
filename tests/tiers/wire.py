"""Real sockets that can be spoiled: TCP proxies between the services and what they stand on, told by plain calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.tiers import cloud, stores
from tests.tiers.cloud import Project
from twin.backing.toxic import Proxy
from twin.staging import Staging

_LIMIT = 10.0


class Wires:
    """One proxy a name, in an event loop of their own."""

    def __init__(self, targets: Mapping[str, tuple[str, int]]) -> None:
        self._targets = targets
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()
        self.proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Wires:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        for name, target in self._targets.items():
            self.proxies[name] = await self._stack.enter_async_context(Proxy(*target))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT)

    @contextmanager
    def spoiled(self, name: str, **toxics: float | bool) -> Iterator[Proxy]:
        """So much is wrong with this wire meanwhile; clean afterwards."""
        proxy = self.proxies[name]
        self._run(_soon(lambda: proxy.set(**toxics)))
        try:
            yield proxy
        finally:
            self._run(_soon(proxy.heal))

    def reset(self, name: str) -> int:
        """Cut every connection that is open; how many there were."""
        return int(self._run(_soon(self.proxies[name].reset)))


async def _soon(work: Any) -> Any:
    """A plain call, made in the loop."""
    return work()


def place(address: str) -> tuple[str, int]:
    """Host and port of an address."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@contextmanager
def wired(staging: Staging) -> Iterator[Wires]:
    """Cache, database and feed are reached through proxies meanwhile, by new versions of the secrets."""
    redis, database = stores.secret(staging, "redis-url"), stores.secret(staging, "database-url")
    feed = staging.url("websocket-service")
    targets = {"redis": place(redis), "database": place(database), "feed": place(feed)}
    with Wires(targets) as wires:
        ports = {name: proxy.port for name, proxy in wires.proxies.items()}
        versions = {
            "TIDEMARK_REDIS_URL": ("redis-url", _version(staging, "redis-url", moved(redis, ports["redis"]))),
            "TIDEMARK_DATABASE_URL": (
                "database-url",
                _version(staging, "database-url", moved(database, ports["database"])),
            ),
        }
        plain = {"TIDEMARK_FEED_ADDRESS": moved(feed, ports["feed"])}
        before = {
            service: cloud.services(staging)[service]["template"]
            for service in ("api", "writer", "allocator", "ingest")
        }
        _deploy(staging, {service: redirected(template, versions, plain) for service, template in before.items()})
        try:
            yield wires
        finally:
            _deploy(staging, before)


def moved(address: str, port: int) -> str:
    """The same address at another port of this machine."""
    old = urlsplit(address)
    return old._replace(netloc=old.netloc.replace(f":{old.port}", f":{port}")).geturl()


def redirected(template: Mapping[str, Any], versions: Mapping[str, tuple[str, str]], plain: Mapping[str, str]) -> Any:
    """A template whose variables read other versions, or hold other values."""
    (container,) = template["containers"]
    variables = []
    for item in container["env"]:
        name = item["name"]
        if name in versions:
            secret, version = versions[name]
            item = {"name": name, "valueSource": {"secretKeyRef": {"secret": secret, "version": version}}}
        elif name in plain:
            item = {"name": name, "value": plain[name]}
        variables.append(item)
    return {**template, "containers": [{**container, "env": variables}]}


def _version(staging: Staging, secret: str, value: str) -> str:
    """A new version of a secret; its number."""
    import base64

    body = {"payload": {"data": base64.b64encode(value.encode()).decode()}}
    made = staging.cloud.api.call("POST", f"{Project(staging).secrets}/{secret}:addVersion", body)
    return str(made["name"]).rpartition("/")[2]


def _deploy(staging: Staging, templates: Mapping[str, Mapping[str, Any]]) -> None:
    """All at once; then wait for each."""
    for service, template in templates.items():
        body = {name: value for name, value in template.items() if name != "revision"}
        url = f"{Project(staging).run}/{service}?updateMask=template"
        staging.cloud.api.call("PATCH", url, {"template": body})
    said = {service: cloud.settled(staging, service) for service in templates}
    assert said == dict.fromkeys(templates, "")
    staging.wait_healthy(list(templates), within=60)
