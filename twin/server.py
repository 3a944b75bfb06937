"""The twin's control process: store, engine and front door on one event loop. Started by twin.process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from aiohttp import web

from twin.backing import aura
from twin.frontdoor import authority
from twin.frontdoor.admin import Admin
from twin.frontdoor.face import Face
from twin.frontdoor.mint import Mint
from twin.frontdoor.proxy import Proxy
from twin.kernel.engine import Engine, Settings, open_engine
from twin.kernel.seed import seed
from twin.kernel.types import Context
from twin.runtime.runtime import Runtime
from twin.services import catalogue

log = logging.getLogger("twin.server")


@dataclass(slots=True)
class Twin:
    """A running control plane; the runtime (issue 4) hooks in here."""

    engine: Engine
    face: Face
    proxy: Proxy
    mint: Mint
    folder: Path


class Background:
    """Runs deferred work on threads and its ending on the event loop."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, face: Face) -> None:
        self._engine, self._loop, self._face = engine, loop, face
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, key: str, work: Callable[[], Any], finish: Callable[[Context, Any], None]) -> None:
        async def run() -> None:
            try:
                result = await asyncio.to_thread(work)
                self._engine.complete(key, result, finish)
            except Exception:
                log.exception("background work %s failed", key)
                self._engine.abandon(key)
            await self._face.wake()

        task = self._loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(
    folder: Path,
    settings: Settings,
    port: int,
    hosts: list[str],
    ready: Callable[[dict[str, Any]], None],
    lifeline: int,
) -> None:
    """Serve until told to stop. `ready` is called with the port once the first request can be answered."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _watch_lifeline(loop, lifeline, stopping)
    engine = open_engine(folder / "state", settings, catalogue.services())
    authority_files = authority.make(folder, hosts)
    mint = Mint(folder, engine)
    engine.parts["mint"] = mint
    catalogue.open_parts(engine, folder)
    seed(engine, catalogue.seeders())
    key = (folder / "admin-key").read_text()
    admin = Admin(engine, key, stopping.set)
    face = Face(engine, mint, admin)
    engine.runner = Background(engine, loop, face)
    grpc_server: list[Any] = []
    opening = asyncio.Lock()

    async def grpc_port() -> int:
        # Loading gRPC costs 100 ms and 20 MB: only when the first such client comes.
        async with opening:
            if not grpc_server:
                from twin.frontdoor.rpc import RpcFace, open_server

                rpc = RpcFace(engine, face.answer, mint.principal)
                leaf, leaf_key = authority_files.leaf.read_bytes(), authority_files.leaf_key.read_bytes()
                grpc_server.extend(await open_server(rpc, leaf, leaf_key))
        return int(grpc_server[1])

    server = web.Server(face, access_log=None, keepalive_timeout=75)
    proxy = Proxy(server, authority_files.server_context(), grpc_port, hosts)
    proxy.open(port)
    runtime = Runtime(engine, face, mint, folder, lambda: proxy.port)
    engine.parts["runtime"] = runtime
    admin.extend(runtime.routes())
    admin.afterwards.append(runtime.changed_at_once)
    await runtime.open()
    graphs = aura.Aura(engine, mint, folder, authority_files.server_context_for_bolt())
    engine.parts["aura"] = graphs
    face.hosts[aura.HOST] = graphs
    admin.extend({("POST", "aura"): graphs.admin})
    await graphs.open()
    accepting = loop.create_task(proxy.serve())
    ready({"port": proxy.port})
    try:
        await stopping.wait()
        log.info("stopping")
    finally:
        await runtime.close()
        proxy.close()
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting
        if grpc_server:
            await grpc_server[0].stop(None)
        server.pre_shutdown()
        await server.shutdown(2)
        for part in engine.parts.values():
            if part is not runtime and hasattr(part, "close"):
                part.close()
        engine.audit.close()
        engine.store.close()


def _watch_lifeline(loop: asyncio.AbstractEventLoop, lifeline: int, stopping: asyncio.Event) -> None:
    """Stop when the other end of an inherited pipe closes: the parent is gone, however it died."""
    if lifeline < 0:
        return

    def closed() -> None:
        if not os.read(lifeline, 1):
            loop.remove_reader(lifeline)
            stopping.set()

    os.set_blocking(lifeline, False)
    loop.add_reader(lifeline, closed)


def lock(folder: Path) -> Any:
    """Hold the state folder for this process alone. SystemExit when another twin has it."""
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(
            f"another twin is running in {folder}: stop it with `invoke twin.down`, or give another folder"
        ) from None
    return file


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="twin.server")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--host", action="append", default=[])
    parser.add_argument("--ready", type=int, default=-1, help="descriptor that hears when the twin serves")
    parser.add_argument("--lifeline", type=int, default=-1, help="descriptor whose closing stops the twin")
    parser.add_argument("--nonce", default="")
    options = parser.parse_args(arguments)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    held = lock(options.state)
    process = psutil.Process()

    def ready(facts: dict[str, Any]) -> None:
        identity = {"pid": process.pid, "started": process.create_time(), "nonce": options.nonce}
        known = json.loads((options.state / "twin.json").read_text()) if (options.state / "twin.json").exists() else {}
        authority.write_private(options.state / "twin.json", json.dumps({**known, **identity, **facts}).encode())
        if options.ready >= 0:
            os.write(options.ready, json.dumps(facts).encode() + b"\n")
            os.close(options.ready)

    settings = Settings(**json.loads(options.settings))
    asyncio.run(serve(options.state, settings, options.port, options.host, ready, options.lifeline))
    held.close()


if __name__ == "__main__":
    main(sys.argv[1:])
