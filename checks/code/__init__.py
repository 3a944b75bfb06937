"""The catalogue of code checks: one detector a file, listed here in the order in which reports show them."""

from __future__ import annotations

from typing import Final

from checks.code import source_readable
from regreen.facts.source import CodeCheck

CATALOGUE: Final[tuple[CodeCheck, ...]] = (source_readable,)
