"""Reports of runs: Markdown, HTML, SARIF, JUnit and JSON, from the record of a run and nothing else."""

from __future__ import annotations

from regreen.report.write import merge, write

__all__ = ["merge", "write"]
