"""No coroutine is used as if it were its result.

`user = get_user(token)` without `await` makes `user` a coroutine: `user.get("id")` raises AttributeError in production (seen
as WebSocket close code 1011), `if user:` is always true, a bare `send(event)` never runs, and a test built on it cannot fail.
Half of what matches by name alone is wrong (synchronous wrappers, decorators that run the coroutine, mocks), so only what
can be proven is reported: the callee resolves to an undecorated `async def` of the tree, or to a known coroutine function
of a library, and its result is dropped, or used in a way that no coroutine serves. Passing it on (`create_task`, `gather`,
`run`, a return) is no finding, nor is a call under `pytest.raises` or in a file that patches the name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, Final

from regreen.facts.source import Context, FileFacts, Index, Interests, dotted
from regreen.facts.source.coroutinecalls import bound_in, hits, locate, mentioned, mentions, patched, use, walk
from regreen.facts.source.distributions import known
from regreen.facts.source.modules import DEFINED, ModuleMap, modules
from regreen.facts.source.structure import CLASS, CONDITIONAL, COROUTINE, IMPORTED, KIND
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.coroutines-awaited"
VERSION: Final = 2
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.python.org/3/library/asyncio-dev.html#detect-never-awaited-coroutines"

_KEY: Final = "coroutines-awaited"
#: Functions of libraries that return a coroutine (their own documentation: "async function" or "coroutine").
_LIBRARY: Final = frozenset(
    {
        "anyio.connect_tcp", "anyio.sleep", "anyio.sleep_forever", "anyio.sleep_until", "anyio.to_thread.run_sync",
        "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "asyncio.open_connection",
        "asyncio.open_unix_connection", "asyncio.sleep", "asyncio.start_server", "asyncio.start_unix_server",
        "asyncio.to_thread", "asyncio.wait", "asyncio.wait_for", "fastapi.concurrency.run_in_threadpool",
        "starlette.concurrency.run_in_threadpool", "trio.open_tcp_stream", "trio.run_process", "trio.sleep",
        "trio.sleep_forever", "trio.to_thread.run_sync",
    }
)  # fmt: skip
_LIBRARY_ROOTS: Final = frozenset(name.partition(".")[0] for name in _LIBRARY)
_LIBRARY_NAMES: Final = frozenset(name.rpartition(".")[2] for name in _LIBRARY)
#: Decorators that leave an `async def` what it is.
_TRANSPARENT: Final = frozenset({"abstractmethod", "classmethod", "final", "override", "staticmethod", "wraps"})
_F: Final = "async def load(key):\n    return {}\n"

EXAMPLES: Final = (
    Example("used as a dict", {"a.py": _F + "async def main():\n    user = load(1)\n    return user.get('id')\n"}, fires=1),
    Example("subscripted at once", {"a.py": _F + "async def main():\n    return load(1)['id']\n"}, fires=1),
    Example("dropped", {"a.py": _F + "async def main():\n    load(1)\n"}, fires=1),
    Example("dropped in a synchronous function", {"m.py": _F, "a.py": "from m import load\ndef main():\n    load(1)\n"}, fires=1),
    Example("a condition", {"a.py": _F + "async def main():\n    if load(1):\n        return 1\n"}, fires=1),
    Example("asserted", {"m.py": _F, "test_a.py": "from m import load\nasync def test_a():\n    assert load(1)\n"}, fires=1),
    Example("compared in an assertion", {"m.py": _F, "test_a.py": "from m import load\nasync def test_a():\n    assert load(1) == {}\n"}, fires=1),
    Example("iterated", {"a.py": _F + "async def main():\n    for x in load(1):\n        print(x)\n"}, fires=1),
    Example("formatted", {"a.py": _F + "async def main():\n    return f'{load(1)}'\n"}, fires=1),
    Example("through a re-export", {"p/__init__.py": "from .m import load\n", "p/m.py": _F, "a.py": "from p import load\nasync def main():\n    load(1)\n"}, fires=1),
    Example("a method of its own class", {"a.py": "class A:\n    async def load(self): ...\n    async def go(self):\n        return self.load()['x']\n"}, fires=1),
    Example("a method of a parameter's class", {"m.py": "class T:\n    async def verify(self, t): ...\n", "a.py": "from m import T\nasync def go(t: T):\n    claims = t.verify(1)\n    return claims['sub']\n"}, fires=1),
    Example("a method of a parameter's class, here", {"a.py": "class T:\n    async def send(self): ...\nasync def go(t: T):\n    t.send()\n"}, fires=1),
    Example("a synchronous method of a parameter's class", {"a.py": "class T:\n    def send(self): ...\nasync def go(t: T):\n    t.send()\n"}),
    Example("a parameter's class with a synchronous child", {"a.py": "class T:\n    async def send(self): ...\nclass U(T):\n    def send(self): ...\nasync def go(t: T):\n    t.send()\n"}),
    Example("a parameter that is bound anew", {"a.py": "class T:\n    async def send(self): ...\nasync def go(t: T):\n    t = f(t)\n    t.send()\n"}),
    Example("asyncio.sleep", {"a.py": "import asyncio\nasync def main():\n    asyncio.sleep(1)\n"}, fires=1),
    Example("asyncio.sleep by name", {"a.py": "from asyncio import sleep\nasync def main():\n    sleep(1)\n"}, fires=1),
    Example("imported inside the function", {"m.py": _F, "a.py": "async def main():\n    from m import load\n    load(1)\n"}, fires=1),
    Example("a module's attribute", {"m.py": _F, "a.py": "import m\nasync def main():\n    m.load(1)\n"}, fires=1),
    Example("unpacked", {"a.py": _F + "async def main():\n    a, b = load(1)\n    return a\n"}, fires=1),
    Example("awaited", {"a.py": _F + "async def main():\n    user = await load(1)\n    return user.get('id')\n"}),
    Example("awaited later", {"a.py": _F + "async def main():\n    user = load(1)\n    return (await user).get('id')\n"}),
    Example("scheduled", {"a.py": "import asyncio\n" + _F + "async def main():\n    asyncio.create_task(load(1))\n    await asyncio.gather(load(1), load(2))\n"}),
    Example("run", {"a.py": "import asyncio\n" + _F + "def main():\n    asyncio.run(load(1))\n"}),
    Example("returned", {"a.py": _F + "def main():\n    return load(1)\n"}),
    Example("passed on after a look", {"a.py": "import inspect\n" + _F + "async def main():\n    x = load(1)\n    if x:\n        return await x\n"}),
    Example("a decorator that runs it", {"a.py": "from runner import sync\n@sync\nasync def load(key): ...\ndef main():\n    load(1)\n"}),
    Example("a synchronous function of the same name", {"m.py": _F, "a.py": "def load(x): return {}\ndef main():\n    load(1)\n"}),
    Example("a parameter of the same name", {"a.py": _F + "def main(load):\n    load(1)\n"}),
    Example("a name that is imported and defined", {"m.py": _F, "a.py": "from m import load\ndef load(x): ...\ndef main():\n    load(1)\n"}),
    Example("a mock", {"m.py": _F, "test_a.py": "from m import load\nfrom unittest.mock import patch\ndef test_a():\n    with patch('m.load'):\n        load(1)\n"}),
    Example("an override that is synchronous", {"a.py": "class A:\n    async def load(self): ...\n    def go(self):\n        self.load()\nclass B(A):\n    def load(self): ...\n"}),
    Example("expected to fail", {"m.py": _F, "test_a.py": "import pytest\nfrom m import load\ndef test_a():\n    with pytest.raises(TypeError):\n        load()\n"}),
    Example("an asynchronous generator", {"a.py": "async def rows():\n    yield 1\ndef main():\n    rows().aclose\n"}),
    Example("closed on purpose", {"a.py": _F + "def main():\n    c = load(1)\n    c.close()\n"}),
    Example("two definitions", {"a.py": "try:\n    from fast import x\nexcept ImportError:\n    def load(k): ...\nelse:\n    async def load(k): ...\ndef main():\n    load(1)\n"}),
    Example("kept in a list", {"a.py": _F + "async def main():\n    jobs = [load(1)]\n    return jobs\n"}),
    Example("in a string", {"a.py": _F + "TEXT = 'load(1)[0]'\n"}),
)  # fmt: skip


def _decorated(node: ast.stmt, ctx: Context) -> None:
    assert isinstance(node, ast.AsyncFunctionDef)
    if node.decorator_list and ctx.scope.kind != "function":
        names = [_last(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list]
        if not _TRANSPARENT.issuperset(names):
            ctx.emit("decorated", f"{ctx.scope.qualname}.{node.name}" if ctx.scope.qualname else node.name)
    holders: set[str] = ctx.memo.setdefault(f"{_KEY}: typed", set())
    holders.update(name for name, _ in _typed(node))


def _typed(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """Parameters annotated with one class by name, which says what their methods are."""
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if isinstance(argument.annotation, ast.Name | ast.Attribute):
            yield argument.arg, argument.annotation


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "?"


def _finish(ctx: Context) -> None:
    own = {name: bits for name, bits, _ in ctx.structure.functions if bits & KIND == COROUTINE}
    wanted = {name.rpartition(".")[2] for name in own}
    holders: set[str] = set()
    imported = dict(_imported(ctx))
    for name, origin in imported.items():
        if origin in _LIBRARY:
            wanted.add(name)
        elif origin in _LIBRARY_ROOTS:
            wanted |= _LIBRARY_NAMES
        elif _foreign(origin) and name.islower():  # a class is no coroutine function
            wanted.add(name)
            holders.add(name)
    holders |= ctx.memo.get(f"{_KEY}: typed", set())
    if wanted or holders:
        names, modules_ = ([name.encode() for name in group] for group in (wanted, holders))
        for line, column in hits(ctx.source, names, modules_, not ctx.awaits and not own):
            _suspect(ctx, line, column, own, imported)


def _bound(ctx: Context, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    """Whether a function binds a name. Its text says no in most cases: what is bound is not called at once."""
    if not mentioned(b"\n".join(ctx.lines[function.lineno - 1 : function.end_lineno]), name.encode()):
        return False
    functions: dict[int, frozenset[str]] = ctx.memo.setdefault(f"{_KEY}: bound", {})
    found = functions.get(id(function))
    if found is None:
        found = functions[id(function)] = bound_in(function)
    return name in found


def _is_patched(ctx: Context, name: str) -> bool:
    """Whether the file may replace a function by a mock."""
    known: dict[str, bool] = ctx.memo.setdefault(f"{_KEY}: patched", {})
    if not known:
        known[""] = any(word in ctx.source for word in (b"patch", b"setattr", b"Mock"))
    if name not in known:
        known[name] = known[""] and patched(ctx.source, name)
    return known[name]


def _imported(ctx: Context) -> Iterator[tuple[str, str]]:
    """Every name that an import of the file binds, wherever it stands, with its origin."""
    for _, _, _, _, level, module, names, *_ in ctx.structure.imports:
        for name, alias in names:
            if level < 0:
                yield alias or name.partition(".")[0], name if alias else name.partition(".")[0]
            else:
                prefix = "." * level + module
                yield alias or name, f"{prefix}{'' if prefix.endswith('.') else '.'}{name}"


def _foreign(origin: str) -> bool:
    """Whether an imported name may come from the tree: relative, or from no well-known package."""
    top = origin.partition(".")[0]
    return not top or not known(top)


def _suspect(ctx: Context, line: int, column: int, own: dict[str, int], imported: dict[str, str]) -> None:
    chain = locate(ctx.tree, line, column)
    if not chain:
        return
    callee = chain[-1].func  # type: ignore[attr-defined]
    kind, target = _callee(ctx, callee, chain, own, imported)
    found = use(chain, ctx.lines) if target else None
    if found is None or _is_patched(ctx, target.rpartition(".")[2].rpartition(":")[2]):
        return
    root = dotted(callee).partition(".")[0]
    if kind not in ("method", "typed") and any(
        _bound(ctx, node, root) for node in chain if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ):
        return
    scope = ".".join(
        node.name for node in chain if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )
    is_async = isinstance(found.function, ast.AsyncFunctionDef)
    ctx.emit(
        "use",
        kind,
        target,
        found.shape,
        ctx.at(found.call),
        ctx.segment(found.call)[:160],
        scope,
        found.can_await,
        is_async,
    )


def _callee(
    ctx: Context, callee: ast.expr, chain: list[ast.AST], own: dict[str, int], imported: dict[str, str]
) -> tuple[str, str]:
    """How a callee may be a coroutine function, and its name there; empty where it cannot be."""
    root, _, method = dotted(callee).partition(".")
    if method and root in ("self", "cls"):
        target = f"{'.'.join(node.name for node in chain if isinstance(node, ast.ClassDef))}.{method}"
        return ("method", target) if target in own else ("", "")
    if method and root in ctx.memo.get(f"{_KEY}: typed", ()):
        typed = _type_of(ctx, root, chain, imported)
        if typed:
            return "typed", f"{typed}:{method}"
    if root in imported:
        if root in ctx.structure.defs and ctx.structure.defs[root] & KIND != IMPORTED:
            return "", ""
        origin = imported[root] + dotted(callee)[len(root) :]
        if origin in _LIBRARY:
            return "library", origin
        return ("import", origin) if _foreign(origin) else ("", "")
    return ("own", root) if not method and root in own else ("", "")


def _type_of(ctx: Context, name: str, chain: list[ast.AST], imported: dict[str, str]) -> str:
    """The origin of the class that a parameter of the innermost function is annotated with, if it is never bound anew."""
    functions = [node for node in chain if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    annotation = dict(_typed(functions[-1])).get(name) if functions else None
    if annotation is None:
        return ""
    for node, _ in walk(functions[-1], mentions(functions[-1], name, ctx.lines)):
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return ""
    text = dotted(annotation)
    root, _, rest = text.partition(".")
    if root in imported:
        origin = f"{imported[root]}.{rest}" if rest else imported[root]
        return origin if _foreign(origin) else ""
    return text if ctx.structure.defs.get(text, 0) & KIND == CLASS else ""


INTERESTS: Final = Interests(
    statements={ast.AsyncFunctionDef: _decorated},
    finish=_finish,
)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per call whose callee is proven to be a coroutine function."""
    found = modules(index)
    uses: list[tuple[FileFacts, tuple[Any, ...]]] = []
    decorated: set[tuple[str, str]] = set()
    for file, record in index.records(ID):
        if record[0] == "decorated":
            decorated.add((file.path, record[1]))
        else:
            uses.append((file, record))
    findings: list[Finding] = []
    proven: dict[tuple[str, str, str], str] = {}
    for file, record in uses:
        _, kind, target, *rest = record
        key = (file.path if kind != "import" or target.startswith(".") else file.path.rpartition("/")[0], kind, target)
        if key not in proven:
            proven[key] = _proof(index, found, decorated, file, kind, target)
        if proven[key]:
            findings.append(_finding(index, file, target, proven[key], rest))
    return Verdict.of(ID, len(index.files), findings)


