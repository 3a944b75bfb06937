"""Waiting for a condition, not for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], within: float = 2.0, every: float = 0.005) -> None:
    """Return as soon as the condition holds. Raises TimeoutError when it does not in time."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within} s")
        await asyncio.sleep(every)
