"""An environment's run in progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regreen.apply import Commits
from regreen.cloud.drift import stack_at
from regreen.cloud.executor import Executor
from regreen.cloud.look import CloudEye, CloudSight
from regreen.journal import Journal
from regreen.model import Finding, Refusal
from regreen.plan import Phase
from regreen.run.base import Base
from regreen.run.record import AppliedChange, Dropped, Timing

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.facts.cloud import StackFile
    from regreen.run.options import Options


@dataclass(slots=True)
class CloudWork:
    """A run in progress."""

    phase: Phase
    environment: Environment
    executor: Executor
    options: Options
    eye: CloudEye
    commits: Commits
    journal: Journal | None
    base: Base
    sight: CloudSight
    tip: str
    exists: bool
    applied: list[AppliedChange] = field(default_factory=list)
    refusals: dict[str, list[tuple[Refusal, Finding]]] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    operations: int = 0
    foreseen: StackFile | None = None
    """In a dry run before adoption: the stack's file as it would be after it."""
    later: frozenset[str] = frozenset()
    """Checks that remedies later in this phase close: what they find meanwhile is theirs, not a fault of the one before."""

    @property
    def source(self) -> str:
        return "twin" if self.environment.kind == "twin" else "staging"

    def content(self) -> bytes:
        """The stack's file at the branch's tip; empty where there is none yet."""
        return stack_at(self.commits.repository, self.environment.stack.file, self.tip)

    def document(self) -> StackFile:
        return self.executor.document(self.environment.stack.file, self.content())
