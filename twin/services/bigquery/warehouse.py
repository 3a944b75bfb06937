"""The control process's end of the DuckDB worker: started on first use, restarted after a crash."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twin.services.bigquery.frames import read_frame, write_frame

_ROOT = Path(__file__).resolve().parents[3]


class WarehouseError(Exception):
    """What DuckDB refused, in its words."""


class Warehouse:
    """Calls may come from several threads; one at a time reaches the worker."""

    def __init__(self, folder: Path, in_use: Callable[[], set[str]]) -> None:
        self._in_use = in_use
        self._path = folder / "warehouse.duckdb"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def call(self, do: str, **command: Any) -> dict[str, Any]:
        """Run one command. WarehouseError when DuckDB refuses it."""
        with self._lock:
            process = self._running()
            reply = self._ask(process, {"do": do, **command})
            if reply is None:
                self._end()
                raise WarehouseError("the query engine stopped; the statement was not carried out")
        if "error" in reply:
            raise WarehouseError(reply["error"])
        found: dict[str, Any] = reply
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "twin.services.bigquery.worker", str(self._path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=self._path.parent,
                env={"PYTHONPATH": str(_ROOT), "PATH": "/usr/bin:/bin", "HOME": str(self._path.parent)},
            )
            # Results and old rows that nothing mentions any more go when the worker starts, so that the file stays bounded.
            self._ask(self._process, {"do": "keep", "tables": sorted(self._in_use())})
        return self._process

    @staticmethod
    def _ask(process: subprocess.Popen[bytes], command: dict[str, Any]) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            write_frame(process.stdin, command)
            return read_frame(process.stdout)
        except (BrokenPipeError, OSError):
            return None

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reset(self) -> None:
        """Forget all rows; a worker that never ran has none."""
        if self._process is not None:
            self.call("reset")
        elif self._path.exists():
            self._path.unlink()

    def close(self) -> None:
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._end()
        self._process = None


def new_table() -> str:
    """A name for a physical table; never used twice, so that a commit is a change of name in the store."""
    return "t_" + uuid.uuid4().hex
