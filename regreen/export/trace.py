"""A run as one OpenTelemetry trace: the run, its steps, its remedies, the verdicts and the target's tests.

The trace's id is drawn from the run's, so that a second export is the same trace. Effects (`effect …`) stand where the
journal says that they were. The record keeps how long a step, a remedy or a test took and not when it began: those spans follow one
another and carry `regreen.layout = sequential`. A verdict has no duration of its own: its span is empty, at the end of the diagnosis.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from regreen.export.metrics import target_name
from regreen.facts.testrun.results import RED, TestResult
from regreen.journal import Entry, Step
from regreen.model import Status as Verdict
from regreen.redact import redact
from regreen.report.visible import encodable
from regreen.run.record import GateState, RunRecord

Value = str | int | float | bool
_NS: Final = 1_000_000_000
_CHUNK: Final = 512
_GREEN: Final = (GateState.PASS, GateState.DECIDED)


class ExportError(Exception):
    """The endpoint did not take the trace."""


@dataclass(slots=True)
class _Trace:
    """Spans under construction. Moments in nanoseconds since 1970."""

    run: str
    resource: Resource
    spans: list[ReadableSpan] = field(default_factory=list)

    def context(self, name: str) -> SpanContext:
        trace = int.from_bytes(hashlib.sha256(self.run.encode()).digest()[:16])
        span = int.from_bytes(hashlib.sha256(f"{self.run}\0{name}".encode("utf-8", "surrogateescape")).digest()[:8])
        return SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def add(
        self, path: str, name: str, start: int, end: int, parent: SpanContext | None, bad: str = "", **attributes: Value
    ) -> SpanContext:
        """One span. `path` is its identity within the run; `bad` says what went wrong, or is empty."""
        context = self.context(path)
        self.spans.append(
            ReadableSpan(
                name=_sendable(name),
                context=context,
                parent=parent,
                resource=self.resource,
                attributes={
                    key.replace("_", "."): _sendable(value) if isinstance(value, str) else value
                    for key, value in attributes.items()
                },
                kind=SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR, _sendable(bad)[:500]) if bad else Status(StatusCode.OK),
                start_time=start,
                end_time=max(start, end),
                instrumentation_scope=InstrumentationScope("regreen"),
            )
        )
        return context


def _sendable(text: str) -> str:
    """Without secrets of a known shape, and without what protobuf refuses: lone surrogates (bytes of a file's name)."""
    return encodable(redact(text))


def spans(record: RunRecord, journal: Iterable[Entry] = ()) -> tuple[ReadableSpan, ...]:
    """The spans of a run, its root first. `journal` are its entries; those of other runs are left out."""
    resource = Resource({"service.name": "regreen", "service.version": record.version})
    trace = _Trace(record.run, resource)
    start, end = _moment(record.started), _moment(record.finished)
    end = max(end, start + int(record.usage.seconds * _NS))  # moments are kept to the second
    target = target_name(record.target)
    bad = "" if record.gate.state in _GREEN else f"gate {record.gate.state}"
    root = trace.add(
        "run", f"phase {record.phase.number} on {target}", start, end, None, bad,
        regreen_run=record.run, regreen_target=target, regreen_phase=record.phase.number,
        regreen_gate=record.gate.state.value, regreen_exit=record.exit_code, regreen_base=record.base, regreen_head=record.head,
    )  # fmt: skip
    at, diagnosed = start, start
    for number, timing in enumerate(record.timings):
        until = at + int(timing.seconds * _NS)
        step = trace.add(f"step {number}", timing.step, at, until, root, regreen_layout="sequential")
        if timing.step.startswith("repair"):
            _remedies(trace, record, at, step)
        at = until
        if timing.step == "diagnose before":
            diagnosed = until
    _verdicts(trace, record, diagnosed, end, root)
    _effects(trace, [entry for entry in journal if entry.run == record.run], root)
    if record.tests is not None:
        _tests(trace, (*record.tests.after.collection_errors, *record.tests.after.results), start, root)
    return tuple(trace.spans)


def _moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * _NS)


