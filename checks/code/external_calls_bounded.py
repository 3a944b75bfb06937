"""Every call to an outside service ends: it has a time-out, and named clients have a limiter and a breaker.

Judged by each library's own default. requests, urllib, urllib3, http.client, smtplib and ftplib wait for ever unless they
are told; httpx gives up after 5 s and aiohttp after 300 s, so there only a limit that is taken away is reported.
`limited-clients` and `breaker-clients` of the policy name clients (classes of the tree, methods of them, or a library's)
whose every call goes through a rate limiter, or a circuit breaker: a `with`, a decorator, a call around it, for a limiter
an `acquire()` before it, or the client's transport. `CLIENT -> OBJECT` also says which object of the tree that is.
Not judged: tests and examples, calls to this machine, calls under `wait_for` or another time limit, sessions with an
adapter of their own, and calls with `**kwargs` (counted in the note).
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import re2

from regreen.facts.libraries.names import FunctionNode, Names
from regreen.facts.libraries.reading import names_at, names_in, reaches, through_reexports
from regreen.facts.libraries.values import Values, Vocabulary
from regreen.facts.source import Context, FileFacts, Index, Interests
from regreen.facts.source.aside import is_aside
from regreen.facts.source.context import dotted, last_name
from regreen.facts.source.modules import DEFINED, modules
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy, objects

ID: Final = "code.external-calls-bounded"
VERSION: Final = 1
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://requests.readthedocs.io/en/latest/user/advanced/#timeouts"

_VERBS: Final = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request"})
_SESSION: Final = "requests session"
_HTTPX: Final = "httpx client"
_POOL: Final = "urllib3 pool"
_WORDS: Final = Vocabulary(
    calls={
        "requests.Session": _SESSION, "requests.session": _SESSION, "requests.sessions.Session": _SESSION,
        "httpx.Client": _HTTPX, "httpx.AsyncClient": _HTTPX,
        "aiohttp.ClientSession": "aiohttp session", "urllib3.PoolManager": _POOL,
        "urllib.request.build_opener": "opener",
    },
    annotations={
        "requests.Session": _SESSION, "requests.sessions.Session": _SESSION, "httpx.Client": _HTTPX,
        "httpx.AsyncClient": _HTTPX, "aiohttp.ClientSession": "aiohttp session",
    },
    entered={_SESSION: _SESSION, _HTTPX: _HTTPX, "aiohttp session": "aiohttp session"},
)  # fmt: skip
#: Callee → the position of `timeout` among its arguments (from 0), where nothing bounds the call otherwise.
_BARE: Final = {
    **{f"requests.{verb}": 99 for verb in _VERBS},
    "urllib.request.urlopen": 2,
    "http.client.HTTPConnection": 2,
    "http.client.HTTPSConnection": 4,
    "smtplib.SMTP": 3,
    "smtplib.SMTP_SSL": 3,
    "ftplib.FTP": 4,
}
_TAKING_AWAY: Final = {
    **{f"httpx.{verb}": "timeout" for verb in (*_VERBS, "stream")},
    "httpx.Client": "timeout",
    "httpx.AsyncClient": "timeout",
    "httpx.Timeout": "timeout",
    "aiohttp.ClientTimeout": "total",
}
_ORIGINS: Final = frozenset({*_BARE, *_TAKING_AWAY, "urllib.request.urlretrieve", *_WORDS.calls, *_WORDS.annotations})
_LIMITER: Final = re.compile(r"limiter|rate_?limit|throttl", re.IGNORECASE)
_BREAKER: Final = re.compile(r"breaker|circuit", re.IGNORECASE)
_TIMED: Final = re.compile(r"timeout|fail_after|move_on_after|wait_for|deadline", re.IGNORECASE)
_HERE: Final = re.compile(r"(?:https?://)?(?:localhost|127\.\d|0\.0\.0\.0|\[?::1)|file:|data:|unix:")
_SUSPECT: Final = re.compile(
    rb"\brequests\.(?:get|post|put|patch|delete|head|options|request|session|Session)\b|from[ \t]+requests|requests[ \t]+as\b"
    rb"|\burlopen\b|\burlretrieve\b|\bPoolManager\b|\bHTTPS?Connection\b|\bSMTP(?:_SSL)?\b|\bFTP\b|\bbuild_opener\b"
    rb"|\bClientTimeout\b|\bhttpx\.Timeout\b|[(,][ \t\r\n]*timeout=None"
)


class Use(NamedTuple):
    """A call that may last for ever. `what`: `missing`, `none` (taken away), `untakeable`, or `dynamic`."""

    what: str
    call: ast.Call
    scope: str
    callee: str


def _uses(names: Names, source: bytes) -> Iterator[Use]:
    values = Values(names, _WORDS)
    adapted = b".mount(" in source or b".request = " in source or b"setdefaulttimeout" in source
    for call in names.calls:
        origins = names.origins(call.func)
        callee = origins[0] if len(origins) == 1 else ""
        what = ""
        if callee in _BARE:
            if not (b"setdefaulttimeout" in source and not callee.startswith("requests.")):
                what = _bare(call, _BARE[callee])
        elif callee in _TAKING_AWAY:
            what = _taken(call, callee)
        elif callee == "urllib.request.urlretrieve":
            what = "" if b"setdefaulttimeout" in source else "untakeable"
        elif not callee and isinstance(call.func, ast.Attribute):
            what, callee = _method(call, call.func, values, adapted)
        if what and not _is_here(call) and not _is_timed(names, call):
            yield Use(what, call, names.space(call).qualname, callee)


def _method(call: ast.Call, func: ast.Attribute, values: Values, adapted: bool) -> tuple[str, str]:
    """What is wrong with a call of a method, and how the callee is called for people."""
    if func.attr not in _VERBS and func.attr not in ("open", "stream"):
        return "", ""
    kind = values.kind(func.value)
    if kind == _SESSION and func.attr in _VERBS and not adapted:
        return _bare(call, 99), f"requests.Session.{func.attr}"
    if kind == _HTTPX and func.attr != "open" and _is_none(_keyword(call, "timeout")):
        return "none", f"httpx.Client.{func.attr}"
    if kind == _POOL and func.attr == "request" and not adapted and not _pool_timed(values.names):
        return _bare(call, 99), "urllib3.PoolManager.request"
    if kind == "opener" and func.attr == "open" and not adapted:
        return _bare(call, 2), "OpenerDirector.open"
    return "", ""


def _pool_timed(names: Names) -> bool:
    return any(
        last_name(call.func) == "PoolManager" and (_keyword(call, "timeout") or _has_dynamic(call))
        for call in names.calls
    )


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((item.value for item in call.keywords if item.arg == name), None)


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _has_dynamic(call: ast.Call) -> bool:
    return any(item.arg is None for item in call.keywords) or any(isinstance(arg, ast.Starred) for arg in call.args)


def _bare(call: ast.Call, position: int) -> str:
    given = _keyword(call, "timeout")
    if given is not None:
        return "none" if _is_none(given) else ""
    if len(call.args) > position:
        return ""
    if _has_dynamic(call):
        return "dynamic"
    return "missing" if call.args or call.keywords else ""


def _taken(call: ast.Call, callee: str) -> str:
    name = _TAKING_AWAY[callee]
    if callee == "aiohttp.ClientTimeout":
        if call.args or _has_dynamic(call) or any(item.arg != name for item in call.keywords):
            return ""
        return "none" if not call.keywords or _is_none(call.keywords[0].value) else ""
    if callee == "httpx.Timeout":
        return "none" if len(call.args) == 1 and not call.keywords and _is_none(call.args[0]) else ""
    return "none" if _is_none(_keyword(call, name)) else ""


def _is_here(call: ast.Call) -> bool:
    """Whether the call names this machine, or a file of it."""
    for node in [*call.args[:2], *(item.value for item in call.keywords if item.arg in ("url", "host"))]:
        first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and _HERE.match(first.value):
            return True
    return False


def _is_timed(names: Names, node: ast.AST) -> bool:
    """Whether a time limit stands around the call: `wait_for`, `asyncio.timeout`, a decorator."""
    for above in names.above(node):
        if isinstance(above, ast.With | ast.AsyncWith):
            if any(
                isinstance(i.context_expr, ast.Call) and _TIMED.search(last_name(i.context_expr.func))
                for i in above.items
            ):
                return True
        elif isinstance(above, ast.Call) and last_name(above.func) == "wait_for":
            return True
        elif isinstance(above, FunctionNode):
            return any(_TIMED.search(_named(decorator)) for decorator in above.decorator_list)
    return False


def _named(node: ast.expr) -> str:
    return dotted(node.func if isinstance(node, ast.Call) else node)


def _record(use: Use) -> tuple[Any, ...]:
    call = use.call
    at = (call.lineno, call.col_offset, call.end_lineno, call.end_col_offset)
    return use.what, use.scope, at, use.callee, _outline(call)


def _outline(call: ast.Call) -> str:
    """The call without what it is given literally: an address or a header may hold a secret."""
    parts = [_shown(arg) for arg in call.args]
    parts += [f"{item.arg}={_shown(item.value)}" if item.arg else "**…" for item in call.keywords]
    return f"{dotted(call.func) or last_name(call.func)}({', '.join(parts)})"


def _shown(node: ast.expr) -> str:
    return dotted(node) or ("None" if _is_none(node) else "…")


@cache
def _quick() -> Any:
    """`_SUSPECT`, made for one look at a whole file."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are
    return re2.compile(_SUSPECT.pattern, options)


