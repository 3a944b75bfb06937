"""What BigQuery keeps beside the store, and what it sets right when the twin comes back."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

from twin.kernel.types import Context

if TYPE_CHECKING:
    from twin.kernel.engine import Engine


class Dedupe:
    """insertIds of the last minute (https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#dataconsistency)."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], float] = {}

    def repeated(self, table: str, identifier: str, now: datetime) -> bool:
        moment = float(now.timestamp())
        key = (table, identifier)
        fresh = moment - self._seen.get(key, 0.0) < 60
        self._seen[key] = moment
        if len(self._seen) > 50_000:
            self._seen = {item: at for item, at in self._seen.items() if moment - at < 60}
        return fresh

    def reset(self) -> None:
        self._seen.clear()


def end_interrupted(engine: Engine, context: Context) -> None:
    """Jobs that were running when the twin was killed are over, with an error, when it comes back."""
    for collection in engine.store.collections("bigquery/projects/", "jobs"):
        for name, body in list(engine.store.children(collection)):
            if body["status"]["state"] != "DONE":
                failure = {"reason": "backendError", "message": "The job was interrupted and did not complete."}
                statistics = {**body["statistics"], "endTime": str(int(context.now.timestamp() * 1000))}
                status = {"state": "DONE", "errorResult": failure, "errors": [failure]}
                over = {
                    **body,
                    "statistics": statistics,
                    "status": status,
                    "~http": {"status": "INTERNAL", "http": 500},
                }
                engine.store.put(name, over)


def tables_in_use(engine: Engine) -> Callable[[], set[str]]:
    """A function that names every physical table that the store, or one of its snapshots, still mentions."""

    def names() -> set[str]:
        found: set[str] = set()
        folder = engine.store.folder
        for file in (engine.store.path, *(folder / "snapshots").glob("*.sqlite")):
            with closing(sqlite3.connect(file)) as database:
                for (body,) in database.execute("SELECT body FROM entries WHERE name LIKE 'bigquery%'"):
                    found.update(re.findall(r"\bt_[0-9a-f]{32}\b", body))
        return found

    return names
