"""What an optional import may leave unbound or None is not used while the module is being imported.

`try: import x` with `except ImportError: x = None` promises that the module works without `x`. A use at module level (a base
class, a decorator, a default value, an attribute) breaks that promise: importing the module fails, and so does everything
that imports it. One such line broke 11 of 17 modules in a real suite, so the finding is the root; the files that fail with
it are named as its cascade and are not findings of their own.

Not reported: uses inside functions or under any condition; a handler that raises, skips, or binds a stand-in; a module that
has left (`raise`, `pytest.skip`, `sys.exit`) before the use; an import of a module that the tree itself has.
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from regreen.facts.source import Context, Index, Interests, last_name
from regreen.facts.source.distributions import STDLIB
from regreen.facts.source.initialization import initialization
from regreen.facts.source.modules import EXTERNAL, modules
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.optional-imports-guarded"
VERSION: Final = 1
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.python.org/3/reference/compound_stmts.html#function-definitions"

_KEY: Final = "optional-imports-guarded"
_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_LEAVES: Final = frozenset({"skip", "exit", "fail", "importorskip", "abort", "_exit"})
_SAYS: Final = frozenset({"print", "warn", "warning", "info", "debug", "error", "exception", "log", "critical"})
_TRY: Final = "try:\n    import redis\nexcept ImportError:\n    redis = None\n"

EXAMPLES: Final = (
    Example("a base class", {"a.py": _TRY + "class Client(redis.Redis): ...\n"}, fires=1),
    Example("a decorator", {"a.py": _TRY + "@redis.cached\ndef f(): ...\n"}, fires=1),
    Example("a default value", {"a.py": _TRY + "def f(client=redis.Redis()): ...\n"}, fires=1),
    Example("an annotation that is evaluated", {"a.py": _TRY + "def f(client: redis.Redis): ...\n"}, fires=1),
    Example("a from-import", {"a.py": "try:\n    from redis import Redis\nexcept ImportError:\n    Redis = None\nclient = Redis()\n"}, fires=1),
    Example("left unbound", {"a.py": "try:\n    import redis\nexcept ImportError:\n    pass\nNAME = redis\n"}, fires=1),
    Example("in a class body", {"a.py": _TRY + "class A:\n    pool = redis.ConnectionPool()\n"}, fires=1),
    Example("one finding for each name", {"a.py": _TRY + "X = redis.A\nY = redis.B\n"}, fires=1),
    Example("its cascade is not reported", {"a.py": _TRY + "X = redis.A\n", "b.py": "import a\n", "tests/test_c.py": "import b\n"}, fires=1),
    Example("inside a function", {"a.py": _TRY + "def f():\n    return redis.Redis()\n"}),
    Example("under a condition", {"a.py": _TRY + "if redis is not None:\n    class Client(redis.Redis): ...\n"}),
    Example("a flag", {"a.py": "try:\n    import redis\n    HAS = True\nexcept ImportError:\n    HAS = False\nif HAS:\n    X = redis.A\n"}),
    Example("annotations that are not evaluated", {"a.py": "from __future__ import annotations\n" + _TRY + "def f(client: redis.Redis): ...\n"}),
    Example("a quoted annotation", {"a.py": _TRY + "def f(client: 'redis.Redis'): ...\n"}),
    Example("None as an annotation is fine", {"a.py": "try:\n    from redis import Redis\nexcept ImportError:\n    Redis = None\ndef f(client: Redis): ...\n"}),
    Example("a stand-in", {"a.py": "try:\n    import redis\nexcept ImportError:\n    import fakeredis as redis\nX = redis.A\n"}),
    Example("a handler that leaves", {"a.py": "import pytest\ntry:\n    import redis\nexcept ImportError:\n    pytest.skip('no redis', allow_module_level=True)\nX = redis.A\n"}),
    Example("a check that leaves", {"a.py": "import sys\n" + _TRY + "if redis is None:\n    sys.exit('no redis')\nX = redis.A\n"}),
    Example("None passed on", {"a.py": _TRY + "BACKEND = redis\nprint(redis)\nHAS = redis is not None\n"}),
    Example("a conditional expression", {"a.py": _TRY + "Base = redis.Redis if redis else object\nX = redis and redis.A\n"}),
    Example("an optional import of the tree itself", {"fast.py": "", "a.py": "try:\n    import fast\nexcept ImportError:\n    fast = None\nX = fast.A\n"}),
    Example("bound before", {"a.py": "import redis\ntry:\n    import redis.sentinel\nexcept ImportError:\n    pass\nX = redis.A\n"}),
    Example("a handler that calls what may skip", {"a.py": "try:\n    import redis\nexcept ImportError as e:\n    skip_or_raise(e)\nX = redis.A\n"}),
    Example("a lambda", {"a.py": _TRY + "make = lambda: redis.Redis()\n"}),
    Example("bound again", {"a.py": _TRY + "redis = object()\nX = redis.A\n"}),
    Example("in a try of its own", {"a.py": _TRY + "try:\n    X = redis.A\nexcept AttributeError:\n    X = 1\n"}),
)  # fmt: skip


def _optional(node: ast.stmt, ctx: Context) -> None:
    if isinstance(node, ast.Try) and ctx.scope.kind == "module" and not ctx.flags:
        names = dict(_names(node))
        if names:
            ctx.memo.setdefault(_KEY, []).append((node, names))


INTERESTS: Final = Interests(
    statements={ast.Try: _optional},
    finish=lambda ctx: _finish(ctx),
    needles=("except ImportError", "except ModuleNotFoundError", "except Exception", "except (", "except:"),
)


def _names(node: ast.Try) -> Iterator[tuple[str, str]]:
    """Names that a try binds by import and its handler leaves None or unbound: (name, what is imported)."""
    bound: dict[str, str] = {}
    for statement in node.body:
        if isinstance(statement, ast.Import):
            bound.update((a.asname or a.name.partition(".")[0], a.name) for a in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            prefix = "." * statement.level + (statement.module or "")
            bound.update((a.asname or a.name, f"{prefix}:{a.name}") for a in statement.names)
    if not bound or node.finalbody:
        return
    handlers = [h for h in node.handlers if h.type is None or _ERRORS.intersection(_caught(h.type))]
    if len(handlers) != 1 or len(node.handlers) != 1 or _leaves(handlers[0].body):
        return
    state = dict.fromkeys(bound, "unbound")
    for statement in handlers[0].body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            is_none = isinstance(statement.value, ast.Constant) and statement.value.value is None
            for target in targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        state[part.id] = "None" if is_none else "bound"
        elif isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and _only_says(statement.value)):
            continue
        else:  # an import, a class, a function, a condition: it may bind them all
            return
    for name, origin in bound.items():
        if state[name] != "bound" and name != "*":
            yield name, f"{state[name]} {origin}"


def _only_says(value: ast.expr) -> bool:
    """Whether an expression only reports; any other call may raise or skip."""
    return not isinstance(value, ast.Call) or last_name(value.func) in _SAYS


def _caught(kind: ast.expr) -> list[str]:
    return [last_name(part) for part in (kind.elts if isinstance(kind, ast.Tuple) else (kind,))]


def _leaves(body: list[ast.stmt]) -> bool:
    for statement in body:
        if isinstance(statement, ast.Raise):
            return True
        if (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Call)
            and last_name(statement.value.func) in _LEAVES
        ):
            return True
    return False


def _finish(ctx: Context) -> None:
    lazy = b"from __future__ import annotations" in ctx.source
    for node, names in ctx.memo.get(_KEY, ()):
        place = ctx.tree.body.index(node)
        before, following = ctx.tree.body[:place], ctx.tree.body[place + 1 :]
        for name, what in names.items():
            lines = _lines(ctx.source, name.encode())
            if lines[-1:] <= [node.end_lineno or 0]:
                continue  # nothing below mentions it
            if any(_binds(inner, name) for statement in _mentioning(before, lines) for inner in _flat(statement)):
                continue  # bound already: the import only adds to it
            state, _, origin = what.partition(" ")
            use = next(_uses(_mentioning(following, lines), name, state == "unbound", lazy, lines), None)
            if use is not None:
                ctx.emit(name, state, origin, ctx.at(use), ctx.segment(use)[:120], ctx.at(node))


def _lines(source: bytes, word: bytes) -> list[int]:
    """The lines that hold a word, in order."""
    found: list[int] = []
    line, before = 1, 0
    position = source.find(word)
    while position >= 0:
        line += source.count(b"\n", before, position)
        found.append(line)
        before = position
        position = source.find(word, position + len(word))
    return found


def _mentioning(body: list[ast.stmt], lines: list[int]) -> list[ast.stmt]:
    """The statements on whose lines a name occurs, and those that may end the module before."""
    found = []
    for node in body:
        first = node.decorator_list[0].lineno if getattr(node, "decorator_list", None) else node.lineno  # type: ignore[attr-defined]
        at = bisect_left(lines, first)
        if isinstance(node, ast.If) or (at < len(lines) and lines[at] <= (node.end_lineno or first)):
            found.append(node)
    return found


def _flat(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and the statements inside it that run with it."""
    stack = [node]
    while stack:
        part = stack.pop()
        yield part
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            stack.extend(ast.iter_child_nodes(part))


