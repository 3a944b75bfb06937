"""What a walk through a test finds: obligations under guards, and the calls around them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from .expression import Scope, Value
from .formula import Formula


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition under which an obligation is checked. `kind` says what the statement was."""

    kind: str
    deep: str
    shallow: str
    formula: Formula | None = None
    spine: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Obligation:
    """One thing a test checks: a formula in both readings, under its guards.

    `epoch` counts the acts before it; `looks` are the names of the objects that it looks at. `call` is an assertion
    by name that is equal only to itself.
    """

    guards: tuple[Guard, ...]
    deep: Formula
    shallow: Formula
    line: int
    snippet: str
    epoch: int = 0
    node: ast.expr | None = None
    scope: Scope | None = None
    looks: frozenset[str] = frozenset()
    call: ast.Call | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done rather than checked: the name called or set, and the locals it touches.

    `talks`: it only tells people something (a log, a print), so that nothing is lost with it.
    """

    name: str
    touches: frozenset[str]
    line: int
    guards: tuple[Guard, ...] = ()
    called: bool = True
    talks: bool = False


@dataclass(slots=True)
class Record:
    """What one walk found. `acts` are statements that do something; `ran` are all calls, wherever they stand."""

    obligations: list[Obligation] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    ran: list[Act] = field(default_factory=list)
    patches: dict[str, str] = field(default_factory=dict)
    assigned: set[str] = field(default_factory=set)
    locals: set[str] = field(default_factory=set)
    yields: list[Value] = field(default_factory=list)
    exits: tuple[Guard, ...] = ()
    only_runs: bool = False
