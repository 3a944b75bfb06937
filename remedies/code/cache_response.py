"""Let a client keep the answers that it may keep: made by the tree's own maker of clients with an HTTP cache.

`cached-clients` says `CLIENT -> FUNCTION`: which function of the tree makes such a client (hishel's, with a storage that
somebody chose). The construction calls it, with the same arguments. Safe: what is kept, and how long, the other side
says (RFC 9111), and a person named the client. Refused: no such function, one that takes other arguments or promises another
kind of client, or makes hishel 2's without `rfc=True`: that one keeps every answer for ever, `no-store` or not (seen with
2.0.0). A cache in a process of its own is not shared: with n instances each asks once.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.guarding import Guard, guard
from regreen.facts.libraries.reading import names_at
from regreen.facts.libraries.versions import Side, side
from regreen.facts.source import Index, last_name
from regreen.model import Example, Finding, Proposal, Risk, Safety, Undo
from regreen.policy import Policy

ID: Final = "code.cache-response"
CHECK: Final = "code.responses-cached"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://www.rfc-editor.org/rfc/rfc9111"
_MISSING: Final = "where answers are kept, in a function of the tree that makes the client, named as `CLIENT -> FUNCTION` in cached-clients"
#: hishel's own, which are clients of that kind; the first was renamed in hishel 2.
_SAME: Final = {
    "httpx.Client": ("hishel.httpx.CacheClient", "hishel.httpx.SyncCacheClient"),
    "httpx.AsyncClient": ("hishel.httpx.AsyncCacheClient",),
}


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per construction."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        found = guard(index, finding.get("object"), _MISSING)
        call = draft.the(finding.where, ast.Call)
        makes = finding.get("makes")
        _require_taking(found, call)
        _require_kind(index, found, makes)
        _require_rules(index, found)
        local, splices = found.bring(draft)
        summary = f"`{local}` makes the client, and keeps what may be kept"
        return Edit([draft.replace(call.func, local), *splices], summary, f"{finding.observed}; {_SOURCE}")

    return one_by_one(ID, findings, index, edit)


def _require_taking(found: Guard, call: ast.Call) -> None:
    """Raises UndecidedError unless the function takes the construction's arguments, and asks for no others."""
    maker = found.node
    if not isinstance(maker, ast.FunctionDef) or maker.decorator_list:
        raise UndecidedError(f"`{found.name}` is no plain function", _MISSING)
    given = maker.args
    named = [*given.args, *given.kwonlyargs]
    required = [*given.posonlyargs, *given.args][: len(given.posonlyargs) + len(given.args) - len(given.defaults)]
    required += [one for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    takes = given.kwarg is not None or {item.arg for item in call.keywords} <= {one.arg for one in named}
    if required or call.args or any(item.arg is None for item in call.keywords) or not takes:
        raise UndecidedError(
            f"`{found.name}` asks for other arguments than the client is made with", "how it is called here"
        )


def _require_kind(index: Index, found: Guard, makes: str) -> None:
    """Raises UndecidedError unless the function promises the kind of client that was made."""
    names = names_at(index, found.path)
    maker = found.node
    promised = maker.returns if isinstance(maker, ast.FunctionDef) else None
    if isinstance(promised, ast.Constant) and isinstance(promised.value, str):
        promised = ast.parse(promised.value, mode="eval").body
    said = "" if names is None or promised is None else names.origin(promised, names.module)
    if said not in (makes, *_SAME[makes]):
        raise UndecidedError(
            f"`{found.name}` does not promise a `{makes}`", f"a function that returns one, annotated `-> {makes}`"
        )


def _require_rules(index: Index, found: Guard) -> None:
    """Raises UndecidedError unless the function makes a cache that heeds what the other side says."""
    names = names_at(index, found.path)
    assert names is not None  # it was read to find the function
    body = [one for one in names.tree.body if getattr(one, "name", "") == found.name]
    made = [
        one
        for one in names.calls
        if not set(names.above(one)).isdisjoint(body)
        and names.origin(one.func).startswith("hishel.")
        and last_name(one.func).endswith(("CacheClient", "CacheTransport"))
    ]
    if not made:
        raise UndecidedError(f"no cache of hishel can be seen in `{found.name}`", _MISSING)
    if side(index, "hishel", "2.0", found.path) is Side.BEFORE:
        return
    for one in made:
        rules = next((item.value for item in one.keywords if item.arg == "rfc"), None)
        if not isinstance(rules, ast.Constant) or rules.value is not True:
            raise UndecidedError("hishel 2 keeps every answer for ever, unless it is told to heed HTTP's rules",
                                 f"`rfc=True` in `{found.name}`, and hishel>=2 among the dependencies")  # fmt: skip


_NET: Final = "import httpx\nfrom hishel.httpx import AsyncCacheClient\n\n\ndef kept(**options) -> httpx.AsyncClient:\n    return AsyncCacheClient(rfc=True, **options)\n"
_OLD: Final = _NET.replace("rfc=True, ", "")
_POLICY: Final = '[tool.regreen]\ncached-clients = ["app.prices.Prices -> app.net.kept"]\n'
_BEFORE: Final = "import httpx\n\n\nclass Prices:\n    def __init__(self, client: httpx.AsyncClient | None = None):\n        self.c = client or httpx.AsyncClient(timeout=3)  # ä\n"
_AFTER: Final = _BEFORE.replace("import httpx\n", "import httpx\nfrom app.net import kept\n").replace(
    "or httpx.AsyncClient", "or kept"
)


def _files(text: str, net: str = _NET, policy: str = _POLICY) -> dict[str, str]:
    return {"app/__init__.py": "", "app/net.py": net, "app/prices.py": text, "pyproject.toml": policy}


def _refused(title: str, net: str = _NET, policy: str = _POLICY, text: str = _BEFORE) -> Example:
    return Example(title, _files(text, net, policy), refuses=True)


EXAMPLES: Final = (
    Example("the tree makes such clients", _files(_BEFORE), _files(_AFTER)),
    Example("hishel's own, promised", _files(_BEFORE, _NET.replace("-> httpx.AsyncClient", "-> AsyncCacheClient")),
            _files(_AFTER, _NET.replace("-> httpx.AsyncClient", "-> AsyncCacheClient"))),
    _refused("no function is named", policy='[tool.regreen]\ncached-clients = ["app.prices.Prices"]\n'),
    _refused("it is not there", net="x = 1\n"),
    _refused("it keeps everything for ever", net=_NET.replace("rfc=True, ", "")),
    _refused("it keeps nothing", net=_NET.replace("AsyncCacheClient(rfc=True, ", "httpx.AsyncClient(")),
    _refused("it wants a folder", net=_NET.replace("(**options)", "(folder, **options)", 1)),
    _refused("it takes no time-out", net=_NET.replace("(**options)", "(proxy=None)", 1)),
    _refused("it promises nothing, or the other kind", net=_NET.replace(" -> httpx.AsyncClient", "")),
    _refused("the other kind", text=_BEFORE.replace("or httpx.AsyncClient", "or httpx.Client")),
    _refused("by position", text=_BEFORE.replace("timeout=3", "**options")),
    Example("an older hishel, which knows the rules only", {**_files(_BEFORE, _OLD), "requirements.txt": "hishel<2\n"}, {**_files(_AFTER, _OLD), "requirements.txt": "hishel<2\n"}),
    Example("kept already", _files(_AFTER), _files(_AFTER)),
)  # fmt: skip
