"""What a staging check and an infra remedy look like. Both are plain modules that satisfy these protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.facts.cloud.snapshot import Snapshot
    from regreen.facts.cloud.stack import StackFile
    from regreen.model import Finding, Proposal, Risk, Safety, Severity, Undo, Verdict


class CloudCheck(Protocol):
    """A detector on a snapshot. The module's docstring is its documentation: first line the wanted condition."""

    __doc__: str | None

    @property
    def ID(self) -> str: ...
    @property
    def SEVERITY(self) -> Severity: ...
    @property
    def SOURCE(self) -> str: ...
    @property
    def READS(self) -> Sequence[str]:
        """The collections that it needs; an error in one of them makes it UNKNOWN."""

    @property
    def MEASURES(self) -> Sequence[str]:
        """The experiments that it needs."""

    def judge(self, snapshot: Snapshot, environment: Environment, /) -> Verdict:
        """The verdict; pure. What is required stands in the environment file."""


class CloudRemedy(Protocol):
    """A cure for a cloud: `propose` edits the stack's configuration, and names the steps that Pulumi cannot take."""

    __doc__: str | None

    @property
    def ID(self) -> str: ...
    @property
    def CHECKS(self) -> Sequence[str]:
        """The checks whose findings it closes."""

    @property
    def SAFETY(self) -> Safety: ...
    @property
    def UNDO(self) -> Undo: ...
    @property
    def RISK(self) -> Risk: ...

    def propose(
        self, findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment, /
    ) -> Proposal:
        """Changes of the stack's file, or refusals; pure."""
