"""What every file says of itself: imports, top-level names, classes. The ground of the symbol index."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from regreen.facts.source import refused
from regreen.facts.source.pathedits import edits

if TYPE_CHECKING:
    from regreen.facts.source.context import Context, FunctionNode, Scope

# Kinds of a definition (`Structure.defs`, `ClassFacts.members`); DECORATED and CONDITIONAL are added as bits.
VARIABLE: Final = 1
IMPORTED: Final = 2
CLASS: Final = 3
FUNCTION: Final = 4
COROUTINE: Final = 5
ASYNC_GENERATOR: Final = 6
KIND: Final = 15
DECORATED: Final = 16
CONDITIONAL: Final = 32

_IGNORE: Final = re.compile(rb"#\s*regreen:\s*ignore\[([\w.,\s*-]+)\][ \t]*:?[ \t]*([^\r\n]*)")


_DYNAMIC: Final = frozenset({b"globals()", b"exec(", b"sys.modules[__name__]"})
_PATHS: Final = frozenset({b"sys.path", b"addsitedir", b"syspath_prepend"})
#: Texts that the structure asks for. They are looked for together with those of the checks.
WORDS: Final = _DYNAMIC | _PATHS | refused.WORDS | {b"regreen:"}


class ImportFacts(NamedTuple):
    """One import statement. `level` is -1 for `import a.b`, else the number of leading dots.

    `names` holds (name, alias or ""); `flags` are those of `visitor`; `scope` is the qualified name around it.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    level: int
    module: str
    names: tuple[tuple[str, str], ...]
    flags: int
    scope: str


class ClassFacts(NamedTuple):
    """One class. `bases` are dotted names (subscripts dropped, `?` for what is not a name)."""

    qualname: str
    line: int
    column: int
    bases: tuple[str, ...]
    keywords: tuple[str, ...]
    decorators: tuple[str, ...]
    members: dict[str, int]
    flags: int


