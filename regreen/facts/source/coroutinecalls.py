"""Calls of coroutine functions whose result is used as if it were the answer: what one file can tell.

Only shapes that prove the fault are kept: the coroutine is dropped (a bare statement), or it is subscripted, iterated, asked
for an attribute, compared, formatted or used as a condition, directly or through a local name that does nothing else. A
coroutine that is passed on, returned, stored or awaited later may be right and is left alone.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from regreen.facts.source.context import FunctionNode, dotted, last_name

#: What a coroutine object itself has (https://docs.python.org/3/reference/datamodel.html#coroutine-objects).
OWN: Final = frozenset(
    {"__await__", "close", "cr_await", "cr_code", "cr_frame", "cr_origin", "cr_running", "send", "throw"}
)
_CONSUMERS: Final = frozenset(
    {"bool", "dict", "float", "int", "json.dumps", "len", "list", "max", "min", "set", "sorted", "sum", "tuple"}
)
_EXPECTS: Final = frozenset(
    {
        "raises",
        "warns",
        "assertRaises",
        "assertRaisesRegex",
        "assertWarns",
        "assertWarnsRegex",
        "catch_warnings",
        "suppress",
        "deprecated_call",
    }
)
_MEMBER: Final = re.compile(rb"[A-Za-z_]\w*\(")
_SET: Final = re.compile(rb"\s*=[^=]")
_FOLLOWED: Final = (b"(", b".")
_WORD: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


class Use(NamedTuple):
    """A suspicious call: where it is, how its result is used, and the function around it."""

    call: ast.Call
    shape: str
    function: ast.FunctionDef | ast.AsyncFunctionDef | None
    can_await: bool
    statement: ast.stmt


def hits(source: bytes, names: Iterable[bytes], modules: Iterable[bytes], bare: bool) -> list[tuple[int, int]]:
    """Places (line, column) where a name is called without `await` right before; with `bare`, at the start of a line only.

    The column is that of `self` in `self.name(…)` and of `module` in `module.name(…)`.
    """
    positions: set[int] = set()
    find = source.find
    called, holders = frozenset(names), frozenset(modules)
    for name in called | holders:
        size = len(name)
        # One search for both `name(` and `name.`: most names of a file are never called, and each search reads it all.
        needle = name if name in holders else name + b"("
        position = find(needle)
        while position >= 0:
            end = position + size
            after = source[end : end + 1]
            if (after == b"(" and name in called) or (
                after == b"." and name in holders and _MEMBER.match(source, end + 1)
            ):
                start = _start(source, position, bare)
                if start >= 0:
                    positions.add(start)
            position = find(needle, position + 1)
    found: list[tuple[int, int]] = []
    line, start = 1, 0
    for position in sorted(positions):
        line += source.count(b"\n", start, position)
        start = position
        found.append((line, position - (source.rfind(b"\n", 0, position) + 1)))
    return found


def _start(source: bytes, position: int, bare: bool) -> int:
    """Where the callee begins whose last name, or only name, stands at a position; -1 if it is awaited, defined or deeper."""
    head = source[max(0, position - 120) : position]
    start = position
    if head.endswith(b"."):
        holder = head[:-1].rstrip(_WORD)
        start -= len(head) - len(holder)
        if start == position - 1:
            return -1
        head = holder
    if head[-1:] and head[-1:] in _WORD + b".":
        return -1
    text = head.rstrip(b" \t")
    if len(text) < len(head) and text.endswith((b"await", b"def")):
        return -1
    return -1 if bare and text and text[-1:] not in b"\r\n" else start


def locate(tree: ast.Module, line: int, column: int) -> list[ast.AST]:
    """The chain of nodes from the module down to the call whose callee starts at a position; empty if there is none."""
    chain: list[ast.AST] = [tree]
    while True:
        node = chain[-1]
        if isinstance(node, ast.Call) and (node.func.lineno, node.func.col_offset) == (line, column):
            inner = node.func
            if isinstance(inner, ast.Name) or (isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name)):
                return chain
        child = _toward(node, line, column)
        if child is None:
            return []
        chain.append(child)


def _toward(node: ast.AST, line: int, column: int) -> ast.AST | None:
    """The child of a node that covers a position."""
    unplaced: list[ast.AST] = []  # arguments, comprehensions, with items: they have no position of their own
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            at = bisect_right(value, line, key=_first_line) - 1
            while at >= 0 and (value[at].end_lineno or 0) >= line:  # several may stand on one line
                if _covers(value[at], line, column) or line < value[at].lineno:
                    found: ast.AST = value[at]
                    return found
                at -= 1
            continue
        for child in value if isinstance(value, list) else (value,):
            if not isinstance(child, ast.AST):
                continue
            if hasattr(child, "lineno"):
                if _covers(child, line, column):
                    return child
            elif child._fields:
                unplaced.append(child)
    for child in unplaced:
        if any(_covers(part, line, column) for part in ast.walk(child)):
            return child
    return None


def _first_line(node: ast.AST) -> int:
    decorators = getattr(node, "decorator_list", None)
    line: int = decorators[0].lineno if decorators else getattr(node, "lineno", 0)
    return line


def _covers(node: ast.AST, line: int, column: int) -> bool:
    start = getattr(node, "lineno", None)
    if start is None:
        return False
    begin = (start, node.col_offset)  # type: ignore[attr-defined]
    end = (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
    return begin <= (line, column) < end


def use(chain: list[ast.AST], lines: Sequence[bytes]) -> Use | None:
    """How the call at the end of a chain is used, if that proves that an `await` is missing. `lines` are the file's."""
    call = chain[-1]
    assert isinstance(call, ast.Call)
    function = next((n for n in reversed(chain) if isinstance(n, FunctionNode | ast.Lambda | ast.ClassDef)), None)
    around = function if isinstance(function, FunctionNode) else None
    statement = next(n for n in reversed(chain) if isinstance(n, ast.stmt))
    if any(isinstance(n, ast.With | ast.AsyncWith) and _expects(n) for n in chain):
        return None
    inside = chain[chain.index(function) + 1 :] if function is not None else chain
    can_await = isinstance(around, ast.AsyncFunctionDef) and not any(isinstance(n, ast.GeneratorExp) for n in inside)
    if around is not None and inside and inside[0] in (*around.decorator_list, around.args, around.returns):
        return None  # evaluated outside the function
    shape = _shape(chain[-2], call)
    if not shape and around is not None:
        shape = _through_name(chain[-2], call, around, lines)
    return Use(call, shape, around, can_await, statement) if shape else None


