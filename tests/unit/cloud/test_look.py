"""How a run looks at its environment: what is read, what cannot be, drift, and findings that somebody answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from checks.staging import drift as drift_check
from regreen.cloud import ExecutorError, Operation
from regreen.cloud.drift import drifted
from regreen.cloud.look import CloudEye
from regreen.decisions import Decisions
from regreen.facts.cloud import Collection, Measurement, Snapshot
from regreen.model import Status
from regreen.run.record import GateState
from tests.unit.cloud.toys import SERVICES, TYPE, Sets, Stage, Wants, environment

NOBODY = Decisions((), date(2026, 1, 1))


class Eye:
    """Reads one service, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], list[str]]] = []

    def __call__(self, kinds: Sequence[str], experiments: Sequence[str]) -> Snapshot:
        self.asked.append((list(kinds), list(experiments)))
        return Snapshot(
            "toy-staging", "7", "now", {"run.services": Collection({"api": {"minInstances": 0}})},
            {name: Measurement(1.0, seen="seen") for name in experiments},
        )  # fmt: skip


def look(*checks: Any, read: Eye | None = None, drift: Any = None, **more: Any) -> Any:
    return CloudEye(environment(), checks, read or Eye(), NOBODY, {}, drift).look(**more)


def test_only_what_the_checks_need_is_read_and_each_kind_once() -> None:
    read = Eye()

    look(Wants("minInstances", 1), Wants("image", "i", measures="probe"), read=read)

    assert read.asked == [(["run.services"], ["probe"])]


def test_without_experiments_the_checks_that_need_one_are_left_out() -> None:
    read = Eye()

    found = look(Wants("minInstances", 1), Wants("image", "i", measures="probe"), read=read, experiments=False)

    assert read.asked == [(["run.services"], [])]
    assert [item.check for item in found.raw.verdicts] == ["staging.minInstances"]


def test_named_checks_alone_look() -> None:
    found = look(Wants("minInstances", 1), Wants("image", "i"), only=["staging.image"])

    assert [item.check for item in found.raw.verdicts] == ["staging.image"]


def test_a_check_that_breaks_is_unknown_and_blinds_no_other() -> None:
    class Broken(Wants):
        def judge(self, snapshot: Snapshot, environment: Any, /) -> Any:
            raise ZeroDivisionError("oops")

    found = look(Broken("image", "i"), Wants("minInstances", 1))

    assert [item.status for item in found.raw.verdicts] == [Status.UNKNOWN, Status.FAIL]
    assert found.raw.verdicts[0].error == "the check itself failed: ZeroDivisionError: oops"


def test_a_finding_of_the_baseline_is_set_aside_and_not_curable() -> None:
    check = Wants("minInstances", 1)
    eye = CloudEye(environment(), (check,), Eye(), NOBODY, {})
    (finding,) = eye.look().raw.findings.values()
    known = replace(eye, baseline={finding.fingerprint: "we know"})
    sight = known.look()

    assert eye.curable(eye.look(), [check.ID]) == (finding,)
    assert known.curable(sight, [check.ID]) == ()
    assert sight.diagnosis.findings == {}
    assert [item.reason for item in sight.diagnosis.verdicts[0].suppressed] == ["we know"]


# Drift


class Engine:
    """An engine that finds some drift, or fails."""

    def __init__(self, *found: Operation, fails: str = "") -> None:
        self.found, self.fails = found, fails

    def drift(self, content: bytes) -> tuple[Operation, ...]:
        if self.fails:
            raise ExecutorError(self.fails)
        return self.found


@pytest.mark.parametrize(
    ("engine", "stack", "status", "words"),
    [
        (Engine(), b"config: {}", Status.PASS, ""),
        (Engine(Operation("update", TYPE, "api", ("scaling",))), b"config: {}", Status.FAIL, "update Service api (scaling)"),
        (Engine(fails="locked"), b"config: {}", Status.UNKNOWN, "locked"),
        (Engine(), b"", Status.UNKNOWN, "nothing was adopted into the stack yet, so nothing can drift"),
        (None, b"config: {}", Status.UNKNOWN, "not run: no Pulumi engine"),
    ],
    ids=["as the stack says", "changed by hand", "engine fails", "not adopted", "no engine"],
)  # fmt: skip
def test_drift_is_seen_or_not_known(engine: Any, stack: bytes, status: Status, words: str) -> None:
    found = look(drift_check, drift=lambda: drifted(engine, lambda: stack, "no Pulumi engine")).raw.verdicts[0]

    assert found.status is status
    assert words in (found.error or ", ".join(item.observed for item in found.findings))


def test_two_drifted_resources_are_two_findings() -> None:
    engine: Any = Engine(Operation("update", TYPE, "api"), Operation("create", TYPE, "web"))

    found = look(drift_check, drift=lambda: drifted(engine, lambda: b"x", "")).raw.verdicts[0]

    assert [item.observed for item in found.findings] == ["create Service web", "update Service api"]


# Experiments are made before the repairs and after, and are not lost in between


def measured(stage: Stage, **values: float) -> None:
    stage.cloud.set(measured={name: {"value": value, "seen": "seen"} for name, value in values.items()})


def test_a_run_keeps_the_verdicts_of_experiments_when_its_only_remedy_is_dropped(stage: Stage) -> None:
    stage.remedies = (Sets("minInstances", 2),)
    stage.checks = (Wants("minInstances", 1), Wants("image", "api:1", measures="probe"))
    measured(stage, probe=0.5)
    services = {name: {**item, "image": "api:1"} for name, item in SERVICES.items()}
    stage.cloud.set(live=services)

    record = stage.run()

    states = {item.name: item.state for item in record.gate.items}
    assert states["staging.minInstances"] is GateState.FAIL
    assert states["staging.image"] is GateState.PASS


def test_what_was_made_up_for_is_looked_at_with_experiments(stage: Stage) -> None:
    stage.checks = (*stage.checks, Wants("image", "api:1", measures="probe"))
    stage.cloud.set(live={name: {**item, "image": "api:1"} for name, item in SERVICES.items()})
    measured(stage, probe=0.5)
    stage.run()
    data = stage.cloud.read()
    data["managed"]["api"] = {**data["managed"]["api"], "minInstances": 0}
    stage.cloud.write(data)

    record = stage.run()

    assert any("made up for" in message for message in record.messages)
    assert record.exit_code == 0


def test_a_report_says_what_experiments_saw_before_and_after(stage: Stage) -> None:
    stage.checks = (*stage.checks, Wants("image", "api:1", measures="probe"))
    measured(stage, probe=9.0)
    stage.engine.checkpoint = lambda name: measured(stage, probe=0.25) if name.startswith("after update") else None

    record = stage.run()

    assert "by behaviour, probe: seen (9 s) → seen (0.25 s)" in record.messages
