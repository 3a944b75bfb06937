"""The catalogue of code remedies: one cure a file."""

from __future__ import annotations

from typing import Final

from regreen.facts.source import CodeRemedy

CATALOGUE: Final[tuple[CodeRemedy, ...]] = ()