def _finish(context: Context) -> None:
    if _quick().search(context.source) and reaches(context, _ORIGINS):
        for use in _uses(names_in(context), context.source):
            context.emit(*_record(use))


INTERESTS: Final = Interests(
    modules=("requests", "httpx", "aiohttp", "urllib", "urllib3", "http", "smtplib", "ftplib"),
    needles=(
        "requests",
        "httpx",
        "aiohttp",
        "urlopen",
        "urlretrieve",
        "PoolManager",
        "HTTPConnection",
        "HTTPSConnection",
        "SMTP",
        "FTP",
        "build_opener",
    ),
    finish=_finish,
)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per call that may last for ever, and per call of a named client that nothing holds back."""
    findings: list[Finding] = []
    dynamic = aside = 0
    for file, record in _every(index):
        what, scope, position, callee, text = record
        if is_aside(file.path):
            aside += 1
        elif what == "dynamic":
            dynamic += 1
        else:
            observed = {
                "missing": f"`{callee}` has no `timeout`, and by itself waits for ever",
                "none": f"`{callee}` with its limit taken away waits for ever",
                "untakeable": f"`{callee}` takes no `timeout`, and waits for ever",
            }[what]
            findings.append(
                index.finding(
                    ID, SEVERITY, file, position, scope=scope, observed=observed,
                    expected=f"a limit, such as {policy.call_timeout:g} s (policy call-timeout)", snippet=text,
                    data={"kind": what, "callee": callee},
                )
            )  # fmt: skip
    findings += _unguarded(index, policy.limited_clients, "unlimited", "rate limiter", _LIMITER)
    findings += _unguarded(index, policy.breaker_clients, "unbroken", "circuit breaker", _BREAKER)
    notes = (f"{dynamic} calls pass **kwargs: their time-out is not known" if dynamic else "",
             f"{aside} calls in tests and examples were left out" if aside else "")  # fmt: skip
    return Verdict.of(ID, len(index.files), findings, "; ".join(note for note in notes if note))


def _every(index: Index) -> Iterator[tuple[FileFacts, tuple[Any, ...]]]:
    own = modules(index)
    libraries = ("requests", "httpx", "aiohttp", "urllib3")
    inside = tuple(name for name in libraries if not own.is_external(name) and name in own.sources)
    for file, record in index.records(ID):
        if not record[3].startswith(inside or ("\0",)):
            yield file, record
    for library in ("requests", "httpx", "aiohttp", "urllib"):
        for file, names in through_reexports(index, library, _SUSPECT):
            for use in _uses(names, index.tree.read(file.path)):
                yield file, _record(use)


def _unguarded(index: Index, clients: Sequence[str], kind: str, guard: str, word: re.Pattern[str]) -> Iterator[Finding]:
    """Calls of the policy's named clients that do not pass a guard: a limiter, or a breaker."""
    for name, known in objects(clients).items():
        symbol = modules(index).origin("", name)
        if symbol.state == DEFINED and symbol.path in index.files:
            names = names_at(index, symbol.path)
            calls = [] if names is None else [(symbol.path, names, call) for call in _inside(names, symbol.name)]
        else:
            calls = list(_of_library(index, name))
        calls.sort(key=lambda one: (one[0], one[2].lineno, one[2].col_offset))
        earlier: Counter[ast.AST] = Counter()
        for path, names, call in calls:
            if is_aside(path) or _is_held(names, call, word):
                continue
            function = next((above for above in names.above(call) if isinstance(above, FunctionNode)), names.tree)
            earlier[function] += 1
            if word is _LIMITER and _acquired(function, call) >= earlier[function]:
                continue
            at = (call.lineno, call.col_offset, call.end_lineno or 0, call.end_col_offset or 0)
            yield index.finding(
                ID, SEVERITY, index.files[path], at, scope=names.space(call).qualname,
                observed=f"`{_called(call)}` of the named client {name} passes no {guard}",
                expected=f"a {guard} around the call", snippet=f"{guard}: {_outline(call)}",
                data={"kind": kind, "callee": _called(call), "client": name, "object": known},
            )  # fmt: skip


