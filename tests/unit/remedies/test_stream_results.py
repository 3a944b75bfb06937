"""Repaired code reads the same rows, and its memory no longer grows with them."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from checks.code import results_stream
from remedies.code import stream_results
from tests.unit.remedies.mending import mend

_CORE: Final = """from sqlalchemy import column, create_engine, select, table

TRADES = table("trades", column("sequence"), column("text"))


def read(path):
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            rows = connection.execute(select(TRADES.c.sequence, TRADES.c.text).order_by(TRADES.c.sequence)).fetchall()
        for sequence, text in rows:
            yield sequence, text
    finally:
        engine.dispose()
"""
_DRIVER: Final = """import sqlite3


def read(path):
    connection = sqlite3.connect(path)
    cursor = connection.cursor()
    cursor.execute("SELECT sequence, text FROM trades ORDER BY sequence")
    for sequence, text in cursor.fetchall():
        yield sequence, text
    connection.close()
"""


@pytest.fixture
def database(tmp_path: Path) -> Callable[[int], Path]:
    """A file with so many trades."""

    def make(rows: int) -> Path:
        path = tmp_path / f"{rows}.db"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE trades (sequence INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO trades VALUES (?, ?)", ((n, f"{n:0100d}") for n in range(rows)))
        connection.commit()
        connection.close()
        return path

    return make


def _read(source: bytes) -> Callable[[Path], Iterator[tuple[int, str]]]:
    namespace: dict[str, Any] = {}
    exec(compile(source, "a.py", "exec"), namespace)
    read: Callable[[Path], Iterator[tuple[int, str]]] = namespace["read"]
    return read


def _peak(read: Callable[[Path], Iterator[tuple[int, str]]], path: Path) -> int:
    """The most bytes that reading takes beyond what was there, once everything is imported and warm."""
    for _ in read(path):
        break
    tracemalloc.start()
    try:
        assert sum(1 for _ in read(path)) == int(path.stem)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("source", [_CORE, _DRIVER], ids=["sqlalchemy", "sqlite3"])
def test_memory_stays_flat_as_rows_grow_a_hundred_times(source: str, database: Callable[[int], Path]) -> None:
    files, refusals = mend({"a.py": source}, (results_stream, stream_results))
    assert refusals == []
    before, after = _read(source.encode()), _read(files["a.py"])
    few, more, many = database(2_000), database(20_000), database(200_000)

    assert list(after(few)) == list(before(few))
    small = _peak(after, few)
    assert _peak(after, more) < 1.5 * small + 65_536
    assert _peak(after, many) < 1.5 * small + 65_536
    assert _peak(before, more) > 5 * small


def test_a_moved_loop_keeps_every_line() -> None:
    files, _ = mend({"a.py": _CORE.replace("\n", "\r\n")}, (results_stream, stream_results))

    before = [line.strip() for line in _CORE.splitlines()]
    after = [line.strip() for line in files["a.py"].decode().split("\r\n")][: len(before)]
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [
        "rows = connection.execute(select(TRADES.c.sequence, TRADES.c.text).order_by(TRADES.c.sequence), "
        'execution_options={"yield_per": 1000})'
    ]
