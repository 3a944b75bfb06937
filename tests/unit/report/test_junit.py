"""JUnit XML that any parser takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from regreen.facts.testrun.results import TestComparison, TestRun
from regreen.report.junit import junit
from regreen.report.view import build
from regreen.report.write import write
from regreen.run.record import RunRecord


@pytest.fixture
def suites(record: RunRecord, tmp_path: Path) -> ET.Element:
    return ET.fromstring(write(record, tmp_path)["junit"].read_bytes())


def outcome(case: ET.Element) -> str:
    return case[0].tag if len(case) else "passed"


def test_every_condition_of_the_gate_is_a_case(suites: ET.Element) -> None:
    gate = suites[0]

    assert gate.get("name") == "patient: phase 1 gate"
    assert {case.get("name"): outcome(case) for case in gate} == {
        "code.tests-assert-not-return": "failure",
        "code.source-readable": "passed",
        "code.imports-resolve": "error",  # not knowing is not green
        "tests": "system-out",
        "code.x": "skipped",
    }
    assert [gate.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "1"]
    assert gate.get("timestamp") == "2026-01-01T12:00:00"


def test_a_failure_lists_what_is_left_with_hostile_text_made_harmless(suites: ET.Element) -> None:
    failure = suites[0][0].find("failure")

    assert failure is not None
    assert (failure.text or "").startswith(r"tests/</script><b>\xff\x1b[31m\n`|a`\u202e.py:1: <img src=x")
    assert r"\x00\x08\ufffe\ud800" in (failure.text or "")


def test_every_collected_test_is_a_case(suites: ET.Element) -> None:
    tests = suites[1]
    cases = {(case.get("classname"), case.get("name")): case for case in tests}

    assert len(cases) == 12
    assert outcome(cases["tests.test_a.Suite", "test_0"]) == "passed"
    assert cases["tests.test_a.Suite", "test_0"].get("time") == "0.500"
    unmasked = cases["tests.test_a", "test_3[a::b]"]
    assert (outcome(unmasked), unmasked[0].get("type")) == ("failure", "unmasked")
    assert cases["tests.test_c", "test_skip"][0].get("message") == "no broker"
    assert cases["tests.test_c", "test_only_found"][0].get("message") == "collected, not run"
    assert [tests.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["12", "1", "0", "2"]
    assert [suites.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["17", "2", "1", "3"]


def test_a_module_that_cannot_be_collected_is_an_error(record: RunRecord) -> None:
    assert record.tests is not None
    swapped = replace(record, tests=TestComparison(record.tests.after, record.tests.before))

    case = ET.fromstring(junit([build(swapped)]))[1][0]

    assert (case.get("classname"), case.get("name"), outcome(case)) == ("tests.test_c", "collection", "error")
    assert case[0].get("type") == "missing module"


def test_a_run_that_does_not_count_is_an_error_and_none_is_no_suite(record: RunRecord) -> None:
    failed = replace(record, tests=TestComparison(TestRun("t"), TestRun("t", problem="timed out after 60 s")))

    suite = ET.fromstring(junit([build(failed)]))[1]

    assert [(case.get("name"), case[0].tag, case[0].get("message")) for case in suite] == [
        ("test run", "error", "timed out after 60 s")
    ]
    assert len(ET.fromstring(junit([build(replace(record, tests=None))]))) == 1
