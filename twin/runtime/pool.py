"""The instances of one revision: how many there are, which one takes a request, who waits.

https://cloud.google.com/run/docs/about-instance-autoscaling, https://cloud.google.com/run/docs/about-concurrency
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field

from twin.runtime.instance import Instance, StartError, Workshop
from twin.runtime.template import Revision

log = logging.getLogger("twin.runtime")

_PENDING = 10.0
"""Least seconds that a request waits for an instance; 3.5 average starts where that is longer."""
_GRACE = 10.0
"""Between SIGTERM and SIGKILL (https://cloud.google.com/run/docs/container-contract#instance-shutdown)."""
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class NoInstanceError(Exception):
    """No instance took the request. `status` and the text are what Cloud Run answers."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True, eq=False)
class Pool:
    """Instances of one revision."""

    revision: Revision
    workshop: Workshop
    idle_seconds: float
    minimum: int = 0
    """How many stay up without requests; set by the service from both levels and the traffic."""
    fixed: int | None = None
    """Exactly so many instances, whatever is asked of them: manual scaling."""
    retired: bool = False
    instances: list[Instance] = field(default_factory=list)
    failure: str = ""
    """Why the last start failed; '' after one that went well."""
    failed_starts: int = 0
    """In a row, crashes after a start included: they set the pause before the next attempt."""
    _waiting: deque[asyncio.Future[Instance]] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _pause_until: float = 0.0
    _pause: asyncio.TimerHandle | None = None
    _startup: float = 1.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def live(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.state in ("starting", "ready", "unready")]

    def ready(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.state == "ready"]

    # Requests

    @contextlib.asynccontextmanager
    async def slot(self, wanted: str = "") -> AsyncIterator[Instance]:
        """An instance for one request, for as long as the request takes. `wanted` is the affinity cookie's instance.

        NoInstanceError when none became free in time.
        """
        instance = self._free(wanted)
        if instance is None:
            instance = await self._queued()
        else:
            instance.enter()
        try:
            yield instance
        finally:
            instance.leave()
            self._hand_out()

    def _free(self, wanted: str = "") -> Instance | None:
        best: Instance | None = None
        for instance in self.instances:
            if instance.state != "ready" or instance.in_flight >= self.revision.concurrency:
                continue
            if instance.id == wanted:
                return instance
            if best is None or instance.in_flight < best.in_flight:
                best = instance
        return best

    async def _queued(self) -> Instance:
        if self.fixed == 0:
            raise NoInstanceError(503, "Service Unavailable")
        future: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self.scale()
        try:
            async with asyncio.timeout(max(_PENDING, 3.5 * self._startup)):
                return await future
        except TimeoutError:
            if len(self.live()) >= self.revision.maximum:
                raise NoInstanceError(429, "Rate exceeded.") from None
            raise NoInstanceError(503, "Service Unavailable") from None
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().leave()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)

    def _hand_out(self) -> None:
        while self._waiting:
            instance = self._free()
            if instance is None:
                return
            future = self._waiting.popleft()
            if not future.done():
                instance.enter()
                future.set_result(instance)

    # Scaling

    def scale(self) -> None:
        """Start what is missing for the minimum and for the requests that wait."""
        if self.retired and not self._waiting:
            return
        live = self.live()
        coming = sum(1 for instance in live if instance.state == "starting") * self.revision.concurrency
        short = max(0, len(self._waiting) - coming)
        wanted = len(live) + -(-short // self.revision.concurrency)
        wanted = min(self.revision.maximum, max(wanted, self.minimum)) if self.fixed is None else self.fixed
        for instance in live[wanted:] if self.fixed is not None else ():
            self._run(instance.stop(_GRACE), "stop")
        if wanted > len(live) and time.monotonic() < self._pause_until:
            self._again_later()
            return
        for _ in range(wanted - len(live)):
            self._begin()

    def _begin(self) -> Instance:
        instance = Instance(self.revision, self.workshop, self._noticed)
        self.instances.append(instance)
        self._run(self._start(instance), "start")
        return instance

    async def _start(self, instance: Instance) -> None:
        try:
            await instance.start()
        except StartError as error:
            self.failure = str(error)
            self._failed()
            self._refuse_waiting()
        else:
            self.failure = ""
            self._startup = (self._startup + instance.startup_seconds) / 2
        self._noticed()

    def _failed(self) -> None:
        pause = _BACKOFF[min(self.failed_starts, len(_BACKOFF) - 1)]
        self.failed_starts += 1
        self._pause_until = time.monotonic() + pause

    def _refuse_waiting(self) -> None:
        """With nothing up and the start failed, waiting longer is of no use."""
        if self.live():
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(NoInstanceError(503, "Service Unavailable"))

    def _noticed(self) -> None:
        """Some instance has changed its state."""
        for instance in [instance for instance in self.instances if instance.state == "ended"]:
            self.instances.remove(instance)
            if instance.startup_seconds and instance.why:
                # It crashed. One that had served for a while starts a fresh count.
                if time.monotonic() - instance.begun > 2 * _BACKOFF[-1]:
                    self.failed_starts = 0
                self._failed()
        self._hand_out()
        self._changed.set()
        self.scale()

    def _again_later(self) -> None:
        if self._pause is None or self._pause.when() < asyncio.get_running_loop().time():
            delay = max(0.01, self._pause_until - time.monotonic())
            self._pause = asyncio.get_running_loop().call_later(delay, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self.scale()

    async def first(self) -> None:
        """Wait until one instance is ready, starting it if need be. StartError with Cloud Run's words."""
        failures = 0
        while not self.ready():
            if not self.live():
                if failures and self.failure:
                    raise StartError(self.failure)
                self._begin()
                failures += 1
            self._changed.clear()
            if not self.ready() and self.live():
                await self._changed.wait()

    async def full(self) -> None:
        """Wait until the minimum is ready."""
        await self.first()
        while len(self.ready()) < min(self.minimum, self.revision.maximum):
            self._changed.clear()
            self.scale()
            if self.failure:
                raise StartError(self.failure)
            await self._changed.wait()

    def cool(self, idle: float = 0.0) -> list[Instance]:
        """Stop instances above the minimum that were idle for `idle` seconds; returns them."""
        if self.fixed is not None:
            return []
        spare = len(self.live()) - self.minimum
        gone = []
        for instance in sorted(self.ready(), key=lambda item: item.idle_since):
            if spare <= 0:
                break
            if instance.in_flight == 0 and time.monotonic() - instance.idle_since >= idle:
                self._run(instance.stop(0), "stop")
                gone.append(instance)
                spare -= 1
        return gone

    def tick(self) -> None:
        """Now and then: scale in what was idle for long, scale out what is missing."""
        self.cool(self.idle_seconds)
        self.scale()

    async def close(self, drain: float) -> None:
        """Retire: no new instances, requests in flight finish within `drain` seconds."""
        self.retired = True
        self.minimum = 0
        if self._pause is not None:
            self._pause.cancel()
        for task in [task for task in self._tasks if task.get_name() == "start"]:
            task.cancel()
        await asyncio.gather(*(instance.stop(drain) for instance in list(self.instances)))
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._refuse_waiting()

    def _run(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
