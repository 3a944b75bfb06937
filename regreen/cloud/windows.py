"""Change windows: when an environment may be changed. `Mon-Fri 08:00-18:00 Europe/Berlin`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from regreen.tomlsource import SourceError

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM: Final = re.compile(r"(\w{3})(?:-(\w{3}))?\s+(\d{2}):(\d{2})-(\d{2}):(\d{2})(?:\s+(\S+))?")


def outside(windows: Sequence[str], now: datetime) -> str:
    """Why no change is allowed at a moment; empty where one is, and where there are no windows. Raises SourceError."""
    if not windows or any(_open(window, now) for window in windows):
        return ""
    return f"{now:%A %H:%M %Z} is outside the change windows ({'; '.join(windows)})"


def _open(window: str, now: datetime) -> bool:
    found = _FORM.fullmatch(window.strip())
    try:
        if found is None:
            raise ValueError
        first, last, *clock, zone = found.groups()
        start, end = _DAYS.index(first.lower()), _DAYS.index((last or first).lower())
        opens, closes = time(int(clock[0]), int(clock[1])), time(int(clock[2]), int(clock[3]))
        there = now.astimezone(ZoneInfo(zone or "UTC"))
    except (ValueError, ZoneInfoNotFoundError):
        raise SourceError(
            "environment", 0, f"change window {window!r}: write it as Mon-Fri 08:00-18:00 Europe/Berlin"
        ) from None
    days = {(start + step) % 7 for step in range((end - start) % 7 + 1)}
    return there.weekday() in days and opens <= there.time() < closes
