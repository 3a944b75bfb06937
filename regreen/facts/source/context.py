"""What a handler sees of a file: its place, its scopes, the names that its imports bind."""

from __future__ import annotations

import ast
from collections.abc import Set
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from regreen.facts.source.structure import Structure

Parents: TypeAlias = "tuple[ast.AST, Parents] | None"
Position: TypeAlias = tuple[int, int, int, int]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Scope:
    """A module, class or function while it is being walked."""

    __slots__ = ("bindings", "generator", "is_async", "kind", "name", "node", "parent", "qualname")

    def __init__(self, kind: str, name: str, parent: Scope | None, node: ast.AST, is_async: bool = False) -> None:
        self.kind = kind  # "module", "class" or "function"
        self.name = name
        self.parent = parent
        self.node = node
        self.is_async = is_async
        self.generator = False  # an asynchronous generator, in which `return` takes no value
        self.bindings: dict[str, str] = {}  # imported name -> dotted origin
        self.qualname: str = f"{parent.qualname}.{name}" if parent and parent.qualname else name

    @property
    def function(self) -> Scope | None:
        """The innermost function around this scope, itself included."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "function":
            scope = scope.parent
        return scope


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of names, else an empty string. A call or subscript at the root ends the chain."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(node.id)
    return ".".join(reversed(parts))


def last_name(node: ast.expr) -> str:
    """The last part of a callee's name: `connect` for `a.b().connect`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class Context:
    """What a handler sees: the file, the place, and `emit`."""

    def __init__(
        self,
        source: bytes,
        tree: ast.Module,
        structure: Structure,
        stub: bool,
        present: frozenset[bytes] = frozenset(),
        roots: Set[bytes] = frozenset(),
    ) -> None:
        self.present = present  # which needles and names of all checks occur in the file, found in one pass
        self.roots = roots  # what `imported_roots` says of the file
        self.source = source
        self.tree = tree
        self.structure = structure
        self.stub = stub
        self.scope = Scope("module", "", None, tree)
        self.module_scope = self.scope
        self.flags = 0
        self.awaits = b"await" in present
        self.suspends = self.awaits or b"yield" in present
        self._sink: list[tuple[Any, ...]] = []
        self._lines: list[bytes] | None = None
        self._memo: dict[str, Any] = {}

    def emit(self, *record: Any) -> None:
        """Add a record for the running check: primitives, tuples and lists of them (what `marshal` takes)."""
        self._sink.append(record)

    @property
    def memo(self) -> dict[str, Any]:
        """Scratch space of this file, shared by all checks: prefix keys with the check's id or a shared name."""
        return self._memo

    def at(self, node: ast.AST) -> Position:
        """The position of a node: line, column, end line, end column."""
        return (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    @property
    def lines(self) -> list[bytes]:
        """The file's lines in UTF-8, as `ast` counts them, without line ends."""
        if self._lines is None:
            self._lines = self.source.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return self._lines

    def segment(self, node: ast.AST) -> str:
        """The source text of a node."""
        line, column, end_line, end_column = self.at(node)
        lines = self.lines
        if line == end_line:
            text = lines[line - 1][column:end_column]
        else:
            text = b"\n".join((lines[line - 1][column:], *lines[line : end_line - 1], lines[end_line - 1][:end_column]))
        return text.decode("utf-8", "replace")

    def origin(self, node: ast.AST, scope: Scope | None = None) -> str:
        """Where a dotted name comes from: `websockets.connect` for `ws.connect` after `import websockets as ws`.

        Follows imports of the enclosing scopes only. Returns an empty string where the root is not imported, is a
        parameter of an enclosing function, or is not a plain name. A relative import starts with its dots.
        """
        name = dotted(node)
        if not name:
            return ""
        root, _, rest = name.partition(".")
        here: Scope | None = scope or self.scope
        while here is not None:
            found = here.bindings.get(root)
            if found is not None:
                return f"{found}.{rest}" if rest else found
            if isinstance(here.node, FunctionNode) and root in _parameters(here.node):
                return ""
            here = here.parent
        return ""


def _parameters(node: FunctionNode) -> set[str]:
    arguments = node.args
    names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    names.update(a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None)
    return names
