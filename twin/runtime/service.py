"""One Cloud Run service: its revisions' pools, where traffic goes, and the roll-out of a new revision."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from dataclasses import dataclass, field

from twin.kernel.engine import Engine
from twin.kernel.names import last
from twin.kernel.types import Body
from twin.runtime import conditions
from twin.runtime.instance import Instance, StartError, Workshop
from twin.runtime.pool import Pool
from twin.runtime.template import read_revision

log = logging.getLogger("twin.runtime")


@dataclass(slots=True, eq=False)
class Service:
    """`name` is the canonical name in the store; the record there is the truth, this follows it."""

    name: str
    engine: Engine
    workshop: Workshop
    idle_seconds: float
    pools: dict[str, Pool] = field(default_factory=dict)
    """By revision, in short."""
    shares: list[tuple[str, float]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    _rollout: asyncio.Task[None] | None = None
    _rolling: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def short(self) -> str:
        return last(self.name)

    @property
    def record(self) -> Body:
        return self.engine.store.get(self.name) or {}

    def instances(self) -> list[Instance]:
        return [instance for pool in self.pools.values() for instance in pool.instances]

    # Following the record

    def follow(self, again: bool = False) -> None:
        """Bring pools and traffic in line with the record; roll out the latest revision when it is new (or `again`)."""
        record = self.record
        created = f"run/{record.get('latestCreatedRevision', '')}"
        if created != self._rolling and (again or not conditions.is_ready(self.engine.store.get(created))):
            self._begin(created)
        self._route()

    def state(self) -> Body:
        """For the twin's health: is it ready, and what failed last."""
        condition = self.record.get("terminalCondition", {})
        failures = {name: pool.failure for name, pool in self.pools.items() if pool.failure}
        return {
            "ready": condition.get("state") == "CONDITION_SUCCEEDED",
            "message": condition.get("message", ""),
            "instances": sum(len(pool.live()) for pool in self.pools.values()),
            "failures": failures,
        }

    def _begin(self, created: str) -> None:
        if self._rollout is not None:
            self._rollout.cancel()
        self._rolling = created
        conditions.pending(self.engine, self.name)
        self._rollout = asyncio.create_task(self._roll_out(created))
        self._rollout.add_done_callback(_complain)

    async def _roll_out(self, created: str) -> None:
        """The old revision serves until the new one is ready; a failed one changes nothing but its conditions."""
        pool = self._pool(last(created))
        if pool is None:
            return
        pool.minimum = max(pool.minimum, self._minimum(last(created), self._percent(last(created))))
        try:
            await pool.full()
        except StartError as error:
            self._rolling = ""
            pool.minimum = 0
            conditions.failed(self.engine, self.name, created, str(error))
        else:
            self._rolling = ""
            conditions.ready(self.engine, self.name, created)
        self._route()

    def _percent(self, revision: str) -> float:
        latest = last(self.record.get("latestCreatedRevision", ""))
        return sum(
            float(target.get("percent", 0))
            for target in self.record.get("traffic", ())
            if last(target.get("revision", "") or latest) == revision
        )

    def _route(self) -> None:
        record = self.record
        latest = last(record.get("latestReadyRevision", ""))
        shares: dict[str, float] = {}
        tags: dict[str, str] = {}
        for target in record.get("traffic", ()):
            revision = last(target.get("revision", "")) or latest
            if revision and target.get("percent"):
                shares[revision] = shares.get(revision, 0) + float(target["percent"])
            if revision and target.get("tag"):
                tags[target["tag"]] = revision
        self.shares, self.tags = list(shares.items()), tags
        serving = {*shares, *tags.values()}
        for revision in serving:
            pool = self._pool(revision)
            if pool is not None:
                pool.retired = False
                pool.minimum = self._minimum(revision, shares.get(revision, 0.0))
                pool.fixed = self._manual(shares.get(revision, 0.0))
                pool.scale()
        for revision in [name for name in self.pools if name not in serving and name != last(self._rolling)]:
            self._retire(self.pools.pop(revision))

    def _minimum(self, revision: str, percent: float) -> int:
        """Both levels count; the service's is shared out by traffic (https://cloud.google.com/run/docs/configuring/min-instances)."""
        pool = self._pool(revision)
        own = pool.revision.minimum if pool is not None else 0
        shared = int(self.record.get("scaling", {}).get("minInstanceCount", 0))
        return max(own, math.ceil(shared * percent / 100))

    def _manual(self, percent: float) -> int | None:
        """How many instances a person asked for, shared out by traffic; None where scaling is automatic. With none at all the
        service answers 503 (https://cloud.google.com/run/docs/configuring/services/manual-scaling).
        """
        scaling = self.record.get("scaling", {})
        if scaling.get("scalingMode") != "MANUAL":
            return None
        return math.ceil(int(scaling.get("manualInstanceCount", 0)) * percent / 100)

    def _pool(self, revision: str) -> Pool | None:
        known = self.pools.get(revision)
        if known is None:
            name = f"{self.name}/revisions/{revision}"
            body = self.engine.store.get(name)
            if body is None:
                return None
            known = self.pools[revision] = Pool(read_revision(name, body), self.workshop, self.idle_seconds)
        return known

    def _retire(self, pool: Pool) -> None:
        """Requests in flight finish within the revision's own time-out."""
        task = asyncio.create_task(pool.close(pool.revision.timeout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Choosing

    def choose(self, tag: str = "", wanted: str = "") -> Pool | None:
        """The pool for one request: by tag, by the affinity cookie's instance, else by the traffic split."""
        if tag:
            return self.pools.get(self.tags.get(tag, ""))
        if wanted:
            for revision, _ in self.shares:
                pool = self.pools.get(revision)
                if pool is not None and any(instance.id == wanted for instance in pool.ready()):
                    return pool
        if not self.shares:
            return None
        if len(self.shares) == 1:
            return self.pools.get(self.shares[0][0])
        names, weights = zip(*self.shares, strict=True)
        return self.pools.get(random.choices(names, weights)[0])  # noqa: S311 - a traffic split, no secret

    def tick(self) -> None:
        for pool in self.pools.values():
            pool.idle_seconds = self.idle_seconds
            pool.tick()

    async def close(self, drain: float = 0.0) -> None:
        """End every instance."""
        if self._rollout is not None:
            self._rollout.cancel()
            await asyncio.gather(self._rollout, return_exceptions=True)
        await asyncio.gather(*(pool.close(drain) for pool in self.pools.values()))
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


def _complain(task: asyncio.Task[None]) -> None:
    """A bug must not leave a service unfinished without a word."""
    if not task.cancelled() and task.exception() is not None:
        log.error("a roll-out ended with a bug", exc_info=task.exception())
