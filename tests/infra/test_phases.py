"""Phases 3 and 4 on the running staging system, as a person runs them: killed in the middle, finished, undone, done again.

Slow (minutes): one story, told once, judged by many tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from console import catalogues, cloud
from console.places import staging_folder, twin_place
from infra.engine import Engine
from infra.errors import StepError
from infra.secret_values import access, newest
from regreen import commands
from regreen.facts.cloud.collect import COLLECTORS
from regreen.lock import LockedError
from regreen.prepared import prepared
from regreen.run.options import OptionError
from twin import staging_keeper as keeper

pytestmark = [
    pytest.mark.engine,
    pytest.mark.xdist_group("phases"),
    # Pulumi's SDK makes event loops and closes none: their sockets are nobody's fault here.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT: Final = Path(__file__).resolve().parents[2]
#: Settings that every write moves on, whatever it writes, and what the system's own traffic leaves behind.
_MOVING: Final = frozenset(
    {"etag", "fingerprint", "generation", "observedGeneration", "updateTime", "createTime", "lastModifiedTime", "version",
     "latestReadyRevision", "latestCreatedRevision", "conditions", "terminalCondition", "settingsVersion", "updated",
     "metageneration", "revision", "reconciling", "lastModifier", "numBytes", "numRows", "numLongTermBytes", "uid",
     "latestReadyRevisionName", "latestCreatedRevisionName", "trafficStatuses", "observedTrafficStatuses", "timeFinalized",
     "numActiveLogicalBytes", "numTotalLogicalBytes", "numTimeTravelPhysicalBytes", "numActivePhysicalBytes",
     "numTotalPhysicalBytes", "numPhysicalBytes", "streamingBuffer", "modifier", "lastTransitionTime", "createTimeMillis"}
)  # fmt: skip
_TRAFFIC: Final = ("logging.", "monitoring.", "run.revisions")
_ENTRIES: Final = frozenset({"bindings", "env", "members", "access", "tags"})


def settings(value: Any, name: str = "") -> Any:
    """A live resource without what moves by itself; lists in which order means nothing are sorted."""
    if isinstance(value, dict):
        return {key: settings(item, key) for key, item in sorted(value.items()) if key not in _MOVING}
    if isinstance(value, list):
        found = [settings(item) for item in value]
        return sorted(found, key=lambda item: json.dumps(item, sort_keys=True)) if name in _ENTRIES else found
    return value


@dataclass
class Story:
    """The system, the target, and what was seen on the way."""

    target: Path
    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    state: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    refused: str = ""

    def look(self, when: str) -> None:
        """Everything that is live now, as settings."""
        environment = cloud.environment_of("twin", self.target)
        with twin_place(environment, staging_folder(), engine=False) as place:
            snapshot = place.read(tuple(COLLECTORS), ())
            self.live[when] = {
                f"{kind}/{name}": settings(body)
                for kind, found in snapshot.collections.items()
                if not kind.startswith(_TRAFFIC)
                for name, body in found.items.items()
            }
            seen = cloud.look(place, self.target, cloud.selected(""))
            self.findings[when] = [(item.check, item.subject) for item in seen.findings.values()]

    def remediate(self, phase: int, when: str) -> None:
        """A phase on the environment, and the record that it left."""
        plan, environment = catalogues.plan(), cloud.environment_of("twin", self.target)
        self.codes[when] = cloud.remediate(
            self.target, phase, plan, environment, commands.options(), require_engine=True
        )
        newest = max(
            (self.target / ".git" / "regreen").glob("runs/*/record.json"), key=lambda path: path.stat().st_mtime
        )
        self.records[when] = json.loads(newest.read_text())

    def undo(self, when: str, run: str, remedy: str = "") -> None:
        self.codes[f"undo {when} {remedy}".strip()] = cloud.undo(self.target, run, remedy, cascade=False)


@pytest.fixture(scope="module")
def story(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGREEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PATH", os.pathsep.join((str(engine.folder), os.environ["PATH"])))
        code = prepared(ROOT / "patient", catalogues.plan().part("code."), catalogues.code(), ROOT / "remedies")
        told = Story(commands.scratch(ROOT / "patient"))
        keeper.start(staging_folder(), code=str(code), cloud="as-found")
        try:
            _tell(told)
            yield told
        finally:
            keeper.stop(staging_folder())


def _tell(told: Story) -> None:
    told.look("found")
    _kill_in_the_middle(told)
    told.remediate(3, "three")
    told.look("three")
    told.remediate(3, "three again")
    told.undo("three", told.records["three"]["run"])
    told.look("undone")
    told.remediate(3, "three")
    told.remediate(4, "four")
    told.look("four")
    told.secrets = _values(told)
    told.state = (
        staging_folder() / "pulumi" / "state" / ".pulumi" / "stacks" / "regreen-staging" / "twin.json"
    ).read_text()


def _values(told: Story) -> dict[str, str]:
    """The newest value of every secret that holds one, by name; an address without a password in it hides nothing."""
    environment = cloud.environment_of("twin", told.target)
    with twin_place(environment, staging_folder(), engine=False) as place:
        secrets = place.read(("secretmanager.secrets",), ()).of("secretmanager.secrets")
        found = {}
        for name, body in secrets:
            with contextlib.suppress(StepError):
                found[name] = access(place.google, newest(place.google, body["name"]))
    return {name: value for name, value in found.items() if "://" not in value or "@" in value}


def _kill_in_the_middle(told: Story) -> None:
    """Start phase 3 in a process of its own, be refused beside it, and kill it while the engine changes something."""
    script = (
        "import sys; from pathlib import Path; from console import catalogues, cloud; from regreen import commands; "
        "target = Path(sys.argv[1]); "
        "cloud.remediate(target, 3, catalogues.plan(), cloud.environment_of('twin', target), commands.options())"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script, str(told.target)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    journal = told.target / ".git" / "regreen" / "journal.jsonl"
    deadline = time.monotonic() + 900
    while b"staging.size-cloud-run" not in (journal.read_bytes() if journal.exists() else b""):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the journal has no event to wait on
    with pytest.raises(LockedError) as refused:
        told.remediate(3, "beside")
    told.refused = str(refused.value)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def test_two_at_once_and_a_kill_in_the_middle_do_no_harm(story: Story) -> None:
    assert "remediate phase 3" in story.refused
    assert story.codes["three"] == 0


def test_phase_3_closes_what_it_is_there_for_and_says_how_it_knows(story: Story) -> None:
    record = story.records["three"]
    assert record["gate"]["state"] == "DECIDED"
    assert not record["dropped"]
    assert all("read again" in item["proof"] for item in record["changes"])
    behaviour = [line for line in record["messages"] if line.startswith("by behaviour, ")]
    assert len(behaviour) >= 4
    assert any("handshake" in line and "→ open" in line for line in behaviour), behaviour


def test_a_second_run_changes_nothing_and_says_so(story: Story) -> None:
    assert story.codes["three again"] == 0
    assert story.records["three again"]["changes"] == []


def test_undo_of_a_run_brings_every_setting_back(story: Story) -> None:
    assert story.codes["undo three"] == 0
    found, undone = story.live["found"], story.live["undone"]
    assert story.live["three"] != found
    assert {name: undone.get(name) for name in found} == found


def test_undo_deletes_nothing(story: Story) -> None:
    assert set(story.live["found"]) <= set(story.live["undone"])


def test_phase_4_closes_what_it_is_there_for(story: Story) -> None:
    assert story.codes["four"] == 0
    assert not story.records["four"]["dropped"]
    # Windows of a day look back at what was wrong before.
    assert {check for check, _ in story.findings["four"]} <= {"staging.no-503-in-window", "staging.no-1011-in-window"}


def test_no_secret_is_in_the_state_the_journal_or_a_report(story: Story) -> None:
    assert {"stripe-key", "graph-password", "staging-graph-password", "database-url"} <= set(story.secrets)
    regreen = story.target / ".git" / "regreen"
    written = {path.name: path.read_text(errors="replace") for path in regreen.rglob("*") if path.is_file()}
    written["state"] = story.state
    written["history"] = subprocess.run(
        ("git", "-C", str(story.target), "log", "-p", "--all", "--", "infra"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    leaks = {(name, where) for name, value in story.secrets.items() for where, text in written.items() if value in text}
    assert leaks == set()


def test_what_is_one_way_is_said_before_anything_is_undone(story: Story) -> None:
    before = story.live["four"]
    with pytest.raises(OptionError, match=r"cannot be taken back: .*reencrypt-table:market\.symbols"):
        story.undo("four", story.records["four"]["run"])
    story.look("refused")
    assert story.live["refused"] == before