def _acquired(function: ast.AST, call: ast.Call) -> int:
    """How often a limiter was asked in a function before a call: one permit is for one call."""
    return sum(
        isinstance(node, ast.Call) and node.lineno <= call.lineno and bool(_LIMITER.search(dotted(node.func)))
        for node in ast.walk(function)
    )


def _called(call: ast.Call) -> str:
    return dotted(call.func) or last_name(call.func)


def _inside(names: Names, qualname: str) -> Iterator[ast.Call]:
    """Outgoing calls in a class of the tree, or in one method of it."""
    values = Values(names, _WORDS)
    for call in names.calls:
        if not f"{names.space(call).qualname}.".startswith(f"{qualname}."):
            continue
        origin = names.origin(call.func)
        by_name = origin.startswith("urllib.request.url") or (
            origin.rpartition(".")[0] in ("requests", "httpx") and last_name(call.func) in _VERBS
        )
        if by_name or (
            isinstance(call.func, ast.Attribute)
            and call.func.attr in {*_VERBS, "stream", "send"}
            and values.kind(call.func.value) in (_SESSION, _HTTPX, _POOL, "aiohttp session")
        ):
            yield call


def _of_library(index: Index, name: str) -> Iterator[tuple[str, Names, ast.Call]]:
    """Calls of a client that a library brings: its methods, or the functions below its name."""
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    is_class = last[:1].isupper()
    words = Vocabulary(calls={name: "limited"}, annotations={name: "limited"}, entered={"limited": "limited"})
    for path, file in index.files.items():
        if not any((i[5] or i[6][0][0]).partition(".")[0] == root for i in file.raw_imports if i[4] <= 0):
            continue
        names = names_at(index, path)
        if names is None:
            continue
        values = Values(names, words)
        for call in names.calls:
            origin = names.origin(call.func)
            by_name = origin.startswith(f"{name}.") or (origin == name and not is_class)
            if by_name or (isinstance(call.func, ast.Attribute) and values.kind(call.func.value) == "limited"):
                yield path, names, call


