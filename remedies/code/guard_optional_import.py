"""Keep what an optional import may leave None or unbound from being used while the module is imported.

A constant or a default value is made only where the library is there, and is None elsewhere; a call for its effect goes
under a condition; the condition of a skip says first that the library is missing; an annotation is quoted; a name that the
handler leaves unbound is bound to None there. Safe, since with the library everything has the value that it had, and
without it the module could not be imported at all, so no program depends on what it did. Unsafe where what may now be None
is passed on while modules are imported, is annotated as never None, or where a class or a decorator may read the change.
Bases and decorators are refused: what the class or function is without the library is for a person to say.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one, position
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.source import Index, last_name
from regreen.facts.source.modules import modules
from regreen.facts.source.syntax import Unreadable, parse
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.guard-optional-import"
CHECK: Final = "code.optional-imports-guarded"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://docs.python.org/3/reference/import.html#loading"
_BLOCKS: Final = (ast.Try, ast.TryStar, ast.While, ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.Match)
_LEAVES: Final = frozenset({"skip", "exit", "fail", "importorskip", "abort", "_exit"})
#: Decorators that do not read annotations.
_BLIND: Final = frozenset(
    {"fixture", "property", "staticmethod", "classmethod", "contextmanager", "asynccontextmanager", "abstractmethod"}
    | {"cache", "lru_cache", "override", "skipif", "skip", "xfail", "parametrize", "asyncio", "usefixtures"}
)
#: Conditions of skips: what to say first, and how to join it to the rest.
_SKIPS: Final = {"skipif": "or", "skipIf": "or", "skipUnless": "and"}


class _Part(NamedTuple):
    """An expression that runs at import: what it is of its statement, and the class body that the statement is in."""

    kind: str  # value, default, annotation, effect, base, decorator, other
    expression: ast.expr
    statement: ast.stmt
    inside: ast.ClassDef | None
    said: ast.expr | None = None  # the annotation of what gets the value


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per optional name, for all of its uses at import; a refusal where one of them has no certain repair."""
    optional: dict[str, list[Finding]] = {}
    for finding in findings:
        optional.setdefault(finding.path, []).append(finding)

    def edit(finding: Finding, draft: Draft) -> Edit:
        return _Guard(finding, optional[finding.path], draft, index).edit()

    return one_by_one(ID, findings, index, edit)


