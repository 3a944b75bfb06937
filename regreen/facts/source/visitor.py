"""The one visitor: walks a parsed file once, statement by statement, for all checks together.

Walking every expression of a large tree costs more than half of parsing it, so expressions are only looked at in
statements whose lines hold a name that some check asked for; everything else is a loop over statement lists.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from regreen.facts.source import refused
from regreen.facts.source.context import Context, FunctionNode, Parents, Scope, last_name
from regreen.facts.source.guards import (
    CONDITIONAL,
    IMPORT_GUARDED,
    IMPORT_HANDLER,
    IN_FINALLY,
    IN_HANDLER,
    IN_LOOP,
    IN_TRY,
    TYPE_CHECKING_ONLY,
    VERSION_GUARDED,
    condition_flags,
    handles_import_error,
    suppresses_import_error,
)
from regreen.facts.source.needles import Needles
from regreen.facts.source.structure import WORDS, Structure

if TYPE_CHECKING:
    from regreen.facts.source.contract import CodeCheck, FileHandler, NodeHandler, StatementHandler

_NEVER: Final = 1 << 62
_IMPORT_LINE: Final = re.compile(rb"[ \t]*(?:from[ \t]+(\.*)([\w.]*)|import[ \t]+([^#\n(]+))")


class Dispatch:
    """The handlers that are active in a file, ready for the walk. Cached by the set of active checks."""

    def __init__(self, checks: Sequence[CodeCheck], active: Iterable[int]) -> None:
        self.calls: dict[str, list[tuple[int, NodeHandler]]] = {}
        self.attributes: dict[str, list[tuple[int, NodeHandler]]] = {}
        self.names: dict[str, list[tuple[int, NodeHandler]]] = {}
        self.statements: dict[type[ast.AST], list[tuple[int, StatementHandler]]] = {}
        self.tests: list[tuple[int, StatementHandler]] = []
        self.finish: list[tuple[int, FileHandler]] = []
        self.active = tuple(sorted(active))
        for number in self.active:
            wanted = checks[number].INTERESTS
            for table, handlers in (
                (self.calls, wanted.calls),
                (self.attributes, wanted.attributes),
                (self.names, wanted.names),
            ):
                for name, handler in handlers.items():
                    table.setdefault(name, []).append((number, handler))
            for kind, statement in wanted.statements.items():
                self.statements.setdefault(kind, []).append((number, statement))
            if wanted.tests is not None:
                self.tests.append((number, wanted.tests))
            if wanted.finish is not None:
                self.finish.append((number, wanted.finish))
        self.needles = frozenset(name.encode() for name in {*self.calls, *self.attributes, *self.names})


class Visitor:
    """Walks files for a fixed sequence of checks."""

    def __init__(self, checks: Sequence[CodeCheck]) -> None:
        self._checks = tuple(checks)
        self._dispatch: dict[int, Dispatch] = {}
        wanted: set[str] = set()
        for check in self._checks:
            interests = check.INTERESTS
            wanted.update(interests.needles, interests.calls, interests.attributes, interests.names)
        wanted.update(word.decode() for word in WORDS)
        self._needles = Needles(wanted)
        self._gates = [
            (
                1 << n,
                frozenset(m.encode() for m in c.INTERESTS.modules),
                frozenset(t.encode() for t in c.INTERESTS.needles),
                c.INTERESTS.test_code,
            )
            for n, c in enumerate(self._checks)
        ]

    def _active(self, roots: set[bytes], present: frozenset[bytes], test_code: bool) -> Dispatch:
        mask = 0
        for bit, modules, needles, tests_only in self._gates:
            if tests_only and not test_code:
                continue
            if (not modules or not modules.isdisjoint(roots)) and (not needles or not needles.isdisjoint(present)):
                mask |= bit
        dispatch = self._dispatch.get(mask)
        if dispatch is None:
            dispatch = Dispatch(self._checks, [n for n in range(len(self._checks)) if mask >> n & 1])
            self._dispatch[mask] = dispatch
        return dispatch

    def visit(
        self, source: bytes, tree: ast.Module, stub: bool = False, test_code: bool = True
    ) -> tuple[Structure, list[Any]]:
        """The file's structure, and what the checks emitted: `[check number, records, check number, …]`.

        A handler that raises yields one record of the form ("!", message) for its check; the rest goes on.
        `source` is UTF-8 text without a byte order mark, so that columns are what `ast` counted.
        """
        present = self._needles.found(source)
        roots = imported_roots(source)
        dispatch = self._active(roots, present, test_code)
        structure = Structure(present)
        context = Context(source, tree, structure, stub, present, roots)
        sinks: dict[int, list[tuple[Any, ...]]] = {number: [] for number in dispatch.active}
        found = _walk(context, dispatch, _hit_lines(source, dispatch.needles & present), sinks)
        for number, handler, node, parents, scope, flags in found:
            context.scope, context.flags = scope, flags
            context._sink = sink = sinks[number]
            try:
                handler(node, context, parents)
            except Exception as error:  # noqa: BLE001 - as below
                sink.append(_failure(error))
        context.scope, context.flags = context.module_scope, 0
        for number, finish in dispatch.finish:
            context._sink = sink = sinks[number]
            try:
                finish(context)
            except Exception as error:  # noqa: BLE001 - as below
                sink.append(_failure(error))
        emitted: list[Any] = []
        for number, records in sinks.items():
            if records:
                emitted += (number, records)
        return structure, emitted


def _run(
    sinks: dict[int, list[tuple[Any, ...]]],
    context: Context,
    wanted: Sequence[tuple[int, StatementHandler]],
    node: ast.stmt,
    scope: Scope,
    flags: int,
) -> None:
    context.scope, context.flags = scope, flags
    for number, handler in wanted:
        context._sink = sinks[number]
        try:
            handler(node, context)
        except Exception as error:  # noqa: BLE001 - one check's bug must not blind the others; it is reported as its error
            sinks[number].append(_failure(error))


def _failure(error: Exception) -> tuple[str, str]:
    return ("!", f"{type(error).__name__}: {error}")


def imported_roots(source: bytes) -> set[bytes]:
    """Top-level names that lines with the word `import` mention. May name too many, never too few for real imports."""
    roots: set[bytes] = set()
    find = source.find
    position = find(b"import")
    while position >= 0:
        line = source.rfind(b"\n", 0, position) + 1  # the others only in this line: they may be nowhere in the file
        start = max(line, source.rfind(b"\r", line, position) + 1, source.rfind(b";", line, position) + 1)
        match = _IMPORT_LINE.match(source, start)
        if match is None:  # `if x: import y`, or a string: take every word, too many is harmless
            end = source.find(b"\n", position)
            roots.update(re.findall(rb"\w+", source[start : end if end >= 0 else len(source)]))
        elif match[3] is not None:
            roots.update(part.strip().split(b".")[0].split(b" ")[0] for part in match[3].split(b","))
            if b"\\" in match[3]:
                end = source.find(b"\n\n", position)
                roots.update(re.findall(rb"\w+", source[start : end if end >= 0 else len(source)]))
        elif not match[1]:
            roots.add(match[2].split(b".")[0])
        position = find(b"import", position + 6)
    return roots


def _hit_lines(source: bytes, needles: frozenset[bytes]) -> list[int]:
    positions: list[int] = []
    find = source.find
    for needle in needles:
        position = find(needle)
        while position >= 0:
            positions.append(position)
            position = find(needle, position + len(needle))
    if not positions:
        return []
    text = source
    if b"\r" in source:
        text = source.replace(b"\r\n", b" \n").replace(b"\r", b"\n")  # same offsets, one line end
    starts = [match.end() for match in re.finditer(b"\n", text)]
    return sorted({bisect_right(starts, position) + 1 for position in positions})


_LOOP_ONLY: Final = frozenset({ast.Break, ast.Continue})
_Frame: TypeAlias = "tuple[Iterator[ast.stmt], Scope, int]"
_Hit: TypeAlias = "tuple[int, Any, ast.AST, Parents, Scope, int]"

_LEAVES: Final = frozenset(
    {
        ast.Expr, ast.Assign, ast.Return, ast.Raise, ast.Assert, ast.Pass, ast.AugAssign, ast.AnnAssign, ast.Delete,
        ast.Break, ast.Continue, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal,
    }
)  # fmt: skip
#: Leaves of which the structure learns nothing: anywhere, and in a function's body.
_SILENT: Final = frozenset({ast.Expr, ast.Raise, ast.Assert, ast.Pass, ast.Delete})
_VALUED: Final = frozenset({ast.Expr, ast.Assign, ast.Return, ast.AugAssign, ast.AnnAssign})
_PATTERNS: Final = frozenset({ast.Tuple, ast.List, ast.Starred})
_SILENT_INSIDE: Final = _SILENT | {ast.Assign, ast.AugAssign, ast.AnnAssign}


def _walk(
    context: Context, dispatch: Dispatch, hit_lines: list[int], sinks: dict[int, list[tuple[Any, ...]]]
) -> list[_Hit]:
    structure = context.structure
    asked = dispatch.statements
    found: list[_Hit] = []
    hits = iter(hit_lines)
    hit = next(hits, _NEVER)
    scope, flags = context.module_scope, 0
    iterator: Iterator[ast.stmt] = iter(context.tree.body)
    stack: list[_Frame] = []
    silent = _SILENT
    while True:
        pushed: list[_Frame] | None = None
        for node in iterator:
            kind = node.__class__
            if kind in asked:
                _run(sinks, context, asked[kind], node, scope, flags)
            if kind in _LEAVES:
                if hit <= node.end_lineno:  # type: ignore[operator]
                    while hit < node.lineno:
                        hit = next(hits, _NEVER)
                    if hit <= node.end_lineno:  # type: ignore[operator]
                        _scan((node,), None, dispatch, scope, flags, found)
                if kind in _VALUED:
                    value = node.value  # type: ignore[attr-defined]
                    if value.__class__ is ast.Starred or (
                        kind is ast.Assign
                        and node.targets[0].__class__ in _PATTERNS  # type: ignore[attr-defined]
                        and refused.starred(node.targets, value)  # type: ignore[attr-defined]
                    ):
                        structure.suspicious = True
                if kind in silent:
                    continue
                if kind is ast.Import or kind is ast.ImportFrom:
                    structure.imported(node, scope, flags)  # type: ignore[arg-type]
                elif kind is ast.Return:
                    if scope.kind != "function" or (scope.generator and node.value is not None):  # type: ignore[attr-defined]
                        structure.suspicious = True
                elif kind is ast.Global:
                    structure.declared_global(node, scope)  # type: ignore[arg-type]
                elif kind is ast.Nonlocal:
                    structure.declared_nonlocal(node, scope, context)  # type: ignore[arg-type]
                elif kind in _LOOP_ONLY and not flags & IN_LOOP:
                    structure.suspicious = True
                else:
                    structure.bound(node, scope, flags)
                continue
            header: Sequence[ast.AST]
            if kind is ast.If:
                assert isinstance(node, ast.If)
                header = (node.test,)
                first, second = condition_flags(node.test)
                pushed = [(iter(node.body), scope, flags | first)]
                if node.orelse:
                    pushed.append((iter(node.orelse), scope, flags | second))
            elif kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
                assert isinstance(node, FunctionNode)
                if hit < _NEVER:
                    header = (*node.decorator_list, node.args, *((node.returns,) if node.returns else ()))
                else:
                    header = ()
                inner = Scope("function", node.name, scope, node, kind is ast.AsyncFunctionDef)
                inner.generator = structure.function(node, scope, flags, context)
                if scope.kind != "function" and node.name.startswith("test"):
                    _run(sinks, context, dispatch.tests, node, scope, flags)
                pushed = [(iter(node.body), inner, flags & (TYPE_CHECKING_ONLY | VERSION_GUARDED))]
            elif kind is ast.ClassDef:
                assert isinstance(node, ast.ClassDef)
                header = (*node.decorator_list, *node.bases, *node.keywords)
                structure.klass(node, scope, flags)
                pushed = [(iter(node.body), Scope("class", node.name, scope, node), flags)]
            elif kind is ast.Try or kind is ast.TryStar:
                assert isinstance(node, ast.Try | ast.TryStar)
                header = ()
                guard = handles_import_error(node)
                extra = (IMPORT_GUARDED if guard else 0) | IN_TRY
                pushed = [(iter(node.body), scope, flags | extra | (0 if guard else CONDITIONAL))]
                after = (IMPORT_HANDLER if guard else 0) | CONDITIONAL
                if any(clause.type is None for clause in node.handlers[:-1]):
                    structure.suspicious = True
                for clause in node.handlers:
                    if clause.type is not None and hit <= clause.body[0].lineno and dispatch.needles:
                        _scan((clause.type,), (node, None), dispatch, scope, flags, found)
                    if clause.name and scope.kind == "module":
                        structure.defs.setdefault(clause.name, 1)
                    pushed.append((iter(clause.body), scope, flags | after | IN_HANDLER))
                if node.orelse:
                    pushed.append((iter(node.orelse), scope, flags | after))
                if node.finalbody:
                    pushed.append((iter(node.finalbody), scope, flags | IN_FINALLY))
            elif kind is ast.With or kind is ast.AsyncWith:
                assert isinstance(node, ast.With | ast.AsyncWith)
                header = node.items
                guard = suppresses_import_error(node)
                pushed = [(iter(node.body), scope, flags | (IMPORT_GUARDED if guard else 0))]
                if scope.kind != "function":
                    structure.bound(node, scope, flags)
                if kind is ast.AsyncWith and not scope.is_async:
                    structure.suspicious = True
            elif kind is ast.For or kind is ast.AsyncFor:
                assert isinstance(node, ast.For | ast.AsyncFor)
                header = (node.target, node.iter)
                pushed = [(iter(node.body), scope, flags | CONDITIONAL | IN_LOOP)]
                if node.orelse:
                    pushed.append((iter(node.orelse), scope, flags | CONDITIONAL))
                if scope.kind != "function":
                    structure.bound(node, scope, flags)
                if refused.starred((node.target,), node.iter) or (kind is ast.AsyncFor and not scope.is_async):
                    structure.suspicious = True
            elif kind is ast.While:
                assert isinstance(node, ast.While)
                header = (node.test,)
                pushed = [(iter(node.body), scope, flags | CONDITIONAL | IN_LOOP)]
                if node.orelse:
                    pushed.append((iter(node.orelse), scope, flags | CONDITIONAL))
            elif kind is ast.Match:
                assert isinstance(node, ast.Match)
                header = (node.subject, *(case.guard for case in node.cases if case.guard))
                pushed = [(iter(case.body), scope, flags | CONDITIONAL) for case in node.cases]
                structure.matched(node)
            else:  # a statement of a newer Python, such as `type X = …`
                header = ()
                name = getattr(node, "name", None)
                if isinstance(name, ast.Name) and scope.kind == "module":
                    structure.defs.setdefault(name.id, 1)
                continue
            if hit < _NEVER and header:
                decorators = getattr(node, "decorator_list", None)
                first_line = decorators[0].lineno if decorators else node.lineno
                while hit < first_line:
                    hit = next(hits, _NEVER)
                body = getattr(node, "body", None)
                last_line = body[0].lineno if body else node.end_lineno or node.lineno
                if hit <= last_line:
                    _scan(header, (node, None), dispatch, scope, flags, found)
            stack.append((iterator, scope, flags))
            break
        if pushed:
            stack.extend(reversed(pushed))
        if not stack:
            return found
        iterator, scope, flags = stack.pop()
        silent = _SILENT_INSIDE if scope.kind == "function" else _SILENT


def _scan(
    roots: Sequence[ast.AST],
    parents: Parents,
    dispatch: Dispatch,
    scope: Scope,
    flags: int,
    found: list[_Hit],
) -> None:
    calls, attributes, names = dispatch.calls, dispatch.attributes, dispatch.names
    stack: list[tuple[ast.AST, Parents]] = [(root, parents) for root in reversed(roots)]
    while stack:
        node, above = stack.pop()
        kind = node.__class__
        wanted: list[tuple[int, NodeHandler]] | None = None
        if kind is ast.Call:
            wanted = calls.get(last_name(node.func))  # type: ignore[attr-defined]
        elif kind is ast.Attribute:
            wanted = attributes.get(node.attr)  # type: ignore[attr-defined]
        elif kind is ast.Name:
            wanted = names.get(node.id)  # type: ignore[attr-defined]
        if wanted is not None:
            for number, handler in wanted:
                found.append((number, handler, node, above, scope, flags))
        here = (node, above)
        children: list[tuple[ast.AST, Parents]] = []
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                children.append((value, here))
            elif isinstance(value, list):
                children += [(item, here) for item in value if isinstance(item, ast.AST)]
        stack.extend(reversed(children))