class Structure:
    """Filled by the visitor; `pack` makes it plain for `marshal`."""

    __slots__ = (
        "_classes", "aliases", "all_names", "classes", "defs", "dynamic", "functions", "imports",
        "path_edits", "present", "spans", "suppressions", "suspicious", "tests",
    )  # fmt: skip

    def __init__(self, present: frozenset[bytes]) -> None:
        self.present = present  # which of `WORDS` occur in the file
        self.imports: list[tuple[Any, ...]] = []
        self.defs: dict[str, int] = {}
        self.classes: list[tuple[Any, ...]] = []
        self.all_names: list[str] | None = None
        self.dynamic = False  # __getattr__, globals(), exec: any name may exist
        self.aliases: dict[str, str] = {}  # top-level `name = dotted.name`
        self.suppressions: list[tuple[int, str, str]] = []
        self.suspicious = False  # worth a compile(): a statement may stand where the compiler refuses it
        self.tests = 0
        self.functions: list[tuple[str, int, int]] = []  # coroutines: (qualname, kind, line)
        self.path_edits: list[str] = []  # folders put on sys.path, as `pathedits` writes them
        self.spans: list[tuple[int, int, bool]] = []  # line ranges of functions, only kept if `await` or `yield` occurs
        self._classes: dict[int, dict[str, int]] = {}

    def imported(self, node: ast.Import | ast.ImportFrom, scope: Scope, flags: int) -> None:
        """Record an import statement and the names it binds."""
        names = tuple((alias.name, alias.asname or "") for alias in node.names)
        if isinstance(node, ast.Import):
            level, module = -1, ""
            for alias in node.names:
                if alias.asname:
                    scope.bindings[alias.asname] = alias.name
                else:
                    root = alias.name.partition(".")[0]
                    scope.bindings[root] = root
        else:
            level, module = node.level, node.module or ""
            prefix = "." * level + module
            joint = "" if prefix.endswith(".") else "."
            for alias in node.names:
                scope.bindings[alias.asname or alias.name] = f"{prefix}{joint}{alias.name}"
            if names[0][0] == "*" and scope.kind != "module":
                self.suspicious = True
        if scope.kind == "module":
            for name, alias_name in names:
                self.defs.setdefault(alias_name or (name.partition(".")[0] if level < 0 else name), IMPORTED)
        self.imports.append(
            (
                node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, level, module, names, flags,
                scope.qualname,
            )
        )  # fmt: skip

    def bound(self, node: ast.stmt, scope: Scope, flags: int) -> None:
        """Record the names that a statement of a module's or class's body binds."""
        table = self.defs if scope.kind == "module" else self._classes.setdefault(id(scope.node), {})
        kind = VARIABLE | (CONDITIONAL if flags else 0)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._target(target, table, kind)
            if scope.kind == "module" and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self._assigned(node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None or scope.kind == "class":
                self._target(node.target, table, kind)
            elif isinstance(node.target, ast.Name):
                table.setdefault(node.target.id, kind)
            if scope.kind == "module" and isinstance(node.target, ast.Name) and node.value is not None:
                self._assigned(node.target.id, node.value)
        elif isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name) and node.target.id == "__all__":
                self._all(node.value, extend=True)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._target(node.target, table, kind)
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if item.optional_vars is not None:
                    self._target(item.optional_vars, table, kind)

    def _assigned(self, name: str, value: ast.expr) -> None:
        if name == "__all__":
            self._all(value, extend=False)
        elif name == "__getattr__":
            self.dynamic = True
        elif isinstance(value, ast.Name | ast.Attribute):
            text = _dotted(value)
            if text:
                self.aliases[name] = text

    def _all(self, value: ast.expr, extend: bool) -> None:
        names: list[str] = []
        parts = [value]
        while parts:
            part = parts.pop()
            if isinstance(part, ast.List | ast.Tuple):
                names += [e.value for e in part.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
            elif isinstance(part, ast.BinOp):
                parts += (part.left, part.right)
        self.all_names = [*(self.all_names or []), *names] if extend else names

    def _target(self, target: ast.expr, table: dict[str, int], kind: int) -> None:
        if isinstance(target, ast.Name):
            table.setdefault(target.id, kind)
        elif isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self._target(element, table, kind)
        elif isinstance(target, ast.Starred):
            self._target(target.value, table, kind)
        elif (
            table is self.defs
            and isinstance(target, ast.Subscript)
            and _dotted(target.value) in ("sys.modules", "modules")
        ):
            self.dynamic = True  # the module replaces itself

    def declared_global(self, node: ast.Global, scope: Scope) -> None:
        """A function may bind these names at the top level."""
        for name in node.names:
            self.defs.setdefault(name, VARIABLE | CONDITIONAL)
        if scope.kind == "function" and not self.suspicious:
            self.suspicious = refused.declared_late(scope.node, node)

    def declared_nonlocal(self, node: ast.Nonlocal, scope: Scope, context: Context) -> None:
        """A name of an enclosing function. Worth a compile() unless the text above shows the name there."""
        outer = scope.parent.function if scope.kind == "function" and scope.parent is not None else None
        if outer is None:
            self.suspicious = True
            return
        while outer.parent is not None and outer.parent.function is not None:
            outer = outer.parent.function
        first: int = getattr(outer.node, "lineno", 1)
        above = b"\n".join(context.lines[first - 1 : getattr(scope.node, "lineno", first) - 1])
        if not all(name.encode() in above for name in node.names):
            self.suspicious = True

    def matched(self, node: ast.Match) -> None:
        """The compiler refuses a case behind one that always matches, and a name captured twice."""
        for number, case in enumerate(node.cases):
            always = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None
            captured = [
                inner.name for inner in ast.walk(case.pattern) if isinstance(inner, ast.MatchAs | ast.MatchStar)
            ]
            names = [name for name in captured if name]
            if (always and number < len(node.cases) - 1) or len(set(names)) < len(names):
                self.suspicious = True

    def function(self, node: FunctionNode, scope: Scope, flags: int, context: Context) -> bool:
        """Record a function or method; whether it is an asynchronous generator."""
        is_async = isinstance(node, ast.AsyncFunctionDef)
        kind = FUNCTION
        if is_async:
            lines = context.lines[node.lineno - 1 : node.end_lineno] if b"yield" in self.present else ()
            generates = any(b"yield" in line for line in lines) and refused.yields(node)
            kind = ASYNC_GENERATOR if generates else COROUTINE
        if context.suspends:
            self.spans.append((node.lineno, node.end_lineno or node.lineno, is_async))
        if scope.kind == "function":
            return kind == ASYNC_GENERATOR
        bits = kind | (DECORATED if node.decorator_list else 0) | (CONDITIONAL if flags else 0)
        if scope.kind == "module":
            known = self.defs.get(node.name)
            self.defs[node.name] = bits if known is None else bits | CONDITIONAL
            if node.name == "__getattr__":
                self.dynamic = True
        else:
            self._classes.setdefault(id(scope.node), {})[node.name] = bits
        if is_async:
            self.functions.append((f"{scope.qualname}.{node.name}" if scope.qualname else node.name, bits, node.lineno))
        if node.name.startswith("test"):
            self.tests += 1
        arguments = node.args
        every = arguments.args
        if arguments.kwonlyargs or arguments.posonlyargs:
            every = [*arguments.posonlyargs, *every, *arguments.kwonlyargs]
        if len(every) > 1 and len({a.arg for a in every}) < len(every):
            self.suspicious = True
        return kind == ASYNC_GENERATOR

    def klass(self, node: ast.ClassDef, scope: Scope, flags: int) -> None:
        """Record a class; its members are filled in while its body is walked."""
        members = self._classes.setdefault(id(node), {})
        if scope.kind == "module":
            known = self.defs.get(node.name)
            self.defs[node.name] = (
                CLASS | (DECORATED if node.decorator_list else 0) | (CONDITIONAL if flags or known else 0)
            )
        elif scope.kind == "class":
            self._classes.setdefault(id(scope.node), {})[node.name] = CLASS
        self.classes.append(
            (
                f"{scope.qualname}.{node.name}" if scope.qualname else node.name,
                node.lineno,
                node.col_offset,
                tuple(_base(base) for base in node.bases),
                tuple(f"{k.arg}={_dotted(k.value)}" for k in node.keywords if k.arg),
                tuple(_dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list),
                members,
                flags | (1 << 20 if scope.kind == "function" else 0),
            )
        )

    def finish(self, source: bytes, tree: ast.Module) -> None:
        """What needs the whole file: suppressions, dynamic names, statements the compiler may refuse."""
        present = self.present
        if not _DYNAMIC.isdisjoint(present):
            self.dynamic = True
        if not _PATHS.isdisjoint(present):
            self.path_edits = edits(tree, source)
        if b"regreen:" in present:
            for match in _IGNORE.finditer(source):
                line = source.count(b"\n", 0, match.start()) + 1
                reason = match[2].decode("utf-8", "replace").strip()
                self.suppressions.append((line, match[1].decode("ascii", "replace"), reason))
        if not self.suspicious:
            self.suspicious = refused.suspected(source, tree, present, self.spans)

    def pack(self) -> tuple[Any, ...]:
        """Plain values; `unpack` of `FileFacts` is the other half."""
        return (
            self.imports, self.defs, self.classes, self.all_names, self.dynamic, self.aliases, self.suppressions,
            self.tests, self.functions, self.path_edits,
        )  # fmt: skip


def _dotted(node: ast.AST) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(node.id)
    return ".".join(reversed(parts))


def _base(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        node = node.value
    return _dotted(node) or "?"
