"""Metrics, read back with Prometheus' own parser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from regreen import criteria, status
from regreen.export.metrics import METRICS, Sample, of_criteria, of_history, of_journal, of_runs, of_status, text
from regreen.facts.services.spec import Reading, Seen, ServiceSpec, State
from regreen.journal import Entry, Journal, Step
from regreen.run.record import RunRecord
from regreen.trends import history as past
from tests.unit.export.conftest import entries
from tests.unit.report.conftest import HOSTILE_PATH


def read(samples: list[Sample]) -> dict[tuple[str, ...], float]:
    """Series and values; a repeated series, or labels other than the listed ones, is an error."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text(samples).decode()):
        assert family.documentation == METRICS[family.name][0]
        assert family.type == "gauge"
        for sample in family.samples:
            assert sorted(sample.labels) == sorted(METRICS[family.name][1])
            key = (sample.name, *(sample.labels[name] for name in METRICS[family.name][1]))
            assert key not in found
            found[key] = sample.value
    return found


@pytest.fixture
def services() -> list[Reading]:
    kafka = Reading(
        ServiceSpec("kafka", "kafka", "127.0.0.1:1"), State.DOWN, error="KafkaException", next_step="start it"
    )
    writer = Reading(ServiceSpec("writer", "http", "http://127.0.0.1:2", ("kafka",)), State.DOWN, causes=("kafka",))
    graph = Reading(
        ServiceSpec("graph", "bolt", "bolt://127.0.0.1:3"), State.UP, Seen(0.01, 0.02, "", 120.0, "queries/s")
    )
    return [kafka, writer, graph]


@pytest.fixture
def history() -> past.TestHistory:
    def sample(run: int, name: str, outcome: str, **more: object) -> past.Sample:
        return replace(past.Sample(run, name, outcome, 0.5, 0.25, 1000, 0, "", "", ""), **more)  # type: ignore[arg-type]

    runs = tuple(past.Run(f"r{n}", 1000.0 + n, "abc", label) for n, label in enumerate(("ci", "ci", "local")))
    return past.TestHistory(
        runs,
        (
            sample(0, "t::old", "failed"),
            sample(1, "t::a", "passed", memory=3000),
            sample(1, "t::b", "failed", category="infrastructure", retries=2),
            sample(1, "t::c", "skipped"),
            sample(2, "t::a", "passed"),
        ),
    )


def test_a_run_says_what_it_found_changed_and_took(record: RunRecord) -> None:
    found = read(of_runs([record]))

    run = ("patient", "1")
    check = "code.tests-assert-not-return"
    assert found["regreen_findings_before", *run, check] == 3
    assert found["regreen_findings", *run, check] == 1
    assert found["regreen_check_status", *run, check, "FAIL"] == 1
    assert found["regreen_check_status", *run, check, "PASS"] == 0
    assert found["regreen_check_status", *run, "code.imports-resolve", "UNKNOWN"] == 1
    assert found["regreen_gate_state", *run, "FAIL"] == 1
    assert found["regreen_gate_conditions", *run, "DECIDED"] == 1
    assert found["regreen_changes", *run, "code.return-to-assert"] == 1
    assert found["regreen_open_questions", *run] == 1, "of two refusals one is decided"
    assert found["regreen_run_memory_bytes", *run] == 123_000_000
    assert found["regreen_run_finished_timestamp_seconds", *run] == 1767268805
    assert found["regreen_step_seconds", *run, "gate"] == 75
    assert found["regreen_target_tests", *run, "passed"] == 9


def test_the_newest_run_of_a_phase_counts_and_a_dry_run_does_not(record: RunRecord) -> None:
    later = replace(record, started="2026-02-01T12:00:00Z", exit_code=0, target="/home/somebody/patient")
    dry = replace(record, started="2026-03-01T12:00:00Z", exit_code=2, dry_run=True)

    found = read(of_runs([dry, record, later]))

    assert found["regreen_run_exit_code", "patient", "1"] == 0


def test_labels_of_any_bytes_stay_valid_and_apart(record: RunRecord) -> None:
    found = read(
        [
            *of_runs([replace(record, target='a "b"\\\n')]),
            Sample("regreen_open_questions", (HOSTILE_PATH, "9"), 1),
            Sample("regreen_open_questions", (HOSTILE_PATH.replace("\udcff", "\udcfe"), "9"), 2),
        ]
    )

    assert found["regreen_run_exit_code", 'a "b"\\\n', "1"] == 1
    assert found["regreen_open_questions", HOSTILE_PATH.replace("\udcff", "?"), "9"] == 2, "one series, the last value"


def test_the_journal_tells_of_a_run_that_lasts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    written = entries(journal, "r1")
    written = (*written, journal.write(Entry("r2", 1, Step.DETECT, source="twin")))

    found = read(of_journal("patient", written))

    assert found["regreen_journal_entries", "patient", "intend", "code"] == 4
    assert found["regreen_journal_entries", "patient", "detect", "twin"] == 1
    assert found["regreen_runs_in_progress", "patient"] == 1


def test_services_are_told_with_their_root_cause(services: list[Reading]) -> None:
    found = read(of_status(status.form(services, ["kafka", "writer", "graph"]), "twin"))

    assert found["regreen_service_state", "twin", "kafka", "kafka", "down"] == 1
    assert found["regreen_service_root_cause", "twin", "kafka", "kafka"] == 1
    assert found["regreen_service_root_cause", "twin", "writer", "http"] == 0
    assert found["regreen_service_query_seconds", "twin", "graph", "bolt"] == 0.02
    assert found["regreen_service_throughput", "twin", "graph", "bolt", "queries/s"] == 120
    assert ("regreen_service_connect_seconds", "twin", "kafka", "kafka") not in found, "what was not measured is absent"


def test_a_history_gives_the_newest_run_of_each_label(history: past.TestHistory) -> None:
    found = read(of_history(history))

    assert found["regreen_history_tests", "ci", "failed"] == 1
    assert found["regreen_history_pass_ratio", "ci"] == 0.5, "skipped ones did not run"
    assert found["regreen_history_test_seconds", "ci"] == 1.5
    assert found["regreen_history_memory_bytes", "ci"] == 3000
    assert found["regreen_history_retries", "ci"] == 2
    assert found["regreen_history_failures", "ci", "infrastructure"] == 1
    assert found["regreen_history_pass_ratio", "local"] == 1


CRITERIA = (
    criteria.Measured("fast", "", "", "at most 0.1", False, 0.2, "s", ""),
    criteria.Measured("handshake", "", "", "a check passes", None, None, "findings", ""),
)


def test_criteria_that_nothing_measured_are_absent() -> None:
    found = read(of_criteria(criteria.form(CRITERIA), "twin"))

    assert found == {
        ("regreen_criterion_met", "twin", "fast"): 0,
        ("regreen_criterion_value", "twin", "fast", "s"): 0.2,
    }


def test_every_listed_metric_is_given_by_something(
    record: RunRecord, services: list[Reading], history: past.TestHistory, tmp_path: Path
) -> None:
    journal = entries(Journal(tmp_path / "journal.jsonl"), "r1")
    form = status.form(services, ["kafka", "writer", "graph"])

    samples = [
        *of_runs([record]), *of_journal("x", journal), *of_status(form, "twin"), *of_history(history),
        *of_criteria(criteria.form(CRITERIA), "twin"),
    ]  # fmt: skip

    assert {sample.name for sample in samples} == set(METRICS)


def test_a_metric_that_is_not_listed_is_refused() -> None:
    with pytest.raises(KeyError, match="regreen_made_up"):
        text([Sample("regreen_made_up", (), 1)])
