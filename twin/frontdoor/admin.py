"""The admin endpoint: `http://127.0.0.1:PORT/-/…`, for the twin's own commands and tests.

Every request carries the twin's admin key, so that no web page that guesses the port can reach it.
"""

# ruff: noqa: ARG002 - the signature is the caller's

from __future__ import annotations

import contextlib
import hmac
import inspect
import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psutil
from aiohttp import web

from twin.kernel.engine import Engine
from twin.kernel.errors import ApiError
from twin.kernel.seed import seed
from twin.kernel.types import Body, Request
from twin.services import catalogue
from twin.services.fresh import RUNNER

HEADER = "X-Twin-Key"


class Admin:
    """Reset, snapshots, faults, quotas, clock, audit, violations, seeding."""

    def __init__(self, engine: Engine, key: str, stop: Callable[[], None]) -> None:
        self._engine = engine
        self._key = key
        self._stop = stop
        self.afterwards: list[Callable[[], None]] = []
        """Called when everything may have changed at once: after a reset or a restore."""
        self._routes: dict[tuple[str, str], Callable[[Body], Any]] = {
            ("GET", "health"): self._health,
            ("POST", "reset"): self._reset,
            ("POST", "seed"): self._seed,
            ("GET", "snapshots"): lambda _: {"snapshots": self._engine.store.snapshots()},
            ("POST", "snapshots"): self._save,
            ("POST", "restore"): self._restore,
            ("GET", "faults"): lambda _: {"faults": [_fault(fault) for fault in self._engine.faults.active]},
            ("POST", "faults"): self._fault,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "quotas"): self._quotas,
            ("GET", "clock"): lambda _: {"now": self._engine.now().isoformat(), "offset": self._engine.clock_offset},
            ("POST", "clock"): self._clock,
            ("GET", "audit"): lambda _: {"entries": list(self._engine.audit.entries)},
            ("GET", "violations"): lambda _: {"violations": list(self._engine.violations)},
            ("POST", "stop"): self._stopped,
            ("POST", "token"): self._token,
            ("POST", "credentials"): self._credentials,
        }

    def extend(self, routes: dict[tuple[str, str], Callable[[Body], Any]]) -> None:
        """Routes of parts that are attached later; a route may return something to await."""
        self._routes.update(routes)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        given = request.headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            return web.json_response(
                {"error": f"the admin endpoint needs the header {HEADER}, see twin.json in the state folder"},
                status=403,
            )
        route = self._routes.get((request.method, request.path.removeprefix("/-/")))
        if route is None:
            return web.json_response({"error": f"no admin route {request.method} {request.path}"}, status=404)
        text = await request.text()
        try:
            body = json.loads(text) if text else {}
            result = route(body)
            return web.json_response(await result if inspect.isawaitable(result) else result)
        except ApiError as error:
            return web.json_response({"error": error.message}, status=error.http)
        except (KeyError, ValueError, TypeError) as error:
            return web.json_response({"error": f"bad admin request: {error!r}"}, status=400)

    def _health(self, body: Body) -> Body:
        process = psutil.Process(os.getpid())
        children = process.children(recursive=True)
        runtime = self._engine.parts.get("runtime")
        return {
            **({"runtime": runtime.health()} if runtime is not None else {}),
            "status": "serving",
            "project": self._engine.settings.project,
            "number": self._engine.settings.number,
            "pid": process.pid,
            "children": [child.pid for child in children],
            "memory": process.memory_info().rss + _resident(children),
            "entries": len(self._engine.store),
            "violations": len(self._engine.violations),
        }

    def _reset(self, body: Body) -> Body:
        """Back to a fresh project, or to a named snapshot of one: entries, data, faults, quotas, clock."""
        engine = self._engine
        wanted = str(body.get("snapshot", ""))
        if wanted:
            engine.store.restore(wanted)
        else:
            engine.store.clear()
        engine.faults.active.clear()
        engine.quotas.limits.clear()
        engine.clock_offset = 0.0
        # Rows and bytes that a snapshot may still want are left where they are.
        kept = ("warehouse", "blobs") if engine.store.snapshots() else ()
        for name, part in engine.parts.items():
            if name not in kept and hasattr(part, "reset"):
                part.reset()
        engine.policies.reset()
        seed(engine, catalogue.seeders())
        for work in self.afterwards:
            work()
        return {}

    def _save(self, body: Body) -> Body:
        self._engine.store.save(str(body["name"]))
        return {"name": body["name"], "time": self._engine.now().isoformat()}

    def _restore(self, body: Body) -> Body:
        self._engine.store.restore(str(body["name"]))
        self._engine.policies.reset()
        for work in self.afterwards:
            work()
        return {}

    def _fault(self, body: Body) -> Body:
        return _fault(self._engine.faults.add(body))

    def _clear_faults(self, body: Body) -> Body:
        self._engine.faults.active.clear()
        return {}

    def _quotas(self, body: Body) -> Body:
        self._engine.quotas.limits = {str(name): int(limit) for name, limit in body.items()}
        return {}

    def _clock(self, body: Body) -> Body:
        """Move the twin's clock on, so that no test has to wait for a delay to pass."""
        seconds = float(body["advance"])
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self._engine.clock_offset += seconds
        return {"now": self._engine.now().isoformat()}

    def _seed(self, body: Body) -> Body:
        """Run a list of API calls as the owner: [{"verb", "url", "body"}]. Stops at the first refusal."""
        done = 0
        for call in body["calls"]:
            host, _, rest = call["url"].removeprefix("https://").partition("/")
            path, _, query = rest.partition("?")
            pairs = tuple(tuple(pair.split("=", 1)) for pair in query.split("&") if "=" in pair)
            content = json.dumps(call["body"]).encode() if call.get("body") is not None else b""
            request = Request(call["verb"], host, "/" + path, pairs, {}, content)
            reply = self._engine.handle(request, f"user:{self._engine.settings.owner}", internal=True)
            if reply.status >= 400:
                raise ValueError(f"call {done} ({call['verb']} {call['url']}) was refused: {reply.body}")
            done += 1
        return {"calls": done}

    def _token(self, body: Body) -> Body:
        """A token for any principal: how tests become somebody else."""
        mint = self._engine.parts["mint"]
        return {"accessToken": mint.token(str(body["principal"]), self._engine.now() + timedelta(hours=1))}

    def _credentials(self, body: Body) -> Body:
        """What `twin.env` writes for clients: a token of the owner and a service-account file."""
        mint, settings = self._engine.parts["mint"], self._engine.settings
        expires = self._engine.now() + timedelta(days=7)
        email = f"{RUNNER}@{settings.project}.iam.gserviceaccount.com"
        return {"accessToken": mint.token(f"user:{settings.owner}", expires), "file": mint.client_file(email)}

    def _stopped(self, body: Body) -> Body:
        self._stop()
        return {}


def _resident(processes: list[psutil.Process]) -> int:
    """Bytes of memory; one that has just ended counts nothing."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _fault(fault: Any) -> Body:
    return {
        "method": fault.method,
        "status": fault.status,
        "latency": fault.latency,
        "rate": fault.rate,
        "remaining": fault.remaining,
        "drop": fault.drop,
    }
