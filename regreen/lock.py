"""One run at a time on a target. The operating system holds the lock, so a dead process never keeps it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout


class LockedError(Exception):
    """Another run holds the target."""


@contextmanager
def locked(state: Path, what: str) -> Iterator[str]:
    """Hold the lock of a state folder; `what` tells others what is going on.

    Yields a remark when an earlier holder died without letting go, else an empty string.
    Raises LockedError, naming the holder, when another process has it.
    """
    note = state / "lock.json"
    lock = FileLock(state / "lock", timeout=0)
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LockedError(_holder(note)) from None
    except OSError as error:  # a read-only repository, a full disk, a file where the folder should be
        raise LockedError(
            f"{state} cannot be written ({error.strerror or error}): a run keeps its journal there; make it writable, "
            "or give a clone of the repository as --target (--dry-run writes nothing)"
        ) from None
    try:
        remark = _left_behind(note)
        note.write_text(json.dumps({"pid": os.getpid(), "started": _started(os.getpid()), "what": what}))
        yield remark
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _holder(note: Path) -> str:
    held = _read(note)
    if not held:
        return f"another run is at work on this target (lock {note.with_name('lock')}); wait for it to end"
    since = datetime.fromtimestamp(float(str(held["started"])), UTC).isoformat(timespec="seconds")
    return (
        f"another run is at work on this target: {held['what']}, process {held['pid']}, started {since}; "
        "wait for it to end, or stop that process and run the command again"
    )


def _left_behind(note: Path) -> str:
    """The lock was free and a note is there: its process died. (A note of a living one is never seen here.)"""
    held = _read(note)
    if not held:
        return ""
    return f"taken over from process {held['pid']}, which ended without finishing ({held['what']})"


def _read(note: Path) -> dict[str, object] | None:
    try:
        held = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) and held.keys() >= {"pid", "started", "what"} else None


def _started(pid: int) -> float:
    return float(psutil.Process(pid).create_time())