def _expects(node: ast.With | ast.AsyncWith) -> bool:
    calls = (item.context_expr for item in node.items)
    return any(isinstance(call, ast.Call) and last_name(call.func) in _EXPECTS for call in calls)


def _shape(parent: ast.AST, node: ast.expr) -> str:
    """How a parent uses a node as the answer; empty where it may handle a coroutine."""
    if isinstance(parent, ast.Expr):
        return "dropped"
    if isinstance(parent, ast.Attribute):
        return "" if parent.attr in OWN or not isinstance(parent.ctx, ast.Load) else f".{parent.attr}"
    if isinstance(parent, ast.Subscript):
        return "subscript" if parent.value is node else ""
    if isinstance(parent, ast.For | ast.comprehension):
        return "iteration" if parent.iter is node and not getattr(parent, "is_async", 0) else ""
    if isinstance(parent, ast.If | ast.While | ast.IfExp | ast.Assert):
        return "condition" if parent.test is node else ""
    if isinstance(parent, ast.UnaryOp):
        return "condition" if isinstance(parent.op, ast.Not) else "arithmetic"
    if isinstance(parent, ast.Compare):
        return "comparison"
    if isinstance(parent, ast.BinOp):
        return "arithmetic"
    if isinstance(parent, ast.FormattedValue):
        return "format"
    if isinstance(parent, ast.Starred):
        return "unpacking"
    if isinstance(parent, ast.Call) and node in parent.args and dotted(parent.func) in _CONSUMERS:
        return f"{dotted(parent.func)}()"
    if (
        isinstance(parent, ast.Assign)
        and parent.value is node
        and any(isinstance(t, ast.Tuple | ast.List) for t in parent.targets)
    ):
        return "unpacking"
    return ""


