"""What the checks on pytest's configuration and on tests say in full: subject, words, data, severity, and when they pass."""

from __future__ import annotations

import pytest

from checks.code import (
    assertions_true,
    markers_registered,
    markers_spelled,
    mocked_boundaries,
    pytest_config_unique,
    strict_markers_effective,
    tests_assert_not_return,
    tests_can_fail,
    waits_not_sleeps,
)
from regreen.facts.source import CodeCheck, MemoryTree, survey
from regreen.facts.source.boundaries import met
from regreen.model import Finding, Severity, Status, Verdict
from regreen.policy import Policy

SLOW = "import pytest\n\n\n@pytest.mark.slow\ndef test_a():\n    assert f()\n"


def verdict(check: CodeCheck, files: dict[str, str]) -> Verdict:
    return survey(MemoryTree(files), [check], Policy()).diagnosis.verdicts[0]


def only(check: CodeCheck, files: dict[str, str]) -> Finding:
    (finding,) = verdict(check, files).findings
    return finding


def test_a_marker_is_one_finding_with_its_uses_counted() -> None:
    finding = only(markers_registered, {"pytest.ini": "[pytest]\n", "a/test_a.py": SLOW, "b/test_b.py": SLOW + SLOW})

    assert finding.subject == "pytest.ini::slow"
    assert str(finding.where) == "a/test_a.py:4"
    assert finding.observed == "pytest.mark.slow is used 3 times in 2 files and registered nowhere"
    assert finding.expected == "`slow` in `markers` of pytest.ini"


def test_two_projects_register_apart() -> None:
    files = {
        "a/pytest.ini": "[pytest]\nmarkers = slow\n",
        "a/test_a.py": SLOW,
        "b/pytest.ini": "[pytest]\n",
        "b/test_b.py": SLOW,
    }

    assert only(markers_registered, files).subject == "b/pytest.ini::slow"


def test_a_misspelt_mark_names_what_was_meant() -> None:
    files = {"pytest.ini": "[pytest]\nmarkers = slow\n", "test_a.py": SLOW.replace("slow", "slwo")}
    finding = only(markers_spelled, files)

    assert finding.subject == "test_a.py::test_a"
    assert finding.observed == "pytest.mark.slwo is not registered; slow is"
    assert finding.get("candidates") == "slow"
    assert verdict(markers_registered, files).findings == ()


def test_the_file_that_loses_names_the_one_that_wins() -> None:
    files = {"pytest.ini": "[pytest]\n", "tox.ini": "[tox]\n[pytest]\naddopts = -q\n", "test_a.py": SLOW}
    finding = only(pytest_config_unique, files)

    assert (finding.subject, str(finding.where)) == ("tox.ini::[pytest]", "tox.ini:2")
    assert finding.observed == "pytest reads pytest.ini; [pytest] of tox.ini does nothing"
    assert finding.severity is Severity.WARNING


def test_a_nested_file_that_stops_pytest_is_an_error_where_tests_are() -> None:
    broken = "[pytest]\naddopts = -q\naddopts = -v\n"
    findings = verdict(
        pytest_config_unique,
        {"a/pytest.ini": broken, "a/test_a.py": SLOW, "docs/pytest.ini": broken, "docs/conf.py": ""},
    ).findings

    assert [str(finding.where) for finding in findings] == ["a/pytest.ini:3"]
    assert findings[0].severity is Severity.ERROR


def test_strictness_is_judged_for_the_version_that_runs() -> None:
    files = {"pytest.ini": "[pytest]\naddopts = --strict-markers\nmarkers = slow\n", "test_a.py": SLOW}
    locked = {**files, "uv.lock": '[[package]]\nname = "pytest"\nversion = "9.0.3"\n'}
    finding = only(strict_markers_effective, locked)

    assert verdict(strict_markers_effective, files).status is Status.PASS
    assert finding.observed == "pytest 9.0.3 silently ignores `--strict-markers` in addopts"
    assert finding.get("setting") == "strict_markers = true"
    assert verdict(strict_markers_effective, locked).note == "judged for pytest 9.0.3 (uv.lock)"


@pytest.mark.parametrize(
    ("body", "observed"),
    [
        ("return True", "the test returns True, which pytest ignores"),
        (
            "if f():\n        return False\n    return f() == 1",
            "the test returns False or a condition, which pytest ignores",
        ),
        ("return {'a': 1}", "the test returns a dict, which pytest ignores"),
    ],
)
def test_what_a_test_returns_is_said(body: str, observed: str) -> None:
    finding = only(tests_assert_not_return, {"test_a.py": f"class TestA:\n  def test_a(self):\n    {body}\n"})

    assert finding.subject == "test_a.py::TestA::test_a"
    assert finding.observed == observed
    assert finding.severity is Severity.ERROR


