"""Await the coroutine whose result is used.

Only in an `async def`: there `await` in front of the call is what was meant, since neither a dropped coroutine nor one used
as its answer does anything. In synchronous code a person chooses between three repairs, and the refusal says which of them
fits: a callee that never awaits becomes synchronous, an entry point takes `asyncio.run`, anything else becomes asynchronous
up to the entry point (never `run_until_complete` inside a running loop). A coroutine that runs for ever is refused when it
was dropped: awaiting it would keep the caller from going on.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one, position
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.source import Index
from regreen.facts.source.syntax import Unreadable, parse
from regreen.model import Example, Finding, Proposal, Risk, Safety, Span, Splice, Undo, splice
from regreen.policy import Policy

ID: Final = "code.await-coroutine"
CHECK: Final = "code.coroutines-awaited"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_SOURCE: Final = "https://docs.python.org/3/library/asyncio-dev.html#detect-never-awaited-coroutines"


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One `await` for each call in an asynchronous function; the refusal for any other names the repair that fits."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        call = _call(finding, draft)
        if not finding.get("can-await"):
            raise _advice(finding, draft, call, index)
        if finding.get("shape") == "dropped" and _endless(_callee(finding, index)):
            raise UndecidedError(
                f"{_name(finding)} runs for ever: awaiting it would keep {_scope(finding)} from going on",
                "whether it runs beside its caller (`asyncio.create_task`, with the task kept) or in its place (`await`)",
            )
        splices = _awaited(call, draft)
        return Edit(splices, f"await {_name(finding)}", f"{finding.get('callee')} is a coroutine function; {_SOURCE}")

    proposal = one_by_one(ID, findings, index, edit)
    return replace(proposal, changes=tuple(replace(c, unmasks=_tests(c.subject)) for c in proposal.changes))


def _tests(subject: str) -> tuple[str, ...]:
    """The test that could not fail while its coroutine never ran."""
    path, *scopes = subject.split("::")
    for number, name in enumerate(scopes):
        if name.startswith("test"):
            return ("::".join((path, *scopes[: number + 1])),)
    return ()


def _name(finding: Finding) -> str:
    return finding.get("callee").rpartition("::")[2]


def _scope(finding: Finding) -> str:
    path, _, scope = finding.subject.partition("::")
    return scope.replace("::", ".") or path


def _call(finding: Finding, draft: Draft) -> ast.Call:
    """The call that the finding names. Raises UndecidedError."""
    where = finding.where
    if isinstance(where, Span):
        wanted = (where.line, where.column, where.end_line, where.end_column)
        for node in ast.walk(draft.tree):
            if isinstance(node, ast.Call) and position(node) == wanted:
                return node
    raise UndecidedError("the file changed since it was read", "run again")


def _awaited(call: ast.Call, draft: Draft) -> list[Splice]:
    start, end = draft.start(call), draft.end(call)
    parent = draft.names.parents.get(call)
    tail = draft.text.source[end : draft.end(parent)] if isinstance(parent, ast.Attribute | ast.Subscript) else b""
    if (
        isinstance(parent, ast.Attribute | ast.Subscript)
        and parent.value is call
        and not tail.lstrip().startswith(b")")
    ):
        splices = [draft.insert(start, "(await "), draft.insert(end, ")")]
    else:
        splices = [draft.insert(start, "await ")]
    if draft.in_fstring(call) and not _as_meant(call, draft, splices):
        raise UndecidedError(
            "the call is inside an f-string, where Python 3.11 misplaces it", "put `await` there by hand"
        )
    return splices


def _as_meant(call: ast.Call, draft: Draft, splices: list[Splice]) -> bool:
    """Whether the edited file is the old one with this call awaited, and nothing else changed."""
    parsed = parse(splice(draft.text.source, splices))
    if isinstance(parsed, Unreadable):
        return False
    memo: dict[int, object] = {}
    wanted = copy.deepcopy(draft.tree, memo)
    target = memo[id(call)]

    class Awaited(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            return ast.Await(node) if node is target else node

    return ast.dump(Awaited().visit(wanted)) == ast.dump(parsed[1])


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's own body, inner functions and classes left out."""
    stack: list[ast.AST] = list(getattr(function, "body", []))
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, FunctionNode | ast.Lambda | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(node))


def _callee(finding: Finding, index: Index) -> ast.AsyncFunctionDef | None:
    """The definition of the coroutine function, if the tree has it."""
    path, _, qualname = finding.get("callee").rpartition("::")
    if not path:
        return None
    parsed = parse(index.tree.read(path))
    if isinstance(parsed, Unreadable):
        return None
    body: list[ast.stmt] = parsed[1].body
    *classes, last = qualname.split(".")
    for name in classes:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == name), [])
    return next((node for node in body if isinstance(node, ast.AsyncFunctionDef) and node.name == last), None)


def _endless(function: ast.AsyncFunctionDef | None) -> bool:
    """Whether a function holds a loop that nothing in it ends."""
    if function is None:
        return False
    nodes = list(_own(function))
    loops = [
        node
        for node in nodes
        if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value
    ]
    return bool(loops) and not any(isinstance(node, ast.Return | ast.Break) for node in nodes)


def _never_awaits(function: ast.AsyncFunctionDef) -> bool:
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    return not any(
        isinstance(node, waits) or (isinstance(node, ast.comprehension) and node.is_async) for node in _own(function)
    )