class _Guard:
    """The repair of one finding."""

    def __init__(self, finding: Finding, around: Sequence[Finding], draft: Draft, index: Index) -> None:
        self._finding = finding
        self._around = around
        self._draft = draft
        self._index = index
        self._name = finding.get("name")
        self._lazy = b"from __future__ import annotations" in draft.text.source
        self._splices: list[Splice] = []
        self._safe = True
        self._guarded: set[ast.AST] = set()  # expressions that now run only where the library is there
        self._made: list[tuple[str, ast.ClassDef | None]] = []  # what may now be None

    def edit(self) -> Edit:
        """All of it. Raises UndecidedError."""
        attempt = self._try()
        body = self._draft.tree.body
        following = body[body.index(attempt) + 1 :]
        if self._finding.get("state") == "unbound":
            self._bind(attempt)
        uses = [p for p in _parts(following, self._name, self._lazy) if any(_needs(p, self._name))]
        if not uses and not self._splices:
            raise UndecidedError("the file changed since it was read", "run again")
        for part in uses:
            self._repair(part)
        for made, inside in self._made:
            self._follow(made, following if inside is None else inside.body, inside is None)
        module = self._finding.get("module")
        count = self._finding.get("cascade-count", "0")
        return Edit(
            tuple(dict.fromkeys(self._splices)),
            f"the module can be imported without {module}",
            f"{self._finding.observed}; {count} other files of the tree need this import to succeed; {_SOURCE}",
            Safety.SAFE if self._safe else Safety.UNSAFE,
        )

    def _try(self) -> ast.Try:
        for node in self._draft.tree.body:
            if isinstance(node, ast.Try) and ",".join(map(str, position(node))) == self._finding.get("guard"):
                return node
        raise UndecidedError("the file changed since it was read", "run again")

    def _bind(self, attempt: ast.Try) -> None:
        """Every name that this handler leaves unbound becomes None in it, so that the changes for them agree."""
        guard = self._finding.get("guard")
        names = [f.get("name") for f in self._around if f.get("guard") == guard and f.get("state") == "unbound"]
        text = f"{' = '.join(dict.fromkeys(names))} = None"
        handler = attempt.handlers[0]
        last = handler.body[-1]
        if len(handler.body) == 1 and isinstance(last, ast.Pass):
            self._splices.append(self._draft.replace(last, text))
        elif last.lineno == handler.lineno or not self._alone(last):
            self._splices.append(self._draft.insert(self._draft.end(last), f"; {text}"))
        else:
            indent = self._indent(last)
            self._splices.append(self._draft.insert(self._draft.start(last), f"{text}\n{indent}"))

    def _indent(self, node: ast.stmt) -> str:
        return self._draft.text.indent(node.lineno).decode(self._draft.text.encoding)

    def _alone(self, node: ast.stmt) -> bool:
        """Whether a statement has its lines for itself."""
        text = self._draft.text
        start, end = self._draft.start(node), self._draft.end(node)
        rest = text.source[end : text.line_start((node.end_lineno or node.lineno) + 1)].strip()
        before = text.source[text.line_start(node.lineno) : start]
        return not before.strip() and (not rest or rest.startswith(b"#"))

    def _names(self, part: _Part) -> list[str]:
        """The optional names that an expression needs, in the same order for each of their findings."""
        return [name for name in dict.fromkeys(f.get("name") for f in self._around) if any(_needs(part, name))]

    def _there(self, part: _Part) -> str:
        return " and ".join(f"{name} is not None" for name in self._names(part))

    def _repair(self, part: _Part) -> None:
        if part.kind == "annotation":
            self._quote(part)
        elif self._skip(part):
            pass
        elif part.kind == "effect" and self._alone(part.statement):
            indent = self._indent(part.statement)
            head = f"if {self._there(part)}:\n{indent}    "
            self._splices.append(self._draft.insert(self._draft.start(part.statement), head))
            self._guarded.add(part.expression)
        elif part.kind in ("value", "default"):
            self._conditional(part)
        else:
            raise self._refusal(part)

    def _skip(self, part: _Part) -> bool:
        """Whether the uses are in the condition of a skip, which then skips where the library is missing."""
        found: list[tuple[str, ast.expr]] = []
        for call in ast.walk(part.expression):
            if isinstance(call, ast.Call) and last_name(call.func) in _SKIPS:
                conditions = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "condition")]
                found += [(last_name(call.func), condition) for condition in conditions]
        uses = list(_needs(part, self._name))
        held = [(kind, condition) for kind, condition in found if any(use in ast.walk(condition) for use in uses)]
        covered = {node for _, condition in held for node in ast.walk(condition)}
        if not held or not covered.issuperset(uses) or any(isinstance(c, ast.NamedExpr | ast.Starred) for _, c in held):
            return False
        for kind, condition in held:
            names = self._names(part._replace(kind="other", expression=condition))
            join = _SKIPS[kind]
            says = "is None" if join == "or" else "is not None"
            first = "".join(f"{name} {says} {join} " for name in names)
            self._splices.append(self._draft.insert(self._draft.start(condition), first))
            self._guarded.add(condition)
        return True

    def _conditional(self, part: _Part) -> None:
        """The value where the library is there, else None."""
        draft, value, statement = self._draft, part.expression, part.statement
        if part.kind == "value":
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            for target in targets:
                if not isinstance(target, ast.Name):
                    raise self._refusal(part)
                self._made.append((target.id, part.inside))
            owner = part.inside
            if owner is not None and (owner.bases or owner.keywords or owner.decorator_list):
                self._safe = False  # fields of models, members of enumerations
        if part.said is not None and not _allows_none(part.said):
            self._safe = False
        bare = isinstance(value, ast.Tuple) and not _in_parentheses(draft.source(value))
        if bare:
            self._splices.append(draft.insert(draft.start(value), "("))
        self._splices.append(draft.insert(draft.end(value), f"{')' * bare} if {self._there(part)} else None"))
        self._guarded.add(value)

    def _quote(self, part: _Part) -> None:
        node, statement = part.expression, part.statement
        text = self._draft.source(node)
        quote = next((mark for mark in "\"'" if mark not in text), "")
        if not quote or "\n" in text or "\\" in text or isinstance(node, ast.Starred):
            raise UndecidedError(
                f"the annotation `{text}` is evaluated at import, and cannot be quoted as it stands",
                "`from __future__ import annotations` in this file, if nothing reads its annotations while it runs",
            )
        self._splices.append(self._draft.replace(node, f"{quote}{text}{quote}"))
        self._guarded.add(node)
        if isinstance(statement, FunctionNode):
            readers = statement.decorator_list
            self._safe &= all(last_name(d.func if isinstance(d, ast.Call) else d) in _BLIND for d in readers)
        elif part.inside is not None:
            owner = part.inside
            self._safe &= not (owner.bases or owner.keywords or owner.decorator_list)

    def _follow(self, name: str, body: Sequence[ast.stmt], top: bool) -> None:
        """See what else runs at import with a value that may now be None. Raises UndecidedError."""
        parents = self._draft.names.parents
        for load in _loads(body, name, self._name, self._guarded, self._lazy):
            parent = parents.get(load)
            if isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is load:
                raise self._used(name, parent)
            if isinstance(parent, ast.BinOp) or (isinstance(parent, ast.Call) and parent.func is load):
                raise self._used(name, parent)
            if isinstance(parent, ast.ClassDef) or (isinstance(parent, FunctionNode) and load in parent.decorator_list):
                raise self._used(name, load)
            self._safe = False
        if top and self._safe and self._taken(name):
            self._safe = False

    def _used(self, name: str, node: ast.expr) -> UndecidedError:
        module = self._finding.get("module")
        return UndecidedError(
            f"without {module}, {name} would be None, and `{self._draft.source(node)[:80]}` in line {node.lineno} "
            "needs it at import too",
            f"put all of it under `if {self._name} is not None:`, or into the function that needs it",
        )

    def _taken(self, name: str) -> bool:
        """Whether another module takes the value by name and uses it while it is imported."""
        found = modules(self._index)
        for path, file in self._index.files.items():
            for item in file.raw_imports:
                level, module, names, scope = item[4], item[5], item[6], item[8]
                if level < 0 or scope or not any(own == name for own, _ in names):
                    continue
                if found.resolve(path, level, module).path != self._draft.path:
                    continue
                parsed = parse(self._index.tree.read(path))
                if isinstance(parsed, Unreadable):
                    continue
                local = next(alias or own for own, alias in names if own == name)
                if any(_loads(parsed[1].body, local, local, set(), True)):
                    return True
        return False

    def _refusal(self, part: _Part) -> UndecidedError:
        name, module = self._name, self._finding.get("module")
        text = " ".join(self._draft.source(part.expression).split())[:80]
        what = getattr(part.statement, "name", "")
        if part.kind == "base":
            return UndecidedError(
                f"{what} derives from `{text}`, and what it is without {module} cannot be told",
                f"define {what} under `if {name} is not None:` (its users need the same condition), give it a stand-in "
                f"as base in the handler, or make {module} a requirement",
            )
        if part.kind == "decorator":
            return UndecidedError(
                f"`@{text}` decorates {what}, and what {what} does without {module} cannot be told",
                f"define {what} under `if {name} is not None:`, bind a decorator that changes nothing in the handler, "
                f"or make {module} a requirement; a test module can begin with `pytest.importorskip('{module}')`",
            )
        return UndecidedError(
            f"`{text}` runs at import in a statement that has no value to leave None",
            f"put it under `if {name} is not None:`, or into the function that needs it",
        )


