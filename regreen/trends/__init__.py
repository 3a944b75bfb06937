"""How tests fare from run to run: slow-downs told from noise, flaky tests by name, drawn and as data."""

from __future__ import annotations

from .compare import Flaky, Slowdown, Trends, compare
from .history import HistoryError, Sample, TestHistory, read_history

__all__ = ["Flaky", "HistoryError", "Sample", "Slowdown", "TestHistory", "Trends", "compare", "read_history"]
