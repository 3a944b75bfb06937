"""Reading the SQLite file that the pytest plugin `regreen_history` writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCHEMA: Final = 1


class HistoryError(Exception):
    """The history cannot be read; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One test in one run: seconds of wall time, CPU seconds, peak memory in bytes."""

    run: int
    test: str
    outcome: str
    seconds: float
    cpu: float
    memory: int
    retries: int
    category: str
    fingerprint: str
    error: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tests; `revision` is the commit, with a plus for a changed work tree, or empty."""

    id: str
    started: float
    revision: str
    label: str


@dataclass(frozen=True, slots=True)
class TestHistory:
    """Runs, oldest first, and the samples of each; a sample's `run` is a place in `runs`."""

    __test__ = False

    runs: tuple[Run, ...]
    samples: tuple[Sample, ...]


def read_history(path: Path, *, label: str = "", last: int = 200) -> TestHistory:
    """The newest finished runs of a history, those of one label where one is given. Raises HistoryError."""
    if not path.is_file():
        raise HistoryError(
            f"{path}: there is no such file; record one with `pytest -p regreen_history --history {path}`"
        )
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA:
                raise HistoryError(f"{path}: it has schema {version}, this version of Regreen reads schema {SCHEMA}")
            query = "SELECT id, started, revision, label FROM run WHERE finished IS NOT NULL AND (? = '' OR label = ?)"
            rows = base.execute(f"{query} ORDER BY started DESC, id LIMIT ?", (label, label, last)).fetchall()
            runs = tuple(Run(*row) for row in reversed(rows))
            place = {run.id: number for number, run in enumerate(runs)}
            found = base.execute(
                "SELECT run, test, outcome, seconds, cpu, memory, retries, category, fingerprint, error FROM test"
            )
            samples = tuple(Sample(place[row[0]], *row[1:]) for row in found if row[0] in place)
    except sqlite3.Error as error:
        raise HistoryError(f"{path}: it is not a history of tests ({error})") from None
    return TestHistory(runs, samples)
