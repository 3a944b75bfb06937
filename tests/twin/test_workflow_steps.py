"""The steps of the pipeline that need no account, run for real; tests/unit/workflows plays all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.alerts.conftest import Receiver, receiver
from tests.unit.workflows.steps import ROOT, Said, Step, execute, named, read

__all__ = ["receiver"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository in the place of this one, with its command line."""
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "tasks.py").symlink_to(ROOT / "tasks.py")
    (place / "invoke.yaml").write_text("")
    (place / "app.py").write_text("def answer() -> int:\n    return 42\n")
    (place / "test_app.py").write_text("from app import answer\n\n\ndef test_answer():\n    assert answer() == 42\n")
    git = ("git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "app.py", "test_app.py"), ("commit", "-qm", "before")):
        subprocess.run((*git, *words), check=True)
    return place


def executed(step: Step, checkout: Path, tmp_path: Path) -> Said:
    return execute(step, checkout, REGREEN_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(ROOT))


def test_findings_become_sarif_for_code_scanning(checkout: Path, tmp_path: Path) -> None:
    (checkout / "broken.py").write_text("def f(:\n")

    said = executed(named("Findings as SARIF"), checkout, tmp_path)

    assert said.code == 0, said.output
    (run,) = json.loads(read(checkout / "regreen.sarif"))["runs"]
    assert "code.source-readable" in {result["ruleId"] for result in run["results"]}


def test_a_weakened_test_makes_the_ratchet_red(checkout: Path, tmp_path: Path) -> None:
    step = named("Assertion ratchet")
    assert executed(step, checkout, tmp_path).code == 0
    weaker = (checkout / "test_app.py").read_text().replace("== 42", "is not None")
    (checkout / "test_app.py").write_text(weaker)
    git = ("git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run((*git, "commit", "-qam", "after"), check=True)

    said = execute(
        step, checkout, REGREEN_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(ROOT), BASE="HEAD~1"
    )  # fmt: skip

    assert said.code == 1, said.output
    assert "weaker" in read(checkout / "summary.md")


def test_summaries_are_written_by_the_real_commands(checkout: Path, tmp_path: Path) -> None:
    gates = checkout / "build" / "gates"
    gates.mkdir(parents=True)
    (gates / "unit.xml").write_text('<testsuite><testcase classname="a" name="b" time="1"/></testsuite>')
    (checkout / "preview.txt").write_text("1 changes ```\n")

    for step in (named("Summary"), named("Preview as a step summary", "pull-request")):
        said = executed(step, checkout, tmp_path)
        assert said.code == 0, said.output

    assert "### unit, Python 3.11, part 2\n" in read(checkout / "summary.md")
    assert "````text\n1 changes ```\n````\n" in read(checkout / "preview.md")
    assert read(checkout / "preview.md") in read(checkout / "summary.md")


def test_histories_and_metrics_are_written_by_the_real_commands(checkout: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-p", "regreen_history", "--history", "tests.sqlite",
               "--history-label", "nightly", "--rootdir", str(checkout), "test_app.py")  # fmt: skip
    plugins = {**os.environ, "PYTHONPATH": str(ROOT / "regreen" / "pytest")}
    subprocess.run(command, cwd=checkout, env=plugins, capture_output=True, check=True)

    trends = executed(named("What got slower, what is flaky"), checkout, tmp_path)
    told = executed(named("The history for other tools"), checkout, tmp_path)

    assert trends.code == 0, trends.output
    assert read(checkout / "trends.html").startswith("<!doctype html>")
    assert told.code == 0, told.output
    assert json.loads(read(checkout / "history.jsonl"))["label"] == "nightly"
    assert 'regreen_history_pass_ratio{label="nightly"} 1.0' in read(checkout / "metrics.prom")


@pytest.mark.parametrize(("workflow", "level"), [("main", "critical"), ("nightly", "warning")])
def test_people_are_told_by_the_real_command(
    workflow: str, level: str, receiver: Receiver, checkout: Path, tmp_path: Path
) -> None:
    step = named("Tell people", workflow)

    said = execute(
        step, checkout, REGREEN_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(ROOT), ALERT_URLS=receiver.webhook
    )  # fmt: skip

    assert said.code == 0, said.output
    ((_, body),) = receiver.got
    assert body["title"].startswith(f"[{level}] ")
    assert "evidence: https://github.example/owner/repository/actions/runs/98765432109" in body["message"]


def test_the_tag_of_this_version_is_accepted_by_the_real_command(checkout: Path, tmp_path: Path) -> None:
    said = executed(named("Tag and version agree"), checkout, tmp_path)

    assert (said.code, said.output) == (0, "")


def test_phases_on_the_bundled_system_are_green_and_leave_metrics_a_trace_and_log_lines(tmp_path: Path) -> None:
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "tasks.py").symlink_to(ROOT / "tasks.py")
    more = {"REGREEN_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}

    repaired = execute(named("Its code, repaired"), place, **more)
    exported = execute(named("The runs as metrics, as a trace and as log lines"), place, **more)

    assert repaired.code == 0, repaired.output
    assert read(place / "summary.md").startswith("### Phases 1 and 2 on the bundled system\n")
    assert exported.code == 0, exported.output
    series = {
        (sample.name, sample.labels["phase"]): sample.value
        for family in text_string_to_metric_families(read(place / "build" / "metrics.prom"))
        for sample in family.samples
        if family.name == "regreen_run_exit_code"
    }
    assert series == {("regreen_run_exit_code", "1"): 0, ("regreen_run_exit_code", "2"): 0}
    spans = json.loads(read(place / "build" / "trace.json"))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    lines = [json.loads(line) for line in read(place / "build" / "journal.jsonl").splitlines()]
    assert {span["traceId"] for span in spans} <= {line["trace_id"] for line in lines}
    effects = [span["name"] for span in spans if span["name"].startswith("effect ")]
    assert len(effects) == len(set(effects)) > 5
