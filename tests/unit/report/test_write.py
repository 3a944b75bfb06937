"""Reports on disk: all formats, each whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from regreen.report import merge, write
from regreen.report.trend import point
from regreen.run.record import RunRecord


def test_all_formats_are_written_and_nothing_else(record: RunRecord, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one" / "report"

    paths = write(record, folder)

    assert {kind: path.name for kind, path in paths.items()} == {
        "md": "report.md",
        "html": "report.html",
        "sarif": "report.sarif",
        "junit": "report.xml",
        "json": "report.json",
    }
    assert sorted(folder.iterdir()) == sorted(paths.values())
    assert all(path.read_text("utf-8").endswith("\n") for path in paths.values())
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in paths.values())


def test_the_same_run_gives_the_same_bytes(record: RunRecord, tmp_path: Path) -> None:
    once = {kind: path.read_bytes() for kind, path in write(record, tmp_path / "a").items()}
    again = {kind: path.read_bytes() for kind, path in write(record, tmp_path / "b").items()}

    assert once == again


def test_the_record_read_back_gives_the_same_report(record: RunRecord, tmp_path: Path) -> None:
    read = RunRecord.from_json(json.loads(record.dumps()))

    assert write(read, tmp_path / "a")["html"].read_bytes() == write(record, tmp_path / "b")["html"].read_bytes()


def test_a_write_that_fails_leaves_the_old_report(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(record, tmp_path)["md"].read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(replace(record, next_step="something else"), tmp_path)

    assert (tmp_path / "report.md").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_earlier_runs_beside_this_one_are_drawn(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "earlier").mkdir()
    earlier = replace(record, run="earlier", started="2025-01-01T00:00:00Z")
    (tmp_path / "earlier" / "record.json").write_text(earlier.dumps(), "ascii")

    text = write(record, tmp_path / record.run)["html"].read_text("utf-8")

    assert "Over the last 2 runs on this target" in text
    assert "no trend yet" in write(record, tmp_path / record.run, runs=tmp_path / "x")["html"].read_text("utf-8")


def test_json_has_numbers_first_and_every_part(record: RunRecord, tmp_path: Path) -> None:
    text = write(record, tmp_path)["json"].read_text("ascii")
    document = json.loads(text)

    assert document["summary"]["findings"] == {"before": 3, "after": 1, "reduction_percent": 66.67}
    assert document["summary"]["tests"]["collected"] == {"before": 8, "after": 12, "reduction_percent": -50.0}
    assert document["summary"]["errors"]["missing module"]["after"] == 0
    assert document["summary"]["pass_rate"] == {"before": 8 / 9, "after": 0.9}
    assert document["summary"]["checklist"] == {"ticked": 1, "boxes": 3}
    (commit,) = document["commits"]
    assert (commit["remedy"], commit["commit"]) == ("code.return-to-assert", "c" * 40)
    assert commit["diff"] == record.changes[0].diff
    assert commit["changes"][0]["files"] == ["tests/test_a.py"]
    assert commit["changes"][0]["closes"][0]["where"] == "tests/test_a.py:3"
    assert document["refusals"][1]["where"] == "service/api/env"
    assert document["remaining"][0]["path"] == "tests/</script><b>\\xff\x1b[31m\n`|a`\u202e.py"
    assert document["before"]["verdicts"][2]["error"] == "the index could not be read"


def test_no_format_holds_a_secret_or_a_finding_s_snippet(record: RunRecord, tmp_path: Path) -> None:
    secret = "sk_live_" + "a1B2" * 6
    private = replace(
        record.remaining[0], observed=f"holds {secret}", snippet="hunter2-snippet", data=(("v", "hunter2-data"),)
    )
    change = replace(record.changes[0], diff=f"diff --git a/k b/k\n@@ -1 +1 @@\n-K = '{secret}'\n+K = get()\n")
    after = replace(record.after, verdicts=(replace(record.after.verdicts[0], findings=(private,)),))
    leaky = replace(record, remaining=(private,), changes=(change,), after=after, messages=(secret,), target=secret)

    for path in [*write(leaky, tmp_path / "one").values(), *merge([leaky], tmp_path / "all").values()]:
        text = path.read_text("utf-8")
        assert secret not in text
        assert "hunter2" not in text
        assert "[redacted]" in text.replace("\\[", "[").replace("\\]", "]")


def test_a_fleet_counts_each_target_from_its_first_run_to_its_last(record: RunRecord, tmp_path: Path) -> None:
    clean = replace(record.after, verdicts=tuple(replace(v, findings=()) for v in record.after.verdicts))
    second = replace(
        record,
        run="two",
        started="2026-01-02T00:00:00Z",
        phase=replace(record.phase, number=2),
        before=record.after,
        after=clean,
    )
    stale = replace(record, run="old", started="2025-01-01T00:00:00Z", next_step="old advice")

    paths = merge([second, record, stale, replace(record, target="other")], tmp_path)

    document = json.loads(paths["json"].read_text("ascii"))
    assert [(run["target"], run["run"]) for run in document["runs"]] == [
        ("other", record.run),
        ("patient", record.run),
        ("patient", "two"),
    ]
    assert document["targets"] == 2
    text = paths["md"].read_text("utf-8")
    assert "| `code.tests-assert-not-return` | 6 | 1 | −83.3 % |\n" in text
    assert "2 targets, 3 runs · 0 gates open · 6 → 1 findings (−83.3 %) · 3 changes" in text
    assert "old advice" not in paths["html"].read_text("utf-8")


def test_an_empty_fleet_is_a_report_too(tmp_path: Path) -> None:
    assert "No run was given." in merge([], tmp_path)["html"].read_text("utf-8")


def test_points_of_saved_runs_are_those_of_the_record(record: RunRecord) -> None:
    assert point(RunRecord.from_json(json.loads(record.dumps()))) == point(record)
