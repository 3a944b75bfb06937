"""The tests of a file, and what each of them obliges the product to."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from . import marks as marking
from .expression import Binding, Scope, Value, bind
from .fixtures import effects, handed_out
from .flow import Walk
from .formula import Atom, Test
from .marks import Cases, Marks
from .obligation import Act, Guard, Obligation, Record
from .project import Definition, Project, is_fixture
from .rewrite import as_expression, is_assertive
from .source import Function, Module, dotted, is_test_support, last_name

_SETUPS: Final = ("setUpClass", "setup_class", "setUp", "asyncSetUp", "setup_method", "setup")
_TEARDOWNS: Final = ("asyncTearDown", "tearDown", "teardown_method", "teardown")
_EXPANSIONS: Final = 80


@dataclass(slots=True)
class Unit:
    """A test (or a helper that tests share), on one side of the change."""

    project: Project
    module: Module
    function: Function
    owner: ast.ClassDef | None
    name: str
    outer: tuple[Guard, ...] = ()
    outer_marks: tuple[ast.expr, ...] = ()
    _marks: Marks | None = None
    _record: Record | None = None
    names: set[str] = field(default_factory=set)

    @property
    def line(self) -> int:
        return self.function.lineno

    @property
    def marks(self) -> Marks:
        if self._marks is None:
            self._marks = marking.read(
                [*self.function.decorator_list, *self.outer_marks], Scope(self.project, self.module, self.owner)
            )
        return self._marks

    @property
    def record(self) -> Record:
        """What the test checks, parameters left open."""
        if self._record is None:
            self._record = self.walk({})
        return self._record

    def walk(self, given: Mapping[str, Value], extra: tuple[Guard, ...] = ()) -> Record:
        """Walk set-up, fixtures, body and tear-down, with some parameters given."""
        used, shared = uses(self.function)
        scope = Scope(self.project, self.module, self.owner, {}, shared, used)
        guards = (*self.outer, *self.marks.guards, *extra)
        record = Record(patches=dict(self.marks.patches))
        asked = [arg.arg for arg in ast.walk(self.function.args) if isinstance(arg, ast.arg)]
        around = list(effects(self.project, self.module, self.owner, [*asked, *sorted(self.marks.fixtures)]))
        guards += tuple(dict.fromkeys(guard for part in around for guard in part.exits))
        for part in around:
            record.patches.update(part.patches)
            record.obligations += [replace(o, guards=(*guards, *o.guards)) for o in part.obligations]
        if self.owner is not None:
            for name in _SETUPS:
                found = self.project.method(self.module, self.owner, name)
                if found is not None:
                    guards += self._around(found, scope, record, guards)
        self._arguments(scope, record, given)
        walk = Walk(scope, record)
        walk.guards, walk.stack = guards, (self.function,)
        before = len(record.obligations)
        walk.block(self.function.body)
        walk.finish(self.function)
        record.only_runs = len(record.obligations) == before
        if self.owner is not None:
            for name in _TEARDOWNS:
                found = self.project.method(self.module, self.owner, name)
                if found is not None:
                    self._around(found, scope, record, guards)
        return record

    def _around(self, found: Definition, scope: Scope, record: Record, guards: tuple[Guard, ...]) -> tuple[Guard, ...]:
        inside = Scope(self.project, found.module, self.owner, dict(scope.env), depth=1)
        walk = Walk(inside, record)
        walk.guards, walk.stack = guards, (found.function,)
        acts = len(record.acts)
        walk.block(found.function.body)
        del record.acts[acts:]
        scope.env.update({name: bound for name, bound in inside.env.items() if name.startswith("self.")})
        return tuple(guard for guard in walk.exits if guard.kind == "skip")

    def _arguments(self, scope: Scope, record: Record, given: Mapping[str, Value]) -> None:
        spec = self.function.args
        names = [arg.arg for arg in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
        for name in names:
            if name in {"self", "cls"}:
                continue
            if name in given:
                scope.env[name] = Binding(given[name], given[name])
                continue
            record.locals.add(name)
            scope.env[name] = Binding(Value(name, (name,)), Value(f"‹{name}›", (name,)))
            if any(name in cases.names for cases in self.marks.cases):
                continue
            fixture = self.project.fixture(self.module, self.owner, name)
            if fixture is None:
                continue
            result = handed_out(fixture, self.project)
            if result is not None:
                constant = result.deep.const is not None and name not in scope.shared
                scope.env[name] = Binding(
                    result.deep, result.deep if constant else Value(f"‹{name}›", result.deep.spine)
                )

    def expanded(self) -> list[Obligation] | None:
        """The obligations of every parametrized case, parameters filled in; None where rows cannot be read."""
        groups = self.marks.cases
        if not groups:
            return self.record.obligations
        if any(cases.rows is None for cases in groups):
            return None
        rows = [cases.rows or () for cases in groups]
        size = 1
        for group in rows:
            size *= len(group)
        if not 0 < size <= _EXPANSIONS or size * max(1, len(self.record.obligations)) > 1500:
            return None
        result: list[Obligation] = []
        for index, combination in enumerate(itertools.product(*rows)):
            given: dict[str, Value] = {}
            guards: tuple[Guard, ...] = ()
            for cases, row in zip(groups, combination, strict=True):
                if len(row.values) != len(cases.names):
                    return None
                given.update(zip(cases.names, row.values, strict=True))
                guards += row.guards
            result += [replace(o, epoch=o.epoch + 1000 * index) for o in self.walk(given, guards).obligations]
        return result


def runs(acts: Sequence[Act]) -> list[Obligation]:
    """That these calls are made, and do not raise: all that a test without assertions checks."""
    return [
        Obligation(act.guards, atom, atom, act.line, f"{act.name}(...)", index)
        for index, act in enumerate(acts)
        for atom in [Atom(f"runs {act.name}", Test("holds"))]
        if act.name
    ]


def uses(function: Function) -> tuple[frozenset[str], frozenset[str]]:
    """Names that statements other than assertions read, and those of them that are passed to calls."""
    read: set[str] = set()
    passed: set[str] = set()
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Assert):
            continue
        call = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
        if call is not None and (as_expression(call) is not None or is_assertive(call)):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        if isinstance(node, ast.Call) and last_name(node.func) not in _HARMLESS:
            for arg in (*node.args, *(kw.value for kw in node.keywords)):
                passed |= {n.id for n in ast.walk(arg) if isinstance(n, ast.Name)}
        pending.extend(ast.iter_child_nodes(node))
    return frozenset(read), frozenset(passed)


_HARMLESS: Final = frozenset(
    [
        "print",
        "len",
        "str",
        "repr",
        "sorted",
        "list",
        "dict",
        "tuple",
        "set",
        "int",
        "float",
        "bool",
        "debug",
        "info",
        "warning",
        "log",
        "error",
        "isinstance",
        "type",
    ]
)


def collect(project: Project, path: str) -> dict[str, Unit]:
    """The tests of a file by name, as pytest would collect them; a later definition replaces an earlier one."""
    module = project.module(path)
    found: dict[str, Unit] = {}
    if module is None or not is_test_support(path):
        return found
    dead = {t.id for n in module.tree.body if isinstance(n, ast.Delete) for t in n.targets if isinstance(t, ast.Name)}
    outer = tuple(marking.module_marks(module.tree.body))
    guards = tuple(_module_guards(module, project))
    _collect(module.tree.body, project, module, None, "", outer, guards, found)
    return {name: unit for name, unit in found.items() if name.split("::")[0] not in dead}


def _module_guards(module: Module, project: Project) -> Iterator[Guard]:
    """`pytest.skip(allow_module_level=True)` and `importorskip` at the top of a file."""
    for node in module.tree.body:
        inner = node.value if isinstance(node, ast.Expr | ast.Assign) else None
        if isinstance(inner, ast.Call) and dotted(inner.func) in {"pytest.skip", "pytest.importorskip"}:
            text = ast.unparse(inner)
            yield Guard("skip", text, text)
        if isinstance(node, ast.If):
            for part in node.body:
                call = part.value if isinstance(part, ast.Expr) else None
                if isinstance(call, ast.Call) and dotted(call.func) == "pytest.skip":
                    text = f"skip if {bind(node.test, Scope(project, module)).deep.text}"
                    yield Guard("skip", text, text)


def _collect(
    body: Sequence[ast.stmt], project: Project, module: Module, owner: ast.ClassDef | None, prefix: str,
    outer: tuple[ast.expr, ...], guards: tuple[Guard, ...], found: dict[str, Unit],
) -> None:  # fmt: skip
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.name.startswith("test") and not is_fixture(node):
                name = prefix + node.name
                found.pop(name, None)
                found[name] = Unit(project, module, node, owner, name, guards, outer)
            case ast.ClassDef() if _holds_tests(node):
                inner = (*node.decorator_list, *marking.module_marks(node.body), *outer)
                for name in [key for key in found if key.startswith(f"{prefix}{node.name}::")]:
                    del found[name]
                _collect(node.body, project, module, node, f"{prefix}{node.name}::", inner, guards, found)
            case ast.If():
                scope = Scope(project, module, owner)
                text = bind(node.test, scope).deep.text
                known = bind(node.test, scope).deep.const
                if known is None or known.value:
                    extra = () if known is not None or "TYPE_CHECKING" in text else (Guard("if", text, text),)
                    _collect(node.body, project, module, owner, prefix, outer, (*guards, *extra), found)
                if known is None or not known.value:
                    extra = () if known is not None else (Guard("if", f"not {text}", f"not {text}"),)
                    _collect(node.orelse, project, module, owner, prefix, outer, (*guards, *extra), found)
            case ast.Try():
                for part in (node.body, node.orelse, node.finalbody):
                    _collect(part, project, module, owner, prefix, outer, guards, found)
            case ast.Assign(targets=[ast.Name() as target]) if prefix + target.id in found:
                del found[prefix + target.id]


def _holds_tests(node: ast.ClassDef) -> bool:
    for item in node.body:
        if isinstance(item, ast.Assign) and any(last_name(t) == "__test__" for t in item.targets):
            return not (isinstance(item.value, ast.Constant) and item.value.value is False)
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return any("Test" in dotted(base) for base in node.bases)
    return "test" in node.name.lower() or bool(node.bases)


__all__ = ["Cases", "Unit", "collect"]
