"""One instance: a process from its start to its end, with the probes that watch it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import psutil

from twin.runtime.images import Image, Images
from twin.runtime.ports import Ports, exposed
from twin.runtime.probes import probe
from twin.runtime.processes import Child, Processes
from twin.runtime.surroundings import Surroundings, UnresolvedError
from twin.runtime.template import Revision

log = logging.getLogger("twin.runtime")

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL (https://cloud.google.com/run/docs/container-contract#instance-shutdown)."""
_POLL = 0.02
_WATCH = 0.5

State = Literal["starting", "ready", "unready", "draining", "ended"]


class StartError(Exception):
    """An instance did not become ready; the message is Cloud Run's."""


@dataclass(slots=True)
class Workshop:
    """What instances are made with; one per runtime."""

    images: Images
    ports: Ports
    processes: Processes
    surroundings: Surroundings
    session: aiohttp.ClientSession
    hear: Callable[[Revision, str, str, str], None]
    """(revision, instance, stream, line): where an instance's output goes."""
    counted: Callable[[Revision, str], None]
    """(revision, event): `started`, `crashed`, `ended`."""


@dataclass(slots=True, eq=False)
class Instance:
    """`in_flight` and `state` are read by the revision that owns it."""

    revision: Revision
    workshop: Workshop
    changed: Callable[[], None]
    """Called when the state has changed."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: State = "starting"
    in_flight: int = 0
    port: int = 0
    why: str = ""
    begun: float = field(default_factory=time.monotonic)
    idle_since: float = field(default_factory=time.monotonic)
    startup_seconds: float = 0.0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _child: Child | None = None
    _watching: asyncio.Task[None] | None = None
    _looks: int = 0
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        return self._child.pid if self._child is not None else 0

    async def start(self) -> None:
        """Start the process and wait until it is ready. StartError when it does not get there."""
        image = self.workshop.images.find(self.revision.image)
        try:
            if image is None:
                raise StartError(f"Image '{self.revision.image}' not found.")
            self.port = self.workshop.ports.lease()
            await self._spawn(image)
            await self._startup()
        except UnresolvedError as error:
            await self._abandon(str(error))
            raise StartError(str(error)) from None
        except OSError as error:
            await self._abandon(str(error))
            raise StartError(f"The container could not be started: {error}") from None
        except BaseException as error:
            await self._abandon(str(error))
            raise
        self.startup_seconds = time.monotonic() - self.begun
        self.idle_since = time.monotonic()
        self.workshop.counted(self.revision, "started")
        self._become("ready")
        self._watching = asyncio.create_task(self._watch())

    async def _spawn(self, image: Image) -> None:
        env = self.workshop.surroundings.make(self.revision, image, self.port)
        command = [sys.executable if image.command[0] == "python" else image.command[0], *image.command[1:]]
        self._child = await self.workshop.processes.start(
            [*command, *self.revision.command],
            env,
            image.cwd or env["HOME"],
            lambda stream, line: self.workshop.hear(self.revision, self.id, stream, line),
        )

    async def _startup(self) -> None:
        """The startup probe. It is asked more often than its period says, within the same total time, so that a
        start costs what the process needs and not a whole period more."""
        child, wanted = self._child, self.revision.startup
        assert child is not None
        budget = wanted.delay + max(wanted.period, wanted.timeout) * wanted.failures
        deadline = self.begun + budget
        if wanted.delay:
            await asyncio.wait([child.ended], timeout=wanted.delay)
        seen = "not asked"
        while not child.ended.done():
            seen = await probe(self.workshop.session, "127.0.0.1", self.port, wanted)
            if not seen:
                open_to_others = await asyncio.to_thread(exposed, child.pid)
                if open_to_others:
                    raise StartError(
                        f"The process listens on {', '.join(open_to_others)}, which the twin does not allow: bind to 127.0.0.1."
                    )
                return
            if time.monotonic() > deadline:
                break
            await asyncio.wait([child.ended], timeout=_POLL)
        if child.ended.done():
            seen = f"the process ended with {child.ended.result()}"
        self.workshop.hear(self.revision, self.id, "system", f"startup probe failed: {seen}")
        if wanted.kind == "tcp":
            raise StartError(
                "The user-provided container failed to start and listen on the port defined provided by the "
                f"PORT={self.revision.container_port} environment variable within the allocated timeout. This can happen "
                "when the container port is misconfigured or if the timeout is too short. The health check timeout can be "
                "extended. Logs for this revision might contain more information."
            )
        raise StartError("The user-provided container failed the configured startup probe checks.")

    async def _abandon(self, why: str) -> None:
        self.why = why
        if self._child is not None:
            self._child.signal(9)
            with contextlib.suppress(Exception):
                await self._child.ended
        self._over()

    # Serving

    def enter(self) -> None:
        self.in_flight += 1

    def leave(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self.idle_since = time.monotonic()
            self._quiet.set()

    async def _watch(self) -> None:
        """Liveness, readiness, memory, and the end of the process."""
        child = self._child
        assert child is not None
        misses = {"liveness": 0, "readiness": 0}
        due = {"liveness": time.monotonic(), "readiness": time.monotonic()}
        probes = {"liveness": self.revision.liveness, "readiness": self.revision.readiness}
        while not child.ended.done():
            await asyncio.wait([child.ended], timeout=_WATCH)
            if child.ended.done() or self.state == "draining":
                break
            if self._too_big(child.pid):
                child.signal(9)
                break
            for kind, wanted in probes.items():
                if wanted is None or time.monotonic() < due[kind]:
                    continue
                due[kind] = time.monotonic() + wanted.period
                seen = await probe(self.workshop.session, "127.0.0.1", self.port, wanted)
                misses[kind] = misses[kind] + 1 if seen else 0
                if kind == "readiness":
                    self._become("unready" if misses[kind] >= wanted.failures else "ready")
                elif misses[kind] >= wanted.failures:
                    self.why = f"the liveness probe failed {misses[kind]} times: {seen}"
                    self.workshop.hear(self.revision, self.id, "system", self.why)
                    child.signal(9)
                    await child.ended
        code = await child.ended
        if self.state != "draining":
            self.why = (
                self.why or f"Container called exit({code})." if code >= 0 else self.why or f"killed by signal {-code}"
            )
            self.workshop.hear(self.revision, self.id, "system", f"{self.why} (pid {child.pid})")
            self.workshop.counted(self.revision, "crashed")
            self._over()

    def _too_big(self, pid: int) -> bool:
        """Cloud Run ends an instance that uses more than its limit. Measured as resident memory of the group; address
        space (RLIMIT_AS) would refuse programs that merely reserve it."""
        if not self.revision.memory:
            return False
        try:
            # Looking for children means reading the whole process table: only now and then.
            self._looks += 1
            process = psutil.Process(pid)
            others = process.children(recursive=True) if self._looks % 10 == 1 else []
            used = sum(item.memory_info().rss for item in (process, *others))
        except psutil.Error:
            return False
        if used <= self.revision.memory:
            return False
        limit = self.revision.memory // 2**20
        self.why = (
            f"Memory limit of {limit} MiB exceeded with {used // 2**20} MiB used. Consider increasing the memory limit, "
            "see https://cloud.google.com/run/docs/configuring/memory-limits"
        )
        return True

    async def stop(self, drain: float) -> None:
        """No new requests; those in flight get `drain` seconds; then SIGTERM, ten seconds, SIGKILL."""
        if self.state in ("ended", "draining"):
            return
        self._become("draining")
        if self.in_flight and drain > 0:
            self._quiet.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain):
                    await self._quiet.wait()
        if self._child is not None:
            await self._child.end(GRACE)
        if self._watching is not None:
            await self._watching
        self.workshop.counted(self.revision, "ended")
        self._over()

    def _over(self) -> None:
        if self.port:
            self.workshop.ports.release(self.port)
        self._become("ended")
        self.gone.set()

    def _become(self, state: State) -> None:
        if self.state not in (state, "ended") and not (self.state == "draining" and state != "ended"):
            self.state = state
            self.changed()
