"""A pytest plugin that writes down what happened to each test, for comparison with another run.

It runs inside the target's own interpreter (any Python from 3.7, any pytest from 6), so it is one module, alone in
its folder, that imports nothing of Regreen. One JSON object a line goes to the file that REGREEN_RECORD names:
`{"kind": "start" | "collected" | "broken" | "phase" | "finish", …}`. Test ids are relative to the folder where
pytest was started, not to the root that it chose, so that they stay the same when its configuration file moves.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

_LINES = 12
_WIDTH = 400


class _Recorder:
    def __init__(self, path: str, config: Any) -> None:
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115, PTH123 - closed in pytest_unconfigure
        root = str(getattr(config, "rootpath", None) or config.rootdir)
        self.prefix = os.path.relpath(root, os.getcwd())  # noqa: PTH109
        self.write(kind="start", pytest=pytest.__version__)

    def write(self, **values: Any) -> None:
        """One line, flushed: what is on disk is true even if the process is killed."""
        self.file.write(json.dumps(values) + "\n")
        self.file.flush()

    def name(self, nodeid: str) -> str:
        """The id with its path relative to the folder of the start."""
        path, separator, rest = nodeid.partition("::")
        if self.prefix != ".":
            path = os.path.normpath(os.path.join(self.prefix, path))  # noqa: PTH118
        return path.replace(os.sep, "/") + separator + rest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: Any) -> None:
        """Every test that is left after deselection."""
        for item in session.items:
            self.write(kind="collected", test=self.name(item.nodeid))

    def pytest_collectreport(self, report: Any) -> None:
        """A module or class that could not be collected."""
        if report.failed:
            self.write(kind="broken", test=self.name(report.nodeid), error=_error(report))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Set-up, call or tear-down of one test."""
        self.write(
            kind="phase",
            test=self.name(report.nodeid),
            when=report.when,
            outcome=report.outcome,
            xfail=hasattr(report, "wasxfail"),
            seconds=float(getattr(report, "duration", 0.0)),
            error=_error(report) if report.failed else "",
        )

    def pytest_sessionfinish(self, exitstatus: Any) -> None:
        """The end, so that a run that was cut short can be told."""
        self.write(kind="finish", exit=int(exitstatus))

    def pytest_unconfigure(self) -> None:
        """Close the file."""
        self.file.close()


def _error(report: Any) -> str:
    """The lines that say what went wrong (pytest marks them with an E), or the first line of the report."""
    text = str(getattr(report, "longreprtext", "") or report.longrepr or "")
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ") and line[1:].strip()]
    lines = marked or [line.strip() for line in text.splitlines() if line.strip()][-1:]
    return "\n".join(line[:_WIDTH] for line in lines[:_LINES])


def pytest_configure(config: Any) -> None:
    """Start recording, in the process that reports (not in the workers of pytest-xdist)."""
    path = os.environ.get("REGREEN_RECORD")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(path, config), "regreen-recorder-instance")
