"""A pytest plugin that keeps a history of every test in an SQLite file: how it ended, and what it cost.

Use it in any repository: put this folder on PYTHONPATH, then `pytest -p regreen_history --history tests.sqlite`.
It is one module for any Python from 3.8 and any pytest from 6, and imports nothing of Regreen. `invoke trends` reads
the file. Per test: outcome, seconds, CPU seconds, peak memory, retries, category of a failure, its fingerprint.

`--retry-transient N` runs a test again only when its failure is of the category "infrastructure", at most N times, and
says so. `--trace-boundaries` notes which endpoints a test connected to and what it replaced by mocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import time
import uuid
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
  id TEXT PRIMARY KEY, started REAL NOT NULL, finished REAL, exit INTEGER, revision TEXT NOT NULL, label TEXT NOT NULL,
  python TEXT NOT NULL, pytest TEXT NOT NULL, platform TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS test (
  run TEXT NOT NULL REFERENCES run (id), test TEXT NOT NULL, outcome TEXT NOT NULL, seconds REAL NOT NULL,
  cpu REAL NOT NULL, memory INTEGER NOT NULL, retries INTEGER NOT NULL, category TEXT NOT NULL,
  fingerprint TEXT NOT NULL, error TEXT NOT NULL, PRIMARY KEY (run, test)
);
CREATE TABLE IF NOT EXISTS boundary (
  run TEXT NOT NULL REFERENCES run (id), test TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL,
  times INTEGER NOT NULL, PRIMARY KEY (run, test, kind, target)
);
PRAGMA user_version = 1;
"""
#: What a failure says when the test had nothing to do with it.
_INFRASTRUCTURE = re.compile(
    r"\b(ConnectionRefused|ConnectionReset|ConnectionAborted|Connection|BrokenPipe|ServerDisconnected|Timeout|gai|"
    r"NewConnection|MaxRetry|ReadTimeout|ConnectTimeout|OperationalError|ServiceUnavailable|BrokenProcessPool)"
    r"(Error|Exception|TimeoutError)?\b|\b(50[234]|429) (Server Error|Bad Gateway|Service Unavailable|Too Many)|"
    r"[Cc]onnection (refused|reset)|[Nn]ame or service not known|[Tt]emporary failure in name|[Nn]o space left",
)
_DATA = re.compile(
    r"\b(UnicodeDecode|JSONDecode|Validation|SchemaValidation|Integrity|Data|Parser)Error\b|does not match the schema"
)
_VOLATILE = re.compile(r"0x[0-9a-fA-F]+|\b\d+(\.\d+)?\b|/[^\s:'\"]+/|[0-9a-f]{8,}")


def category(error: str) -> str:
    """infrastructure, data or code, from the text of a failure. A failed assertion is always the code's."""
    last = error.strip().splitlines()[0] if error.strip() else ""
    if re.match(r"(AssertionError|assert |Failed)", last):
        return "code"
    if _INFRASTRUCTURE.search(error):
        return "infrastructure"
    return "data" if _DATA.search(error) else "code"


def transient(error: str) -> bool:
    """Whether another attempt may help: the infrastructure failed, and not for want of room."""
    return category(error) == "infrastructure" and "No space left" not in error


def fingerprint(error: str) -> str:
    """The same for the same failure: numbers, addresses and folders are left out."""
    return hashlib.sha256(_VOLATILE.sub("#", error).encode("utf-8", "replace")).hexdigest()[:16] if error else ""


def _error(report: Any) -> str:
    text = str(getattr(report, "longreprtext", "") or report.longrepr or "")
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ") and line[1:].strip()]
    lines = marked or [line.strip() for line in text.splitlines() if line.strip()][-1:]
    return "\n".join(line[:400] for line in lines[:12])


class _Meter:
    """CPU seconds (children that ended included) and peak memory from here on."""

    def __init__(self) -> None:
        self.cpu = self._used()
        try:  # proc(5): writing 5 sets the peak back, so that each test has its own; elsewhere it is the process's
            with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
                file.write("5")
        except OSError:
            pass

    @staticmethod
    def _used() -> float:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    def read(self) -> dict[str, float]:
        memory = 0
        try:
            with open("/proc/self/status") as file:  # noqa: PTH123
                memory = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            memory = peak if sys.platform == "darwin" else peak * 1024
        return {"cpu": self._used() - self.cpu, "memory": memory}


