"""A run's trace over the wire, decoded with OpenTelemetry's own messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from regreen.export.trace import ExportError, as_json, send, spans
from regreen.facts.testrun.results import Outcome, TestResult
from regreen.journal import Journal
from regreen.run.record import PlannedRemedy, RunRecord, Timing
from tests.unit.export.conftest import Receiver, entries


@pytest.fixture
def run(record: RunRecord) -> RunRecord:
    timings = (Timing("diagnose before", 1.0), Timing("repair round 1", 2.0), Timing("gate", 1.5))
    remedies = (PlannedRemedy("code.a", True, "applied", 2, 0, 0.5), PlannedRemedy("code.d", True, "dropped"))
    return replace(record, timings=timings, phase=replace(record.phase, remedies=remedies))


def named(found: Sequence[Span], name: str) -> Span:
    (span,) = [span for span in found if span.name == name]
    return span


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in span.attributes}


def test_one_trace_with_every_step_below_its_parent(run: RunRecord, receiver: Receiver, tmp_path: Path) -> None:
    journal = entries(Journal(tmp_path / "journal.jsonl"), run.run)

    sent = send(spans(run, journal), receiver.address)

    assert sent == len(receiver.spans)
    assert len({span.trace_id for span in receiver.spans}) == 1
    ids = {span.span_id: span for span in receiver.spans}
    assert len(ids) == sent, "every span has an id of its own"
    (root,) = [span for span in receiver.spans if not span.parent_span_id]
    assert all(span.parent_span_id in ids for span in receiver.spans if span is not root)
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in receiver.spans)
    assert root.name == "phase 1 on patient"
    assert attributes(root)["regreen.run"] == run.run
    assert (root.status.code, root.status.message) == (Status.STATUS_CODE_ERROR, "gate FAIL")
    repair = named(receiver.spans, "repair round 1")
    assert repair.start_time_unix_nano - root.start_time_unix_nano == 1_000_000_000
    assert ids[named(receiver.spans, "code.a").parent_span_id] is repair
    assert named(receiver.spans, "code.d").status.code == Status.STATUS_CODE_ERROR
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"
    (resource,) = {request.resource_spans[0].resource.attributes[0].key for request in receiver.requests}
    assert resource == "service.name"


def test_effects_stand_where_the_journal_says(run: RunRecord, receiver: Receiver, tmp_path: Path) -> None:
    journal = entries(Journal(tmp_path / "journal.jsonl"), run.run)

    send(spans(run, journal), receiver.address)

    done = named(receiver.spans, "effect code.a")
    assert attributes(done)["regreen.outcome"] == "done"
    assert done.status.code == Status.STATUS_CODE_OK
    lost = named(receiver.spans, "effect code.c")
    assert attributes(lost)["regreen.outcome"] == "unknown"
    assert lost.status.message == "nobody saw how it ended"
    assert named(receiver.spans, "effect code.d").status.code == Status.STATUS_CODE_ERROR
    assert not [span for span in spans(run, entries(Journal(tmp_path / "other.jsonl"), "r2")) if "effect" in span.name]


def test_tests_and_verdicts_are_spans_with_their_outcome(run: RunRecord, receiver: Receiver) -> None:
    send(spans(run), receiver.address)

    red = named(receiver.spans, "tests/test_a.py::test_3[a::b]")
    assert attributes(red)["test.outcome"] == "failed"
    assert red.status.code == Status.STATUS_CODE_ERROR
    checks = [span for span in receiver.spans if span.name == "code.tests-assert-not-return"]
    assert [(attributes(span)["regreen.when"], attributes(span)["regreen.findings"]) for span in checks] == [
        ("before", 3),
        ("after", 1),
    ]


def test_a_second_export_is_the_same_trace(run: RunRecord) -> None:
    assert as_json(spans(run)) == as_json(spans(run))
    assert as_json(spans(run)) != as_json(spans(replace(run, run="20260101-120000-ffff")))


def test_a_large_suite_goes_in_several_requests_and_whole(run: RunRecord, receiver: Receiver) -> None:
    assert run.tests is not None
    many = tuple(TestResult(f"t.py::test_{n}", Outcome.PASSED, None, "", 0.001) for n in range(1200))
    large = replace(run, tests=replace(run.tests, after=replace(run.tests.after, results=many)))

    sent = send(spans(large), receiver.address)

    assert len(receiver.requests) == 3
    assert sent == len(receiver.spans) > 1200


def test_no_secret_leaves(run: RunRecord, receiver: Receiver) -> None:
    assert run.tests is not None
    key = "sk_live_" + "a" * 24
    red = TestResult("t.py::test_pay", Outcome.FAILED, None, f"401 for {key}", 0.1)
    leaky = replace(run, tests=replace(run.tests, after=replace(run.tests.after, results=(red,))))

    send(spans(leaky), receiver.address)

    assert key.encode() not in b"".join(request.SerializeToString() for request in receiver.requests)
    assert named(receiver.spans, "t.py::test_pay").status.message == "401 for [redacted]"


@pytest.mark.parametrize("status", [400, 404])
def test_a_refusing_receiver_is_said(run: RunRecord, receiver: Receiver, status: int) -> None:
    receiver.status = status

    with pytest.raises(ExportError, match=r"127\.0\.0\.1.*was not taken"):
        send(spans(run), receiver.address)


def test_json_is_otlp_with_ids_in_hexadecimal(run: RunRecord, receiver: Receiver) -> None:
    found = spans(run)
    send(found, receiver.address)

    document = json.loads(as_json(found))

    (resource,) = document["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    for span in scope["spans"]:
        assert int(span["traceId"], 16) > 0
        assert (len(span["traceId"]), len(span["spanId"])) == (32, 16)
        for key in {"traceId", "spanId", "parentSpanId"} & span.keys():
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    again = ParseDict(document, TracesData())  # refuses unknown fields
    assert list(again.resource_spans[0].scope_spans[0].spans) == receiver.spans
