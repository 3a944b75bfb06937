"""Runs, services and test histories as Prometheus metrics (text format 0.0.4).

`METRICS` lists every metric once: dashboards may ask for these and no others. Seconds, bytes, ratios from 0 to 1. No label
holds a run's id or a test's name, because each new value would be a new series for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from regreen.journal import Entry, Step
from regreen.model import Status
from regreen.run.record import GateState, RunRecord

if TYPE_CHECKING:
    from regreen.trends.history import TestHistory

_RUN: Final = ("target", "phase")
_SERVICE: Final = ("environment", "service", "kind")

#: Name → (help, labels).
METRICS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "regreen_findings": ("Findings of a check after the newest run of a phase.", (*_RUN, "check")),
    "regreen_findings_before": ("Findings of a check before that run.", (*_RUN, "check")),
    "regreen_check_status": ("1 for the verdict that a check gave after the run.", (*_RUN, "check", "status")),
    "regreen_gate_state": ("1 for the state of the phase's gate.", (*_RUN, "state")),
    "regreen_gate_conditions": ("Conditions of the gate by state.", (*_RUN, "state")),
    "regreen_changes": ("Changes that the run made, by remedy.", (*_RUN, "remedy")),
    "regreen_open_questions": ("Refusals that no decision answers.", _RUN),
    "regreen_run_seconds": ("Wall time of the run.", _RUN),
    "regreen_run_cpu_seconds": ("CPU time of the run, children included.", _RUN),
    "regreen_run_memory_bytes": ("Highest resident memory of the run.", _RUN),
    "regreen_run_exit_code": ("How the run ended: 0 green, 1 findings, 2 wrong set-up, 3 a bug.", _RUN),
    "regreen_run_finished_timestamp_seconds": ("When the run ended, in seconds since 1970.", _RUN),
    "regreen_step_seconds": ("Wall time of a step of the run.", (*_RUN, "step")),
    "regreen_target_tests": ("The target's tests after the run, by outcome.", (*_RUN, "outcome")),
    "regreen_target_regressions": ("Tests that were green before the run and are red or lost after it.", _RUN),
    "regreen_journal_entries": ("Entries of the journal, by step and source.", ("target", "step", "source")),
    "regreen_runs_in_progress": ("Runs that have begun and have no gate yet.", ("target",)),
    "regreen_service_state": ("1 for the state that a service is in.", (*_SERVICE, "state")),
    "regreen_service_root_cause": ("1 where trouble begins; cascades are 0.", _SERVICE),
    "regreen_service_connect_seconds": ("Time to connect, measured in the service's own protocol.", _SERVICE),
    "regreen_service_query_seconds": ("Time of a query.", _SERVICE),
    "regreen_service_throughput": ("What the probe got through a second.", (*_SERVICE, "unit")),
    "regreen_criterion_met": ("1 met, 0 missed; absent where nothing was measured.", ("environment", "criterion")),
    "regreen_criterion_value": ("The measured value.", ("environment", "criterion", "unit")),
    "regreen_history_tests": ("Tests of the newest recorded run of a suite, by outcome.", ("label", "outcome")),
    "regreen_history_pass_ratio": ("Share of the tests that ran and passed.", ("label",)),
    "regreen_history_test_seconds": ("Wall seconds of all tests together.", ("label",)),
    "regreen_history_memory_bytes": ("Highest peak memory of one test.", ("label",)),
    "regreen_history_retries": ("Retries in the newest recorded run.", ("label",)),
    "regreen_history_failures": ("Red tests by category.", ("label", "category")),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one metric; labels in the order of METRICS."""

    name: str
    labels: tuple[str, ...]
    value: float


def text(samples: Iterable[Sample]) -> bytes:
    """Samples in the text format, by metric. Raises KeyError for a metric that METRICS does not list."""
    registry = CollectorRegistry()
    registry.register(_Given(tuple(samples)))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        by_name: dict[str, dict[tuple[str, ...], float]] = {}
        for sample in self._samples:
            labels = tuple(map(_plain, sample.labels))
            by_name.setdefault(sample.name, {})[labels] = sample.value  # a repeated series would be invalid
        for name, series in sorted(by_name.items()):
            help_text, names = METRICS[name]
            family = GaugeMetricFamily(name, help_text, labels=names)
            for values, value in series.items():
                family.add_metric(values, value)
            yield family


def _plain(label: str) -> str:
    """Label values are UTF-8: a file name of other bytes keeps its readable part."""
    return label.encode("utf-8", "replace").decode("utf-8")


def target_name(target: str) -> str:
    """A target as other systems know it: the folder's name, not where it is on this machine."""
    return PurePath(target).name or target


def of_runs(records: Iterable[RunRecord]) -> list[Sample]:
    """The newest run of each phase on each target, dry runs left out."""
    newest: dict[tuple[str, int], RunRecord] = {}
    for record in sorted(records, key=lambda each: each.started):
        if not record.dry_run:
            newest[target_name(record.target), record.phase.number] = record
    return [sample for record in newest.values() for sample in _run(record)]


