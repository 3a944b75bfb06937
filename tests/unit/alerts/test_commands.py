"""The three things that people and workflows alert about, through the commands' own functions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regreen.alerts import command
from regreen.commands import UsageError
from regreen.run.history import save_record
from regreen.run.record import RunRecord
from tests.unit.alerts.conftest import Receiver
from tests.unit.report.conftest import diagnosis, record

__all__ = ["diagnosis", "record"]
#: A plugin of apprise that we do not use imports it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")


@pytest.fixture(autouse=True)
def told(receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Receiver:
    monkeypatch.setenv("ALERT_URLS", receiver.webhook)
    monkeypatch.setenv("REGREEN_CACHE", str(tmp_path / "cache"))
    return receiver


def titles(receiver: Receiver) -> list[str]:
    found = [body["title"] for _, body in receiver.got]
    receiver.got.clear()
    return found


def test_an_event_opens_lasts_and_is_over(told: Receiver, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"

    assert command.event("main", "main is red\nsee the run", "critical", "https://ci.example/7", ledger) == 0
    assert "evidence: https://ci.example/7" in told.got[0][1]["message"]
    assert titles(told) == ["[critical] main is red"]
    assert command.event("main", "main is red", "critical", "", ledger) == 0
    assert titles(told) == []
    assert command.event("nightly", "drift", "warning", "", ledger) == 0
    assert titles(told) == ["[warning] drift"], "another key is another trouble, and does not end the first"
    assert command.event("main", "", "critical", "", ledger) == 0
    assert titles(told) == ["[resolved] main is red"]
    with pytest.raises(UsageError, match="choose info, warning or critical"):
        command.event("main", "x", "fatal", "", ledger)


def test_a_status_file_alerts_root_causes_only(told: Receiver, tmp_path: Path) -> None:
    form = {
        "schema": 1,
        "services": [
            {"name": "kafka", "state": "down", "error": "KafkaException", "detail": "refused", "causes": []},
            {"name": "writer", "state": "down", "causes": ["kafka"]},
            {"name": "graph", "state": "up", "causes": []},
        ],
        "cascades": {"writer": ["kafka"]},
    }
    path = tmp_path / "status.json"
    path.write_text(json.dumps(form))

    assert command.status(str(path), "lab", tmp_path / "ledger.json") == 0

    assert "because of it: writer" in told.got[0][1]["message"]
    assert titles(told) == ["[critical] kafka is down"]
    path.write_text("[]")
    with pytest.raises(UsageError, match="it lists no services"):
        command.status(str(path), "lab", tmp_path / "ledger.json")


def test_a_run_alerts_each_condition_that_is_not_green(told: Receiver, tmp_path: Path, record: RunRecord) -> None:
    target = tmp_path / "target"
    (target / ".git").mkdir(parents=True)
    import subprocess

    subprocess.run(("git", "init", "-q", str(target)), check=True)
    save_record(target / ".git" / "regreen", record)

    assert command.run(target, "", "report.html", tmp_path / "ledger.json") == 0

    assert titles(told) == [
        "[warning] patient, phase 1: code.tests-assert-not-return is FAIL",
        "[warning] patient, phase 1: code.imports-resolve is UNKNOWN",
        "[warning] patient, phase 1: code.x is NOT BUILT",
    ]