def _proof(
    index: Index, found: ModuleMap, decorated: set[tuple[str, str]], file: FileFacts, kind: str, target: str
) -> str:
    """What the callee is (`path::qualname`, or a library function) if it surely is a coroutine function, else nothing."""
    if kind == "library":
        return target
    path, qualname = file.path, target
    if kind == "typed":
        origin, _, method = target.rpartition(":")
        path, qualname = file.path, origin
        if "." in origin:
            symbol = found.origin(file.path, origin)
            if symbol.state != DEFINED:
                return ""
            path, qualname = symbol.path, symbol.name
        if _overridden(index, qualname, method):
            return ""
        qualname = f"{qualname}.{method}"
    if kind == "import":
        symbol = found.origin(file.path, target)
        if symbol.state != DEFINED:
            return ""
        path, qualname = symbol.path, symbol.name
    bits = next((bits for name, bits, _ in index.files[path].coroutines if name == qualname), 0)
    if bits & KIND != COROUTINE or bits & CONDITIONAL or (path, qualname) in decorated:
        return ""
    if kind != "typed" and "." not in qualname:
        whole = index.files[path].defs.get(qualname, 0)
        if whole & KIND != COROUTINE or whole & CONDITIONAL:
            return ""
    elif kind == "method":
        owner, _, method = qualname.rpartition(".")
        if _overridden(index, owner.rpartition(".")[2], method):
            return ""
    return f"{path}::{qualname}"


