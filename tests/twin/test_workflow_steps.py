"""The steps of the pipeline that need the local Google Cloud and nothing else, run for real."""

from __future__ import annotations

import json
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.unit.workflows.steps import ROOT, execute, named, read


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
