"""What a function surely returns, from its text and its place in the tree."""

from __future__ import annotations

import ast
import builtins
import io
import tokenize
import unittest
from collections.abc import Iterator, Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.source import Index, last_name

#: Decorators that do not look at the annotation of what a function returns.
_QUIET: Final = frozenset(
    {
        "cache", "cached_property", "classmethod", "deleter", "final", "fixture", "lru_cache", "property", "setter",
        "staticmethod", "wraps",
    }
)  # fmt: skip
#: Base classes outside the tree whose methods are known.
_KNOWN: Final[dict[str, type]] = {
    "ABC": object, "Generic": object, "TestCase": unittest.TestCase,
    "IsolatedAsyncioTestCase": unittest.IsolatedAsyncioTestCase,
    **{name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)},
}  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef


def returns(function: Function, draft: Draft, index: Index) -> tuple[str, str]:
    """What a function surely returns, and why. Raises UndecidedError."""
    parent = draft.names.parents.get(function)
    owner = parent if isinstance(parent, ast.ClassDef) else None
    _plain(function, draft, owner)
    own = list(_own(function))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own):
        raise UndecidedError("it is a generator", "what it yields")
    values = [node.value for node in own if isinstance(node, ast.Return) and not _is_none(node.value)]
    reached = _falls_through(function.body)
    if not values:
        if not reached and not any(isinstance(node, ast.Return) for node in own):
            raise UndecidedError("it never returns", "NoReturn, or the type that its overrides return")
        kind, why = "None", "no return has a value"
    else:
        kind = _literal(values, reached)
        if parent is None or draft.names.space(parent).lookup(kind) is not None:
            raise UndecidedError(f"`{kind}` is another name here", "how the type is to be called")
        why = f"every return is a literal {kind}, and the end is not reached"
    if owner is not None and function.name != "__init__":
        _leaf(function, owner, draft, index)
    return kind, why


