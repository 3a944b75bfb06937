"""SARIF that the official schema accepts, and whose fixes do what the changes did."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from regreen.model import Change, Diagnosis, Finding, Severity, Span, Splice, Suppressed, Verdict, splice
from regreen.render import diagnosis_sarif
from regreen.report.sarif import Tree, log
from regreen.report.write import merge, write
from regreen.run.record import RunRecord


@cache
def validator() -> Draft7Validator:
    """The official schema; docs/reports.md says where it comes from."""
    return Draft7Validator(json.loads(Path(__file__).with_name("sarif-schema-2.1.0.json").read_text("utf-8")))


def parsed(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    assert [error.message for error in validator().iter_errors(document)] == []
    return document


def one_finding(path: str = "f.py", **changes: Any) -> Finding:
    found = Finding("code.x", f"{path}::f", Span(path, 2, 4, 2, 12), "seen", "wanted", Severity.WARNING, "s")
    return replace(found, **changes)


def test_the_schema_would_object() -> None:
    assert not validator().is_valid({"version": "2.1.0", "runs": [{"results": []}]})


def test_a_diagnosis_is_valid_and_complete(diagnosis: Diagnosis) -> None:
    run = parsed(diagnosis_sarif(diagnosis))["runs"][0]

    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == sorted(v.check for v in diagnosis.verdicts)
    assert run["columnKind"] == "unicodeCodePoints"
    plain, aside = run["results"][0], run["results"][3]
    assert plain["ruleId"] == run["tool"]["driver"]["rules"][plain["ruleIndex"]]["id"] == "code.tests-assert-not-return"
    first = diagnosis.verdicts[0].findings[0]
    assert plain["partialFingerprints"] == {"regreen/v1": first.fingerprint}
    assert "baselineState" not in plain
    assert aside["suppressions"] == [
        {"kind": "inSource", "status": "accepted", "justification": "inline comment: needs the wall clock"}
    ]
    assert "suppressions" not in plain


def test_a_check_without_an_answer_is_said(diagnosis: Diagnosis) -> None:
    invocation = parsed(diagnosis_sarif(diagnosis))["runs"][0]["invocations"][0]

    assert invocation["executionSuccessful"] is False
    assert [note["message"]["text"] for note in invocation["toolExecutionNotifications"]] == [
        "code.imports-resolve: the index could not be read"
    ]
    healthy = replace(diagnosis, verdicts=diagnosis.verdicts[:2])
    assert parsed(diagnosis_sarif(healthy))["runs"][0]["invocations"] == [{"executionSuccessful": True}]


def test_a_place_has_columns_where_the_text_is_known() -> None:
    verdicts = [Verdict("code.x", 1, (one_finding(),))]
    text = "é\n    return 'ü'\n".encode()

    known = parsed(log([Tree(verdicts, read=lambda _: text)]))["runs"][0]["results"][0]
    unknown = parsed(log([Tree(verdicts)]))["runs"][0]["results"][0]

    assert known["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "f.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 2, "startColumn": 5, "endColumn": 13},
    }
    assert unknown["locations"][0]["physicalLocation"]["region"] == {"startLine": 2}


@pytest.mark.parametrize(
    ("observed", "text"),
    [
        ("uses {0} and {x}", "uses {{0}} and {x}. Expected: wanted"),
        ("see [a](b) and list[int]", r"see \[a\](b) and list[int]. Expected: wanted"),
        ("ends.", "ends. Expected: wanted"),
        ("a\u202eb\udcff", r"a\u202eb\xff. Expected: wanted"),
    ],
)
def test_no_reader_takes_a_message_for_a_template(observed: str, text: str) -> None:
    run = parsed(log([Tree([Verdict("code.x", 1, (one_finding(observed=observed),))])]))["runs"][0]

    assert run["results"][0]["message"]["text"] == text


def test_rules_carry_what_the_catalogue_knows() -> None:
    class Check:
        """X is wanted.

        Because of Y.
        """

        ID = "code.x"
        SEVERITY = Severity.NOTE
        SOURCE = "https://docs.example/x"

    rules = parsed(log([Tree([Verdict("code.x", 1), Verdict("code.other-thing", 1)], about=[Check()])]))["runs"][0]

    assert rules["tool"]["driver"]["rules"][1] | {"fullDescription": None} == {
        "id": "code.x",
        "shortDescription": {"text": "X is wanted."},
        "fullDescription": None,
        "defaultConfiguration": {"level": "note"},
        "helpUri": "https://docs.example/x",
    }
    assert rules["tool"]["driver"]["rules"][0]["shortDescription"] == {"text": "Wanted: other thing."}


def apply(fix: dict[str, Any], content: bytes) -> bytes:
    """What an editor does with a fix: by bytes, and by lines and columns; both must agree."""
    (change,) = fix["artifactChanges"]
    by_bytes, by_columns = [], []
    lines = content.decode().splitlines(keepends=True)
    for item in change["replacements"]:
        where, new = item["deletedRegion"], item.get("insertedContent", {}).get("text", "")
        by_bytes.append(Splice("f", where["byteOffset"], where["byteOffset"] + where["byteLength"], new.encode()))
        ends = [sum(map(len, lines[: where[f"{end}Line"] - 1])) + where[f"{end}Column"] - 1 for end in ("start", "end")]
        by_columns.append((ends, new))
    text = content.decode()
    for (start, end), new in reversed(by_columns):
        text = text[:start] + new + text[end:]
    assert text.encode() == splice(content, by_bytes)
    return text.encode()


def test_a_fix_does_what_the_change_does() -> None:
    content = "é = 1\r\n    return 'ü'\r\n".encode()
    at = content.index(b"return")
    finding = one_finding()
    splices = (Splice("f.py", 0, 0, "# ö\r\n".encode()), Splice("f.py", at, at + 6, b"assert"))
    change = Change("code.r", "f", "assert it", (finding.fingerprint,), splices)

    tree = Tree([Verdict("code.x", 1, (finding,))], changes=[change], read=lambda _: content)
    (fix,) = parsed(log([tree]))["runs"][0]["results"][0]["fixes"]

    assert fix["description"] == {"text": "assert it"}
    assert apply(fix, content) == splice(content, splices) == "# ö\r\né = 1\r\n    assert 'ü'\r\n".encode()


def test_without_the_text_a_fix_counts_bytes_and_new_files_are_insertions() -> None:
    finding = one_finding()
    change = Change(
        "code.r", "f", "do", (finding.fingerprint,), (Splice("f.py", 3, 5, b"\xff"),), (("new é.py", b"x = 1\n"),)
    )

    result = parsed(log([Tree([Verdict("code.x", 1, (finding,))], changes=[change])]))["runs"][0]["results"][0]

    assert result["fixes"][0]["artifactChanges"] == [
        {
            "artifactLocation": {"uri": "f.py", "uriBaseId": "%SRCROOT%"},
            "replacements": [
                {"deletedRegion": {"byteOffset": 3, "byteLength": 2}, "insertedContent": {"binary": "/w=="}}
            ],
        },
        {
            "artifactLocation": {"uri": "new%20%C3%A9.py", "uriBaseId": "%SRCROOT%"},
            "replacements": [
                {"deletedRegion": {"byteOffset": 0, "byteLength": 0}, "insertedContent": {"text": "x = 1\n"}}
            ],
        },
    ]


def test_a_fix_that_would_print_a_secret_is_left_out() -> None:
    finding = one_finding()
    secret = "sk_live_" + "a1B2" * 6
    change = Change("code.r", "f", "do", (finding.fingerprint,), (Splice("f.py", 0, 0, secret.encode()),))

    text = log([Tree([Verdict("code.x", 1, (finding,))], changes=[change])])

    assert secret not in text
    assert "fixes" not in parsed(text)["runs"][0]["results"][0]


def test_what_a_decision_sets_aside_is_suppressed_outside_the_source() -> None:
    verdict = Verdict("code.x", 1, suppressed=(Suppressed(one_finding(), "baseline", ""),))

    result = parsed(log([Tree([verdict])]))["runs"][0]["results"][0]

    assert result["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "baseline"}]


def test_a_run_tells_what_is_gone_left_and_new(record: RunRecord, tmp_path: Path) -> None:
    fresh = one_finding()
    grown = replace(
        record, after=replace(record.after, verdicts=(*record.after.verdicts, Verdict("code.x", 1, (fresh,))))
    )

    run = parsed(write(grown, tmp_path)["sarif"].read_text("ascii"))["runs"][0]

    states = {result["partialFingerprints"]["regreen/v1"]: result for result in run["results"]}
    gone, kept = record.changes[0].closes[0], record.remaining[0]
    assert states[fresh.fingerprint]["baselineState"] == "new"
    assert states[kept.fingerprint]["baselineState"] == "unchanged"
    absent = states[gone.fingerprint]
    assert (absent["baselineState"], absent["kind"], absent["level"]) == ("absent", "pass", "none")
    assert absent["fixes"][0]["artifactChanges"][0]["replacements"] == [
        {"deletedRegion": {"byteOffset": 20, "byteLength": 6}, "insertedContent": {"text": "assert"}}
    ]
    assert run["automationDetails"] == {"id": "regreen/patient/phase-1/"}


def test_a_fleet_has_a_run_for_each_target(record: RunRecord, tmp_path: Path) -> None:
    paths = merge([record, replace(record, target="other")], tmp_path)

    runs = parsed(paths["sarif"].read_text("ascii"))["runs"]

    assert [run["automationDetails"]["id"] for run in runs] == ["regreen/other/phase-1/", "regreen/patient/phase-1/"]
