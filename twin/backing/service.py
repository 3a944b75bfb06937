"""One supervised service: a process group with a pid file and a log, started again when it dies unasked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil

from twin.backing.parts import Part
from twin.frontdoor.authority import write_private
from twin.process import TwinError

log = logging.getLogger("twin.backing")
_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_START_LIMIT: Final = 30.0
_STOP_LIMIT: Final = 8.0
_TRIES: Final = 6
# The child waits at a gate until the guard knows it: whatever is killed when, nothing is left running.
_GATE: Final = 'read -r go && [ "$go" = go ] && exec "$@" </dev/null'


class Service:
    """A part and the process that runs it."""

    def __init__(self, part: Part, folder: Path, tell: Callable[[str], None]) -> None:
        self._part, self._folder, self._tell = part, folder, tell
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._state = "stopped"
        self._died = ""
        self._restarts = 0
        self._seconds = 0.0

    @property
    def pid(self) -> int:
        """Its process and process group; 0 when it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    def facts(self) -> dict[str, Any]:
        """state: running, starting, paused, stopped, killed or failed; what died last; seconds that starting took."""
        return {
            "state": self._state, "pid": self.pid, "restarts": self._restarts, "died": self._died,
            "seconds": round(self._seconds, 3),
        }  # fmt: skip

    async def start(self) -> None:
        """Start it and wait until it answers. TwinError when it does not."""
        if self.pid:
            if self._state == "paused":
                await self.resume()
            return
        await self._forget()
        self._state = "starting"
        begun = time.monotonic()
        try:
            await self._launch()
        except BaseException:
            self._state = "failed"
            await self._end(signal.SIGKILL)
            raise
        self._seconds = time.monotonic() - begun
        self._state = "running"
        assert self._process is not None
        self._watching = asyncio.create_task(self._watch(self._process))

    async def _launch(self) -> None:
        part = self._part
        await asyncio.to_thread(part.prepare)
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        environment = {**kept, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}
        if part.secret:
            environment["TWIN_SECRET"] = part.secret
        (self._folder / "logs").mkdir(exist_ok=True, mode=0o700)
        path = self._folder / "logs" / f"{part.name}.log"
        with path.open("ab") as output:
            self._process = process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", _GATE, part.name, *part.command,
                cwd="/", env=environment, stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output,
                start_new_session=True, **part.account,
            )  # fmt: skip
        self._tell(f"+{process.pid}")
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).create_time()
            facts = {"pid": process.pid, "started": started, "nonce": secrets.token_hex(8)}
            write_private(self._folder / "backing" / f"{part.name}.pid", json.dumps(facts).encode())
        end = time.monotonic() + _START_LIMIT
        while not await asyncio.to_thread(part.ready):
            if process.returncode is not None or time.monotonic() > end:
                tail = " | ".join(path.read_text(errors="replace").strip().splitlines()[-3:])
                what = f"ended with {process.returncode}" if process.returncode is not None else "does not answer"
                raise TwinError(f"{part.name} {what}; the end of {path}: {tail}")
            await asyncio.sleep(0.03)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Start it again when it dies unasked; give up after some tries."""
        code = await process.wait()
        self._gone(process.pid)
        self._died = f"ended with {code} at {time.strftime('%H:%M:%SZ', time.gmtime())}"
        log.warning("%s %s; starting it again", self._part.name, self._died)
        for attempt in range(_TRIES):
            await asyncio.sleep(0 if not attempt else 0.2 * 2**attempt)
            self._state = "starting"
            try:
                await self._launch()
            except (TwinError, OSError) as error:
                log.warning("%s", error)
                await self._end(signal.SIGKILL)
                continue
            self._restarts += 1
            self._state = "running"
            assert self._process is not None
            self._watching = asyncio.create_task(self._watch(self._process))
            return
        self._state = "failed"
        log.error("%s does not stay up; see its log", self._part.name)

    async def stop(self) -> None:
        """Let it end in order."""
        await self._halt(self._part.stop_signal, "stopped")

    async def kill(self) -> None:
        """End it as kill -9 does; it stays down until started."""
        await self._halt(signal.SIGKILL, "killed")

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def reset(self) -> None:
        """Without its data, from the start."""
        await self.stop()
        await asyncio.to_thread(self._part.wipe)
        await self.start()

    async def pause(self) -> None:
        """SIGSTOP to all of its processes. TwinError when it does not run."""
        if not self.pid:
            raise TwinError(f"{self._part.name} does not run, so it cannot be paused: start it first")
        self._signal(signal.SIGSTOP)
        self._state = "paused"

    async def resume(self) -> None:
        """SIGCONT to all of its processes."""
        self._signal(signal.SIGCONT)
        if self._state == "paused":
            self._state = "running"

    async def _halt(self, number: signal.Signals, state: str) -> None:
        await self._forget()
        await self._end(number)
        self._state = state

    async def _forget(self) -> None:
        """Stop watching, so that its end is not taken for a death."""
        task, self._watching = self._watching, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            family = self._family()  # PostgreSQL's children make sessions of their own
            self._signal(number, family)
            self._signal(signal.SIGCONT, family)
            try:
                async with asyncio.timeout(_STOP_LIMIT):
                    await process.wait()
            except TimeoutError:
                log.warning("%s does not stop within %.0f s: killed", self._part.name, _STOP_LIMIT)
                self._signal(signal.SIGKILL, family)
                await process.wait()
            await asyncio.to_thread(_finish, family[1:])
        self._gone(process.pid)
        self._process = None

    def _gone(self, pid: int) -> None:
        self._tell(f"-{pid}")
        (self._folder / "backing" / f"{self._part.name}.pid").unlink(missing_ok=True)

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            head = psutil.Process(self.pid)
            return [head, *head.children(recursive=True)]
        return []

    def _signal(self, number: signal.Signals, family: list[psutil.Process] | None = None) -> None:
        # A postmaster passes SIGINT and SIGTERM on by itself, in its own order.
        family = self._family() if family is None else family
        everyone = number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL)
        for process in family if everyone else family[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _finish(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=3)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
