"""kill -9 at random moments under load: what was acknowledged is there afterwards, in every kind of store."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from twin import process
from twin.caller import Caller
from twin.process import Running

PROJECT = "killed-twin"
KMS = f"cloudkms.googleapis.com/v1/projects/{PROJECT}/locations/us/keyRings"
BUCKET = "storage.googleapis.com/storage/v1/b"
UPLOAD = "storage.googleapis.com/upload/storage/v1/b/kept/o?uploadType=media&name="
TABLE = f"bigquery.googleapis.com/bigquery/v2/projects/{PROJECT}/datasets/d/tables"
ROUNDS = 4


class Load:
    """Two writers that remember what the twin has acknowledged, and stop when it dies."""

    def __init__(self, running: Running, start: int) -> None:
        self.rings: list[str] = []
        self.objects: list[str] = []
        self.rows: list[int] = []
        self.busy = threading.Event()
        self._running, self._start = running, start
        self._threads = [
            threading.Thread(target=self._until_death, args=(work,)) for work in (self._small, self._large)
        ]
        for thread in self._threads:
            thread.start()

    def _until_death(self, work: Callable[[Caller, int], None]) -> None:
        call = Caller(self._running)
        try:
            for number in range(self._start, self._start + 10_000):
                work(call, number)
        except (OSError, ValueError, process.TwinError):
            pass
        finally:
            call.close()

    def _small(self, call: Caller, number: int) -> None:
        if call("POST", f"{KMS}?keyRingId=r{number}", {})[0] == 200:
            self.rings.append(f"r{number}")

    def _large(self, call: Caller, number: int) -> None:
        if call("POST", f"{UPLOAD}o{number}", b"%d" % number)[0] == 200:
            self.objects.append(f"o{number}")
        rows = {"rows": [{"json": {"n": number}}]}
        if call("POST", f"{TABLE}/t/insertAll", rows)[1].get("insertErrors") is None:
            self.rows.append(number)
        self.busy.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("seed", [20_261_127])
def test_random_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    folder = tmp_path / "own"
    running = process.up(folder, PROJECT)
    prepare(running)
    rings: list[str] = []
    objects: list[str] = []
    rows: list[int] = []
    try:
        for turn in range(ROUNDS):
            load = Load(running, turn * 10_000)
            assert load.busy.wait(20)
            threading.Event().wait(moments.uniform(0.0, 0.5))
            children = psutil.Process(running.pid).children(recursive=True)
            os.kill(running.pid, signal.SIGKILL)
            load.join()
            _, alive = psutil.wait_procs(children, timeout=10)
            assert alive == [], "a child outlived the twin"
            rings += load.rings
            objects += load.objects
            rows += load.rows
            running = process.up(folder, PROJECT)
            assert lost(running, rings, objects, rows) == []
    finally:
        process.down(folder)
    assert min(len(rings), len(objects), len(rows)) >= ROUNDS


def prepare(running: Running) -> None:
    call = Caller(running)
    schema = {"fields": [{"name": "n", "type": "INTEGER"}]}
    calls = (
        (f"{BUCKET}?project={PROJECT}", {"name": "kept"}),
        (TABLE.removesuffix("/d/tables"), {"datasetReference": {"datasetId": "d"}}),
        (TABLE, {"tableReference": {"tableId": "t"}, "schema": schema}),
    )
    for url, body in calls:
        status, answer = call("POST", url, body)
        assert status == 200, answer
    call.close()


def lost(running: Running, rings: list[str], objects: list[str], rows: list[int]) -> list[object]:
    """What was acknowledged and is not there any more."""
    call = Caller(running)
    missing: list[object] = [name for name in rings if call("GET", f"{KMS}/{name}")[0] != 200]
    for name in objects:
        status, _, content = call.raw("GET", f"{BUCKET}/kept/o/{name}?alt=media")
        if (status, content) != (200, name[1:].encode()):
            missing.append(name)
    _, page = call("GET", f"{TABLE}/t/data?maxResults=50000")
    found = {int(row["f"][0]["v"]) for row in page.get("rows", [])}
    call.close()
    return missing + [number for number in rows if number not in found]
