"""The audit log: who changed what, and what was refused. One JSON line each, the file bounded."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

from twin.kernel.errors import ApiError
from twin.kernel.types import Body, Context, rfc3339

_LIMIT = 8 * 2**20


class Audit:
    """Keeps the latest 5,000 entries in memory and two files of at most 8 MiB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: deque[Body] = deque(maxlen=5000)
        self._file = path.open("a", encoding="utf-8")

    def done(self, context: Context, method: str, name: str) -> None:
        self._write(
            {
                "time": rfc3339(context.now),
                "principal": context.principal,
                "method": method,
                "resource": name,
                "status": 200,
            }
        )

    def refused(self, context: Context, method: str, error: ApiError) -> None:
        entry = {"time": rfc3339(context.now), "principal": context.principal, "method": method, "status": error.http}
        self._write({**entry, "message": error.message})

    def _write(self, entry: Body) -> None:
        self.entries.append(entry)
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
        if self._file.tell() > _LIMIT:
            self._file.close()
            self._path.replace(self._path.with_suffix(".old.jsonl"))
            self._file = self._path.open("a", encoding="utf-8")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