def _advice(finding: Finding, draft: Draft, call: ast.Call, index: Index) -> UndecidedError:
    around = next(
        (n for n in draft.names.above(call) if isinstance(n, FunctionNode | ast.Lambda | ast.GeneratorExp)), None
    )
    name = _name(finding)
    if isinstance(around, ast.GeneratorExp) and finding.get("async"):
        return UndecidedError(
            "an `await` in a generator expression makes it an asynchronous generator, which its consumer must expect",
            "a list comprehension in its place, in which `await` may stand",
        )
    if isinstance(around, ast.Lambda):
        return UndecidedError("a lambda cannot await", f"an `async def` in its place, or who awaits {name}")
    callee = _callee(finding, index)
    if callee is not None and _never_awaits(callee) and "." not in name:
        return UndecidedError(
            f"{_scope(finding)} is synchronous, and {name} is `async def` without ever awaiting anything",
            f"make {name} a plain `def` and drop `await` at its callers, unless an interface needs the coroutine",
        )
    if not isinstance(around, FunctionNode):
        return UndecidedError(
            "the call runs when the module is imported, where nothing can await",
            f"`asyncio.run({finding.snippet})` if this is a script, else a call at start-up",
        )
    if around.name.startswith("__") and around.name.endswith("__"):
        return UndecidedError(
            f"{_scope(finding)} is a special method, which Python calls without awaiting",
            f"an asynchronous factory or start method that awaits {name}",
        )
    if around.name.startswith("test"):
        return UndecidedError(
            f"{_scope(finding)} is a synchronous test of a coroutine function",
            "make it `async def` with the marker of the suite's asyncio plugin; it may then fail for the first time",
        )
    return UndecidedError(
        f"{_scope(finding)} is synchronous",
        f"make it `async def` and await it in its callers, or, if it is the outermost entry point, "
        f"`asyncio.run({finding.snippet})`; never run_until_complete inside a running loop",
    )


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before, **more}, {"a.py": after, **more}


_F: Final = "async def load(key):\n    await key\n    return {}\n\n\n"

EXAMPLES: Final = (
    Example("used through a name", *_pair(
        _F + "async def main():\n    user = load(1)\n    return user.get('id')\n",
        _F + "async def main():\n    user = await load(1)\n    return user.get('id')\n",
    )),
    Example("an attribute and a subscript", *_pair(
        _F + "async def main():\n    return load(1).get('é'), load(2)['b']  # why\n",
        _F + "async def main():\n    return (await load(1)).get('é'), (await load(2))['b']  # why\n",
    )),
    Example("in parentheses already", *_pair(
        _F + "async def main():\n    return (load(\n        1,\n    )).get('é')\n",
        _F + "async def main():\n    return (await load(\n        1,\n    )).get('é')\n",
    )),
    Example("dropped", *_pair(
        "import asyncio\n\n\nasync def main():\n    asyncio.sleep(1)\n", "import asyncio\n\n\nasync def main():\n    await asyncio.sleep(1)\n",
    )),
    Example("conditions, comparisons, signs", *_pair(
        _F + "async def main():\n    if not load(1):\n        return load(1) == {}\n    assert load(2)\n    return load(3) ** 2 - load(4)\n",
        _F + "async def main():\n    if not await load(1):\n        return await load(1) == {}\n    assert await load(2)\n    return await load(3) ** 2 - await load(4)\n",
    )),
    Example("one in the other", *_pair(
        _F + "async def main():\n    return load(load(1)['a'])['b']\n",
        _F + "async def main():\n    return (await load((await load(1))['a']))['b']\n",
    )),
    Example("in a comprehension and a loop", *_pair(
        _F + "async def main():\n    for x in load(1):\n        print(x)\n    return [x for x in load(2)]\n",
        _F + "async def main():\n    for x in await load(1):\n        print(x)\n    return [x for x in await load(2)]\n",
    )),
    Example("in an f-string", *_pair(
        _F + "async def main():\n    return f'{load(1)} é'\n", _F + "async def main():\n    return f'{await load(1)} é'\n",
    )),
    Example("a method of its own class", *_pair(
        "class A:\n    async def load(self):\n        await self.x\n\n    async def go(self):\n        self.load()\n",
        "class A:\n    async def load(self):\n        await self.x\n\n    async def go(self):\n        await self.load()\n",
    )),
    Example("a synchronous caller", {"a.py": _F + "def main():\n    load(1)\n"}, refuses=True),
    Example("a synchronous test", {"test_a.py": _F + "def test_a():\n    assert load(1)\n"}, refuses=True),
    Example("a callee that never awaits, and a synchronous caller", {"a.py": "async def load():\n    return {}\n\n\ndef main():\n    return load()['a']\n"}, refuses=True),
    Example("a special method", {"a.py": _F + "class A:\n    def __init__(self):\n        self.x = load(1)['a']\n"}, refuses=True),
    Example("a coroutine that runs for ever", {
        "a.py": "async def serve(q):\n    while True:\n        await q.get()\n\n\nasync def main(q):\n    serve(q)\n    print('started')\n",
    }, refuses=True),
    Example("a generator expression", {"a.py": _F + "async def main():\n    return sum(load(x)['n'] for x in 'ab')\n"}, refuses=True),
    Example("awaited", *_pair(*[_F + "async def main():\n    return (await load(1)).get('a')\n"] * 2)),
    Example("scheduled", *_pair(*["import asyncio\n" + _F + "async def main():\n    asyncio.create_task(load(1))\n"] * 2)),
)  # fmt: skip
