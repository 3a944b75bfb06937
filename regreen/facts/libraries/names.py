"""The names of one file: which scope binds them, and to what. The ground that `values` stands on."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from regreen.facts.source.context import dotted

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES: Final = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda})
_BINDING: Final = frozenset(
    {
        ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.AugAssign, ast.withitem, ast.For,
        ast.AsyncFor, ast.comprehension, ast.Global, ast.ExceptHandler, ast.MatchAs, ast.MatchStar,
    }
)  # fmt: skip
#: Fields that hold no node that anybody asks for: texts, numbers, operators, contexts.
_NO_NODES: Final = frozenset(
    {
        "arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "level", "module", "op", "ops", "rest",
        "simple", "type_comment", "type_ignores",
    }
)  # fmt: skip
_FIELDS: Final[dict[type[ast.AST], tuple[str, ...]]] = {ast.Constant: ()}


class Binding(NamedTuple):
    """One way in which a name comes to hold something.

    `how` is `import` (with `origin`), `value`, `annotation`, `entered`, `iterated` (with `node`), `parameter`, `def`
    (with `node`), `kind` (with `origin`: what a library says it is), or `opaque`.
    """

    how: str
    node: ast.AST | None = None
    origin: str = ""
    value: ast.expr | None = None  # what an annotated name is given at once


class Space:
    """A scope: the module, a class, a function."""

    __slots__ = ("attributes", "bound", "globals", "kind", "node", "parent", "qualname")

    def __init__(self, kind: str, name: str, node: ast.AST, parent: Space | None) -> None:
        self.kind = kind
        self.node = node
        self.parent = parent
        self.qualname: str = f"{parent.qualname}.{name}" if parent is not None and parent.qualname else name
        self.bound: dict[str, list[Binding]] = {}
        self.globals: set[str] = set()
        self.attributes: dict[str, list[tuple[Binding, Space]]] = {}  # of a class: what `self.name` was given

    def bind(self, name: str, binding: Binding) -> None:
        """One more binding of a name, in the module for a name that is declared global."""
        space = self
        if name in self.globals:
            while space.parent is not None:
                space = space.parent
        space.bound.setdefault(name, []).append(binding)

    @property
    def owner(self) -> Space | None:
        """The class whose method this scope is, or stands in."""
        space: Space | None = self
        while space is not None and not (space.kind == "function" and space.parent and space.parent.kind == "class"):
            space = space.parent
        return space.parent if space is not None else None

    @property
    def receiver(self) -> str:
        """The first parameter of the method that this scope is, or stands in: `self`, as a rule."""
        space: Space | None = self
        while space is not None:
            node = space.node
            if space.kind == "function" and space.parent and space.parent.kind == "class":
                arguments = node.args if isinstance(node, FunctionNode) else None
                every = [*arguments.posonlyargs, *arguments.args] if arguments else []
                return every[0].arg if every else ""
            space = space.parent
        return ""

    def lookup(self, name: str) -> tuple[list[Binding], Space] | None:
        """The bindings of a name as this scope sees it, and the scope that holds them."""
        here: Space | None = self
        while here is not None:
            found = here.bound.get(name)
            if found is not None and (here is self or here.kind != "class"):
                return found, here
            here = here.parent
        return None


class Names:
    """A parsed file with its scopes. `renames` maps an import's origin to another one (a re-export in the tree)."""

    def __init__(self, tree: ast.Module, renames: Mapping[str, str] | None = None) -> None:
        self.tree = tree
        self.module = Space("module", "", tree, None)
        self.parents: dict[ast.AST, ast.AST] = {}
        self.spaces: dict[ast.AST, Space] = {tree: self.module}  # of each scope's node, and of each call and attribute
        self.calls: list[ast.Call] = []
        self.attributes: list[ast.Attribute] = []
        self.imports: list[tuple[ast.Import | ast.ImportFrom, Space]] = []
        self.loads: list[ast.Name] = []
        self._renames = dict(renames or {})
        self._walk()

    def space(self, node: ast.AST) -> Space:
        """The scope around a node."""
        current: ast.AST | None = node
        while current is not None:
            found = self.spaces.get(current)
            if found is not None:
                return found
            current = self.parents.get(current)
        return self.module

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, innermost first."""
        current = self.parents.get(node)
        while current is not None:
            yield current
            current = self.parents.get(current)

    def origins(self, node: ast.AST, space: Space | None = None, depth: int = 0) -> tuple[str, ...]:
        """Every dotted origin that a name may have by the file's imports; empty where one binding is not an import.

        `None` beside an import (the optional import) does not count. Simple aliases (`connect = websockets.connect`)
        are followed.
        """
        name = dotted(node)
        if not name or depth > 4:
            return ()
        root, _, rest = name.partition(".")
        found = (space or self.space(node)).lookup(root)
        if found is None:
            return ()
        result: list[str] = []
        for binding in found[0]:
            if binding.how == "import":
                result.append(binding.origin)
            elif binding.how == "value" and isinstance(binding.node, ast.Name | ast.Attribute):
                inner = self.origins(binding.node, found[1], depth + 1)
                if not inner or dotted(binding.node).partition(".")[0] == root:
                    return ()
                result += inner
            elif not (binding.how == "value" and isinstance(binding.node, ast.Constant) and binding.node.value is None):
                return ()
        return tuple(dict.fromkeys(self._renamed(f"{origin}.{rest}" if rest else origin) for origin in result))

    def origin(self, node: ast.AST, space: Space | None = None) -> str:
        """The one origin of a name, or an empty string."""
        found = self.origins(node, space)
        return found[0] if len(found) == 1 else ""

    def _renamed(self, origin: str) -> str:
        if not self._renames:
            return origin
        head, tail = origin, ""
        while head:
            other = self._renames.get(head)
            if other is not None:
                return other + tail
            head, _, last = head.rpartition(".")
            tail = f".{last}{tail}"
        return origin

    def _walk(self) -> None:
        parents, spaces = self.parents, self.spaces
        stack: list[tuple[ast.AST, Space]] = [(self.tree, self.module)]
        while stack:
            node, space = stack.pop()
            kind = node.__class__
            if kind is ast.Name:
                if node.ctx.__class__ is ast.Load:  # type: ignore[attr-defined]
                    self.loads.append(node)  # type: ignore[arg-type]
                    spaces[node] = space
                continue
            fields = _FIELDS.get(kind)
            if fields is None:
                fields = _FIELDS[kind] = tuple(name for name in kind._fields if name not in _NO_NODES)
            if not fields:
                continue
            if kind is ast.Call:
                self.calls.append(node)  # type: ignore[arg-type]
                spaces[node] = space
            elif kind is ast.Attribute:
                self.attributes.append(node)  # type: ignore[arg-type]
                spaces[node] = space
            inner = space
            outside: tuple[ast.AST, ...] = ()
            if kind in _SCOPES:
                inner, outside = self._enter(node, space)  # type: ignore[arg-type]
            elif kind in _BINDING:
                self._bind(node, space)
            children: list[tuple[ast.AST, Space]] = []
            for name in fields:
                value = getattr(node, name, None)
                if value.__class__ is list:
                    for child in value:
                        if isinstance(child, ast.AST):
                            parents[child] = node
                            children.append((child, inner))
                elif isinstance(value, ast.AST):
                    parents[value] = node
                    children.append((value, inner))
            if outside:
                children = [(child, space if any(child is one for one in outside) else s) for child, s in children]
            children.reverse()
            stack += children

    def _enter(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda, space: Space
    ) -> tuple[Space, tuple[ast.AST, ...]]:
        """The new scope, and those of the node's children that still belong to the outer one."""
        if isinstance(node, ast.ClassDef):
            space.bind(node.name, Binding("def", node))
            inner = Space("class", node.name, node, space)
            outside: tuple[ast.AST, ...] = (*node.decorator_list, *node.bases, *node.keywords)
        else:
            name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
            inner = Space("function", name, node, space)
            outside = (node.args,)  # defaults and annotations are the outer scope's
            if not isinstance(node, ast.Lambda):
                space.bind(node.name, Binding("def", node))
                outside = (node.args, *node.decorator_list, *((node.returns,) if node.returns else ()))
            arguments = node.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                inner.bind(argument.arg, Binding("parameter", argument))
            for rest in (arguments.vararg, arguments.kwarg):
                if rest is not None:
                    inner.bind(rest.arg, Binding("opaque"))
        self.spaces[node] = inner
        return inner, outside

    def _bind(self, node: ast.AST, space: Space) -> None:
        kind = node.__class__
        if kind is ast.Import or kind is ast.ImportFrom:
            assert isinstance(node, ast.Import | ast.ImportFrom)
            self._imported(node, space)
        elif kind is ast.Assign:
            assert isinstance(node, ast.Assign)
            for target in node.targets:
                self._target(target, Binding("value", node.value), space)
        elif kind is ast.AnnAssign:
            assert isinstance(node, ast.AnnAssign)
            self._target(node.target, Binding("annotation", node.annotation, value=node.value), space)
        elif kind is ast.NamedExpr:
            assert isinstance(node, ast.NamedExpr)
            self._target(node.target, Binding("value", node.value), space)
        elif kind is ast.AugAssign:
            assert isinstance(node, ast.AugAssign)
            self._target(node.target, Binding("opaque"), space)
        elif kind is ast.withitem:
            assert isinstance(node, ast.withitem)
            if node.optional_vars is not None:
                self._target(node.optional_vars, Binding("entered", node.context_expr), space)
        elif kind in (ast.For, ast.AsyncFor, ast.comprehension):
            assert isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)
            self._target(node.target, Binding("iterated", node.iter), space)
        elif kind is ast.Global:
            assert isinstance(node, ast.Global)
            space.globals.update(node.names)
        elif kind is ast.ExceptHandler:
            assert isinstance(node, ast.ExceptHandler)
            if node.name:
                space.bind(node.name, Binding("opaque"))
        elif kind in (ast.MatchAs, ast.MatchStar):
            name = getattr(node, "name", None)
            if name:
                space.bind(name, Binding("opaque"))

    def _imported(self, node: ast.Import | ast.ImportFrom, space: Space) -> None:
        self.imports.append((node, space))
        for alias in node.names:
            if isinstance(node, ast.Import):
                root = alias.name.partition(".")[0]
                space.bind(alias.asname or root, Binding("import", node, alias.name if alias.asname else root))
            else:
                prefix = "." * node.level + (node.module or "")
                joint = "" if prefix.endswith(".") else "."
                space.bind(alias.asname or alias.name, Binding("import", node, f"{prefix}{joint}{alias.name}"))

    def _target(self, target: ast.expr, binding: Binding, space: Space) -> None:
        if isinstance(target, ast.Name):
            space.bind(target.id, binding)
        elif isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self._target(element, Binding("opaque"), space)
        elif isinstance(target, ast.Starred):
            self._target(target.value, Binding("opaque"), space)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            owner = space.owner
            if owner is not None and target.value.id == space.receiver:
                owner.attributes.setdefault(target.attr, []).append((binding, space))
