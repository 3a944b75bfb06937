"""A diagnosis as JSON in the promised shape, and as a table."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from regreen.model import Diagnosis, Finding, Resource, Severity, Verdict
from regreen.render import diagnosis_json, diagnosis_table


def table(diagnosis: Diagnosis, *, limit: int | None = 10, width: int = 120, terminal: bool = False) -> str:
    stream = io.StringIO()
    diagnosis_table(
        diagnosis,
        Console(file=stream, width=width, force_terminal=terminal, color_system="standard" if terminal else None),
        limit,
    )
    return stream.getvalue()


def test_json_has_the_promised_shape(diagnosis: Diagnosis) -> None:
    document = json.loads(diagnosis_json(diagnosis))

    assert document["source"] == {"files": 4, "parsed": 3, "unreadable": 1}
    assert document["tests"] == {"functions": 12, "modules": 3}
    assert document["seconds"] == 0.25
    failed, passed, unknown, aside = document["verdicts"]
    assert failed["findings"][1] == {
        "check": "code.tests-assert-not-return",
        "subject": "tests/test_a.py::test_3",
        "where": "tests/test_a.py:3",
        "observed": "returns 3",
        "expected": "wanted",
        "severity": "error",
        "fingerprint": diagnosis.verdicts[0].findings[1].fingerprint,
        "path": "tests/test_a.py",
        "line": 3,
    }
    assert passed == {"check": "code.source-readable", "status": "PASS", "examined": 4, "findings": []}
    assert (unknown["status"], unknown["error"]) == ("UNKNOWN", "the index could not be read")
    assert (aside["note"], aside["suppressed"][0]["reason"]) == ("one file has no tests", "needs the wall clock")


def test_json_is_ascii_and_holds_no_lone_surrogate(diagnosis: Diagnosis) -> None:
    text = diagnosis_json(diagnosis)

    text.encode("ascii")
    path = json.loads(text)["verdicts"][0]["findings"][0]["path"]
    path.encode("utf-8")
    assert path == "tests/</script><b>\\xff\x1b[31m\n`|a`\u202e.py"


def test_a_resource_has_no_path(diagnosis: Diagnosis) -> None:
    finding = Finding("s.x", "api", Resource("service", "api", "/env"), "a", "b", Severity.NOTE)

    found = json.loads(diagnosis_json(replace(diagnosis, verdicts=(Verdict("s.x", 1, (finding,)),))))

    assert found["verdicts"][0]["findings"][0]["where"] == "service/api/env"
    assert "path" not in found["verdicts"][0]["findings"][0]


def test_the_table_says_status_place_and_what_is_wrong(diagnosis: Diagnosis) -> None:
    lines = [line.rstrip() for line in table(diagnosis).splitlines()]

    assert lines[1].split() == ["code.tests-assert-not-return", "FAIL", "12", "3"]
    assert lines[3].split(maxsplit=4) == ["code.imports-resolve", "UNKNOWN", "0", "0", "the index could not be read"]
    assert "  error tests/test_a.py:5  returns 5" in lines
    assert lines[-1] == (
        "3 findings · 1 set aside · 1 check without an answer · 4 Python files (3 parsed, 1 unreadable)"
        " · 12 tests in 3 modules · 0.2 s"
    )


def test_an_environment_has_no_files_and_no_tests_to_count(diagnosis: Diagnosis) -> None:
    judged = replace(diagnosis, tree="staging-twin at noon", verdicts=(Verdict("staging.drift", 1, ()),))

    assert table(judged).splitlines()[-1].rstrip() == "0 findings · staging-twin at noon · 0.2 s"


def test_a_terminal_is_not_sent_what_a_file_name_says(diagnosis: Diagnosis) -> None:
    text = table(diagnosis, terminal=True)

    assert r"tests/</script><b>\xff\x1b[31m\n`|a`\u202e.py:1" in text
    assert "\u202e" not in text


def test_markup_of_rich_in_a_finding_is_text(diagnosis: Diagnosis) -> None:
    finding = replace(diagnosis.verdicts[0].findings[1], observed="[bold]x[/bold] [link=file:///x]y[/link]")

    text = table(replace(diagnosis, verdicts=(Verdict("c", 1, (finding,)),)))

    assert "[bold]x[/bold] [link=file:///x]y[/link]" in text


def test_many_findings_are_counted_not_printed(diagnosis: Diagnosis) -> None:
    assert "… and 2 more; --format json lists them all" in table(diagnosis, limit=1)
    assert "returns 5" not in table(diagnosis, limit=1)
    assert "more;" not in table(diagnosis, limit=None)