def _overridden(index: Index, owner: str, method: str) -> bool:
    """Whether a class that (by name) derives from the owner, directly or not, defines the method as no coroutine."""
    children = index.derive("classes by base", _by_base)
    waiting, seen = [owner], {owner}
    while waiting:
        for name, members in children.get(waiting.pop(), ()):
            bits = members.get(method)
            if bits is not None and bits & KIND != COROUTINE:
                return True
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return False


def _by_base(index: Index) -> dict[str, list[tuple[str, dict[str, int]]]]:
    table: dict[str, list[tuple[str, dict[str, int]]]] = {}
    for file in index.files.values():
        for item in file.classes:
            for base in item.bases:
                table.setdefault(base.rpartition(".")[2], []).append((item.qualname.rpartition(".")[2], item.members))
    return table


def _finding(index: Index, file: FileFacts, target: str, proof: str, rest: list[Any]) -> Finding:
    shape, position, snippet, scope, can_await, is_async = rest
    name = target.rpartition(".")[2].rpartition(":")[2]
    how = "is never awaited, so it never runs" if shape == "dropped" else f"is used without await ({shape})"
    return index.finding(
        ID,
        SEVERITY,
        file,
        position,
        scope=scope,
        observed=f"`{snippet}`: the coroutine of {name} {how}",
        expected=f"`await {snippet}`" if can_await else "an await, in a function that is asynchronous",
        snippet=snippet,
        data={
            "callee": proof,
            "shape": shape,
            "can-await": "yes" if can_await else "",
            "async": "yes" if is_async else "",
        },
    )
