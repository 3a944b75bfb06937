"""How far the work has come: on standard error, on a terminal, and only when it takes long enough to wonder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

#: Seconds of silence before the first bar: work that ends sooner needs none.
PATIENCE: Final = 1.0
#: Seconds between two drawings.
_INTERVAL: Final = 0.1


class Progress(Protocol):
    """What long work reports to."""

    def step(self, what: str, done: int, total: int) -> None:
        """`done` of `total` units of `what` are finished; a `total` of 0 means that nobody knows."""


class Silent:
    """Progress that nobody watches."""

    def step(self, what: str, done: int, total: int) -> None:
        """Say nothing."""


class Terminal:
    """Progress bars that appear after a moment of patience and leave no trace.

    Drawing happens inside `step`, never in a thread of its own: the source engine forks its workers, and a
    fork while another thread holds the console's lock can hang the child.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._begun = clock()
        self._drawn = float("-inf")
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def step(self, what: str, done: int, total: int) -> None:
        """Draw, unless it is too early or was done a moment ago."""
        now = self._clock()
        finished = total > 0 and done >= total
        if now - self._begun < PATIENCE or (now - self._drawn < _INTERVAL and not finished):
            return
        self._drawn = now
        bars = self._bars or self._open()
        if what not in self._tasks:
            self._tasks[what] = bars.add_task(what, total=total or None)
        bars.update(self._tasks[what], completed=done, total=total or None)
        bars.refresh()

    def close(self) -> None:
        """Take the bars off the screen."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _open(self) -> Bars:
        # rich takes 60 ms to import: only someone who waits pays for it.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=self._stream, force_terminal=True),
            auto_refresh=False,
            transient=True,
        )
        self._bars.start()
        return self._bars


@contextmanager
def progress(stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """Progress on the stream (standard error) if it is a terminal, else silence."""
    target = sys.stderr if stream is None else stream
    if not target.isatty():
        yield Silent()
        return
    bars = Terminal(target, clock)
    try:
        yield bars
    finally:
        bars.close()
