"""The journal as structured log lines, in the field names of OpenTelemetry's log data model; histories of tests as rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from regreen.journal import Entry, Step

if TYPE_CHECKING:
    from regreen.trends.history import TestHistory

_BAD: Final = {Step.FAILED: "ERROR", Step.UNDONE: "WARN"}


def lines(entries: Iterable[Entry], run: str = "") -> Iterator[str]:
    """A line an entry, oldest first; of one run, or of all. The trace id is that of the run's exported trace."""
    for entry in entries:
        if run and entry.run != run:
            continue
        subject = entry.remedy or f"phase {entry.phase}"
        yield json.dumps(
            {
                "timestamp": entry.at,
                "severity_text": _BAD.get(entry.step, "INFO"),
                "body": f"{entry.step} {subject}",
                "trace_id": hashlib.sha256(entry.run.encode()).digest()[:16].hex(),
                "attributes": {
                    "regreen.run": entry.run,
                    "regreen.phase": entry.phase,
                    "regreen.step": entry.step.value,
                    "regreen.remedy": entry.remedy,
                    "regreen.source": entry.source,
                    "regreen.sequence": entry.sequence,
                    "regreen.seconds": entry.seconds,
                    "regreen.digests": dict(entry.digests),
                    "regreen.data": dict(entry.data),
                },
            },
            ensure_ascii=True,
            sort_keys=False,
        )


def of_history(history: TestHistory) -> Iterator[str]:
    """A line a test and run, flat: BigQuery and others load it as it is. Seconds, bytes; `started` in ISO 8601 (UTC)."""
    for sample in history.samples:
        run = history.runs[sample.run]
        started = datetime.fromtimestamp(run.started, UTC).isoformat(timespec="milliseconds")
        about = {"started": started, "revision": run.revision, "label": run.label}
        yield json.dumps({**asdict(sample), "run": run.id, **about})
