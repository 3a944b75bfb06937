"""The journal: what was about to happen, and what did. Append-only JSON lines that survive kill -9.

Every line is written whole, fsynced, and carries a checksum; `intend` stands before an effect, `done` after it.
A torn last line (the process died while writing it) is no entry; a broken line anywhere else is damage and
is said. Secret values never get in: every text is redacted on its way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from regreen.redact import redact, redact_json

SCHEMA: Final = 1


class Step(StrEnum):
    """What an entry says. An `intend` with no `done`, `failed` or `undone` after it means: look again."""

    DETECT = "detect"
    GATE = "gate"
    INTEND = "intend"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


class JournalError(Exception):
    """The journal is damaged, or was written by another version."""


def no_checkpoint(name: str) -> None:
    """The checkpoint of ordinary runs: nothing happens. Tests put a crash there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `source` is `code`, `twin` or `staging`; `digests` name what was read or written
    (commits, trees); `seconds` is the duration of what the entry reports; `data` is for people and resume."""

    run: str
    phase: int
    step: Step
    remedy: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    source: str = "code"
    sequence: int = 0
    at: str = ""


class Journal:
    """The journal file of one target. One writer at a time: hold the lock."""

    def __init__(self, path: Path, checkpoint: Callable[[str], None] = no_checkpoint) -> None:
        self.path = path
        self._checkpoint = checkpoint
        self._entries: list[Entry] | None = None

    def entries(self) -> tuple[Entry, ...]:
        """Every entry, oldest first. Raises JournalError for damage before the last line."""
        if self._entries is None:
            self._entries = list(self._read()[0])
        return tuple(self._entries)

    def of(self, run: str) -> Iterator[Entry]:
        """The entries of one run, oldest first."""
        return (entry for entry in self.entries() if entry.run == run)

    def write(self, entry: Entry) -> Entry:
        """Append an entry, on disk when this returns. Sequence and time are set here."""
        entries, whole = self._read()
        self._entries = list(entries)
        written = replace(
            entry,
            sequence=entries[-1].sequence + 1 if entries else 1,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            data=redact_json(dict(entry.data)),
        )
        line = _line(written)
        name = f"journal {written.step} {written.remedy}".rstrip()
        self._checkpoint(f"before {name}")
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.ftruncate(descriptor, whole)  # a torn line goes before the next one is written
            os.lseek(descriptor, 0, os.SEEK_END)
            view = memoryview(line)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self.path.parent)
        self._entries.append(written)
        self._checkpoint(f"after {name}")
        return written

    def _read(self) -> tuple[list[Entry], int]:
        """The entries, and how many bytes hold whole ones."""
        try:
            content = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return [], 0
        entries: list[Entry] = []
        whole = 0
        lines = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line and number == len(lines):
                break
            try:
                entry = _entry(line)
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):  # no newline behind it: torn
                    break
                raise JournalError(
                    f"{self.path}:{number}: the entry is damaged ({error}); "
                    "move the journal away to start a new one: the branches stay as they are"
                ) from None
            if number == len(lines):
                break  # whole, but its newline is missing: it was never acknowledged
            if entry.sequence != len(entries) + 1:
                raise JournalError(f"{self.path}:{number}: expected entry {len(entries) + 1}, found {entry.sequence}")
            entries.append(entry)
            whole += len(line) + 1
        return entries, whole


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(entry: Entry) -> bytes:
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "sequence": entry.sequence,
        "at": entry.at,
        "run": entry.run,
        "phase": entry.phase,
        "remedy": entry.remedy,
        "step": str(entry.step),
        "source": entry.source,
        "seconds": round(entry.seconds, 6),
        "digests": {key: redact(value) for key, value in entry.digests.items()},
        "data": entry.data,
    }
    body["checksum"] = _checksum(body)
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def _entry(line: bytes) -> Entry:
    body = json.loads(line)
    if not isinstance(body, dict):
        raise ValueError("not an object")
    if body.get("schema") != SCHEMA:
        raise JournalError(
            f"the journal has schema {body.get('schema')!r}; this version of Regreen writes schema {SCHEMA}"
        )
    stated = body.pop("checksum", None)
    if stated != _checksum(body):
        raise ValueError("its checksum does not match")
    return Entry(
        body["run"], body["phase"], Step(body["step"]), body["remedy"], body["digests"], body["data"],
        body["seconds"], body["source"], body["sequence"], body["at"],
    )  # fmt: skip


def _checksum(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
