"""Success criteria: each has a limit, a measured value and a verdict; what was not measured is not met."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console import catalogues
from console import criteria as command
from regreen.criteria import MEASURES, Criterion, Measured, form, judge
from regreen.plan import PlanError, parse_plan
from regreen.trends.history import Run, Sample, TestHistory

CHECKED = Criterion("compiles", "Every file compiles", check="code.source-readable")
FAST = Criterion("fast", "The database is fast", measure="services.postgres.query_seconds", at_most=0.1)
PASS = Criterion("pass", "Tests pass", measure="tests.pass_ratio", at_least=0.95)
TIME = Criterion("time", "Tests are quick", measure="tests.seconds_per_run", at_most=120)
UP = Criterion("up", "All is up", measure="services.up_ratio", at_least=1)


def verdict(status: str, *findings: str, **more: str) -> dict[str, Any]:
    listed = [{"subject": each, "observed": "seen"} for each in findings]
    one = {"check": CHECKED.check, "status": status, "examined": 4, "findings": listed, **more}
    return {"verdicts": [one]}


def service(name: str, kind: str, query: float | None, state: str = "up") -> dict[str, Any]:
    return {"name": name, "kind": kind, "state": state, "connect_seconds": query, "query_seconds": query}


def one(criterion: Criterion, *diagnoses: dict[str, Any], **more: Any) -> Measured:
    (found,) = judge([criterion], diagnoses, **more)
    return found


@pytest.mark.parametrize(
    ("diagnosis", "met", "value", "evidence"),
    [
        (verdict("PASS", note="read with Python 3.11"), True, 0, "read with Python 3.11"),
        (verdict("FAIL", "a.py", "b.py"), False, 2, "a.py: seen"),
        (verdict("UNKNOWN", error="no sources"), None, None, "no sources"),
        ({"verdicts": []}, None, None, "no diagnosis has this check"),
    ],
)
def test_a_check_is_met_when_it_passes(
    diagnosis: dict[str, Any], met: bool | None, value: float | None, evidence: str
) -> None:
    found = one(CHECKED, diagnosis)

    assert (found.met, found.value, found.unit, found.evidence) == (met, value, "findings", evidence)


def test_a_later_diagnosis_wins() -> None:
    assert one(CHECKED, verdict("FAIL", "a.py"), verdict("PASS")).met is True


def test_services_are_measured_by_their_slowest() -> None:
    status = {"services": [service("a", "postgres", 0.02), service("b", "postgres", 0.2), service("c", "redis", 9.0)]}

    assert one(FAST, status=status) == Measured("fast", "The database is fast", "", "at most 0.1", False, 0.2, "s", "b")
    assert one(replace(FAST, at_most=0.2), status=status).met is True, "a limit is still within"


def test_a_service_that_did_not_answer_leaves_its_kind_unmeasured() -> None:
    status = {"services": [service("a", "postgres", 0.02), service("b", "postgres", None, "down")]}

    assert one(FAST, status=status).met is None
    found = one(UP, status=status)
    assert (found.met, found.value, found.evidence) == (False, 0.5, "not up: b")
    assert one(UP, status={"services": []}).met is None


def history(*outcomes: str) -> TestHistory:
    sample = Sample(1, "t", "passed", 30.0, 0, 0, 0, "", "", "")
    old = replace(sample, run=0, outcome="failed", seconds=60.0)
    return TestHistory(
        (Run("a", 1, "", ""), Run("b", 2, "", "")), (old, *(replace(sample, outcome=each) for each in outcomes))
    )


def test_tests_are_measured_by_the_newest_run_and_by_the_mean_time() -> None:
    found = judge([PASS, TIME], history=history("passed", "xfailed", "failed", "skipped"))

    assert [(each.met, each.value) for each in found] == [(False, pytest.approx(2 / 3)), (True, 90.0)]
    assert found[0].evidence == "2 of 3 in the newest run"
    assert one(PASS, history=history("skipped")).met is None, "no test ran"
    assert one(PASS, history=TestHistory((), ())).met is None


def test_all_together_are_met_only_when_each_is() -> None:
    met, missed = one(CHECKED, verdict("PASS")), one(PASS)

    assert form([met])["met"] is True
    assert form([met, missed])["met"] is False
    assert form([met, missed])["criteria"][1]["met"] is None


PLAN = 'schema = 1\n[[phase]]\nnumber = 1\ntitle = "t"\nrisk = "low"\nmax_changes = 1\nmax_files = 1\nremedies = []\ngate = []\n'


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('check = "code.nothing"', "unknown check 'code.nothing'"),
        ('measure = "tests.pass_rate"\nat_most = 1', "did you mean"),
        ('check = "code.a"\nmeasure = "tests.pass_ratio"\nat_least = 1', "one of the two"),
        ("", "one of the two"),
        ('measure = "tests.pass_ratio"', "has one limit"),
        ('measure = "tests.pass_ratio"\nat_least = 1\nat_most = 2', "has one limit"),
        ('check = "code.a"\nat_least = 1', "a check has none"),
        ('measure = "tests.pass_ratio"\nat_least = "1"', "'at_least' must be a number"),
    ],
)
def test_a_wrong_criterion_is_refused_with_its_line(fields: str, message: str) -> None:
    content = f'{PLAN}[[criterion]]\nid = "x"\ntext = "y"\n{fields}\n'.encode()

    with pytest.raises(PlanError, match=r"plan\.toml:\d+: criterion 1: ") as caught:
        parse_plan("plan.toml", content, {"code.a"}, ())
    assert message in str(caught.value)


def test_two_criteria_of_one_id_are_refused() -> None:
    again = '[[criterion]]\nid = "x"\ntext = "y"\ncheck = "code.a"\n' * 2

    with pytest.raises(PlanError, match="criterion 2: the id 'x' is used already"):
        parse_plan("plan.toml", (PLAN + again).encode(), {"code.a"}, ())


def test_the_plan_has_each_success_metric_of_the_requirements() -> None:
    found = {each.id for each in catalogues.plan().criteria if each.requirement == "D5"}

    assert found == {
        "handshake", "no-503", "services-up", "compiles", "database-latency", "scaling", "pass-rate", "test-time",
    }  # fmt: skip
    assert MEASURES["services.postgres.query_seconds"] == "s"


def test_the_command_measures_the_files_of_other_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = tmp_path / "status.json"
    status.write_text(json.dumps({"services": [service("db", "postgres", 0.02)]}))
    diagnosis = tmp_path / "code.json"
    diagnosis.write_text(json.dumps(verdict("PASS")))

    assert command.run([str(diagnosis)], str(status), "", "", "json") == 1, "not all were measured"

    found = {each["id"]: each["met"] for each in json.loads(capsys.readouterr().out)["criteria"]}
    assert {name for name, met in found.items() if met} == {"services-up", "database-latency", "compiles"}
    assert found["handshake"] is None
    assert command.run([], "", "", "", "table") == 1
    assert "not measured" in capsys.readouterr().out