class _Boundaries:
    """What the running test connects to, and what it replaces. An audit hook cannot be taken back: it is idle then."""

    def __init__(self) -> None:
        self.seen: dict[str, int] | None = None
        sys.addaudithook(self._audit)
        self._wrap_mocks()

    def note(self, kind: str, target: str) -> None:
        if self.seen is not None:
            key = kind + "\t" + target
            self.seen[key] = self.seen.get(key, 0) + 1

    def _audit(self, event: str, args: Any) -> None:
        if self.seen is None:
            return
        if event == "socket.connect":
            address = args[1]
            if isinstance(address, tuple) and len(address) >= 2:
                self.note("real", "{}:{}".format(*address[:2]))
            else:
                self.note("real", os.fsdecode(address) if isinstance(address, (str, bytes)) else repr(address))
        elif event == "socket.getaddrinfo" and args[0] is not None:
            host = args[0].decode("utf-8", "replace") if isinstance(args[0], bytes) else args[0]
            self.note("resolved", f"{host}:{args[1]}")
        elif event == "subprocess.Popen":
            self.note("process", os.fsdecode(args[0]) if isinstance(args[0], (str, bytes)) else str(args[0]))

    def _wrap_mocks(self) -> None:
        from unittest import mock

        patcher = mock._patch
        enter, note = patcher.__enter__, self.note

        def entered(self: Any) -> Any:
            result = enter(self)
            owner = getattr(self, "target", None)
            name = getattr(owner, "__name__", type(owner).__name__)
            module = getattr(owner, "__module__", "")
            note(
                "mock",
                ".".join(part for part in (module if isinstance(owner, type) else "", name, self.attribute) if part),
            )
            return result

        patcher.__enter__ = entered  # type: ignore[method-assign]
        setter = pytest.MonkeyPatch.setattr

        def set_attribute(self: Any, target: Any, name: Any, *rest: Any, **options: Any) -> Any:
            setter(self, target, name, *rest, **options)
            label = (
                target if isinstance(target, str) else f"{getattr(target, '__name__', type(target).__name__)}.{name}"
            )
            note("mock", label)

        pytest.MonkeyPatch.setattr = set_attribute  # type: ignore[method-assign]


class _Measuring:
    """In the process that runs the tests: measures, and hands the figures on with the report of the tear-down."""

    def __init__(self, config: Any) -> None:
        self.retries = int(config.getoption("retry_transient"))
        self.boundaries = _Boundaries() if config.getoption("trace_boundaries") else None
        self.meter: Any = None
        self.earlier: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Any:
        """One test; with retries allowed, again while its failure is transient."""
        self.meter, self.earlier = _Meter(), []
        if self.boundaries is not None:
            self.boundaries.seen = {}
        if not self.retries:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        while True:
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            failed = next((report for report in reports if report.failed), None)
            error = _error(failed) if failed is not None else ""
            if failed is None or not transient(error) or len(self.earlier) >= self.retries:
                break
            self.earlier.append(error)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self) -> Any:
        """The figures travel with the last report of a test, through pytest-xdist too."""
        outcome = yield
        report = outcome.get_result()
        if report.when == "teardown" and self.meter is not None:
            report.regreen = {**self.meter.read(), "earlier": list(self.earlier)}
            if self.boundaries is not None:
                report.regreen["boundaries"] = dict(self.boundaries.seen or {})
                self.boundaries.seen = None if not self.retries else self.boundaries.seen


