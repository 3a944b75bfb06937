"""Plants each fault of `planted.toml` into one running system and says which tests went red: the right ones, or not.

    python -m tests.tiers.planted [--sample] [--all] [FAULT …]

First everything has to be green. Then, fault by fault: plant, run the tests that are named for it and all others that
take little time (with `--all` also those that take longer), heal. A fault is caught when every named test went red;
a red test that is neither named nor in the fault's cascade is the wrong one. At the end all has to be green again.
Leaves `build/gates/planted.json`; exits 1 when a fault was missed or a wrong test went red.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.tiers import cloud, system
from tests.tiers.cloud import Project
from twin.process import TwinError
from twin.staging import SERVICES, Staging

TABLE: Final = Path(__file__).with_name("planted.toml")
REPORT: Final = system.ROOT / "build" / "gates" / "planted.json"
TIERS: Final = ("tests/tier0", "tests/tier1", "tests/tier2")
QUICK: Final = 0.5
"""Seconds that a test may take, healthy, to be run for every fault."""
SAMPLE: Final = ("tables-without-key", "route-wrong", "row-lost")
"""What `--sample` plants: one by a check and a query, one by a path, one by the data."""
CHECKS: Final = "tests/tier2/test_checks.py::test_a_check_passes"


class TableError(Exception):
    """The table of faults cannot be used."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What must go red, and what may, as beginnings of pytest's node ids."""

    id: str
    named: tuple[str, ...]
    cascade: tuple[str, ...] = ()


@dataclass(slots=True)
class Run:
    """One run of tests: outcome and seconds by node id."""

    red: dict[str, str] = field(default_factory=dict)
    """Why, in a line."""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """How a fault ended. `caught` only where nothing is missed and nothing is wrong."""

    fault: str
    verdict: str
    missed: tuple[str, ...]
    wrong: Mapping[str, str]
    red: tuple[str, ...]
    ran: int
    seconds: float


class Seen:
    """A pytest plugin that remembers, and chooses what is run."""

    def __init__(self, wanted: Sequence[str] | None) -> None:
        self.run = Run()
        self._wanted = wanted

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._wanted is not None:
            items[:] = [item for item in items if item.nodeid.startswith(tuple(self._wanted))]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seconds = self.run.seconds.get(report.nodeid, 0.0) + report.duration
        self.run.seconds[report.nodeid] = seconds
        if report.failed:
            lines = str(report.longrepr).strip().splitlines()
            line = next((each for each in lines if each.startswith("E ")), lines[-1] if lines else "?")
            self.run.red.setdefault(report.nodeid, f"{report.when}: {line[:300]}")


def load(path: Path = TABLE) -> list[Fault]:
    """The table, with the check that each fault of the patient's cloud has. Raises TableError for what does not fit."""
    from tests.tiers.plants import PLANTS

    cloudy = {each["id"]: each for each in _toml(system.ROOT / "patient" / "cloud" / "faults.toml")}
    found: list[Fault] = []
    for entry in _toml(path):
        known = cloudy.get(entry["id"])
        if known is None and entry["id"] not in PLANTS:
            raise TableError(f"{path}: nobody knows how to plant {entry['id']}")
        named = tuple(entry.get("named", ()))
        if known is not None:
            named = (f"{CHECKS}[{known['check']}]", *named)
        if not named:
            raise TableError(f"{path}: {entry['id']} names no test")
        found.append(Fault(entry["id"], named, tuple(entry.get("cascade", ()))))
    ids = [fault.id for fault in found]
    if len(ids) != len(set(ids)):
        raise TableError(f"{path}: a fault stands there twice")
    if missing := sorted({*cloudy, *PLANTS} - set(ids)):
        raise TableError(f"{path}: without a row: {', '.join(missing)}")
    return found


def _toml(path: Path) -> list[dict[str, Any]]:
    return list(tomllib.loads(path.read_text(encoding="utf-8"))["fault"])


def run(wanted: Sequence[str] | None) -> Run:
    """Run the tiers, or the tests that begin so, in this process and on its system."""
    seen = Seen(wanted)
    pytest.main([*TIERS, "-q", "--no-header", "--no-summary", "--tb=line", "-p", "no:cacheprovider"], plugins=[seen])
    if not seen.run.seconds:
        raise TableError(f"no test begins with {', '.join(wanted or ())}")
    return seen.run


