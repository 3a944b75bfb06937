"""Start the backing services, find them, and do to them what chaos wants."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from twin.backing.parts import DATABASE
from twin.frontdoor.authority import write_private
from twin.process import TwinError

NAMES: Final = ("kafka", "postgres", "redis", "graph", "registry")
_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_START_LIMIT: Final = 60.0
_KAFKA_PORTS: Final = 3


@dataclass(slots=True)
class Backing:
    """Backing services that run. Close it, or (unless detached) it ends with whoever started it."""

    folder: Path
    endpoints: dict[str, str]
    """kafka, postgres, redis, graph (with graph_password), registry: where each listens."""
    pid: int
    """The supervisor's process."""
    seconds: float = 0.0
    _port: int = 0
    _key: str = ""
    _lifeline: int = -1
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def state(self) -> dict[str, dict[str, Any]]:
        """What each service does; `died` says what ended unasked. TwinError when the supervisor is gone."""
        return self._ask("state")

    def stop(self, name: str) -> None:
        """Let it end in order; it stays down."""
        self._ask("stop", name)

    def kill(self, name: str) -> None:
        """End it as kill -9 does; it stays down."""
        self._ask("kill", name)

    def pause(self, name: str) -> None:
        """SIGSTOP: connections stay open, nobody answers."""
        self._ask("pause", name)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self._ask("resume", name)

    def start(self, name: str) -> None:
        """Start it again, on the same port, and wait until it answers."""
        self._ask("start", name)

    def restart(self, name: str) -> None:
        """Stop, then start."""
        self._ask("restart", name)

    def reset(self) -> None:
        """All data of all services is gone afterwards."""
        self._ask("reset")

    def close(self) -> None:
        """Stop everything; the data stays in the folder. Fine to call twice."""
        with contextlib.suppress(TwinError):
            self._ask("close")
        if self._lifeline >= 0:
            with contextlib.suppress(OSError):
                os.close(self._lifeline)
            self._lifeline = -1
        if self._process is not None:
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()  # the guard ends the services
                self._process.wait()
            self._process = None
        else:
            _wait_gone(self.pid)

    def _ask(self, verb: str, name: str = "") -> dict[str, Any]:
        question = json.dumps({"key": self._key, "verb": verb, "name": name}).encode() + b"\n"
        try:
            with socket.create_connection(("127.0.0.1", self._port), 5) as wire:
                wire.settimeout(120)
                wire.sendall(question)
                with wire.makefile("rb") as answer:
                    line = answer.readline()
        except OSError as error:
            raise TwinError(self._lost()) from error
        if not line:
            raise TwinError(self._lost())
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise TwinError(str(said["error"]))
        return said

    def _lost(self) -> str:
        log = self.folder / "logs" / "supervisor.log"
        return f"the supervisor of the backing services is gone, and they with it (see {log}); start them again: data and ports are kept"


def start(
    folder: Path, names: Iterable[str] = NAMES, real: Mapping[str, str] | None = None, *, attached: bool = True
) -> Backing:
    """Start these services in `folder`, or find those that run there, and return once all of them answer.

    `real` names services of your own that replace ours: they are neither started nor stopped. With `attached` all end
    with this process, however it dies. TwinError says which did not start; then nothing is left running.
    """
    folder = folder.resolve()
    real = dict(real or {})
    wanted = [name for name in names if name not in real]
    unknown = sorted({*wanted, *real} - {*NAMES, "graph_password"})
    if unknown:
        raise TwinError(f"no backing service {', '.join(unknown)}: there are {', '.join(NAMES)}")
    running = find(folder)
    if running is not None:
        missing = [name for name in wanted if name not in running.endpoints]
        if missing:
            raise TwinError(f"the stack in {folder} runs without {', '.join(missing)}: close it first")
        return running
    begun = time.monotonic()
    place = folder / "backing"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "logs").mkdir(exist_ok=True, mode=0o700)
    plan = _plan(place, wanted)
    endpoints = {**_endpoints(plan), **real}
    write_private(place / "endpoints.json", json.dumps(endpoints, indent=2).encode())
    backing = Backing(folder, endpoints, 0, _key=plan["key"])
    try:
        _launch(backing, attached)
    except BaseException:
        if backing._process is not None:
            backing._process.terminate()
        backing.close()
        raise
    backing.seconds = time.monotonic() - begun
    return backing