def _in_parentheses(text: str) -> bool:
    """Whether the parentheses of a tuple are its own: what follows them then applies to all of it."""
    return not text.endswith(",") and isinstance(ast.parse(f"{text}.x", mode="eval").body, ast.Attribute)


def _allows_none(annotation: ast.expr) -> bool:
    names = {last_name(node) for node in ast.walk(annotation) if isinstance(node, ast.Name | ast.Attribute)}
    if any(isinstance(node, ast.Constant) and node.value is None for node in ast.walk(annotation)):
        return True
    quoted = [n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return bool(names & {"Optional", "Any", "object"}) or last_name(annotation) == "Final" or any(
        "None" in text or "Optional" in text for text in quoted
    )  # fmt: skip


def _parts(body: Sequence[ast.stmt], name: str, lazy: bool, inside: ast.ClassDef | None = None) -> Iterator[_Part]:
    """What runs at import and under no condition, until the name is bound again or the module has left."""
    for node in body:
        if isinstance(node, ast.If):
            if _leaves(node.body) or (_mentions(node.test, name) and any(_binds(inner, name) for inner in node.body)):
                return
            continue
        if isinstance(node, _BLOCKS):
            if any(_binds(inner, name) for inner in _flat(node)):
                return
            continue
        if isinstance(node, FunctionNode | ast.ClassDef):
            yield from (_Part("decorator", part, node, inside) for part in node.decorator_list)
        if isinstance(node, FunctionNode):
            yield from _signature(node, lazy, inside)
        elif isinstance(node, ast.ClassDef):
            yield from (_Part("base", part, node, inside) for part in (*node.bases, *(k.value for k in node.keywords)))
            yield from _parts(node.body, name, lazy, node)
        elif isinstance(node, ast.AnnAssign):
            if not lazy:
                yield _Part("annotation", node.annotation, node, inside)
            if node.value is not None:
                yield _Part("value", node.value, node, inside, node.annotation)
        elif isinstance(node, ast.Assign):
            yield _Part("value", node.value, node, inside)
            yield from (_Part("other", target, node, inside) for target in node.targets)
        elif isinstance(node, ast.Expr):
            yield _Part("effect", node.value, node, inside)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield _Part("other", child, node, inside)
        if _binds(node, name):
            return


def _signature(node: FunctionNode, lazy: bool, inside: ast.ClassDef | None) -> Iterator[_Part]:
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    given = list(zip(plain[len(plain) - len(arguments.defaults) :], arguments.defaults, strict=True))
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    given += [(argument, default) for argument, default in named if default is not None]
    for argument, default in given:
        yield _Part("default", default, node, inside, argument.annotation)
    if not lazy:
        for each in (*plain, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
            if each is not None and each.annotation is not None:
                yield _Part("annotation", each.annotation, node, inside)
        if node.returns is not None:
            yield _Part("annotation", node.returns, node, inside)


def _flat(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and the statements inside it that run with it."""
    yield node
    if not isinstance(node, FunctionNode | ast.ClassDef | ast.expr):
        for child in ast.iter_child_nodes(node):
            yield from _flat(child)


def _mentions(node: ast.AST, *names: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and last_name(node.value.func) in _LEAVES)
        for node in body
    )


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, FunctionNode | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((a.asname or a.name.partition(".")[0]) == name for a in node.names)
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    return any(_mentions(target, name) for target in targets if isinstance(target, ast.Name | ast.Tuple | ast.List))


def _needs(part: _Part, name: str) -> Iterator[ast.AST]:
    """Where an expression fails when the name is None."""
    if part.kind in ("base", "decorator") and isinstance(part.expression, ast.Name) and part.expression.id == name:
        yield part.expression
    stack: list[ast.AST] = [part.expression]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Lambda | ast.IfExp | ast.BoolOp | ast.GeneratorExp):
            continue
        held = node.value if isinstance(node, ast.Attribute | ast.Subscript) else getattr(node, "func", None)
        stored = isinstance(getattr(node, "ctx", None), ast.Store)
        if isinstance(held, ast.Name) and held.id == name and not stored:
            yield node
        stack.extend(ast.iter_child_nodes(node))


def _loads(body: Sequence[ast.stmt], name: str, library: str, guarded: set[ast.AST], lazy: bool) -> Iterator[ast.Name]:
    """Where a name is read at import, and neither a condition nor what is guarded now stands around it."""
    stack: list[ast.AST] = list(reversed(body))
    while stack:
        node = stack.pop()
        if node in guarded or isinstance(node, ast.Lambda | ast.IfExp | ast.BoolOp):
            continue
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            continue
        if isinstance(node, ast.If) and _mentions(node.test, name, library, "__name__", "TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            yield node
        if isinstance(node, FunctionNode):
            # A parameter that may be None, or is annotated so, is used inside the function only.
            parts = [part.expression for part in _signature(node, lazy, None)]
            stack += [*node.decorator_list, *(part for part in parts if not isinstance(part, ast.Name))]
        elif isinstance(node, ast.AnnAssign):
            quiet = lazy or isinstance(node.annotation, ast.Name)
            stack += [part for part in (node.value, None if quiet else node.annotation) if part is not None]
        else:
            stack.extend(ast.iter_child_nodes(node))


def _pair(before: str, after: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before}, {"a.py": after}


_TRY: Final = "try:\n    import redis\nexcept ImportError:\n    redis = None\n"
_PASS: Final = "try:\n    import redis\nexcept ImportError:\n    pass\n"  # noqa: S105

EXAMPLES: Final = (
    Example("a constant", *_pair(_TRY + "POOL = redis.Pool('é')  # why\n\n\ndef f():\n    return POOL.get()\n", _TRY + "POOL = redis.Pool('é') if redis is not None else None  # why\n\n\ndef f():\n    return POOL.get()\n")),
    Example("over several lines, and in parentheses", *_pair(_TRY + "A = redis.Pool(\n    1,\n)\nB = (\n    redis.B  # é\n)\n", _TRY + "A = redis.Pool(\n    1,\n) if redis is not None else None\nB = (\n    redis.B if redis is not None else None  # é\n)\n")),
    Example("a tuple", *_pair(_TRY + "E = (redis.A), redis.B\n", _TRY + "E = ((redis.A), redis.B) if redis is not None else None\n")),
    Example("a from-import", *_pair("try:\n    from redis import Redis\nexcept ImportError:\n    Redis = None\nclient = Redis()\n", "try:\n    from redis import Redis\nexcept ImportError:\n    Redis = None\nclient = Redis() if Redis is not None else None\n")),
    Example("one constant made of the other", *_pair(_TRY + "P = redis.Pool()\nC = redis.Redis(pool=P.x)\n", _TRY + "P = redis.Pool() if redis is not None else None\nC = redis.Redis(pool=P.x) if redis is not None else None\n")),
    Example("two libraries in one value", *_pair("try:\n    import a1, b1\nexcept ImportError:\n    a1 = b1 = None\nX = a1.f(b1.g)\n", "try:\n    import a1, b1\nexcept ImportError:\n    a1 = b1 = None\nX = a1.f(b1.g) if a1 is not None and b1 is not None else None\n")),
    Example("a default value", *_pair(_TRY + "def f(x=1, *, client=redis.Redis()): ...\n", _TRY + "def f(x=1, *, client=redis.Redis() if redis is not None else None): ...\n")),
    Example("annotations", *_pair(_TRY + "def f(a: redis.Redis, b: list[redis.X['k']]) -> redis.Y: ...\nz: redis.Z\n", _TRY + "def f(a: \"redis.Redis\", b: \"list[redis.X['k']]\") -> \"redis.Y\": ...\nz: \"redis.Z\"\n")),
    Example("in a class body", *_pair(_TRY + "class A:\n    pool = redis.Pool()\n", _TRY + "class A:\n    pool = redis.Pool() if redis is not None else None\n")),
    Example("a call for its effect", *_pair(_TRY + "redis.set_up(\n    'é',\n)  # why\n", _TRY + "if redis is not None:\n    redis.set_up(\n    'é',\n)  # why\n")),
    Example("the condition of a skip", *_pair("import pytest\n" + _TRY + "@pytest.mark.skipif(redis.VERSION < (4,), reason='old')\ndef test_a(): ...\npytestmark = pytest.mark.skipif(not redis.A, reason='é')\n", "import pytest\n" + _TRY + "@pytest.mark.skipif(redis is None or redis.VERSION < (4,), reason='old')\ndef test_a(): ...\npytestmark = pytest.mark.skipif(redis is None or not redis.A, reason='é')\n")),
    Example("left unbound", *_pair(_PASS + "NAME = redis\nX = redis.X\n", "try:\n    import redis\nexcept ImportError:\n    redis = None\nNAME = redis\nX = redis.X if redis is not None else None\n")),
    Example("left unbound by a handler that says so", *_pair("try:\n    import redis\nexcept ImportError:\n    print('é')\nX = redis.X\n", "try:\n    import redis\nexcept ImportError:\n    redis = None\n    print('é')\nX = redis.X if redis is not None else None\n")),
    Example("a base class", {"a.py": _TRY + "class Client(redis.Redis): ...\n"}, refuses=True),
    Example("a decorator", {"a.py": _TRY + "@redis.cached\ndef f(): ...\n"}, refuses=True),
    Example("a base class beside a constant", {"a.py": _TRY + "X = redis.X\nclass Client(redis.Redis): ...\n"}, refuses=True),
    Example("a constant that is needed at import too", {"a.py": _TRY + "P = redis.Pool()\nC = P.get()\n"}, refuses=True),
    Example("a constant that is a base class", {"a.py": _TRY + "Base = redis.Base\nclass C(Base): ...\n"}, refuses=True),
    Example("values that are unpacked", {"a.py": _TRY + "A, B = redis.a()\n"}, refuses=True),
    Example("an assertion", {"a.py": _TRY + "assert redis.VERSION\n"}, refuses=True),
    Example("guarded", *_pair(*[_TRY + "X = redis.A if redis is not None else None\nif redis:\n    Y = redis.B\n"] * 2)),
    Example("inside a function", *_pair(*[_TRY + "def f():\n    return redis.Redis()\n"] * 2)),
)  # fmt: skip