def _run(record: RunRecord) -> Iterator[Sample]:
    run = (target_name(record.target), str(record.phase.number))
    for verdict in record.before.verdicts:
        yield Sample("regreen_findings_before", (*run, verdict.check), len(verdict.findings))
    for verdict in record.after.verdicts:
        yield Sample("regreen_findings", (*run, verdict.check), len(verdict.findings))
        for status in Status:
            yield Sample("regreen_check_status", (*run, verdict.check, status.value), verdict.status is status)
    conditions = Counter(item.state for item in record.gate.items)
    for state in GateState:
        yield Sample("regreen_gate_state", (*run, state.value), record.gate.state is state)
        yield Sample("regreen_gate_conditions", (*run, state.value), conditions[state])
    for remedy, made in Counter(each.change.remedy for each in record.changes).items():
        yield Sample("regreen_changes", (*run, remedy), made)
    yield Sample("regreen_open_questions", run, sum(not each.decided for each in record.refusals))
    yield Sample("regreen_run_seconds", run, record.usage.seconds)
    yield Sample("regreen_run_cpu_seconds", run, record.usage.cpu_seconds)
    yield Sample("regreen_run_memory_bytes", run, record.usage.max_memory)
    yield Sample("regreen_run_exit_code", run, record.exit_code)
    yield Sample("regreen_run_finished_timestamp_seconds", run, datetime.fromisoformat(record.finished).timestamp())
    for timing in record.timings:
        yield Sample("regreen_step_seconds", (*run, timing.step), timing.seconds)
    if record.tests is not None:
        for outcome, count in Counter(each.outcome for each in record.tests.after.results).items():
            yield Sample("regreen_target_tests", (*run, outcome.value), count)
        worse = len(record.tests.regressions) + len(record.tests.lost)
        yield Sample("regreen_target_regressions", run, worse)


def of_journal(target: str, entries: Sequence[Entry]) -> list[Sample]:
    """How far runs have come: true while one lasts, too."""
    counted = Counter((entry.step.value, entry.source) for entry in entries)
    begun = {entry.run for entry in entries}
    over = {entry.run for entry in entries if entry.step in (Step.GATE, Step.UNDONE)}
    found = [Sample("regreen_journal_entries", (target, *key), count) for key, count in sorted(counted.items())]
    return [*found, Sample("regreen_runs_in_progress", (target,), len(begun - over))]


def of_status(form: Mapping[str, Any], environment: str) -> list[Sample]:
    """The services of `invoke status --format json`."""
    found = []
    for each in form["services"]:
        key = (environment, each["name"], each["kind"])
        found += [
            Sample("regreen_service_state", (*key, state), each["state"] == state)
            for state in ("up", "degraded", "down", "unknown")
        ]
        found.append(Sample("regreen_service_root_cause", key, each["name"] in form["root_causes"]))
        for name in ("connect_seconds", "query_seconds"):
            if each[name] is not None:
                found.append(Sample(f"regreen_service_{name}", key, each[name]))
        if each["throughput"] is not None:
            found.append(Sample("regreen_service_throughput", (*key, each["throughput_unit"]), each["throughput"]))
    return found


def of_criteria(form: Mapping[str, Any], environment: str) -> list[Sample]:
    """The criteria of `invoke criteria --format json`."""
    found = []
    for each in form["criteria"]:
        if each["met"] is not None:
            found.append(Sample("regreen_criterion_met", (environment, each["id"]), each["met"]))
        if each["value"] is not None:
            found.append(Sample("regreen_criterion_value", (environment, each["id"], each["unit"]), each["value"]))
    return found


def of_history(history: TestHistory) -> list[Sample]:
    """The newest recorded run of each label."""
    newest = {run.label: number for number, run in enumerate(history.runs)}
    found = []
    for label, number in newest.items():
        tests = [sample for sample in history.samples if sample.run == number]
        outcomes = Counter(test.outcome for test in tests)
        found += [Sample("regreen_history_tests", (label, name), count) for name, count in outcomes.items()]
        ran = sum(count for name, count in outcomes.items() if name != "skipped")
        if ran:
            good = outcomes["passed"] + outcomes["xfailed"]
            found.append(Sample("regreen_history_pass_ratio", (label,), good / ran))
        found.append(Sample("regreen_history_test_seconds", (label,), sum(test.seconds for test in tests)))
        found.append(Sample("regreen_history_memory_bytes", (label,), max((test.memory for test in tests), default=0)))
        found.append(Sample("regreen_history_retries", (label,), sum(test.retries for test in tests)))
        red = Counter(test.category or "none" for test in tests if test.outcome in ("failed", "error"))
        found += [Sample("regreen_history_failures", (label, name), count) for name, count in red.items()]
    return found
