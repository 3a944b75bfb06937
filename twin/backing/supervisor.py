"""The supervisor: one process that starts the services in order, watches them, starts again what dies, and ends them.

It ends with its lifeline, and the guard ends the services when the supervisor itself is killed. It is asked by single
lines of JSON on a loopback port: {"key", "verb", "name"}.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from twin.backing import parts
from twin.backing.service import Service
from twin.frontdoor.authority import write_private
from twin.process import TwinError

log = logging.getLogger("twin.backing")
_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_VERBS: Final = ("state", "stop", "kill", "pause", "resume", "start", "restart", "reset", "close")


class Supervisor:
    """Holds the services."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self._key = str(plan["key"])
        self.closing = asyncio.Event()
        self._lock = asyncio.Lock()
        self._guard: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.services: dict[str, Service] = {}
        for name in plan["names"]:
            part = parts.make(name, folder / "backing" / name, int(plan["ports"][name]), str(plan["password"]))
            self.services[name] = Service(part, folder, self._tell)

    async def open(self) -> None:
        """Start everything, in order. TwinError says which did not start, and where its log is."""
        await self._guarded()
        # Nothing needs anything else to start: all at once is quickest, and the order of the list decides who is blamed.
        results = await asyncio.gather(*(each.start() for each in self.services.values()), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def close(self) -> None:
        """Stop everything, in the opposite order, then the guard."""
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(each.stop() for each in reversed(self.services.values())), return_exceptions=True)
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await self._guard.wait()

    async def _guarded(self) -> None:
        self._guard = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_ROOT / "twin" / "runtime" / "guard.py"),
            stdin=asyncio.subprocess.PIPE, start_new_session=True, env={},
        )  # fmt: skip
        for service in self.services.values():
            if service.pid:
                self._tell(f"+{service.pid}")
        self._watch = asyncio.create_task(self._again(self._guard))

    async def _again(self, guard: asyncio.subprocess.Process) -> None:
        """A killed guard is replaced."""
        await guard.wait()
        log.warning("the guard ended; starting another")
        await self._guarded()

    def _tell(self, line: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.write(line.encode() + b"\n")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question, one answer."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            try:
                async with asyncio.timeout(5):
                    asked = json.loads(await reader.readline())
                if not hmac.compare_digest(str(asked.get("key", "")), self._key):
                    raise TwinError("wrong key: it is in supervisor.json")
                said = await self._do(str(asked.get("verb")), str(asked.get("name", "")))
            except (TwinError, ValueError, AttributeError) as error:
                said = {"error": str(error)}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _do(self, verb: str, name: str) -> dict[str, Any]:
        if verb not in _VERBS:
            raise TwinError(f"no verb {verb!r}: {', '.join(_VERBS)}")
        if verb == "state":
            return {each: service.facts() for each, service in self.services.items()}
        if verb == "close":
            self.closing.set()
            return {}
        async with self._lock:
            if verb == "reset":
                await asyncio.gather(*(each.reset() for each in self.services.values()))
                return {}
            service = self.services.get(name)
            if service is None:
                raise TwinError(f"no service {name!r} runs here: {', '.join(self.services)}")
            await getattr(service, verb)()
            return service.facts()


async def serve(folder: Path, lifeline: int, ready: int, nonce: str) -> None:
    """Run until told to end, by a signal, by a verb or by the end of the lifeline."""
    plan = json.loads((folder / "backing" / "plan.json").read_text())
    supervisor = Supervisor(folder, plan)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.closing.set)
    if lifeline >= 0:
        os.set_blocking(lifeline, False)

        def closed() -> None:
            if not os.read(lifeline, 1):
                loop.remove_reader(lifeline)
                supervisor.closing.set()

        loop.add_reader(lifeline, closed)
    server = await asyncio.start_server(supervisor.answer, "127.0.0.1", 0)
    opening = asyncio.create_task(supervisor.open())
    closing = asyncio.create_task(supervisor.closing.wait())
    try:
        await asyncio.wait([opening, closing], return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await opening
            return
        try:
            opening.result()
        except (TwinError, OSError) as error:
            _say(ready, {"error": str(error)})
            return
        own = psutil.Process()
        port = server.sockets[0].getsockname()[1]
        facts = {"pid": own.pid, "started": own.create_time(), "nonce": nonce, "port": port, "key": plan["key"]}
        write_private(folder / "backing" / "supervisor.json", json.dumps(facts).encode())
        _say(ready, {"pid": own.pid})
        await closing
    finally:
        closing.cancel()
        server.close()
        await supervisor.close()
        (folder / "backing" / "supervisor.json").unlink(missing_ok=True)


def _say(descriptor: int, facts: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, json.dumps(facts).encode() + b"\n")
        os.close(descriptor)


def main() -> None:
    parser = argparse.ArgumentParser(prog="twin.backing.supervisor")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lifeline", type=int, default=-1)
    parser.add_argument("--ready", type=int, required=True)
    parser.add_argument("--nonce", required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(serve(options.folder, options.lifeline, options.ready, options.nonce))


if __name__ == "__main__":
    main()
