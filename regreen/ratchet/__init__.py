"""The assertion ratchet: tests may get stronger, never silently weaker.

`compare` grades every test of a change; `from_git` does so for two revisions of a repository.
"""

from __future__ import annotations

from .change import compare
from .history import HistoryError, from_git
from .verdict import Comparison, Grade, Skipped, TestVerdict

__all__ = ["Comparison", "Grade", "HistoryError", "Skipped", "TestVerdict", "compare", "from_git"]
