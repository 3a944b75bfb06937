"""Cloud Run jobs: an execution really runs its command, task by task.

https://cloud.google.com/run/docs/create-jobs, https://cloud.google.com/run/docs/container-contract#jobs-env-vars
"""

from __future__ import annotations

import asyncio
import copy
import sys
from typing import Any

from twin.kernel.engine import Engine
from twin.kernel.names import last, segment_after
from twin.kernel.types import Body, Context, rfc3339, seconds_of
from twin.runtime.instance import GRACE, Workshop
from twin.runtime.surroundings import UnresolvedError
from twin.runtime.template import Revision, read_revision

_RETRY_PAUSE = 0.2


class Jobs:
    """Runs executions in the background and writes how they ended."""

    def __init__(self, engine: Engine, workshop: Workshop) -> None:
        self._engine, self._workshop = engine, workshop
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, name: str) -> None:
        """Start an execution whose record was just made: it is running, not complete."""
        self._write(name, {"succeededCount": 0, "runningCount": 1}, "CONDITION_RECONCILING", "")
        task = asyncio.create_task(self._run(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, name: str) -> None:
        body = self._engine.store.get(name) or {}
        template, count = body.get("template", {}), int(body.get("taskCount", 1))
        at_once = asyncio.Semaphore(int(body.get("parallelism") or count) or count)

        async def task(index: int) -> str:
            async with at_once:
                return await self._task(name, template, index, count)

        failures = [why for why in await asyncio.gather(*(task(index) for index in range(count))) if why]
        counts: dict[str, Any] = {"succeededCount": count - len(failures), "failedCount": len(failures)}
        if failures:
            message = f"Task {last(name)}-task0 failed with message: {failures[0]}"
            self._write(name, counts, "CONDITION_FAILED", message)
        else:
            self._write(name, counts, "CONDITION_SUCCEEDED", "")

    async def _task(self, name: str, template: Body, index: int, count: int) -> str:
        """Run one task with its retries; '' when it succeeded, else why not."""
        revision = read_revision(name, template)
        why = ""
        for attempt in range(int(template.get("maxRetries", 3)) + 1):
            why = await self._attempt(name, revision, index, count, attempt)
            if not why:
                return ""
            await asyncio.sleep(_RETRY_PAUSE)
        return why

    async def _attempt(self, name: str, revision: Revision, index: int, count: int, attempt: int) -> str:
        image = self._workshop.images.find(revision.image)
        if image is None:
            return f"Image '{revision.image}' not found."
        try:
            env = self._workshop.surroundings.make(revision, image, 0)
        except UnresolvedError as error:
            return str(error)
        for word in ("PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"):
            env.pop(word)
        env.update(
            CLOUD_RUN_JOB=segment_after(name, "jobs"),
            CLOUD_RUN_EXECUTION=last(name),
            CLOUD_RUN_TASK_INDEX=str(index),
            CLOUD_RUN_TASK_COUNT=str(count),
            CLOUD_RUN_TASK_ATTEMPT=str(attempt),
        )
        command = [sys.executable if image.command[0] == "python" else image.command[0], *image.command[1:]]
        try:
            child = await self._workshop.processes.start(
                [*command, *revision.command],
                env,
                image.cwd or env["HOME"],
                lambda stream, line: self._workshop.hear(revision, last(name), stream, line),
            )
        except OSError as error:
            return f"The container could not be started: {error}"
        try:
            async with asyncio.timeout(revision.timeout):
                code = await asyncio.shield(child.ended)
        except TimeoutError:
            await child.end(GRACE)
            return f"Terminating task because it has reached the maximum timeout of {seconds_of(f'{revision.timeout}s'):g} seconds."
        return "" if code == 0 else f"The container exited with an error: exit code {code}."

    def _write(self, name: str, fields: dict[str, Any], state: str, message: str) -> None:
        def work(context: Context) -> None:
            body = copy.deepcopy(self._engine.store.get(name))
            if body is None:
                return
            body.update(fields)
            stamp = rfc3339(context.now)
            condition: Body = {"type": "Completed", "state": state, "lastTransitionTime": stamp}
            if message:
                condition["message"] = message
            body["conditions"] = [condition]
            if state == "CONDITION_RECONCILING":
                body.pop("completionTime", None)
            else:
                body["completionTime"] = stamp
                body["runningCount"] = 0
            self._engine.store.put(name, body)

        self._engine.transact(work)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
