"""What is never done: production. The same words stop a program, a driver and a task."""

from __future__ import annotations

import re
from typing import Final

_PRODUCTION: Final = re.compile(r"(^|[-_./])(prod|production|prd|live)([-_./0-9]|$)", re.IGNORECASE)


class ProductionError(RuntimeError):
    """A project, stack or label looks like production; nothing was done."""


def refuse_production(*names: str) -> None:
    """Raises ProductionError when one of some names (project, stack, label) looks like production."""
    for name in names:
        if _PRODUCTION.search(name):
            raise ProductionError(f"{name!r} looks like production: this program is for staging environments only")
