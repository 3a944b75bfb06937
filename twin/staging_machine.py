"""The allocator as it also runs in staging: on a machine of its own, behind a zonal endpoint group.

The machine is a small process: it keeps the allocator running, and both end with the twin, however that dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from twin.process import Running, TwinError

_ROOT = Path(__file__).resolve().parent.parent
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(slots=True)
class Machine:
    """The machine's own process, and where its allocator listens."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @classmethod
    def start(cls, twin: Running, code: Path, values: Any) -> Machine:
        """Boot it; it is up once `wait` returns."""
        port = int(values.plain["allocator_vm"])
        home = twin.folder / "runtime" / "homes" / "allocator-vm"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": str(code / "src"),
            "PORT": str(port),
            "K_SERVICE": "allocator-vm",
            "TIDEMARK_ENVIRONMENT": "staging",
            "TIDEMARK_KAFKA_BOOTSTRAP": values.plain["kafka"],
            "TIDEMARK_DATABASE_URL": values.plain["postgres"],
            "TIDEMARK_OTLP_ENDPOINT": values.plain["otlp"],
        }
        (twin.folder / "logs").mkdir(exist_ok=True, mode=0o700)
        log = twin.folder / "logs" / "allocator-vm.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "twin.staging_machine", str(twin.pid), str(code)],
                cwd=_ROOT,
                env={"PATH": environment["PATH"], "PYTHONPATH": str(_ROOT)},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(environment).encode())
        process.stdin.close()
        return cls(process, port, log)

    def wait(self, within: float) -> None:
        """Until the allocator answers. TwinError when it does not."""
        end = time.monotonic() + within
        while True:
            try:
                with _OPENER.open(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                    answer.read()
                return
            except (OSError, urllib.error.URLError):
                if time.monotonic() > end or self.process.poll() is not None:
                    raise TwinError(f"the allocator's machine does not answer; see {self.log}") from None
                time.sleep(0.05)

    def close(self) -> None:
        """Switch it off."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


def main() -> None:
    """Run the allocator again and again, until told to stop or until the twin is gone."""
    twin, code = int(sys.argv[1]), sys.argv[2]
    environment = json.loads(sys.stdin.read())
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopping.append(received))
    guard = subprocess.Popen(
        [sys.executable, "-I", str(_ROOT / "twin" / "runtime" / "guard.py")],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={},
    )
    assert guard.stdin is not None
    while not stopping and psutil.pid_exists(twin):
        # Behind a gate, as the runtime's processes: it does not start before the guard knows it.
        child = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r go && [ "$go" = go ] && exec "$@" </dev/null', "machine",
             sys.executable, "-m", "tidemark", "allocator"],
            cwd=code, env=environment, stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert child.stdin is not None
        guard.stdin.write(f"+{child.pid}\n".encode())
        guard.stdin.flush()
        child.stdin.write(b"go\n")
        child.stdin.close()
        while child.poll() is None and not stopping and psutil.pid_exists(twin):
            time.sleep(0.2)
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        guard.stdin.write(f"-{child.pid}\n".encode())
        guard.stdin.flush()
        time.sleep(0.2)
    guard.stdin.close()
    guard.wait()


if __name__ == "__main__":
    main()
