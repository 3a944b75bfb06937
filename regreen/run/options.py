"""What a run is asked to do, and with what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from regreen.journal import no_checkpoint

if TYPE_CHECKING:
    from regreen.facts.source import CodeCheck, CodeRemedy
    from regreen.progress import Progress
    from regreen.ratchet.verdict import Comparison

    Reader = Callable[[str], bytes | None]


class OptionError(ValueError):
    """An argument is wrong; the text says which, and what to give instead."""


class Ratchet(Protocol):
    """The assertion ratchet: grades every test of the changed files (`regreen.ratchet.compare`)."""

    def __call__(
        self,
        before: dict[str, bytes],
        after: dict[str, bytes],
        *,
        context_before: Reader | None = None,
        context_after: Reader | None = None,
    ) -> Comparison:
        """Grades of all tests in the files that differ; the readers give files that do not."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All checks and remedies that are built, and the ratchet. Handed in, never discovered."""

    checks: Sequence[CodeCheck]
    remedies: Sequence[CodeRemedy]
    ratchet: Ratchet | None = None

    @property
    def check_ids(self) -> tuple[str, ...]:
        """The ids of the checks."""
        return tuple(check.ID for check in self.checks)

    @property
    def remedy_ids(self) -> tuple[str, ...]:
        """The ids of the remedies."""
        return tuple(remedy.ID for remedy in self.remedies)


def _quiet(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is to be made.

    `only` names remedies (or checks, for all remedies that close them); empty means all of the phase.
    `copies` is the cache folder for targets that are in no repository, `cache` the source engine's.
    `out_of_order` runs a phase before those it comes after have passed. `fresh` starts a new branch instead of continuing an unmerged one. `python` runs the target's own tests;
    `suites` replaces the plan's. `say` gets remarks as they come; `checkpoint` is for tests.
    """

    copies: Path
    cache: Path | None = None
    only: tuple[str, ...] = ()
    unsafe: bool = False
    dry_run: bool = False
    include_uncommitted: bool = False
    static_only: bool = False
    out_of_order: bool = False
    fresh: bool = False
    python: Path | None = None
    suites: tuple[tuple[str, ...], ...] | None = None
    today: date | None = None
    say: Callable[[str], None] = _quiet
    checkpoint: Callable[[str], None] = no_checkpoint
    progress: Progress | None = None
