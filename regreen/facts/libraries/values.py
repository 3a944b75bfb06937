"""What an expression holds, where the file itself proves it: a connection, an engine, a client.

A name holds something of a kind if every one of its bindings in its scope does (None beside it does not count). Names
are followed through assignments, `with`, `async for`, annotations, attributes of `self`, local functions, and pytest
fixtures of the same file. What cannot be followed is of no kind: no check may judge it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from regreen.facts.libraries.names import Binding, FunctionNode, Names, Space
from regreen.facts.source.context import dotted, last_name

NOTHING: Final = "None"
_DEEP: Final = 24
_COROUTINE: Final = "coroutine of "
_MANAGER: Final = "manager of "
#: Calls that hand through the awaitable that they are given first.
_TRANSPARENT: Final = frozenset(
    {
        "asyncio.wait_for", "asyncio.shield", "asyncio.create_task", "asyncio.ensure_future",
        "asyncio.timeouts.wait_for", "async_timeout.wait_for", "typing.cast",
    }
)  # fmt: skip
_ENTERING: Final = frozenset({"enter_async_context", "enter_context"})
_MANAGERS: Final = frozenset({"contextmanager", "asynccontextmanager"})


@dataclass(frozen=True)
class Vocabulary:
    """The kinds of one library. Kinds are words of the library's own file.

    `calls`: origin of a callee → kind of what it returns. `annotations`: origin of a type → kind.
    `awaited`, `entered`, `iterated`: kind → kind. `methods`: (kind, method) → kind of what the call returns; the
    method's name is empty for calling the value itself.
    """

    calls: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    awaited: Mapping[str, str] = field(default_factory=dict)
    entered: Mapping[str, str] = field(default_factory=dict)
    iterated: Mapping[str, str] = field(default_factory=dict)
    methods: Mapping[tuple[str, str], str] = field(default_factory=dict)


class Values:
    """The kinds of a file's expressions in one vocabulary."""

    def __init__(self, names: Names, words: Vocabulary) -> None:
        self.names = names
        self.words = words
        self._known: dict[ast.AST, str] = {}
        self._depth = 0

    def kind(self, node: ast.expr | None) -> str:
        """The kind of an expression, `None` for the constant, or an empty string."""
        if node is None:
            return NOTHING
        known = self._known.get(node)
        if known is None:
            if self._depth > _DEEP:
                return ""
            self._known[node] = ""  # while it is being looked at: a cycle proves nothing
            self._depth += 1
            known = self._known[node] = self._look(node)
            self._depth -= 1
        return known

    def attribute(self, owner: Space, name: str) -> str:
        """The kind of `self.name` in a class of this file; its bases in the same file are asked as well."""
        seen: set[Space] = set()
        spaces = [owner]
        while spaces:
            space = spaces.pop(0)
            if space in seen:
                continue
            seen.add(space)
            given = [(b, s) for b, s in space.attributes.get(name, ())]
            given += [(b, space) for b in space.bound.get(name, ()) if b.how in ("annotation", "value")]
            if given:
                return self._agreed(self._bound(binding, where) for binding, where in given)
            assert isinstance(space.node, ast.ClassDef)
            for base in space.node.bases:
                inner = self._class(base, space.parent or space)
                if inner is not None:
                    spaces.append(inner)
        return ""

    def annotated(self, node: ast.expr) -> str:
        """The kind that an annotation promises: `X`, `X | None`, `Optional[X]`, `Annotated[X, …]`, also in quotes."""
        if isinstance(node, ast.Constant):
            if node.value is None:
                return NOTHING
            if isinstance(node.value, str):
                try:
                    inner = ast.parse(node.value, mode="eval").body
                except (SyntaxError, ValueError):
                    return ""
                return self._annotation(inner, self.names.space(node))
            return ""
        return self._annotation(node, self.names.space(node))

    def _annotation(self, node: ast.expr, space: Space) -> str:
        if isinstance(node, ast.Constant):
            return NOTHING if node.value is None else ""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self._agreed((self._annotation(node.left, space), self._annotation(node.right, space)))
        if isinstance(node, ast.Subscript):
            outer = last_name(node.value)
            inner = node.slice
            if outer in ("Optional", "Annotated", "ClassVar", "Final"):
                first = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
                return self._annotation(first, space)
            if outer == "Union" and isinstance(inner, ast.Tuple):
                return self._agreed(self._annotation(part, space) for part in inner.elts)
            node = node.value
        found = {self.words.annotations.get(origin, "") for origin in self.names.origins(node, space)}
        if found:
            return found.pop() if len(found) == 1 else ""
        inner_class = self._class(node, space)
        return f"instance {id(inner_class)}" if inner_class is not None else ""

    def _agreed(self, kinds: Iterable[str]) -> str:
        found = set(kinds) - {NOTHING}
        return found.pop() if len(found) == 1 else ""

    def _class(self, node: ast.AST, space: Space) -> Space | None:
        if not isinstance(node, ast.Name):
            return None
        found = space.lookup(node.id)
        if found is None or len(found[0]) != 1 or not isinstance(found[0][0].node, ast.ClassDef):
            return None
        return self.names.spaces.get(found[0][0].node)

    def _function(self, node: ast.AST, space: Space) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function or method of this file that a callee names."""
        bindings: list[Binding] = []
        if isinstance(node, ast.Name):
            found = space.lookup(node.id)
            bindings = found[0] if found is not None else []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = space.owner
            if owner is not None and node.value.id == space.receiver:
                bindings = owner.bound.get(node.attr, [])
        if len(bindings) == 1 and isinstance(bindings[0].node, FunctionNode):
            return bindings[0].node
        return None

    def _look(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return NOTHING if node.value is None else ""
        if isinstance(node, ast.Await):
            inner = self.kind(node.value)
            if inner.startswith(_COROUTINE):
                return inner.removeprefix(_COROUTINE)
            return self.words.awaited.get(inner, "")
        if isinstance(node, ast.Call):
            return self._called(node)
        if isinstance(node, ast.Name):
            found = self.names.space(node).lookup(node.id)
            return self._agreed(self._bound(binding, found[1]) for binding in found[0]) if found is not None else ""
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.NamedExpr):
            return self.kind(node.value)
        if isinstance(node, ast.IfExp):
            return self._agreed((self.kind(node.body), self.kind(node.orelse)))
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self._agreed(self.kind(value) for value in node.values)
        return ""

    def _attribute(self, node: ast.Attribute) -> str:
        space = self.names.space(node)
        if isinstance(node.value, ast.Name) and node.value.id == space.receiver and space.owner is not None:
            return self.attribute(space.owner, node.attr)
        kind = self.kind(node.value)
        if kind.startswith("instance "):
            for scope in self.names.spaces.values():
                if kind == f"instance {id(scope)}":
                    return self.attribute(scope, node.attr)
        return ""

    def _called(self, node: ast.Call) -> str:
        space = self.names.space(node)
        origins = self.names.origins(node.func, space)
        if origins:
            if len(origins) == 1 and origins[0] in _TRANSPARENT and node.args:
                return self.kind(node.args[1 if origins[0] == "typing.cast" and len(node.args) > 1 else 0])
            found = {self.words.calls.get(origin, "") for origin in origins}
            return found.pop() if len(found) == 1 else ""
        if isinstance(node.func, ast.Attribute):
            if node.func.attr in _ENTERING and len(node.args) == 1:
                kind = self._entered(node.args[0])
                if kind:
                    return _COROUTINE + kind if node.func.attr == "enter_async_context" else kind
            kind = self.words.methods.get((self.kind(node.func.value), node.func.attr), "")
            if kind:
                return kind
        kind = self.words.methods.get((self.kind(node.func), ""), "")
        if kind:
            return kind
        function = self._function(node.func, space)
        if function is not None:
            return self._returned(function)
        inner = self._class(node.func, space)
        return f"instance {id(inner)}" if inner is not None else ""

    def _returned(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """What a call of a local function gives."""
        yields = self._yields(function)
        decorators = {
            dotted(d.func if isinstance(d, ast.Call) else d).rpartition(".")[2] for d in function.decorator_list
        }
        if yields is not None:
            return _MANAGER + yields if yields and decorators & _MANAGERS else ""
        if decorators - {"staticmethod", "classmethod"}:
            return ""
        kind = self.annotated(function.returns) if function.returns is not None else self._returns(function)
        if kind == NOTHING:
            return ""
        return _COROUTINE + kind if kind and isinstance(function, ast.AsyncFunctionDef) else kind

    def _own(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterable[ast.AST]:
        stack: list[ast.AST] = list(function.body)
        while stack:
            node = stack.pop()
            yield node
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
                stack.extend(ast.iter_child_nodes(node))

    def _returns(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        return self._agreed(self.kind(node.value) for node in self._own(function) if isinstance(node, ast.Return))

    def _yields(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
        """The kind that a generator yields; None for a function that does not yield."""
        found = [node.value for node in self._own(function) if isinstance(node, ast.Yield)]
        return self._agreed(self.kind(value) for value in found) if found else None

    def _entered(self, node: ast.expr) -> str:
        kind = self.kind(node)
        if kind.startswith(_MANAGER):
            return kind.removeprefix(_MANAGER)
        return self.words.entered.get(kind, "")

    def _bound(self, binding: Binding, space: Space) -> str:
        node = binding.node
        if binding.how == "kind":
            return binding.origin
        if binding.how == "value" and isinstance(node, ast.expr):
            return self.kind(node)
        if binding.how == "annotation" and isinstance(node, ast.expr):
            return self.annotated(node) or (self.kind(binding.value) if binding.value is not None else "")
        if binding.how == "entered" and isinstance(node, ast.expr):
            return self._entered(node)
        if binding.how == "iterated" and isinstance(node, ast.expr):
            return self.words.iterated.get(self.kind(node), "")
        if binding.how == "parameter" and isinstance(node, ast.arg):
            return self.annotated(node.annotation) if node.annotation is not None else self._fixture(node.arg, space)
        return ""

    def _fixture(self, name: str, space: Space) -> str:
        """The kind of a parameter that pytest fills from a fixture of this file."""
        function = space.node
        if not isinstance(function, FunctionNode) or not (function.name.startswith("test") or _is_fixture(function)):
            return ""
        found = space.parent.lookup(name) if space.parent is not None else None
        if found is None or len(found[0]) != 1:
            return ""
        fixture = found[0][0].node
        if not isinstance(fixture, FunctionNode) or fixture is function or not _is_fixture(fixture):
            return ""
        yields = self._yields(fixture)
        return yields if yields is not None else self._returns(fixture)


def _is_fixture(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        dotted(d.func if isinstance(d, ast.Call) else d).rpartition(".")[2] == "fixture"
        for d in function.decorator_list
    )