def _uses(body: list[ast.stmt], name: str, unbound: bool, lazy: bool, lines: list[int]) -> Iterator[ast.expr]:
    """Expressions that run while the module is imported and need the name to be what was imported."""
    for node in body:
        if isinstance(node, ast.If):
            mentions = any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node.test))
            if _leaves(node.body) or (mentions and any(_binds(inner, name) for inner in node.body)):
                return
            continue
        if isinstance(
            node, ast.Try | ast.While | ast.For | ast.With | ast.AsyncWith | ast.AsyncFor | ast.Match | ast.TryStar
        ):
            if any(_binds(inner, name) for inner in _flat(node)):
                return
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in _definition(node, lazy):
                is_base = isinstance(node, ast.ClassDef) and part in node.bases
                is_decorator = part in node.decorator_list
                if (is_base or is_decorator) and isinstance(part, ast.Name) and part.id == name:
                    yield part
                yield from _needs(part, name, unbound)
            if isinstance(node, ast.ClassDef):
                yield from _uses(_mentioning(node.body, lines), name, unbound, lazy, lines)
        elif isinstance(node, ast.AnnAssign):
            for expression in (None if lazy else node.annotation, node.value):
                if expression is not None:
                    yield from _needs(expression, name, unbound)
        else:
            yield from _needs(node, name, unbound)
        if _binds(node, name):
            return


