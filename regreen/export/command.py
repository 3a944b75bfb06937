"""`invoke export.…`: from runs, journals, histories and printed texts to a file, an endpoint or standard output.

Exit 0: written or sent. What is not there, or cannot be read, is a UsageError.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regreen.apply import Repository, copy_folder, open_repository
from regreen.commands import OK, UsageError, cache_root
from regreen.export import logs as log_lines
from regreen.export import markdown
from regreen.journal import Journal
from regreen.run.history import load_records
from regreen.run.record import RunRecord
from regreen.trends.history import HistoryError, TestHistory, read_history


def repository(target: Path) -> Repository:
    """Where a target's runs are kept: its own repository, or the copy that runs made of a folder without one."""
    return open_repository(target) or copy_folder(target, cache_root() / "copies")


def chosen(target: Path, run: str) -> tuple[RunRecord, Journal]:
    """A run's record, the newest where none is named, and the journal it is in. Raises UsageError."""
    state = repository(target).state
    known = {record.run: record for record in load_records(state)}
    if not known:
        raise UsageError(f"{target}: no run is recorded here; `remediate` makes one")
    if run and run not in known:
        raise UsageError(f"--run {run}: no such run here; recorded are: {', '.join(known)}")
    return known[run or list(known)[-1]], Journal(state / "journal.jsonl")


def metrics(
    target: Path, history: str, status: str, environment: str, output: str, port: int, criteria: str = ""
) -> int:
    """Metrics of a target's runs and journal, and where asked of a history, a status and criteria; to a file, a port or stdout."""
    from regreen.export import metrics as series
    from regreen.export.serve import write

    state = repository(target).state

    def collect() -> bytes:
        records = list(load_records(state))
        samples = series.of_runs(records)
        name = records[-1].target if records else str(target)
        samples += series.of_journal(series.target_name(name), Journal(state / "journal.jsonl").entries())
        if history:
            samples += series.of_history(read(Path(history)))
        if status:
            samples += series.of_status(status_form(status), environment)
        if criteria:
            samples += series.of_criteria(form_of("--criteria", criteria, "criteria"), environment)
        return series.text(samples)

    if port:
        if "-" in (status, criteria):
            raise UsageError("--port asks anew at each scrape: give --status and --criteria files, not standard input")
        collect()  # what cannot be read ends this command, not the first scrape
        return _served(collect, port)
    if output:
        write(Path(output), collect())
    else:
        sys.stdout.buffer.write(collect())
        sys.stdout.flush()
    return OK


def _served(collect: Callable[[], bytes], port: int) -> int:
    from regreen.export.serve import serving

    try:
        with contextlib.suppress(KeyboardInterrupt), serving(collect, port) as address:
            print(f"metrics at {address}; Ctrl-C ends it", file=sys.stderr, flush=True)
            threading.Event().wait()
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}") from None
    return OK


def trace(target: Path, run: str, endpoint: str, output: str) -> int:
    """A run's trace to an OTLP endpoint, or as OTLP/JSON to a file or stdout."""
    from regreen.export.trace import ExportError, as_json, send, spans

    record, journal = chosen(target, run)
    found = spans(record, journal.of(record.run))
    if not endpoint:
        return _written(as_json(found) + "\n", output)
    try:
        print(f"{send(found, endpoint)} spans of run {record.run} sent to {endpoint}", file=sys.stderr)
    except ExportError as error:
        raise UsageError(str(error)) from None
    return OK


def logs(target: Path, run: str, output: str) -> int:
    """The journal's entries as log lines."""
    journal = Journal(repository(target).state / "journal.jsonl")
    if run and not any(True for _ in journal.of(run)):
        raise UsageError(f"--run {run}: the journal of {target} has no entry of it")
    return _written("".join(f"{line}\n" for line in log_lines.lines(journal.entries(), run)), output)


def history(path: Path, label: str, output: str) -> int:
    """A history of tests as JSON lines: one a test and run, flat, moments in ISO 8601."""
    return _written("".join(f"{line}\n" for line in log_lines.of_history(read(path, label))), output)


def summary(junit: Path, title: str) -> int:
    """A JUnit file as Markdown."""
    try:
        print(markdown.of_junit(title, junit), end="")
    except markdown.MarkdownError as error:
        raise UsageError(str(error)) from None
    return OK


def fenced(name: str, title: str) -> int:
    """A file's text, or standard input's, as Markdown."""
    print(markdown.fenced(title, _text(name)), end="")
    return OK


def status_form(name: str) -> dict[str, Any]:
    """What `invoke status --format json` printed, from a file or standard input. Raises UsageError."""
    return form_of("--status", name, "services")


def form_of(flag: str, name: str, key: str) -> dict[str, Any]:
    """The JSON object that another command printed, from a file or standard input; `key` is what it must hold. Raises UsageError."""
    try:
        form = json.loads(_text(name))
    except ValueError as error:
        raise UsageError(f"{flag} {name}: not JSON: {error}") from None
    if not isinstance(form, dict) or not isinstance(form.get(key), list):
        raise UsageError(
            f"{flag} {name}: it lists no {key}; give what the command of that name prints with --format json"
        )
    return form


def read(path: Path, label: str = "") -> TestHistory:
    """A history of tests. Raises UsageError."""
    try:
        return read_history(path, label=label)
    except HistoryError as error:
        raise UsageError(str(error)) from None


def _text(name: str) -> str:
    """Printed bytes as text: what is not UTF-8 is shown as escapes, not refused."""
    content: Callable[[], bytes] = sys.stdin.buffer.read if name == "-" else Path(name).read_bytes
    try:
        return content().decode("utf-8", "backslashreplace")
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from None


def _written(text: str, output: str) -> int:
    from regreen.export.serve import write

    if output:
        write(Path(output), text.encode())
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    return OK