class _Keeping:
    """In the process that reports: writes the history."""

    def __init__(self, config: Any) -> None:
        self.path = config.getoption("history")
        self.run = uuid.uuid4().hex
        root = str(getattr(config, "rootpath", None) or config.rootdir)
        self.prefix = os.path.relpath(root, os.getcwd())  # noqa: PTH109
        self.tests: dict[str, dict[str, Any]] = {}
        self.retried: list[str] = []
        self.base = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.executescript(SCHEMA)
        label = config.getoption("history_label")
        values = (
            self.run,
            time.time(),
            _revision(root),
            label,
            sys.version.split()[0],
            pytest.__version__,
            sys.platform,
        )
        self.base.execute("INSERT INTO run VALUES (?, ?, NULL, NULL, ?, ?, ?, ?, ?)", values)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Set-up, call or tear-down of a test; the tear-down is the last of it and is written."""
        path, separator, rest = report.nodeid.partition("::")
        if self.prefix != ".":
            path = os.path.normpath(os.path.join(self.prefix, path))  # noqa: PTH118
        name = path.replace(os.sep, "/") + separator + rest
        seen = self.tests.setdefault(name, {"outcome": "", "seconds": 0.0, "error": ""})
        seen["seconds"] += float(getattr(report, "duration", 0.0))
        xfail = hasattr(report, "wasxfail")
        if report.failed:
            seen["outcome"] = "failed" if report.when == "call" else (seen["outcome"] or "error")
            seen["error"] = seen["error"] or _error(report)
        elif report.skipped:
            seen["outcome"] = seen["outcome"] or ("xfailed" if xfail else "skipped")
        elif report.when == "call":
            seen["outcome"] = seen["outcome"] or ("xpassed" if xfail else "passed")
        if report.when == "teardown":
            self._write(name, self.tests.pop(name), getattr(report, "regreen", {}))

    def _write(self, name: str, seen: dict[str, Any], used: dict[str, Any]) -> None:
        earlier = used.get("earlier", [])
        error = seen["error"] or (earlier[-1] if earlier else "")
        kind = category(error) if error else ""
        if earlier:
            self.retried.append(f"{name}: {len(earlier)} more, first {earlier[0].splitlines()[0]}")
            if seen["outcome"] == "passed":
                kind = "flaky"
        row = (
            self.run, name, seen["outcome"] or "passed", seen["seconds"], used.get("cpu", 0.0), int(used.get("memory", 0)),
            len(earlier), kind, fingerprint(error), error,
        )  # fmt: skip
        self.base.execute("BEGIN")
        self.base.execute("INSERT OR REPLACE INTO test VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for key, times in used.get("boundaries", {}).items():
            what, _, target = key.partition("\t")
            self.base.execute(
                "INSERT OR REPLACE INTO boundary VALUES (?, ?, ?, ?, ?)", (self.run, name, what, target, times)
            )
        self.base.execute("COMMIT")

    def pytest_sessionfinish(self, exitstatus: Any) -> None:
        """The end of the run."""
        self.base.execute(
            "UPDATE run SET finished = ?, exit = ? WHERE id = ?", (time.time(), int(exitstatus), self.run)
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Every retry is shown."""
        if self.retried:
            terminalreporter.section("tests run again for a transient failure")
            for line in self.retried:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Close the file."""
        self.base.close()


def _revision(root: str) -> str:
    """The commit under test, with a plus if the work tree differs; empty where there is none."""
    command = (
        "git",
        "-C",
        root,
        "--no-optional-locks",
        "describe",
        "--always",
        "--abbrev=40",
        "--exclude=*",
        "--dirty=+",
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def pytest_addoption(parser: Any) -> None:
    """The options of this plugin."""
    group = parser.getgroup("regreen")
    group.addoption("--history", default=os.environ.get("REGREEN_HISTORY", ""), help="SQLite file to add this run to")
    group.addoption("--history-label", default="", help="a word that tells this run's surroundings, such as ci")
    group.addoption(
        "--retry-transient", type=int, default=0, help="run a test again for a failure of the infrastructure"
    )
    group.addoption("--trace-boundaries", action="store_true", help="note real endpoints and mocks of each test")


def pytest_configure(config: Any) -> None:
    """Measure where tests run, write where they are reported (with pytest-xdist these are different processes)."""
    if not config.getoption("history"):
        return
    worker = hasattr(config, "workerinput")
    config.pluginmanager.register(_Measuring(config), "regreen-history-measuring")
    if not worker:
        config.pluginmanager.register(_Keeping(config), "regreen-history-keeping")


def boundaries(path: str, run: str = "") -> str:
    """The boundaries of a run (the newest by default) as JSON by test, to lay beside `code.mocked-boundaries`."""
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        newest = base.execute("SELECT id FROM run ORDER BY started DESC LIMIT 1").fetchone()
        rows = base.execute(
            "SELECT test, kind, target, times FROM boundary WHERE run = ? ORDER BY test, kind, target",
            (run or (newest[0] if newest else ""),),
        ).fetchall()
    finally:
        base.close()
    table: dict[str, dict[str, dict[str, int]]] = {}
    for test, kind, target, times in rows:
        table.setdefault(test, {}).setdefault(kind, {})[target] = times
    return json.dumps(table, indent=1)