def _through_name(
    parent: ast.AST, call: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef, lines: Sequence[bytes]
) -> str:
    """The same through `name = call(...)`: every later use of the name is one that a coroutine cannot serve."""
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name):
        name = parent.targets[0].id
    elif isinstance(parent, ast.AnnAssign) and isinstance(parent.target, ast.Name) and parent.value is call:
        name = parent.target.id
    else:
        return ""
    shape = ""
    for child, above in walk(function, mentions(function, name, lines)):
        if isinstance(child, ast.Global | ast.Nonlocal) and name in child.names:
            return ""
        if not isinstance(child, ast.Name) or child.id != name:
            continue
        if isinstance(child.ctx, ast.Store):
            if above is not parent:
                return ""
            continue
        found = _shape(above, child) if isinstance(child.ctx, ast.Load) else ""
        if not found or found == "dropped" or (isinstance(above, ast.Compare) and _identity(above)):
            return ""
        shape = shape or found
    return f"{shape} of {name}" if shape else ""


def _identity(node: ast.Compare) -> bool:
    return all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)


def mentions(root: ast.FunctionDef | ast.AsyncFunctionDef, name: str, lines: Sequence[bytes]) -> list[int]:
    """The lines of a function that hold a name."""
    word = name.encode()
    return [number for number in range(root.lineno, (root.end_lineno or root.lineno) + 1) if word in lines[number - 1]]


def walk(root: ast.AST, only: Sequence[int] | None = None) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Every node below a root with its parent, in source order; with `only`, those that reach over one of these lines."""
    stack: list[tuple[ast.AST, ast.AST]] = [(child, root) for child in reversed(list(ast.iter_child_nodes(root)))]
    while stack:
        node, above = stack.pop()
        if only is not None:
            end = getattr(node, "end_lineno", None)
            if end is not None:
                at = bisect_left(only, _first_line(node))
                if at == len(only) or only[at] > end:
                    continue
        yield node, above
        stack.extend((child, node) for child in reversed(list(ast.iter_child_nodes(node))))


def bound_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """The names that a function, or a function inside it, binds itself: parameters, variables, definitions; no imports."""
    found: set[str] = set()
    stack: list[ast.AST] = [function]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.Name):
            if part.ctx.__class__ is not ast.Load:
                found.add(part.id)
            continue
        if isinstance(part, ast.Constant):
            continue
        if isinstance(part, ast.arg):
            found.add(part.arg)
        elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and part is not function:
            found.add(part.name)
        for name in part._fields:
            value = getattr(part, name, None)
            if value.__class__ is list:
                stack += [child for child in value if isinstance(child, ast.AST)]
            elif isinstance(value, ast.AST):
                stack.append(value)
    return frozenset(found)


def mentioned(text: bytes, name: bytes) -> bool:
    """Whether a function's text holds a name as a word that is neither called nor asked for an attribute."""
    size = len(name)
    position = text.find(name)
    while position >= 0:
        end = position + size
        if text[end : end + 1] not in _FOLLOWED or text[:position].rstrip(b" \t").endswith((b"def", b"class")):
            before, after = text[position - 1 : position], text[end : end + 1]
            if not (before and before in _WORD) and not (after and after in _WORD):
                return True
        position = text.find(name, end)
    return False


def patched(source: bytes, name: str) -> bool:
    """Whether a file that patches things names the function in a string, or assigns it: it may be a mock there."""
    word = name.encode()
    if word + b'"' in source or word + b"'" in source:
        return True
    position = source.find(b"." + word)
    while position >= 0:
        if _SET.match(source, position + 1 + len(word)):
            return True
        position = source.find(b"." + word, position + 1)
    return False
