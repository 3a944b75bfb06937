"""Success criteria: what must be true in the end, each with a limit, a measured value, and where it was measured.

They stand in the plan (`[[criterion]]`). A check's criterion is met when the check passes; a measure's when its value is within the
limit. What nothing measured is not met. Seconds; ratios from 0 to 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from regreen.environment import PROBES
from regreen.tomlsource import Table, meant
from regreen.trends.history import TestHistory

#: Measure → unit. `services.KIND.…` is the slowest service of that kind.
MEASURES: Final[Mapping[str, str]] = {
    "tests.pass_ratio": "ratio",
    "tests.seconds_per_run": "s",
    "services.up_ratio": "ratio",
    **{f"services.{kind}.{what}_seconds": "s" for kind in PROBES for what in ("connect", "query")},
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition: a `check` that must pass, or a `measure` with a limit (`at_most`, `at_least`)."""

    id: str
    text: str
    requirement: str = ""
    check: str = ""
    measure: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def limit(self) -> str:
        """The limit in words."""
        if self.check:
            return f"{self.check} passes"
        return f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of a criterion. `met` is None where nothing was measured; `unit` is that of `value`."""

    id: str
    text: str
    requirement: str
    limit: str
    met: bool | None
    value: float | None
    unit: str
    evidence: str


def criteria(root: Table, checks: Collection[str]) -> tuple[Criterion, ...]:
    """The `[[criterion]]` tables of a plan. Raises SourceError."""
    found: dict[str, Criterion] = {}
    for table in root.tables("criterion", "criterion {number}"):
        table.only("id", "text", "requirement", "check", "measure", "at_most", "at_least")
        one = Criterion(
            table.text("id"), table.text("text"), table.text("requirement", ""), table.text("check", ""),
            table.text("measure", ""), _limit(table, "at_most"), _limit(table, "at_least"),
        )  # fmt: skip
        if one.id in found:
            raise table.fail(f"the id {one.id!r} is used already", "id")
        if bool(one.check) is bool(one.measure):
            raise table.fail("names a check or a measure, one of the two")
        if one.check and one.check not in checks:
            raise table.fail(f"unknown check {one.check!r}{meant(one.check, checks)}", "check")
        if one.measure and one.measure not in MEASURES:
            raise table.fail(f"unknown measure {one.measure!r}{meant(one.measure, MEASURES)}", "measure")
        if (one.at_most is None) + (one.at_least is None) != (2 if one.check else 1):
            raise table.fail("a measure has one limit, 'at_most' or 'at_least'; a check has none")
        found[one.id] = one
    return tuple(found.values())


def _limit(table: Table, key: str) -> float | None:
    value = table.values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise table.fail(f"{key!r} must be a number", key)
    return float(value)


def judge(
    wanted: Iterable[Criterion],
    diagnoses: Sequence[Mapping[str, Any]] = (),
    status: Mapping[str, Any] | None = None,
    history: TestHistory | None = None,
) -> tuple[Measured, ...]:
    """Measure each criterion. `diagnoses` and `status` are what `--format json` prints; later diagnoses win."""
    verdicts = {verdict["check"]: verdict for diagnosis in diagnoses for verdict in diagnosis["verdicts"]}
    values = {**_services(status or {"services": ()}), **_tests(history)}
    return tuple(
        _by_check(one, verdicts.get(one.check)) if one.check else _by_value(one, values.get(one.measure))
        for one in wanted
    )


def _by_check(one: Criterion, verdict: Mapping[str, Any] | None) -> Measured:
    if verdict is None:
        return _measured(one, None, None, "findings", "no diagnosis has this check")
    findings = verdict["findings"]
    said = verdict.get("error") or verdict.get("note") or f"{verdict['examined']} examined"
    if findings:
        said = f"{findings[0]['subject']}: {findings[0]['observed']}"
    met = {"PASS": True, "FAIL": False}.get(verdict["status"])
    return _measured(one, met, None if met is None else float(len(findings)), "findings", str(said))


def _by_value(one: Criterion, found: tuple[float, str] | None) -> Measured:
    unit = MEASURES[one.measure]
    if found is None:
        return _measured(one, None, None, unit, f"nothing measured {one.measure}")
    value, said = found
    met = value <= one.at_most if one.at_most is not None else one.at_least is not None and value >= one.at_least
    return _measured(one, met, value, unit, said)


def _measured(one: Criterion, met: bool | None, value: float | None, unit: str, evidence: str) -> Measured:
    return Measured(one.id, one.text, one.requirement, one.limit, met, value, unit, re.sub(r"\s+", " ", evidence)[:200])


def _services(status: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Measures of a status; a kind of which one service did not answer is not measured."""
    services = status["services"]
    found: dict[str, tuple[float, str]] = {}
    if services:
        down = [each["name"] for each in services if each["state"] != "up"]
        said = f"not up: {', '.join(down)}" if down else f"{len(services)} services"
        found["services.up_ratio"] = 1 - len(down) / len(services), said
    for kind in {each["kind"] for each in services}:
        for what in ("connect", "query"):
            of_kind = [(each[f"{what}_seconds"], each["name"]) for each in services if each["kind"] == kind]
            if all(value is not None for value, _ in of_kind):
                found[f"services.{kind}.{what}_seconds"] = max(of_kind)
    return found


def _tests(history: TestHistory | None) -> dict[str, tuple[float, str]]:
    """Measures of a history: the share of its newest run that passed, and the mean test time of a run."""
    if history is None or not history.runs:
        return {}
    newest = [test for test in history.samples if test.run == len(history.runs) - 1 and test.outcome != "skipped"]
    good = sum(test.outcome in ("passed", "xfailed") for test in newest)
    seconds = sum(test.seconds for test in history.samples) / len(history.runs)
    found = {"tests.seconds_per_run": (seconds, f"mean of {len(history.runs)} runs")}
    if newest:
        found["tests.pass_ratio"] = good / len(newest), f"{good} of {len(newest)} in the newest run"
    return found


def form(found: Sequence[Measured]) -> dict[str, Any]:
    """The criteria as JSON has them."""
    return {"schema": 1, "met": all(one.met for one in found), "criteria": [asdict(one) for one in found]}