def _is_held(names: Names, call: ast.Call, word: re.Pattern[str]) -> bool:
    """Whether a guard stands around the call, or in the client itself."""
    for above in names.above(call):
        if isinstance(above, ast.With | ast.AsyncWith):
            if any(_mentions(item.context_expr, word) for item in above.items):
                return True
        elif isinstance(above, ast.Call):
            if word.search(dotted(above.func)):
                return True
        elif isinstance(above, FunctionNode) and any(word.search(_named(one)) for one in above.decorator_list):
            return True
    space = names.space(call)
    base = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name) and base.value.id == space.receiver:
        bindings = space.owner.attributes.get(base.attr, []) if space.owner is not None else []
        return any(binding.node is not None and _mentions(binding.node, word) for binding, _ in bindings)
    return False


def _mentions(node: ast.AST, word: re.Pattern[str]) -> bool:
    return any(
        isinstance(n, ast.Name | ast.Attribute) and word.search(n.attr if isinstance(n, ast.Attribute) else n.id)
        for n in ast.walk(node)
    )


_CLIENT: Final = (
    "import httpx\n\nfrom app.guards import breaker, limiter\n\n\nclass Prices:\n    def __init__(self, client: httpx.AsyncClient):\n"
    "        self._client = client\n\n"
)
_BOTH: Final = '[tool.regreen]\nlimited-clients = ["app.prices.Prices", "slack_sdk.WebClient"]\nbreaker-clients = ["app.prices.Prices"]\n'
_POLICY: Final = '[tool.regreen]\nlimited-clients = ["app.prices.Prices", "slack_sdk.WebClient"]\n'