def _remedies(trace: _Trace, record: RunRecord, at: int, parent: SpanContext) -> None:
    for one in record.phase.remedies:
        until = at + int(one.seconds * _NS)
        trace.add(
            f"remedy {one.id}", one.id, at, until, parent, one.outcome if one.outcome == "dropped" else "",
            regreen_remedy=one.id, regreen_outcome=one.outcome or "not reached", regreen_changes=one.changes,
            regreen_refusals=one.refusals, regreen_layout="sequential",
        )  # fmt: skip
        at = until


def _verdicts(trace: _Trace, record: RunRecord, before: int, after: int, root: SpanContext) -> None:
    for when, at, verdicts in (("before", before, record.before.verdicts), ("after", after, record.after.verdicts)):
        for one in verdicts:
            bad = "" if one.status is Verdict.PASS else one.error or f"{len(one.findings)} findings"
            trace.add(
                f"check {when} {one.check}", one.check, at, at, root, bad, regreen_check=one.check, regreen_when=when,
                regreen_verdict=one.status.value, regreen_findings=len(one.findings), regreen_examined=one.examined,
            )  # fmt: skip


def _effects(trace: _Trace, entries: Sequence[Entry], root: SpanContext) -> None:
    """From each intend to what became of it; an intend that nothing follows is an error."""
    begun = {entry.sequence: entry for entry in entries if entry.step is Step.INTEND}
    outcomes = (Step.DONE, Step.FAILED, Step.UNDONE)
    ends = {entry.data.get("intend"): entry for entry in entries if entry.step in outcomes}
    for sequence, intend in begun.items():
        last = ends.get(sequence)
        bad = "nobody saw how it ended" if last is None else str(last.data) if last.step is Step.FAILED else ""
        start = _moment(intend.at)
        trace.add(
            f"effect {sequence}", f"effect {intend.remedy}", start, start if last is None else _moment(last.at), root, bad,
            regreen_remedy=intend.remedy, regreen_source=intend.source, regreen_sequence=sequence,
            regreen_outcome="unknown" if last is None else last.step.value,
        )  # fmt: skip


def _tests(trace: _Trace, results: Sequence[TestResult], at: int, root: SpanContext) -> None:
    total = sum(result.seconds for result in results)
    suite = trace.add("tests", "the target's tests", at, at + int(total * _NS), root, regreen_tests=len(results))
    for number, result in enumerate(results):
        until = at + int(result.seconds * _NS)
        bad = (result.error or result.outcome.value) if result.outcome in RED else ""
        trace.add(
            f"test {number} {result.test}", result.test, at, until, suite, bad,
            test_outcome=result.outcome.value, test_category=str(result.category or ""), regreen_layout="sequential",
        )  # fmt: skip
        at = until


def send(found: Sequence[ReadableSpan], endpoint: str, exporter: SpanExporter | None = None) -> int:
    """Send spans to an OTLP endpoint over HTTP, such as http://127.0.0.1:4318; how many. Raises ExportError.

    Headers come from OTEL_EXPORTER_OTLP_HEADERS, as the specification of OpenTelemetry says.
    """
    own = exporter or OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=10)
    try:
        for place in range(0, len(found), _CHUNK):
            if own.export(found[place : place + _CHUNK]) is not SpanExportResult.SUCCESS:
                raise ExportError(f"{endpoint}: the trace was not taken; is an OTLP receiver (HTTP) there?")
    finally:
        own.shutdown()
    return len(found)


def as_json(found: Sequence[ReadableSpan]) -> str:
    """Spans as OTLP/JSON on one line, as the collector's file exporter writes them and its receiver reads them.

    It is protobuf's JSON, but for ids in hexadecimal (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding").
    """
    return json.dumps(_hex_ids(MessageToDict(encode_spans(found), use_integers_for_enums=True)))


def _hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_hex_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(each).hex() if key in ("traceId", "spanId", "parentSpanId") else _hex_ids(each)
        for key, each in value.items()
    }
