"""Clients whose answers may be kept keep them, by the rules of HTTP.

`cached-clients` of the policy names classes of the tree that ask the same things of an outside service again and again. The
httpx clients that they make must be ones that keep what the other side allows to be kept (RFC 9111): a client that the tree
makes for that (`CLIENT -> FUNCTION`), hishel's, or one with a cache as its transport. Without that list, nothing is judged:
whether an answer may be a little old is not in the code.
"""

from __future__ import annotations

import ast
import re
from typing import Final

from regreen.facts.libraries.reading import names_at
from regreen.facts.source import Index, Interests, dotted
from regreen.facts.source.modules import DEFINED, modules
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy, objects

ID: Final = "code.responses-cached"
VERSION: Final = 1
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://hishel.com/2.0/integrations/httpx/"
INTERESTS: Final = Interests()

_CLIENTS: Final = ("httpx.Client", "httpx.AsyncClient")
_KEEPING: Final = re.compile(r"cach", re.IGNORECASE)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per httpx client that a named class makes without a cache."""
    findings: list[Finding] = []
    unknown: list[str] = []
    for client, known in objects(policy.cached_clients).items():
        symbol = modules(index).origin("", client)
        names = names_at(index, symbol.path) if symbol.state == DEFINED and symbol.path in index.files else None
        if names is None:
            unknown.append(client)
            continue
        for call in names.calls:
            scope = names.space(call).qualname
            origin = names.origin(call.func)
            if not f"{scope}.".startswith(f"{symbol.name}.") or origin not in _CLIENTS or _keeps(call):
                continue
            at = (call.lineno, call.col_offset, call.end_lineno or 0, call.end_col_offset or 0)
            findings.append(
                index.finding(
                    ID, SEVERITY, index.files[symbol.path], at, scope=scope,
                    observed=f"the `{origin}` of {client} asks again for what it was told it may keep",
                    expected="a client with an HTTP cache", snippet=f"{origin}(…)",
                    data={"client": client, "object": known, "makes": origin},
                )
            )  # fmt: skip
    note = f"not found in the tree: {', '.join(unknown)}" if unknown else ""
    return Verdict.of(ID, len(index.files), findings, note)


def _keeps(call: ast.Call) -> bool:
    """Whether the transport that a client is given is a cache."""
    given = (item.value for item in call.keywords if item.arg == "transport")
    return any(
        _KEEPING.search(dotted(node)) for value in given for node in ast.walk(value) if isinstance(node, ast.expr)
    )


_HEAD: Final = "import httpx\n\nfrom hishel.httpx import AsyncCacheClient, AsyncCacheTransport\n\n\nclass Prices:\n    def __init__(self, client=None):\n"
_POLICY: Final = {
    "app/__init__.py": "",
    "pyproject.toml": '[tool.regreen]\ncached-clients = ["app.prices.Prices -> app.net.kept"]\n',
}

EXAMPLES: Final = (
    Example("a client without a cache", {"app/prices.py": _HEAD + "        self.c = client or httpx.AsyncClient(timeout=3)\n", **_POLICY}, fires=1),
    Example("one for each call", {
        "app/prices.py": "import httpx as h\n\n\nclass Prices:\n    def get(self, u):\n        with h.Client() as c:\n            return c.get(u)\n", **_POLICY}, fires=1),
    Example("a client with one", {"app/prices.py": _HEAD + "        self.c = client or AsyncCacheClient()\n", **_POLICY}),
    Example("a transport with one", {"app/prices.py": _HEAD + "        self.c = httpx.AsyncClient(transport=AsyncCacheTransport(next))\n", **_POLICY}),
    Example("another class, and a function", {
        "app/prices.py": "import httpx\n\n\nclass Prices:\n    pass\n\n\nclass PricesNow:\n    c = httpx.Client()\n\n\ndef f():\n    return httpx.Client()\n", **_POLICY}),
    Example("nobody is named", {"app/prices.py": _HEAD + "        self.c = httpx.AsyncClient()\n", "app/__init__.py": ""}),
    Example("a name that is not there", {"app/other.py": "x = 1\n", **_POLICY}),
)  # fmt: skip
