"""The guard: a small process that outlives the control process by a moment, to end what it started.

It reads `+PID` and `-PID` lines. When the pipe closes, the control process is gone, however it died, and every process
group that is still on the list is killed. It holds no state worth saving: when the guard itself is killed, the control
process starts another one and tells it everything again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TextIO


def watch(lines: TextIO) -> set[int]:
    """Follow the list until it ends; returns the groups that are left."""
    groups: set[int] = set()
    for line in lines:
        number = line[1:].strip()
        if number.isdigit() and int(number) > 1:
            groups.add(int(number)) if line[0] == "+" else groups.discard(int(number))
    return groups


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group in watch(sys.stdin):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