def find(folder: Path) -> Backing | None:
    """The stack that runs in this folder, or None. Closing what this returns stops it."""
    place = folder.resolve() / "backing"
    try:
        facts = json.loads((place / "supervisor.json").read_text())
        endpoints = json.loads((place / "endpoints.json").read_text())
        process = psutil.Process(int(facts["pid"]))
        same = abs(process.create_time() - float(facts["started"])) < 0.01 and facts["nonce"] in process.cmdline()
        if not same or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return Backing(folder.resolve(), endpoints, process.pid, 0.0, int(facts["port"]), facts["key"])


def _launch(backing: Backing, attached: bool) -> None:
    nonce = secrets.token_hex(16)
    ready_read, ready_write = os.pipe()
    life_read, life_write = os.pipe() if attached else (-1, -1)
    backing._lifeline = life_write
    passed = [descriptor for descriptor in (ready_write, life_read) if descriptor >= 0]
    command = [sys.executable, "-m", "twin.backing.supervisor", "--folder", str(backing.folder), "--nonce", nonce]
    command += ["--ready", str(ready_write), "--lifeline", str(life_read)]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    try:
        with (backing.folder / "logs" / "supervisor.log").open("ab") as output:
            backing._process = subprocess.Popen(
                command,
                cwd="/",
                env={**kept, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=passed,
                start_new_session=True,
            )
        for descriptor in passed:
            os.close(descriptor)
        passed = []
        readable, _, _ = select.select([ready_read], [], [], _START_LIMIT)
        line = os.read(ready_read, 65_536) if readable else b""
    finally:
        for descriptor in (*passed, ready_read):
            os.close(descriptor)
    said = json.loads(line) if line else {"error": f"see {backing.folder / 'logs' / 'supervisor.log'}"}
    if "error" in said:
        raise TwinError(f"the backing services did not start: {said['error']}")
    found = find(backing.folder)
    if found is None:
        raise TwinError(f"the backing services ended at once; see {backing.folder / 'logs' / 'supervisor.log'}")
    backing.pid, backing._port = found.pid, found._port
    if not attached:
        backing._process.returncode = 0  # it stays, on purpose: Popen must not call it leaked
        backing._process = None


def _plan(place: Path, names: list[str]) -> dict[str, Any]:
    """Ports and passwords: those of the last time, where the ports are still free."""
    try:
        known = json.loads((place / "plan.json").read_text())
    except (OSError, ValueError):
        known = {}
    ports = dict(known.get("ports", {}))
    taken: set[int] = set()
    for name in names:
        count = _KAFKA_PORTS if name == "kafka" else 1
        if not _free(int(ports.get(name, 0)), count, taken):
            ports[name] = _find_free(count, taken)
        taken.update(range(ports[name], ports[name] + count))
    plan = {
        "names": names,
        "ports": ports,
        "password": known.get("password") or secrets.token_urlsafe(18),
        "key": secrets.token_urlsafe(24),
    }
    write_private(place / "plan.json", json.dumps(plan).encode())
    return plan


def _endpoints(plan: dict[str, Any]) -> dict[str, str]:
    ports, password, found = plan["ports"], plan["password"], {}
    for name in plan["names"]:
        port = int(ports[name])
        if name == "kafka":
            found[name] = ",".join(f"127.0.0.1:{port + number}" for number in range(_KAFKA_PORTS))
        elif name == "postgres":
            found[name] = f"postgresql://postgres:{password}@127.0.0.1:{port}/{DATABASE}"
        elif name == "redis":
            found[name] = f"redis://127.0.0.1:{port}/0"
        elif name == "graph":
            found[name], found["graph_password"] = f"bolt://127.0.0.1:{port}", password
        else:
            found[name] = f"http://127.0.0.1:{port}"
    return found


def _find_free(count: int, taken: set[int]) -> int:
    for _ in range(200):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if _free(port, count, taken):
            return port
    raise TwinError(f"found no {count} free ports in a row on the loopback")


def _free(first: int, count: int, taken: set[int]) -> bool:
    for port in range(first, first + count):
        if not 1024 <= port <= 65_535 or port in taken:
            return False
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def _wait_gone(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        if pid:
            psutil.Process(pid).wait(30)
