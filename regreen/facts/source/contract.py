"""What a code check and a code remedy look like. Both are plain modules that satisfy these protocols."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from regreen.facts.source.context import Context, Parents
    from regreen.facts.source.index import Index
    from regreen.model import Example, Finding, Proposal, Risk, Safety, Severity, Undo, Verdict
    from regreen.policy import Policy

    NodeHandler: TypeAlias = Callable[[ast.AST, Context, Parents], None]
    StatementHandler: TypeAlias = Callable[[ast.stmt, Context], None]
    FileHandler: TypeAlias = Callable[[Context], None]


@dataclass(frozen=True)
class Interests:
    """What a check wants to be called for, in the worker. Ask for little: this runs on every file.

    `calls`: the last part of a callee's name (`connect` for `ws.client.connect(...)`), with the `ast.Call`.
    `attributes`: an attribute's name, with the `ast.Attribute`. `names`: a bare name, with the `ast.Name`.
    These three run after the whole file was walked, so that every import of the file is known to
    `Context.origin`; a file that does not contain the name costs nothing.
    `statements`: exact statement types, called while walking, outer before inner.
    `tests`: called for every function or method whose name starts with `test`, in any file.
    `finish`: once at the end of each file for which the check is active.

    A check is active in a file if one of `modules` (top-level names of imports, found anywhere in the file)
    is imported there and one of `needles` (plain text) occurs in it; an empty tuple asks for nothing. With `test_code`, only in files that belong to tests by their path (`aside`).
    """

    calls: Mapping[str, NodeHandler] = field(default_factory=dict)
    attributes: Mapping[str, NodeHandler] = field(default_factory=dict)
    names: Mapping[str, NodeHandler] = field(default_factory=dict)
    statements: Mapping[type[ast.stmt], StatementHandler] = field(default_factory=dict)
    tests: StatementHandler | None = None
    finish: FileHandler | None = None
    modules: tuple[str, ...] = ()
    needles: tuple[str, ...] = ()
    test_code: bool = False


class CodeCheck(Protocol):
    """A detector. The module's docstring is its documentation: first line the wanted condition."""

    __doc__: str | None

    @property
    def ID(self) -> str: ...
    @property
    def VERSION(self) -> int: ...
    @property
    def SEVERITY(self) -> Severity: ...
    @property
    def SOURCE(self) -> str: ...
    @property
    def INTERESTS(self) -> Interests: ...
    @property
    def EXAMPLES(self) -> Sequence[Example]: ...

    def judge(self, index: Index, policy: Policy, /) -> Verdict:
        """The verdict over the whole tree, from what the workers emitted and the symbol index."""


class CodeRemedy(Protocol):
    """A cure. `propose` is pure; each finding ends in one change or in one refusal."""

    __doc__: str | None

    @property
    def ID(self) -> str: ...
    @property
    def CHECK(self) -> str: ...
    @property
    def SAFETY(self) -> Safety: ...
    @property
    def UNDO(self) -> Undo: ...
    @property
    def RISK(self) -> Risk: ...
    @property
    def EXAMPLES(self) -> Sequence[Example]: ...

    def propose(self, findings: Sequence[Finding], index: Index, policy: Policy, /) -> Proposal:
        """What this remedy would change in the tree that the index was made from."""
