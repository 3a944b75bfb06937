"""A place for traces: an OTLP receiver that keeps the spans in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it was exported. Times in nanoseconds."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    attributes: dict[str, Any]
    events: tuple[str, ...]
    start: int
    end: int


class Collector:
    """Listens on the loopback; `spans` grows as services export."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._taker())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _taker(self) -> type[BaseHTTPRequestHandler]:
        take: Callable[[bytes], None] = self._take

        class Taker(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        return Taker

    def _take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Seen(
                        facts["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        {
                            item.key: getattr(item.value, str(item.value.WhichOneof("value")))
                            for item in span.attributes
                        },
                        tuple(event.name for event in span.events),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )
                    for span in scope.spans
                ]

    def of(self, trace: str) -> list[Seen]:
        """The spans of one trace, by their start."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.start)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
