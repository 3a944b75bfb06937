"""The tiers again and again, in random order: how often all was well, and what a run left behind.

Each run has a folder of its own for temporary files, below which the staging system keeps everything. A process that
still names the folder when the run is over, a port that such a process listens on, and a file that is still there are
leaks: they make the soak red as a failed test does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar
from xml.etree import ElementTree as Tree

import psutil

from regreen.commands import FINDINGS, OK, UsageError

T = TypeVar("T")
ROOT: Final = Path(__file__).resolve().parent.parent
GATES: Final = ROOT / "build" / "gates"
TIERS: Final = ("tests/tier0", "tests/tier1", "tests/tier2")
_LEFT: Final = 10.0
"""Seconds that what a run started may take to end after it."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """What a run left behind."""

    processes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.processes or self.ports or self.files)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tiers. `red` are the names of tests that failed."""

    number: int
    seed: int
    tests: int
    red: tuple[str, ...]
    skipped: int
    seconds: float
    leaks: Leaks


def soak(runs: int, tiers: Sequence[str] = TIERS) -> int:
    """Run so often; leaves `build/gates/soak.json`. Exit code 1 for a red test or a leak. UsageError for no run at all."""
    if runs < 1:
        raise UsageError(f"--runs {runs}: at least one")
    missing = [each for each in tiers if not (ROOT / each.partition("::")[0]).exists()]
    if missing:
        raise UsageError(f"there is no {', '.join(missing)}: `invoke soak` runs this repository's own tiers")
    GATES.mkdir(parents=True, exist_ok=True)
    done: list[Run] = []
    for number in range(1, runs + 1):
        done.append(_once(number, random.SystemRandom().randrange(2**32), tiers))
        _say(done[-1], runs)
        (GATES / "soak.json").write_text(json.dumps([asdict(run) for run in done], indent=2), encoding="utf-8")
    print(summary(done))
    return FINDINGS if any(run.red or run.leaks for run in done) else OK


def summary(done: Sequence[Run]) -> str:
    """The figures of all runs, and the tests that were red at least once, the worst first."""
    executed = sum(run.tests - run.skipped for run in done)
    red = Counter(name for run in done for name in run.red)
    whole = sum(not run.red for run in done)
    share = 100 * (1 - sum(red.values()) / executed) if executed else 0.0
    lines = [
        f"{whole} of {len(done)} runs green; {executed} test executions, {sum(red.values())} red ({share:.3f} % green); "
        f"{sum(bool(run.leaks) for run in done)} runs left something behind; "
        f"{sum(run.seconds for run in done) / len(done):.0f} s a run"
    ]
    lines += [f"  red {times} times: {name}" for name, times in red.most_common()]
    return "\n".join(lines)


def leaks(folder: Path, within: float = _LEFT) -> Leaks:
    """What is left of a run in its folder; processes get so many seconds to end."""
    end = time.monotonic() + within
    left = _processes(folder)
    while left and time.monotonic() < end:
        time.sleep(0.2)
        left = _processes(folder)
    return Leaks(
        tuple(" ".join(_asked(process.cmdline) or (str(process.pid),))[:200] for process in left),
        tuple(sorted({port for process in left for port in _ports(process)})),
        tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())),
    )


def _once(number: int, seed: int, tiers: Sequence[str]) -> Run:
    report = GATES / "soak.xml"
    report.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="regreen-soak-") as name:
        folder = Path(name)
        paths = os.pathsep.join(filter(None, (str(ROOT / "regreen" / "pytest"), os.environ.get("PYTHONPATH", ""))))
        surroundings = {**os.environ, "TMPDIR": name, "PYTHONPATH": paths, "REGREEN_TIERS": "healthy"}
        command = [
            sys.executable, "-m", "pytest", *tiers, "-q", "--no-header", f"--randomly-seed={seed}", f"--junitxml={report}",
            "-p", "no:cacheprovider", "-o", "tmp_path_retention_policy=none", "-p", "regreen_history", "--history", str(GATES / "tests.sqlite"),
        ]  # fmt: skip
        began = time.monotonic()
        with (GATES / f"soak-{number}.log").open("wb") as output:
            code = subprocess.run(
                command, cwd=ROOT, env=surroundings, stdout=output, stderr=output, check=False
            ).returncode
        seconds = time.monotonic() - began
        tests, red, skipped = read(report) if report.exists() else (0, (f"pytest ended with {code}",), 0)
        return Run(number, seed, tests, red, skipped, round(seconds, 1), leaks(folder))


def read(report: Path) -> tuple[int, tuple[str, ...], int]:
    """Of a JUnit report: how many tests, which failed, how many were skipped."""
    cases = list(Tree.parse(report).iter("testcase"))  # noqa: S314 - pytest's own, written a moment ago
    red = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return len(cases), tuple(red), sum(case.find("skipped") is not None for case in cases)


def _processes(folder: Path) -> list[psutil.Process]:
    """Processes that name the folder: in their command, as where they are, or in what they were given."""
    found = []
    for process in psutil.process_iter():
        given = _asked(process.environ) or {}
        known = [*(_asked(process.cmdline) or ()), _asked(process.cwd) or "", *given.values()]
        if process.pid != os.getpid() and any(str(folder) in each for each in known):
            found.append(process)
    return found


def _ports(process: psutil.Process) -> list[int]:
    """The ports that a process listens on."""
    wires = _asked(lambda: process.net_connections("inet")) or ()
    return [wire.laddr.port for wire in wires if wire.status == psutil.CONN_LISTEN]


def _asked(question: Callable[[], T]) -> T | None:
    """What a process says of itself; None where it has just ended, or is somebody else's."""
    try:
        return question()
    except (psutil.Error, OSError):
        return None


def _say(run: Run, runs: int) -> None:
    state = "red" if run.red else "left something" if run.leaks else "green"
    print(f"{run.number:3} of {runs}  {state:14}  {run.tests} tests  {run.seconds:.0f} s  seed {run.seed}", flush=True)
    for name in run.red:
        print(f"      red: {name}; see {GATES / f'soak-{run.number}.log'}")
    for what in (*run.leaks.processes, *map(str, run.leaks.ports), *run.leaks.files[:10]):
        print(f"      left: {what}", flush=True)
