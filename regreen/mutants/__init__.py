"""The second gate of the ratchet: breaks of the product that the old tests notice, and the new ones do not."""

from __future__ import annotations

from .gate import MutantError, MutantReport, Survivor, compare_mutants
from .mutate import Mutant, mutants

__all__ = ["Mutant", "MutantError", "MutantReport", "Survivor", "compare_mutants", "mutants"]
