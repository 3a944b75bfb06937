"""Processes that cannot outlive the twin: started behind a gate, listed with the guard, ended as a group."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("twin.runtime")

_ROOT = Path(__file__).resolve().parent.parent.parent
# The gate: the shell waits for a word before it becomes the command. If the control process dies first, the pipe closes,
# `read` fails, and nothing was started; so no process can slip in between its start and its entry in the guard's list.
_GATE = 'read -r go && [ "$go" = go ] && exec "$@" </dev/null'
_LINE_LIMIT = 256 * 1024


@dataclass(slots=True)
class Child:
    """One running process, leader of its own group."""

    process: asyncio.subprocess.Process
    ended: asyncio.Task[int]
    """Finishes with the exit code, once the output was read to its end."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        """Signal the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def end(self, grace: float) -> int:
        """SIGTERM, `grace` seconds, SIGKILL. Returns the exit code."""
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace):
                    return await asyncio.shield(self.ended)
            except TimeoutError:
                self.signal(signal.SIGKILL)
        return await asyncio.shield(self.ended)


class Processes:
    """Starts children and keeps the guard informed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._guard: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._closing = False
        self.guards = 0
        """How many guards there have been: more than one means that somebody killed one."""

    @property
    def guard_pid(self) -> int:
        return self._guard.pid if self._guard is not None else 0

    def pids(self) -> list[int]:
        return list(self._children)

    async def start(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        hear: Callable[[str, str], None],
    ) -> Child:
        """Start a command with just this environment. `hear` gets (stream, line). OSError when it cannot start."""
        if self._closing:
            raise OSError("the twin is stopping")
        await self._guarded()
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", _GATE, "twin-instance", *command,
            cwd=cwd, env=dict(env), start_new_session=True, limit=_LINE_LIMIT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        child = Child(process, asyncio.create_task(self._follow(process, hear)))
        self._children[process.pid] = child
        self._tell(f"+{process.pid}\n")
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(b"go\n")
            await process.stdin.drain()
        process.stdin.close()
        return child

    async def _follow(self, process: asyncio.subprocess.Process, hear: Callable[[str, str], None]) -> int:
        assert process.stdout is not None
        assert process.stderr is not None
        reading = [
            asyncio.create_task(_lines(process.stdout, "stdout", hear)),
            asyncio.create_task(_lines(process.stderr, "stderr", hear)),
        ]
        code = await process.wait()
        # Grandchildren belong to the instance: they go with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._tell(f"-{process.pid}\n")
        self._children.pop(process.pid, None)
        _, late = await asyncio.wait(reading, timeout=2)
        for task in late:
            task.cancel()
        return code

    # The guard

    async def _guarded(self) -> None:
        async with self._opening:
            if self._guard is not None and self._guard.returncode is None:
                return
            self._guard = await asyncio.create_subprocess_exec(
                sys.executable, "-I", str(_ROOT / "twin" / "runtime" / "guard.py"),
                cwd=self._folder, env={"PATH": os.environ.get("PATH", "")}, start_new_session=True,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            self.guards += 1
            for pid in self._children:
                self._tell(f"+{pid}\n")
            self._watching = asyncio.create_task(self._watch(self._guard))

    async def _watch(self, guard: asyncio.subprocess.Process) -> None:
        code = await guard.wait()
        if not self._closing:
            log.warning("the runtime's guard (pid %d) died with %d; starting another", guard.pid, code)
            await self._guarded()

    def _tell(self, line: str) -> None:
        if self._guard is not None and self._guard.stdin is not None and self._guard.returncode is None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._guard.stdin.write(line.encode())

    async def close(self, grace: float = 3.0) -> None:
        """End every child, then the guard."""
        self._closing = True
        await asyncio.gather(*(child.end(grace) for child in list(self._children.values())))
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await self._guard.wait()
        if self._watching is not None:
            await self._watching


async def _lines(stream: asyncio.StreamReader, name: str, hear: Callable[[str, str], None]) -> None:
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            # Longer than the limit: what there is of it was dropped by asyncio; say so.
            hear(name, "(a line longer than 256 KiB was dropped)")
            continue
        if not line:
            return
        hear(name, line.decode("utf-8", "replace").rstrip("\r\n"))
