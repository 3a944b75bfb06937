"""A target with a recorded run and its journal, and a receiver of OTLP that keeps what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import run

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from regreen.journal import Entry, Journal, Step
from regreen.run.history import save_record
from regreen.run.record import RunRecord
from tests.unit.report.conftest import diagnosis, record

__all__ = ["diagnosis", "record"]


def entries(journal: Journal, run_id: str) -> tuple[Entry, ...]:
    """A run that began, changed two things, lost sight of a third, failed at a fourth, and reached its gate."""
    journal.write(Entry(run_id, 1, Step.DETECT, source="code"))
    for remedy, outcome in (("code.a", Step.DONE), ("code.b", Step.DONE), ("code.c", None), ("code.d", Step.FAILED)):
        intend = journal.write(Entry(run_id, 1, Step.INTEND, remedy))
        if outcome is not None:
            journal.write(Entry(run_id, 1, outcome, remedy, data={"intend": intend.sequence, "reason": "no"}))
    journal.write(Entry(run_id, 1, Step.GATE))
    return journal.entries()


@pytest.fixture
def target(tmp_path: Path, record: RunRecord) -> Path:
    place = tmp_path / "target"
    run(("git", "init", "-q", str(place)), check=True)
    state = place / ".git" / "regreen"
    save_record(state, record)
    entries(Journal(state / "journal.jsonl"), record.run)
    return place


@dataclass
class Receiver:
    """Requests, decoded with OpenTelemetry's own messages. `status` is the answer."""

    port: int = 0
    status: int = 200
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    seen = Receiver()

    class Traces(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            seen.headers.append({name.lower(): value for name, value in self.headers.items()})
            request = ExportTraceServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
            seen.requests.append(request)
            self.send_response(seen.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Traces)
    seen.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield seen
    server.shutdown()
    thread.join()
    server.server_close()
