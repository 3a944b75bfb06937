"""Traces that leave the process: OTLP over HTTP, and the W3C context in HTTP and Kafka headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import attach, detach

from tidemark.runtime.settings import Settings

KafkaHeaders = list[tuple[str, bytes]]


def start_export(chosen: Settings, service: str) -> None:
    """Export this process's spans to the endpoint of the settings; without one, spans cost nothing."""
    if not chosen.otlp_endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    resource = Resource.create({"service.name": service, "deployment.environment": chosen.environment})
    # Cloud Run starts a trace of its own for every request and samples few; ours are to be whole.
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON)
    exporter = OTLPSpanExporter(endpoint=f"{chosen.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    trace.set_tracer_provider(provider)


def stop_export() -> None:
    """Send what is left."""
    provider = trace.get_tracer_provider()
    if hasattr(provider, "shutdown"):
        provider.shutdown()


def outgoing() -> dict[str, str]:
    """The headers that carry the current trace to the next service."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def outgoing_record() -> KafkaHeaders:
    """The same for a Kafka record."""
    return [(name, value.encode()) for name, value in outgoing().items()]


@contextmanager
def incoming(headers: Mapping[str, str]) -> Iterator[None]:
    """Go on with the trace that came in with these headers."""
    token = attach(propagate.extract(dict(headers)))
    try:
        yield
    finally:
        detach(token)


def from_record(headers: Iterable[tuple[str, bytes]] | None) -> dict[str, str]:
    """A Kafka record's headers as HTTP would have them."""
    return {name: value.decode() for name, value in headers or () if name in ("traceparent", "tracestate")}
