"""Put each call of a client behind the circuit breaker that the policy names.

`breaker-clients` says `CLIENT -> BREAKER`. The call becomes `BREAKER.call(lambda: …)`: pybreaker's `call` in threads, a
`call(attempt)` of the tree's own class elsewhere, awaited where that is a coroutine. Failures are what the call raises; an
answer with an error status is an answer. Unsafe: while the circuit is open callers get the breaker's own exception.
Refused: purgatory as it is (ten of ten concurrent calls went through while it was half open, so it stands behind a class of
the tree that lets one through), pybreaker around a coroutine (it never counts its failures), streams, which fail later.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.guarding import Guard, guard
from regreen.facts.source import Index, last_name
from regreen.model import Example, Finding, Proposal, Risk, Safety, Undo
from regreen.policy import Policy
from remedies.guarding.examples import CLASS, HEAD, Scene

ID: Final = "code.break-circuit"
CHECK: Final = "code.external-calls-bounded"
SAFETY: Final = Safety.UNSAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_SOURCE: Final = "https://github.com/danielfm/pybreaker: state is kept under a lock, so one trial call goes through"
_MISSING: Final = (
    "after how many failures the service is left alone, and for how long, in a breaker of the tree, named as"
    " `CLIENT -> BREAKER` in breaker-clients"
)
_IN_PLACE: Final = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per call."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        if finding.get("kind") != "unbroken":
            raise UndecidedError(
                "this is not about a breaker", "nothing, if code.bound-call and code.limit-client are run"
            )
        found = guard(index, finding.get("object"), _MISSING)
        call = draft.the(finding.where, ast.Call)
        _require_kind(found, isinstance(draft.names.parents.get(call), ast.Await))
        _require_movable(draft, call)
        local, splices = found.bring(draft)
        return Edit(
            [draft.insert(draft.start(call), f"{local}.call(lambda: "), draft.insert(draft.end(call), ")"), *splices],
            f"`{finding.get('callee')}` goes through {found.name}",
            f"{finding.observed}; {_SOURCE}",
            SAFETY,
        )

    return one_by_one(ID, findings, index, edit)


def _require_kind(found: Guard, awaited: bool) -> None:
    """Raises UndecidedError where the breaker cannot judge such a call."""
    if found.made_by.startswith("purgatory."):
        raise UndecidedError("purgatory lets everybody through who comes while it is half open",
                             "a class of the tree that lets one through, with `async def call(self, attempt)`")  # fmt: skip
    if found.made_by == "pybreaker.CircuitBreaker":
        if awaited:
            raise UndecidedError("pybreaker's `call` never counts a coroutine's failures", "a breaker for coroutines")
        return
    method = found.method("call")
    if method is None or len(method.args.posonlyargs) + len(method.args.args) != 2:
        raise UndecidedError(f"how `{found.name}` is given a call is not known",
                             "a breaker of pybreaker, or a class of the tree with `call(self, attempt)`")  # fmt: skip
    if isinstance(method, ast.AsyncFunctionDef) != awaited:
        raise UndecidedError(f"the call is {'' if awaited else 'not '}awaited here, and `{found.name}.call` is the other kind",
                             "a breaker of the call's kind")  # fmt: skip


def _require_movable(draft: Draft, call: ast.Call) -> None:
    """Raises UndecidedError where the call means something else inside a function of its own, or fails only later."""
    if last_name(call.func) == "stream":
        raise UndecidedError(
            "a stream fails when it is read, outside of the breaker", "what of the reading the breaker covers"
        )
    for node in ast.walk(call):
        if isinstance(node, _IN_PLACE) or (isinstance(node, ast.Call) and last_name(node.func) == "super"):
            raise UndecidedError(
                "a part of the call must be worked out where it stands", "that part in a name of its own"
            )
    space = draft.names.space(call)
    if space.kind == "class":
        raise UndecidedError("the call is made while a class is defined", "where the call is made")


_GUARDS: Final = "import pybreaker\n\nPRICES_BREAKER = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)\n"
_OWN: Final = "class Breaker:\n    async def call(self, attempt):\n        return await attempt()\n\n\nPRICES_BREAKER = Breaker()\n"
_POLICY: Final = '[tool.regreen]\nbreaker-clients = ["app.prices.Prices -> app.guards.PRICES_BREAKER"]\n'
_BROUGHT: Final = "import httpx\nfrom app.guards import PRICES_BREAKER\n\n\n"
_GET: Final = "    async def get(self, u):\n        return await self._client.get(u)\n"
_THREAD: Final = "    def get(self, u):\n        return self._client.get(u)\n"
_SCENE: Final = Scene(_GUARDS, _POLICY)
_DONE: Final = _SCENE.files(
    _BROUGHT
    + CLASS.format("Client")
    + "    def get(self, u):\n        return PRICES_BREAKER.call(lambda: self._client.get(u))\n"
)

EXAMPLES: Final = (
    Example(
        "in threads, over lines",
        _SCENE.files(HEAD + CLASS.format("Client") + "    def get(self, u):\n        return self._client.get(\n            u,  # ä\n        ).json()\n"),
        _SCENE.files(_BROUGHT + CLASS.format("Client") + "    def get(self, u):\n        return PRICES_BREAKER.call(lambda: self._client.get(\n            u,  # ä\n        )).json()\n"),
    ),
    Example(
        "awaited, through a class of the tree",
        _SCENE.files(HEAD + CLASS.format("AsyncClient") + _GET, _OWN),
        _SCENE.files(_BROUGHT + CLASS.format("AsyncClient") + "    async def get(self, u):\n        return await PRICES_BREAKER.call(lambda: self._client.get(u))\n", _OWN),
    ),
    Example(
        "the standard library, in a with",
        _SCENE.files("import urllib.request\n\n\nclass Prices:\n    def get(self, r):\n        with urllib.request.urlopen(r, timeout=3) as answer:\n            return answer.read()\n"),
        _SCENE.files("import urllib.request\nfrom app.guards import PRICES_BREAKER\n\n\nclass Prices:\n    def get(self, r):\n"
               "        with PRICES_BREAKER.call(lambda: urllib.request.urlopen(r, timeout=3)) as answer:\n            return answer.read()\n"),
    ),
    _SCENE.refused("no breaker is named", _GET, policy='[tool.regreen]\nbreaker-clients = ["app.prices.Prices"]\n'),
    _SCENE.refused("pybreaker around a coroutine", _GET),
    _SCENE.refused("a coroutine's breaker around a call of a thread", _THREAD, _OWN, kind="Client"),
    _SCENE.refused("purgatory as it is", _GET, "import purgatory\n\nPRICES_BREAKER = purgatory.AsyncCircuitBreakerFactory()\n"),
    _SCENE.refused("something else", _THREAD, "PRICES_BREAKER = make()\n", kind="Client"),
    _SCENE.refused("a stream, and a part that must stay", "    def get(self, u):\n        with self._client.stream('GET', u) as s:\n            s.read()\n"
             "        self._client.get(v := u)\n", kind="Client"),
    Example("a breaker already", _DONE, _DONE),
)  # fmt: skip
