"""The staging system that the tiers judge: one function says where it comes from, one process has at most one.

`REGREEN_TIERS` chooses: `healthy` (the default) or `as-found`, the patient's cloud with every fault in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeVar, cast

from console import catalogues
from regreen.prepared import prepared
from tests.staging.patient.collector import Collector
from twin import staging as stages
from twin.staging import Staging

ROOT: Final = Path(__file__).resolve().parents[2]
VARIABLE: Final = "REGREEN_TIERS"
SEEDS: Final = "REGREEN_SEEDS"
T = TypeVar("T")
SOURCES: Final = ("healthy", "as-found")
TRADES: Final = 120
"""How far the feed speaks at first, at once."""
Source = Literal["healthy", "as-found"]


@dataclass(slots=True)
class Judged:
    """A staging system and the place where its services send their traces."""

    staging: Staging
    collector: Collector

    def close(self) -> None:
        self.staging.close()
        self.collector.close()


def source() -> Source:
    """What is judged. ValueError for a word that is not known."""
    chosen = os.environ.get(VARIABLE, "healthy")
    if chosen not in SOURCES:
        raise ValueError(f"{VARIABLE}={chosen}: choose {' or '.join(SOURCES)}")
    return cast(Source, chosen)


def thorough() -> bool:
    """Whether tier 3 takes its time: seeds were asked for."""
    return bool(os.environ.get(SEEDS))


def some(cases: Sequence[T], count: int) -> Sequence[T]:
    """All cases where tier 3 takes its time, else the first few: it has minutes, not an hour."""
    return cases if thorough() else cases[:count]


@cache
def code() -> Path:
    """The patient's code with the plan's phases for code behind it."""
    plan = catalogues.plan(ROOT / "plan.toml").part("code.")
    return prepared(ROOT / "patient", plan, catalogues.code(), ROOT / "remedies")


def staging(chosen: Source, folder: Path, *, rate: float = 0.0, count: int = TRADES) -> Judged:
    """Start the system to be judged. TwinError when it does not come up."""
    collector = Collector()
    try:
        made = stages.up(folder / "state", code(), chosen, otlp=collector.url, rate=rate, count=count)
    except BaseException:
        collector.close()
        raise
    return Judged(made, collector)


_HOLDERS: list[str] = []
_SHARED: list[tuple[Judged, tempfile.TemporaryDirectory[str]]] = []


def shared() -> Judged:
    """This process's system, started once: tiers that run together judge the same one."""
    if not _SHARED:
        folder = tempfile.TemporaryDirectory(prefix="regreen-tiers-")
        try:
            _SHARED.append((staging(source(), Path(folder.name)), folder))
        except BaseException:
            folder.cleanup()
            raise
    return _SHARED[0][0]


@contextmanager
def held() -> Iterator[Judged]:
    """This process's system, kept over any number of test sessions."""
    _HOLDERS.append("held")
    try:
        yield shared()
    finally:
        _HOLDERS.pop()
        end()


def end() -> None:
    """Stop it, if it runs and nobody holds it."""
    while _SHARED and not _HOLDERS:
        judged, folder = _SHARED.pop()
        judged.close()
        folder.cleanup()
