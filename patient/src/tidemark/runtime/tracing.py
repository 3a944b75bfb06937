"""Spans around the steps of a decision. Tracing is an extra: without it, spans cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import trace
except ImportError:
    trace = None

_TRACER = trace.get_tracer("tidemark") if trace is not None else None


@contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[Any]:
    """A span of that name around the block; None where tracing is not installed."""
    if trace is None:
        yield None
        return
    with _TRACER.start_as_current_span(name, attributes=attributes) as current:
        yield current