def _definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, lazy: bool) -> Iterator[ast.expr]:
    """What a definition evaluates where it stands."""
    yield from node.decorator_list
    if isinstance(node, ast.ClassDef):
        yield from node.bases
        yield from (keyword.value for keyword in node.keywords)
        return
    arguments = node.args
    yield from arguments.defaults
    yield from (default for default in arguments.kw_defaults if default is not None)
    if not lazy:
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        yield from (a.annotation for a in every if a is not None and a.annotation is not None)
        if node.returns is not None:
            yield node.returns


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((a.asname or a.name.partition(".")[0]) == name for a in node.names)
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.Delete):
        targets = node.targets
    return any(isinstance(part, ast.Name) and part.id == name for target in targets for part in ast.walk(target))


def _needs(node: ast.AST, name: str, unbound: bool) -> Iterator[ast.expr]:
    """Parts of an expression that fail when the name is None (attribute, call, subscript, `|`), or is not bound at all."""
    stack: list[ast.AST] = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.Lambda | ast.IfExp | ast.BoolOp | ast.GeneratorExp):
            continue
        if isinstance(part, ast.Attribute | ast.Subscript) and _is(part.value, name) and isinstance(part.ctx, ast.Load):
            yield part
            continue
        if isinstance(part, ast.Call) and _is(part.func, name):
            yield part
            continue
        if unbound and isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load):
            yield part
        stack.extend(reversed(list(ast.iter_child_nodes(part))))


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per optional name that the import of its own module needs; its cascade is named."""
    found = modules(index)
    findings: list[Finding] = []
    for file, (name, state, origin, position, snippet, guard) in index.records(ID):
        level = len(origin) - len(origin.lstrip("."))
        module = origin[level:].partition(":")[0]
        if found.resolve(file.path, level, module).state != EXTERNAL:
            continue
        if module.partition(".")[0] in STDLIB and state == "None":
            continue  # missing on another platform only
        cascade = _cascade(index, file.path)
        falls = f"; {len(cascade)} files fail with it" if cascade else ""
        left = "is None" if state == "None" else "is not bound"
        findings.append(
            index.finding(
                ID,
                SEVERITY,
                file,
                position,
                observed=f"`{snippet}` runs at import, where {name} {left} if {module} is not installed{falls}",
                expected=f"a use of {name} that waits until it is known to be there",
                snippet=f"{name}: {snippet}",
                data={
                    "name": name,
                    "state": state,
                    "module": module,
                    "guard": ",".join(map(str, guard)),
                    "cascade": "\n".join(cascade[:50]),
                    "cascade-count": str(len(cascade)),
                },
            )
        )
    return Verdict.of(ID, len(index.files), findings)


def _cascade(index: Index, path: str) -> list[str]:
    """The files that import a file at their top level, directly or not, without a guard."""
    importers = index.derive("importers", _importers)
    seen = {path}
    waiting = [path]
    while waiting:
        for importer in importers.get(waiting.pop(), ()):
            if importer not in seen:
                seen.add(importer)
                waiting.append(importer)
    return sorted(seen - {path})


def _importers(index: Index) -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for path, steps in initialization(index).steps.items():
        for step in steps:
            if not step.guarded:
                for run in step.runs:
                    table.setdefault(run, set()).add(path)
    return table