@contextmanager
def planted(staging: Staging, fault: str) -> Iterator[None]:
    """The system with the fault in it; healthy afterwards, whatever happened."""
    from tests.tiers.plants import PLANTS

    if fault in PLANTS:
        with PLANTS[fault](staging):
            yield
    else:
        staging.break_(fault)
        staging.wait_settled()
        yield
    heal(staging)


def heal(staging: Staging) -> None:
    """Everything as it was: the cloud, revisions that failed meanwhile, and the log of what went wrong."""
    staging.repaired()
    for service in SERVICES:
        if cloud.settled(staging, service):
            cloud.deployed(staging, service)
    staging.wait_healthy(within=60)
    for name in cloud.read(staging, Project(staging).logs).get("logNames", ()):
        cloud.refusal(staging, "DELETE", f"https://logging.googleapis.com/v2/{name}")


def judge(fault: Fault, staging: Staging, others: Sequence[str]) -> Judged:
    """Plant, run, heal, compare."""
    began = time.monotonic()
    try:
        with planted(staging, fault.id):
            done = run([*fault.named, *(each for each in others if not each.startswith(fault.cascade or ("\0",)))])
    except (TableError, TwinError, AssertionError) as error:
        heal(staging)
        return Judged(fault.id, "not planted", fault.named, {"planting": str(error)}, (), 0, time.monotonic() - began)
    missed = tuple(name for name in fault.named if not any(each.startswith(name) for each in done.red))
    wrong = {name: why for name, why in done.red.items() if not name.startswith((*fault.named, *fault.cascade))}
    verdict = "missed" if missed else "wrong test" if wrong else "caught"
    return Judged(
        fault.id, verdict, missed, wrong, tuple(sorted(done.red)), len(done.seconds), time.monotonic() - began
    )


def main(arguments: Sequence[str]) -> int:
    """Run the table; 0 when every fault was caught, and by the right tests."""
    parser = argparse.ArgumentParser(prog="tests.tiers.planted")
    parser.add_argument("--sample", action="store_true", help="a few faults only")
    parser.add_argument("--all", action="store_true", help="run also the tests that take longer, for every fault")
    parser.add_argument("faults", nargs="*", help="these only")
    options = parser.parse_args(arguments)
    table = load()
    wanted = set(options.faults) or (set(SAMPLE) if options.sample else {fault.id for fault in table})
    if unknown := wanted - {fault.id for fault in table}:
        parser.error(f"no fault {', '.join(sorted(unknown))} in {TABLE.name}")
    os.environ[system.VARIABLE] = "healthy"
    with system.held() as judged:
        before = run(None)
        _green(before, "before anything was planted")
        _known(table, before)
        others = [
            name
            for name, seconds in before.seconds.items()
            if options.all or seconds < QUICK or name.startswith(CHECKS)
        ]
        found = []
        for fault in table:
            if fault.id in wanted:
                found.append(judge(fault, judged.staging, others))
                _tell(found[-1])
        _green(run(others), "after all was healed")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps([asdict(each) for each in found], indent=2), encoding="utf-8")
    bad = [each for each in found if each.verdict != "caught"]
    print(f"{len(found)} faults planted, {len(found) - len(bad)} caught, {len(bad)} not; {REPORT}")
    return 1 if bad else 0


def _known(table: Sequence[Fault], before: Run) -> None:
    """Raises TableError for a name that no test begins with."""
    for fault in table:
        for name in (*fault.named, *fault.cascade):
            if not any(each.startswith(name) for each in before.seconds):
                raise TableError(f"{TABLE}: {fault.id}: no test begins with {name}")


def _green(done: Run, when: str) -> None:
    if done.red:
        told = "\n".join(f"  {name}: {why}" for name, why in done.red.items())
        raise SystemExit(f"{when}, these were red:\n{told}")


def _tell(judged: Judged) -> None:
    print(
        f"{judged.verdict:10}  {judged.fault:26}  {len(judged.red)} red of {judged.ran}  {judged.seconds:.0f} s",
        flush=True,
    )
    for name in judged.missed:
        print(f"    stayed green: {name}")
    for name, why in judged.wrong.items():
        print(f"    should be green: {name}: {why}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (TableError, TwinError) as error:
        sys.exit(f"error: {error}")