def test_a_return_that_skips_is_a_note() -> None:
    finding = only(
        tests_assert_not_return, {"test_a.py": "import pytest\n\n\ndef test_a():\n    return pytest.skip('no')\n"}
    )

    assert finding.severity is Severity.NOTE


def test_two_equal_assertions_are_two_findings() -> None:
    findings = verdict(
        tests_can_fail, {"test_a.py": "def test_a():\n    assert True\n    f()\n    assert True\n"}
    ).findings

    assert [finding.ordinal for finding in findings] == [0, 1]
    assert len({finding.fingerprint for finding in findings}) == 2


def test_an_expectation_shows_both_values_and_where_the_other_stands() -> None:
    codes = "CODES = {\n" + "".join(f"    'c{n}': {n},\n" for n in range(72)) + "}\n"
    files = {
        "src/app/codes.py": f'"""Doc."""\n\n{codes}',
        "src/app/__init__.py": "",
        "test_a.py": "from app.codes import CODES\n\n\ndef test_a():\n    assert len(CODES) == 3\n",
    }
    finding = only(assertions_true, files)

    assert finding.observed == "== 3 is expected, but CODES has 72 entries (src/app/codes.py:3)"
    assert (finding.get("expected"), finding.get("actual")) == ("3", "72")


def test_a_sleep_says_how_long_and_whether_time_has_to_pass() -> None:
    text = "import time\n\n\ndef test_{}():\n    time.sleep(2 * 60)\n    assert f()\n"

    first = only(waits_not_sleeps, {"test_a.py": text.format("a")})
    second = only(waits_not_sleeps, {"test_a.py": text.format("entry_expires")})

    assert first.observed == "the test sleeps for 120 s (time.sleep)"
    assert (first.get("passing"), second.get("passing")) == ("", "yes")


def test_boundaries_are_listed_for_each_test() -> None:
    text = (
        "import httpx\nimport redis\n\n\ndef test_real(server):\n    assert httpx.get(server)\n\n\n"
        "class TestA:\n    def test_both(self, monkeypatch, fake_redis):\n        monkeypatch.setattr('app.httpx.get', f)\n        assert redis.Redis()\n"
    )
    index = survey(MemoryTree({"test_a.py": text}), [mocked_boundaries], Policy()).index

    table = {item.test: (item.real, item.mocked) for item in mocked_boundaries.boundaries(index)}
    assert table == {"test_a.py::test_real": (("HTTP",), ()), "test_a.py::TestA::test_both": ((), ("HTTP", "Redis"))}
    assert verdict(mocked_boundaries, {"test_a.py": text}).note == "HTTP 1 real, 1 mocked; Redis 0 real, 1 mocked"


@pytest.mark.parametrize(
    ("text", "real", "mocked"),
    [
        ("x = httpx.get('u')", ("HTTP",), ()),
        ("client = TestClient(app)\nhttpx", (), ()),
        ("with patch('app.db.psycopg.connect'): pass", (), ("SQL",)),
        ("with mock.patch.object(kafka, 'KafkaProducer'): pass", (), ("Kafka",)),
        ("@freeze_time('2026')\ndef test_a(): sleep(1)", (), ("time",)),
        ("my_requests_total = 3", (), ()),
        ("mock_neo4j_driver.run()", (), ("Neo4j",)),
    ],
)
def test_what_a_text_says_of_boundaries(text: str, real: tuple[str, ...], mocked: tuple[str, ...]) -> None:
    found = met(text)

    assert (found.real, found.mocked) == (real, mocked)


@pytest.mark.parametrize(
    "check", [tests_assert_not_return, tests_can_fail, waits_not_sleeps, strict_markers_effective, mocked_boundaries]
)
def test_a_tree_without_tests_is_unknown(check: CodeCheck) -> None:
    assert verdict(check, {"app.py": "def f():\n    return 1\n"}).status is Status.UNKNOWN


@pytest.mark.parametrize("check", [markers_registered, pytest_config_unique, markers_spelled])
def test_a_tree_without_marks_or_configuration_passes(check: CodeCheck) -> None:
    assert verdict(check, {"app.py": "def f():\n    return 1\n"}).status is Status.PASS
