"""Ask the limiter that the policy names before each call of a client.

`limited-clients` says `CLIENT -> LIMITER`: which object of the tree grants the permits. How many it grants is in that object,
and a person's choice. The line that waits for a permit stands before the statement of the call: `try_acquire_async` in
async functions, `try_acquire` elsewhere (pyrate-limiter, right for threads and asyncio), `acquire` of aiolimiter. Limits
count in one process: with n instances the other side sees n times as much. Refused: no named limiter, a call that one
statement may make many times, or not at all.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.guarding import Guard, guard
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.source import Index
from regreen.model import Example, Finding, Proposal, Risk, Safety, Undo
from regreen.policy import Policy
from remedies.guarding.examples import CLASS, HEAD, Scene

ID: Final = "code.limit-client"
CHECK: Final = "code.external-calls-bounded"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_SOURCE: Final = "https://pyratelimiter.readthedocs.io/"
_MISSING: Final = (
    "the rate that the service grants, in a limiter of the tree, named as `CLIENT -> LIMITER` in limited-clients"
)
_MANY: Final = (ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
_PERHAPS: Final = (ast.BoolOp, ast.IfExp)
_WHOLE: Final = (
    ast.Expr,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Return,
    ast.With,
    ast.AsyncWith,
    ast.For,
    ast.If,
)


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per call."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        if finding.get("kind") != "unlimited":
            raise UndecidedError(
                "this is not about a limiter", "nothing, if code.bound-call and code.break-circuit are run"
            )
        found = guard(index, finding.get("object"), _MISSING)
        call = draft.the(finding.where, ast.Call)
        statement = _statement(draft, call)
        local, splices = found.bring(draft)
        wait = _waiting(found, local, finding.get("client"), _is_async(draft, call))
        line = draft.text.line_start(statement.lineno)
        indent = draft.text.indent(statement.lineno).decode()
        return Edit(
            [draft.insert(line, f"{indent}{wait}\n"), *splices],
            f"`{finding.get('callee')}` waits for a permit of {found.name}",
            f"{finding.observed}; {_SOURCE}",
        )

    return one_by_one(ID, findings, index, edit)


def _waiting(found: Guard, local: str, client: str, is_async: bool) -> str:
    """The statement that waits for a permit."""
    name = ".".join(client.split(".")[-2:])
    if found.made_by == "pyrate_limiter.Limiter":
        return f'await {local}.try_acquire_async("{name}")' if is_async else f'{local}.try_acquire("{name}")'
    if found.made_by == "aiolimiter.AsyncLimiter":
        if is_async:
            return f"await {local}.acquire()"
        raise UndecidedError("aiolimiter grants permits to coroutines only", "a limiter for threads")
    raise UndecidedError(
        f"how `{found.name}` is asked for a permit is not known", "a limiter of pyrate-limiter or aiolimiter"
    )


def _is_async(draft: Draft, call: ast.Call) -> bool:
    functions = (above for above in draft.names.above(call) if isinstance(above, FunctionNode))
    return isinstance(next(functions, None), ast.AsyncFunctionDef)


def _statement(draft: Draft, call: ast.Call) -> ast.stmt:
    """The statement that makes the call just once. Raises UndecidedError where there is none."""
    node: ast.AST = call
    for above in draft.names.above(call):
        if isinstance(above, _MANY):
            raise UndecidedError("one statement may make the call many times", "where a permit is taken for each")
        if isinstance(above, _PERHAPS):
            raise UndecidedError("the call may not be made, and its permit would be lost", "where a permit is taken")
        if isinstance(above, ast.stmt):
            heads = isinstance(above, _WHOLE) and node not in getattr(above, "body", ())
            is_elif = isinstance(above, ast.If) and not draft.text.line(above.lineno).lstrip().startswith(b"if")
            alone = draft.text.line(above.lineno)[: above.col_offset].strip() == b""
            if not heads or is_elif or not alone:
                raise UndecidedError("no line can stand before the statement", "the call in a statement of its own")
            return above
        node = above
    raise UndecidedError("the call stands in no statement", "the call in a statement of its own")


_GUARDS: Final = (
    "from pyrate_limiter import Duration, Limiter, Rate\n\nPRICES_LIMITER = Limiter(Rate(20, Duration.SECOND))\n"
)
_POLICY: Final = '[tool.regreen]\nlimited-clients = ["app.prices.Prices -> app.guards.PRICES_LIMITER"]\n'
_BROUGHT: Final = "import httpx\nfrom app.guards import PRICES_LIMITER\n\n\n"
_SCENE: Final = Scene(_GUARDS, _POLICY)
_DONE: Final = _SCENE.files(
    _BROUGHT
    + CLASS.format("Client")
    + '    def get(self, u):\n        PRICES_LIMITER.try_acquire("p")\n        return self._client.get(u)\n'
)

EXAMPLES: Final = (
    Example(
        "awaited, over lines",
        _SCENE.files(HEAD + CLASS.format("AsyncClient") + "    async def get(self, u):\n        # ä\n        answer = await self._client.get(\n            u,\n        )\n        return answer\n"),
        _SCENE.files(_BROUGHT + CLASS.format("AsyncClient") + '    async def get(self, u):\n        # ä\n        await PRICES_LIMITER.try_acquire_async("prices.Prices")\n'
               "        answer = await self._client.get(\n            u,\n        )\n        return answer\n"),
    ),
    Example(
        "in threads, twice",
        _SCENE.files(HEAD + CLASS.format("Client") + "    def get(self, u):\n        if self._client.get(u).is_error:\n            return None\n        return self._client.get(u).json()\n"),
        _SCENE.files(_BROUGHT + CLASS.format("Client") + '    def get(self, u):\n        PRICES_LIMITER.try_acquire("prices.Prices")\n        if self._client.get(u).is_error:\n            return None\n'
               '        PRICES_LIMITER.try_acquire("prices.Prices")\n        return self._client.get(u).json()\n'),
    ),
    Example(
        "aiolimiter",
        _SCENE.files(HEAD + CLASS.format("AsyncClient") + "    async def get(self, u):\n        return await self._client.get(u)\n", "import aiolimiter\n\nPRICES_LIMITER = aiolimiter.AsyncLimiter(9)\n"),
        _SCENE.files(_BROUGHT + CLASS.format("AsyncClient") + "    async def get(self, u):\n        await PRICES_LIMITER.acquire()\n        return await self._client.get(u)\n", "import aiolimiter\n\nPRICES_LIMITER = aiolimiter.AsyncLimiter(9)\n"),
    ),
    _SCENE.refused("no limiter is named", "    async def get(self, u):\n        return await self._client.get(u)\n", policy='[tool.regreen]\nlimited-clients = ["app.prices.Prices"]\n'),
    _SCENE.refused("the limiter is not there", "    async def get(self, u):\n        return await self._client.get(u)\n", guards="X = 1\n"),
    _SCENE.refused("a limiter of one's own", "    async def get(self, u):\n        return await self._client.get(u)\n", guards="PRICES_LIMITER = OurLimiter(3)\n"),
    _SCENE.refused("many times, perhaps, and beside another",
             "    def get(self, us, x):\n        a = [self._client.get(u) for u in us]\n        b = x and self._client.get(x)\n        while self._client.get(x): pass\n"
             "        if x: self._client.get(x)\n        if x:\n            pass\n        elif self._client.get(x):\n            pass\n", kind="Client"),
    _SCENE.refused("aiolimiter in threads", "    def get(self, u):\n        return self._client.get(u)\n", "import aiolimiter\n\nPRICES_LIMITER = aiolimiter.AsyncLimiter(9)\n", kind="Client"),
    Example("a limiter already", _DONE, _DONE),
)  # fmt: skip
