"""What parses and still does not compile: cheap suspicions, so that only suspects are compiled.

Compiling every file costs more than parsing it, so each error that only the compiler finds
(https://github.com/python/cpython/blob/main/Python/compile.c and symtable.c) has a sign here that is looked for in the
text, and confirmed in the one statement where it stands. Misplaced statements are seen by the visitor itself.
A suspicion costs one compile; what is not suspected is not compiled.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from functools import cache
from typing import Any, Final

import re2

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

#: Texts that are looked for with those of the checks.
WORDS: Final = frozenset(
    {b"await", b"yield", b":=", b"lambda", b"__debug__", b"async for", b"yield from", b"__future__", b"{*", b"except*"}
)
_LAMBDA: Final = re.compile(rb"lambda[ \t]([^:\n]*,[^:\n]*):")
_PARAMETER: Final = re.compile(rb"(?:^|,)[ \t*]*(\w+)")
_DEBUG: Final = re.compile(rb"__debug__[ \t]*=[^=]")
_STARRED_FORMAT: Final = re.compile(rb"""[fF][rR]?["'][^\n]*\{\*""")
#: A call with two keywords, its arguments nested once at most.
_NESTED: Final = rb"(?:[^()\[\]{}]|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\})*"
_KEYWORDS: Final = rb"\w\((?:" + _NESTED + rb",)?\s*\w+ ?=[^=]" + _NESTED + rb",\s*\w+ ?=[^=]"
_INNER: Final = re.compile(rb"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_KEYWORD: Final = re.compile(rb"[(,]\s*(\w+) ?=(?!=)")
#: Blocks that the compiler nests at most (CO_MAXBLOCKS), and an indentation that so many take with four spaces or a tab.
_BLOCKS: Final = 20
_DEEP: Final = (b"\n" + b" " * (_BLOCKS * 4), b"\n" + b"\t" * _BLOCKS)
_BLOCK: Final = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar)
_FEATURES: Final = frozenset(
    {
        "nested_scopes", "generators", "division", "absolute_import", "with_statement", "print_function",
        "unicode_literals", "barry_as_FLUFL", "generator_stop", "annotations",
    }
)  # fmt: skip
_COMPREHENSION: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@cache
def _quick(pattern: bytes) -> Any:
    """A pattern that reads a whole file in one pass: RE2 goes over each byte once."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are
    return re2.compile(pattern, options)


def suspected(source: bytes, tree: ast.Module, present: Set[bytes], spans: Sequence[tuple[int, int, bool]]) -> bool:
    """Whether an expression of the file may be one that the compiler refuses.

    `present` says which of `WORDS` occur; `spans` are the line ranges of the functions (last: asynchronous) of a file
    that holds `await` or `yield`, in source order.
    """
    return (
        any(_repeats(match) for match in _quick(_KEYWORDS).findall(source))
        or (b"await" in present and any(_stray(source, tree, spans, b"await", ast.Await)))
        or (b"yield" in present and _misplaced_yield(source, tree, present, spans))
        or (b"async for" in present and any(_stray(source, tree, spans, b"async for", ast.comprehension)))
        or (b":=" in present and any(_inside(node, ast.NamedExpr) for node in _comprehensions(source, tree, b":=")))
        or (b"__future__" in present and _future(tree))
        or (b"lambda" in present and any(map(_twice, _LAMBDA.findall(source))))
        or (b"__debug__" in present and _DEBUG.search(source) is not None)
        or (b"{*" in present and _STARRED_FORMAT.search(source) is not None)
        or b"except*" in present
        or (any(mark in source for mark in _DEEP) and _depth(tree) > _BLOCKS)
    )


def _repeats(call: bytes) -> bool:
    names = _KEYWORD.findall(_INNER.sub(b"", call[1:]))
    return len(set(names)) < len(names)


def _twice(parameters: bytes) -> bool:
    names = _PARAMETER.findall(parameters)
    return len(set(names)) < len(names)


def _lines(source: bytes, word: bytes) -> Iterator[int]:
    """The lines that hold a text, each once."""
    line, counted = 1, 0
    position = source.find(word)
    while position >= 0:
        line += source.count(b"\n", counted, position)
        yield line
        counted = source.find(b"\n", position)
        if counted < 0:
            return
        position = source.find(word, counted)


def _stray(
    source: bytes, tree: ast.Module, spans: Sequence[tuple[int, int, bool]], word: bytes, kind: type[ast.AST]
) -> Iterator[bool]:
    """True for each line on which such a node stands outside every function, or, unless it is a yield, in a synchronous one."""
    ahead = iter(spans)
    following = next(ahead, None)
    around: list[tuple[int, bool]] = []  # functions that began above, outer before inner
    for line in _lines(source, word):
        while following is not None and following[0] <= line:
            around.append(following[1:])
            following = next(ahead, None)
        while around and around[-1][0] < line:
            around.pop()
        inside = around[-1][1] if around else None
        wrong = (
            inside is None
            if kind is ast.Yield
            else inside is not False
            if kind is ast.YieldFrom
            else inside is not True
        )
        if wrong:
            yield _stands(tree, line, kind)


def _stands(tree: ast.Module, line: int, kind: type[ast.AST]) -> bool:
    """Whether a node of a kind stands in the statement at a line, and not only in its text."""
    nodes = _expressions(tree, line)
    if kind is ast.comprehension:
        return any(isinstance(node, ast.comprehension) and node.is_async for node in nodes)
    return any(isinstance(node, kind) and node.lineno == line for node in nodes)  # type: ignore[attr-defined]


def _expressions(tree: ast.Module, line: int) -> Iterator[ast.AST]:
    """The expressions, with all that is in them, of the innermost statement at a line; of a block, those of its head."""
    statement = at(tree, line)
    for child in ast.iter_child_nodes(statement) if statement is not None else ():
        if not isinstance(child, ast.stmt):
            yield from ast.walk(child)


def at(tree: ast.Module, line: int) -> ast.stmt | None:
    """The innermost statement that covers a line."""
    found: ast.stmt | None = None
    bodies: list[list[ast.stmt]] = [tree.body]
    while bodies:
        body = bodies.pop()
        place = bisect_right(body, line, key=_first) - 1
        if place >= 0 and (body[place].end_lineno or 0) >= line:
            found = body[place]
            bodies = [getattr(found, name) for name in ("body", "orelse", "finalbody") if getattr(found, name, None)]
            bodies += [part.body for name in ("handlers", "cases") for part in getattr(found, name, ())]
    return found


def _first(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", None)
    return decorators[0].lineno if decorators else node.lineno


def _misplaced_yield(
    source: bytes, tree: ast.Module, present: Set[bytes], spans: Sequence[tuple[int, int, bool]]
) -> bool:
    if any(_stray(source, tree, spans, b"yield", ast.Yield)):
        return True
    for word in (b"(yield", b"[yield", b"{yield"):  # a yield in a comprehension
        if any(_inside(node, ast.Yield) for node in _comprehensions(source, tree, word)):
            return True
    return b"yield from" in present and any(_stray(source, tree, spans, b"yield from", ast.YieldFrom))


def _comprehensions(source: bytes, tree: ast.Module, word: bytes) -> Iterator[ast.AST]:
    """The comprehensions of the statements on whose lines a text occurs."""
    for line in _lines(source, word) if word in source else ():
        yield from (node for node in _expressions(tree, line) if isinstance(node, _COMPREHENSION))


def _inside(node: ast.AST, kind: type[ast.AST]) -> bool:
    return any(isinstance(inner, kind) for inner in ast.walk(node))


def _future(tree: ast.Module) -> bool:
    """Whether a `__future__` import comes too late, or asks for what no Python has."""
    early = True
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__" and not node.level:
            if not early or any(alias.name not in _FEATURES for alias in node.names):
                return True
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            early = False
    return False


def _depth(tree: ast.Module) -> int:
    """How deep blocks of one function are nested."""
    deepest = 0
    stack: list[tuple[ast.stmt, int]] = [(node, 0) for node in tree.body]
    while stack:
        node, depth = stack.pop()
        depth = 0 if isinstance(node, (*FunctionNode.__args__, ast.ClassDef)) else depth + isinstance(node, _BLOCK)
        deepest = max(deepest, depth)
        for name in ("body", "orelse", "finalbody"):
            stack += [(child, depth) for child in getattr(node, name, ())]
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            stack += [(child, depth) for child in part.body]
    return deepest


def starred(targets: Sequence[ast.expr], value: ast.expr | None) -> bool:
    """Whether a star stands alone, or twice among targets, where a statement takes it only among others, or once."""
    if isinstance(value, ast.Starred) or any(isinstance(target, ast.Starred) for target in targets):
        return True
    return any(
        sum(isinstance(part, ast.Starred) for part in target.elts) > 1
        for target in targets
        if isinstance(target, ast.Tuple | ast.List)
    )


def yields(function: ast.AsyncFunctionDef | ast.FunctionDef) -> bool:
    """Whether a function is a generator: a `yield` of its own."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(node))
    return False


def declared_late(function: ast.AST, declaration: ast.Global) -> bool:
    """Whether a `global` comes after a use of its name in the function, or names a parameter or an annotated name."""
    names = frozenset(declaration.names)
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in names and node.lineno < declaration.lineno:
            return True
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in names:
            return True
        if isinstance(node, ast.arg) and node.arg in names:
            return True
    return False
