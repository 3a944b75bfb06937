"""A record goes to JSON and back unchanged, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regreen.facts.testrun import Category, Outcome, TestResult, TestRun, compare
from regreen.model import Change, Diagnosis, Finding, Refusal, Resource, Severity, Span, Splice, Suppressed, Verdict
from regreen.run.codec import RecordError, decode, encode
from regreen.run.history import load_record, save_record
from regreen.run.record import (
    AppliedChange,
    Dropped,
    GateItem,
    GateResult,
    GateState,
    PhaseExcerpt,
    PlannedRemedy,
    Refused,
    RunRecord,
)

FINDING = Finding("code.x", "a\udcff.py::f", Span("a\udcff.py", 3, 1), "o", "e", Severity.NOTE, "s", (("k", "v"),))
CLOUD = Finding("staging.y", "svc", Resource("run", "svc", "/template"), "o", "e", Severity.ERROR)
CHANGE = Change("code.cure", "a", "s", ("f",), (Splice("a", 1, 2, b"\xff\0"),), (("b", b"x"),), unmasks=("t",))


def record() -> RunRecord:
    verdicts = (
        Verdict.of("code.x", 3, [FINDING]),
        Verdict("staging.y", 1, suppressed=(Suppressed(CLOUD, "baseline", "r"),)),
    )
    diagnosis = Diagnosis("tree", verdicts, 3, 2, 1, 4, 1, 0.5)
    red = TestResult("t.py::a", Outcome.FAILED, Category.ASSERTION, "assert 0", 0.25)
    run = TestRun("tree", ("python",), results=(red,))
    return RunRecord(
        "r1", "/target", PhaseExcerpt(1, "t", "low", "", 1, 2, "plan.toml", (PlannedRemedy("code.cure", True),)),
        "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:09+00:00", "b" * 40, "f" * 40, "regreen/r1", "h" * 40,
        diagnosis, diagnosis, GateResult(GateState.FAIL, (GateItem("code.x", GateState.FAIL, "1", 1),)), 1,
        changes=(AppliedChange(CHANGE, "tree", "c" * 40, "diff", (FINDING,)),),
        dropped=(Dropped(CHANGE, "why"),),
        refusals=(Refused(Refusal("code.cure", "f", "a", Resource("k", "n"), "r", "d"), "code.x", "o", Severity.ERROR),),
        tests=compare(run, run),
    )  # fmt: skip


def test_there_and_back() -> None:
    assert RunRecord.from_json(json.loads(record().dumps())) == record()


def test_the_file_is_plain_ascii_and_whole(tmp_path: Path) -> None:
    path = save_record(tmp_path, record())

    assert path == tmp_path / "runs" / "r1" / "record.json"
    assert path.read_bytes().isascii()
    assert load_record(tmp_path, "r1") == record()
    assert [item.name for item in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("run",), 5, "RunRecord.run: expected str, found int"),
        (("exit_code",), True, "RunRecord.exit_code: expected int, found bool"),
        (("gate", "state"), "MAYBE", "RunRecord.gate.state: 'MAYBE' is not a valid GateState"),
        (("changes",), {}, "RunRecord.changes: expected a list, found dict"),
        (("schema",), 2, "the record has schema 2; this version of Regreen reads schema 1"),
    ],
)
def test_another_shape_is_refused_by_name(path: tuple[str, ...], value: object, message: str) -> None:
    data = record().to_json()
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value

    with pytest.raises(RecordError) as error:
        RunRecord.from_json(data)

    assert str(error.value) == message


def test_a_missing_field_is_named_and_a_default_is_not_missing() -> None:
    data = encode(FINDING)
    del data["ordinal"]
    assert decode(Finding, data) == FINDING
    del data["subject"]

    with pytest.raises(RecordError, match="Finding: the field 'subject' is missing"):
        decode(Finding, data)


def test_no_secret_is_saved(tmp_path: Path) -> None:
    secret = "gh" + "p_" + "Z" * 36
    kept = record()
    object.__setattr__(kept, "messages", (f"found {secret}",))

    assert secret not in save_record(tmp_path, kept).read_text()
    assert load_record(tmp_path, "r1").messages == ("found [redacted]",)