EXAMPLES: Final = (
    Example("requests without a limit", {"a.py": "import requests as r\nfrom requests import post\n\nr.get('https://a')\npost('https://a', json={})\n"}, fires=2),
    Example("a session of requests", {
        "a.py": "import requests\n\n\nclass C:\n    def __init__(self):\n        self.s = requests.Session()\n\n    def f(self, u):\n"
        "        with requests.Session() as t:\n            t.get(u)\n        return self.s.post(u)\n"}, fires=2),
    Example("timeout=None", {"a.py": "import httpx\nimport requests\n\nrequests.get('https://a', timeout=None)\nhttpx.get('https://a', timeout=None)\n"}, fires=2),
    Example("clients with their limit taken away", {
        "a.py": "import aiohttp\nimport httpx\n\nc = httpx.AsyncClient(timeout=None)\nd = httpx.Client(timeout=httpx.Timeout(None))\n"
        "t = aiohttp.ClientTimeout(total=None)\nc.get('https://a', timeout=None)\n"}, fires=4),
    Example("the standard library", {
        "a.py": "import http.client\nimport smtplib\nimport urllib.request\nfrom urllib.request import urlopen, urlretrieve\n\n"
        "urlopen('https://a')\nurllib.request.urlopen(q, None)\nurlretrieve('https://a', 'b')\nsmtplib.SMTP('mail.a.io')\n"
        "http.client.HTTPSConnection('a.io')\n"}, fires=5),
    Example("a pool of urllib3, and an opener", {
        "a.py": "import urllib.request\n\nimport urllib3\n\nurllib3.PoolManager().request('GET', u)\nurllib.request.build_opener().open(u)\n"}, fires=2),
    Example("re-exported by a module of the tree", {
        "app/__init__.py": "", "app/net.py": "import requests\n", "app/a.py": "from app.net import requests\n\nrequests.get(u)\n"}, fires=1),
    Example("a limited client of the tree without a limiter", {
        "app/__init__.py": "", "app/prices.py": _CLIENT + "    async def get(self, u):\n        return await self._client.get(u)\n",
        "pyproject.toml": _POLICY}, fires=1),
    Example("a limited client of a library", {
        "a.py": "import slack_sdk\nfrom slack_sdk import WebClient\n\nc = WebClient(token=t)\n\n\ndef f(other: slack_sdk.WebClient | None):\n"
        "    other.chat_update()\n\n\nc.chat_postMessage()\nd.chat_postMessage()\n", "pyproject.toml": _POLICY}, fires=2),
    Example("one permit is for one call, and a breaker elsewhere is none", {
        "app/__init__.py": "", "app/prices.py": _CLIENT + "    async def a(self, u):\n        await limiter.acquire()\n        await self._client.get(u)\n"
        "        await breaker.call(other)\n        return await self._client.get(u)\n", "pyproject.toml": _BOTH}, fires=3),
    Example("one method of a client", {
        "app/__init__.py": "", "app/prices.py": _CLIENT + "    async def get(self, u):\n        return await self._client.get(u)\n\n"
        "    async def get_all(self, u):\n        return await self._client.get(u)\n",
        "pyproject.toml": '[tool.regreen]\nbreaker-clients = ["app.prices.Prices.get -> app.guards.breaker"]\n'}, fires=1),
    Example("held by a limiter and a breaker", {
        "app/__init__.py": "", "app/prices.py": _CLIENT + "    async def a(self, u):\n        async with limiter, breaker:\n            return await self._client.get(u)\n\n"
        "    @breaker\n    async def b(self, u):\n        await limiter.acquire()\n        return await self._client.get(u)\n\n"
        "    async def c(self, u):\n        await limiter.acquire()\n        return await breaker.call(lambda: self._client.get(u))\n\n"
        "    async def d(self, u):\n        return await breaker.call_async(self._client.get, u)\n",
        "b.py": "from slack_sdk import WebClient\n\nc = WebClient()\n\n\n@rate_limiter(5)\ndef f():\n    c.chat_update()\n", "pyproject.toml": _BOTH}),
    Example("limits are given", {
        "a.py": "import http.client\nimport requests\nfrom urllib.request import urlopen\n\nrequests.get(u, timeout=5)\nrequests.get(u, timeout=LIMIT)\n"
        "urlopen(u, None, 5)\nhttp.client.HTTPConnection('a', 80, 5)\ns = requests.Session()\ns.get(u, timeout=(3, 5))\n"}),
    Example("the defaults of httpx and aiohttp are limits", {
        "a.py": "import aiohttp\nimport httpx\n\nhttpx.get(u)\nc = httpx.AsyncClient()\nc.get(u)\ns = aiohttp.ClientSession()\ns.get(u)\n"
        "t = aiohttp.ClientTimeout(total=None, sock_read=60)\nhttpx.Timeout(None, connect=5)\n"}),
    Example("bounded from outside", {
        "a.py": "import asyncio\nimport httpx\n\n\nasync def f(u, c: httpx.AsyncClient):\n    await asyncio.wait_for(c.get(u, timeout=None), 5)\n"
        "    async with asyncio.timeout(5):\n        await c.get(u, timeout=None)\n"}),
    Example("tests, and this machine", {
        "tests/test_a.py": "import requests\n\n\ndef test_a():\n    requests.get('https://a')\n",
        "a.py": "import requests\n\nrequests.get('http://localhost:8000/health')\nrequests.get(f'http://127.0.0.1:{port}/')\n"}),
    Example("kwargs, an adapter, another get", {
        "a.py": "import requests\n\nrequests.get(u, **options)\ns = requests.Session()\ns.mount('https://', Bounded())\ns.get(u)\n{}.get(u)\ncache.get(u)\n"}),
    Example("a parameter shadows the import", {"a.py": "import requests\n\n\ndef f(requests):\n    return requests.get('https://a')\n"}),
    Example("a default for every socket", {"a.py": "import socket\nfrom urllib.request import urlopen\n\nsocket.setdefaulttimeout(9)\nurlopen(u)\n"}),
)  # fmt: skip