def _plain(function: Function, draft: Draft, owner: ast.ClassDef | None) -> None:
    """Raises UndecidedError for a decorator that may read annotations, for stubs, and where the name is defined again."""
    names = [last_name(d.func if isinstance(d, ast.Call) else d) for d in function.decorator_list]
    if "abstractmethod" in names:
        raise UndecidedError("it is abstract", "what its implementations return")
    other = next((name for name in names if name not in _QUIET), None)
    if other is not None:
        raise UndecidedError(f"the decorator {other} may read the annotation", "what the decorated function returns")
    body = [n for n in function.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    stub = not body or (owner is not None and all(isinstance(node, ast.Pass) for node in body))
    if stub and not (function.name == "__init__" and body):
        raise UndecidedError("its body is a stub", "what it is meant to return")
    if any(isinstance(n, ast.Name) and n.id in ("NotImplementedError", "NotImplemented") for n in ast.walk(function)):
        raise UndecidedError("its body is a stub: it is not implemented", "what it is meant to return")
    around = draft.names.parents.get(function)
    bound = draft.names.spaces[around].bound[function.name] if isinstance(around, ast.Module | ast.ClassDef) else []
    once = bool(bound) and all(binding.node is function or _accessor(binding.node) for binding in bound)
    if not once and not _accessor(function):
        raise UndecidedError("it is defined under a condition, or twice", "one signature for all of its definitions")
    start, end = draft.start(function), draft.start(function.body[0])
    if b"# type:" in draft.text.source[start:end]:
        raise UndecidedError("it has a type comment", "turn the comment into annotations")


def _accessor(node: ast.AST | None) -> bool:
    """Whether a definition is a property's setter or deleter, which bears the name of its getter."""
    decorators = node.decorator_list if isinstance(node, FunctionNode) else []
    return any(last_name(item) in ("setter", "deleter", "getter") for item in decorators)


def _own(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's own body, inner functions and classes left out."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, FunctionNode | ast.Lambda | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(node))


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _literal(values: Sequence[ast.expr | None], reached: bool) -> str:
    kinds = {
        "str" if isinstance(v, ast.JoinedStr) else type(v.value).__name__ if isinstance(v, ast.Constant) else ""
        for v in values
    }
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind not in ("bool", "bytes", "complex", "float", "int", "str"):
        raise UndecidedError("what it returns is computed", "the type of what it returns")
    if reached:
        raise UndecidedError(
            "it may also end without a return, that is with None", f"{kind} | None, or a return at its end"
        )
    return kind


def _falls_through(body: Sequence[ast.stmt]) -> bool:
    """Whether the end of a block may be reached; true where that is not certain (a `with` may swallow an exception)."""
    if not body:
        return True
    last = body[-1]
    if isinstance(last, ast.Return | ast.Raise):
        return False
    if isinstance(last, ast.If):
        return _falls_through(last.body) or _falls_through(last.orelse)
    if isinstance(last, ast.Try):
        if last.finalbody and not _falls_through(last.finalbody):
            return False
        main = _falls_through(last.orelse) if last.orelse else _falls_through(last.body)
        return main or any(_falls_through(handler.body) for handler in last.handlers)
    if isinstance(last, ast.While) and isinstance(last.test, ast.Constant) and last.test.value:
        return any(isinstance(node, ast.Break) for node in ast.walk(last))
    return True


def _leaf(function: Function, owner: ast.ClassDef, draft: Draft, index: Index) -> None:
    """Raises UndecidedError where the method may be overridden, or override another."""
    below, classes = index.derive("annotate: classes", _classes)
    if any(function.name in members for members, _ in below.get(owner.name, ())):
        raise UndecidedError("a subclass overrides it", "what all of its versions return")
    if owner.keywords:
        raise UndecidedError("its class is made by a metaclass or with keywords", "what it returns")
    waiting, seen = [last_name(_root(base)) for base in owner.bases], {owner.name}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = classes.get(name, [])
        if not found and name in _KNOWN and not hasattr(_KNOWN[name], function.name):
            continue
        if not found or any(function.name in members for members, _ in found):
            raise UndecidedError(
                f"it may override a method of {name or 'a base class'}", "the return type of the method it overrides"
            )
        waiting += [base.rpartition(".")[2] for _, bases in found for base in bases]


def _root(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


_Class = tuple[frozenset[str], tuple[str, ...]]


def _classes(index: Index) -> tuple[dict[str, list[_Class]], dict[str, list[_Class]]]:
    """Members and bases of the tree's classes, by the name of each class that they derive from, and by their own."""
    children: dict[str, list[_Class]] = {}
    named: dict[str, list[_Class]] = {}
    links: list[tuple[str, tuple[str, ...], _Class]] = []
    for file in index.files.values():
        for item in file.classes:
            name = item.qualname.rpartition(".")[2]
            known = (frozenset(item.members), item.bases)
            named.setdefault(name, []).append(known)
            links.append((name, tuple(base.rpartition(".")[2] for base in item.bases), known))
    direct: dict[str, list[tuple[str, _Class]]] = {}
    for name, bases, known in links:
        for base in bases:
            direct.setdefault(base, []).append((name, known))
    for name in named:
        waiting, seen = [name], {name}
        while waiting:
            for child, known in direct.get(waiting.pop(), ()):
                children.setdefault(name, []).append(known)
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
    return children, named


def after_arguments(function: Function, draft: Draft) -> int:
    """The offset behind the parenthesis that closes a function's arguments. Raises UndecidedError."""
    text = draft.text
    last = function.body[0].end_lineno or function.lineno
    lines = [f"{text.line(number).decode(text.encoding)}\n" for number in range(function.lineno, last + 1)]
    start = len(text.line(function.lineno).decode(text.encoding).encode()[: function.col_offset].decode())
    lines[0] = " " * start + lines[0][start:]
    depth, opened = 0, False
    try:
        for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            if token.type != tokenize.OP:
                continue
            if token.string in "([{":
                opened = opened or (token.string == "(" and depth == 0)
                depth += 1
            elif token.string in ")]}":
                depth -= 1
                if opened and depth == 0:
                    row, column = token.end
                    line = lines[row - 1][:column].encode()
                    return text.offset(function.lineno + row - 1, len(line))
    except (tokenize.TokenError, IndentationError):
        pass
    raise UndecidedError("its head cannot be read", "add the annotation by hand")
