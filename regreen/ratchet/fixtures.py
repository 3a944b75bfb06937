"""Fixtures and set-up around a test: what they check, when they skip, what they replace, what they hand out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from .expression import Binding, Scope, Value, bind
from .flow import Walk
from .obligation import Record
from .project import Definition, Project
from .source import Module


def effects(project: Project, module: Module, owner: ast.ClassDef | None, names: Iterable[str]) -> Iterator[Record]:
    """What each fixture that a test asks for, or gets unasked, does; fixtures of fixtures included."""
    pending = [*project.autouse(module, owner)]
    pending += [found for name in names if (found := project.fixture(module, owner, name)) is not None]
    seen: set[int] = set()
    while pending:
        fixture = pending.pop()
        if id(fixture.function) in seen:
            continue
        seen.add(id(fixture.function))
        yield effect(project, fixture)
        asked = [arg.arg for arg in fixture.function.args.args if arg.arg != fixture.function.name]
        pending += [found for name in asked if (found := project.fixture(fixture.module, owner, name)) is not None]


def effect(project: Project, fixture: Definition) -> Record:
    """One fixture, walked once."""
    known = project.walked.get(id(fixture.function))
    if known is not None:
        return known
    walk = Walk(Scope(project, fixture.module, fixture.owner, {}, depth=2))
    walk.stack = (fixture.function,)
    project.walked[id(fixture.function)] = walk.record
    walk.block(fixture.function.body)
    walk.record.exits = tuple(guard for guard in walk.exits if guard.kind in {"skip", "xfail"})
    return walk.record


def handed_out(fixture: Definition, project: Project) -> Binding | None:
    """What a straight-line fixture returns or yields."""
    scope = Scope(project, fixture.module, fixture.owner, {}, depth=2)
    for arg in fixture.function.args.args:
        scope.env[arg.arg] = Binding(Value(arg.arg, (arg.arg,)), Value(arg.arg, (arg.arg,)))
    for statement in fixture.function.body:
        match statement:
            case ast.Assign(targets=[ast.Name() as target]):
                scope.env[target.id] = bind(statement.value, scope)
            case ast.Return(value=ast.expr() as result):
                return bind(result, scope)
            case ast.Expr(value=ast.Yield(value=ast.expr() as result)):
                return bind(result, scope)
            case ast.Expr(value=ast.Constant()):
                continue
            case ast.Expr(value=ast.Call()) | ast.Assert():
                continue
            case _:
                return None
    return None
