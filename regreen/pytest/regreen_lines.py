"""A pytest plugin that writes down which lines of which files below the folder of the start the tests executed."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


class _Lines:
    def __init__(self, path: str) -> None:
        self.path, self.root = path, os.getcwd() + os.sep  # noqa: PTH109
        self.seen: dict[str, set[int]] = {}

    def trace(self, frame: Any, event: str, _: Any) -> Any:
        """Follow only code of the checkout."""
        name = frame.f_code.co_filename
        if not name.startswith(self.root):
            return None
        if event == "line":
            self.seen.setdefault(name[len(self.root) :], set()).add(frame.f_lineno)
        return self.trace

    def pytest_runtest_call(self) -> None:
        """Only the tests themselves: what merely importing runs is covered by everything."""
        threading.settrace(self.trace)
        sys.settrace(self.trace)

    def pytest_runtest_teardown(self) -> None:
        """Stop."""
        sys.settrace(None)
        threading.settrace(None)

    def pytest_sessionfinish(self) -> None:
        """Write the lines."""
        with open(self.path, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump({name: sorted(lines) for name, lines in self.seen.items()}, file)


def pytest_addoption(parser: Any) -> None:
    """The place to write to."""
    parser.addoption("--regreen-lines", default="")


def pytest_configure(config: Any) -> None:
    """Follow lines if asked."""
    path = config.getoption("--regreen-lines")
    if path:
        config.pluginmanager.register(_Lines(path), "regreen-lines-instance")
