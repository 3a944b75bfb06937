"""Tests meet the boundary that they are about.

For every test the boundaries that it names (HTTP, WebSocket, SQL, Redis, Kafka, Neo4j, cloud, files, processes, time)
are sorted into real and mocked; the rest are absent. That is information: the verdict's note holds the totals, and
`boundaries(index)` the table. A finding is only a test that cannot show what it is there to show: one that is named
or marked as an integration or end-to-end test and replaces the very boundary in its name, or every boundary that it
meets; and one that replaces the method it then calls, and reads back what it put in.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from regreen.facts.source import Context, Index, Interests, dotted, last_name
from regreen.facts.source.boundaries import BOUNDARIES, REMOTE, met, named, speaking
from regreen.facts.source.modules import modules
from regreen.facts.source.testcode import FunctionNode, Suite, decorator_names, is_fixture, own_expressions, qualified
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.mocked-boundaries"
VERSION: Final = 2
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://martinfowler.com/articles/mocksArentStubs.html"

_ROOTS: Final = frozenset(
    b"requests httpx aiohttp urllib urllib3 websockets websocket sqlalchemy psycopg psycopg2 asyncpg sqlite3 pymysql "
    b"aiosqlite redis aioredis kafka confluent_kafka aiokafka neo4j boto3 botocore responses respx fakeredis moto "
    b"freezegun time_machine subprocess shutil".split()
)
_HINTS: Final = (b"patch", b"mock", b"monkeypatch")
_WHOLE: Final = re.compile(r"(?:^|[_/.: ])(?:integration|e2e|end_to_end|endtoend|end2end)(?:$|[_/.: ])", re.I)
#: `test_e2e_keys.py` is about keys: in a file's name the word counts alone or at the end.
_PLACE: Final = re.compile(r"(?<=[/_])e2e_(?=[^/]+\.py$)", re.IGNORECASE)
_SETUP: Final = frozenset({"self", "monkeypatch", "mocker", "caplog", "capsys", "tmp_path", "tmpdir", "request"})
_GENERIC: Final = frozenset(
    {"get", "post", "put", "delete", "send", "read", "write", "close", "open", "run", "call", "now"}
)


def _test(node: ast.stmt, ctx: Context) -> None:
    assert isinstance(node, FunctionNode)
    lines = _lines(ctx)
    if not lines:
        return
    first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
    at = bisect_left(lines, first)
    if at == len(lines) or lines[at] > (node.end_lineno or first) or is_fixture(node):
        return
    text = b"\n".join(ctx.lines[first - 1 : node.end_lineno]).decode("utf-8", "replace")
    said = met(text)
    if not (said.real or said.mocked or said.patched):
        return
    marks = [name for name in decorator_names(node) if ".mark." in f".{name}"]
    fixtures = [a.arg for a in (*node.args.args, *node.args.kwonlyargs) if a.arg not in _SETUP]
    put_in = _put_in(node) if said.patched and "object" in text and "return_value" in text else None
    ctx.emit(
        qualified(ctx, node), ctx.at(node)[:2] * 2, said.real, said.mocked, said.in_process,
        " ".join(marks), [name for name in fixtures if not re.search(r"mock|fake|stub|patch", name)], put_in or (),
    )  # fmt: skip


INTERESTS: Final = Interests(tests=_test)


def _lines(ctx: Context) -> list[int]:
    """The lines that may speak of a boundary; none in a file that neither imports a boundary's library nor mocks."""
    known: list[int] | None = ctx.memo.get("boundaries")
    if known is None:
        source = ctx.source
        interesting = any(hint in source for hint in _HINTS) or not _ROOTS.isdisjoint(ctx.roots)
        known = ctx.memo["boundaries"] = speaking(source) if interesting else []
    return known


def _put_in(node: FunctionNode) -> tuple[str, str, str] | None:
    """(class, method, text) where a test replaces a method by a value and calls that method itself."""
    for inner in own_expressions(node):
        if not isinstance(inner, ast.Call) or len(inner.args) < 2 or not dotted(inner.func).endswith("patch.object"):
            continue
        target, name = dotted(inner.args[0]), inner.args[1]
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)) or name.value in _GENERIC:
            continue
        if not any(keyword.arg == "return_value" for keyword in inner.keywords):
            continue
        calls = [call for call in own_expressions(node) if isinstance(call, ast.Call)]
        if any(isinstance(call.func, ast.Attribute) and call.func.attr == name.value for call in calls):
            others = {last_name(call.func) for call in calls if call is not inner}
            if not any(other.startswith("assert") and other.endswith(("with", "with_args")) for other in others):
                return target, name.value, ast.unparse(inner)[:160]
    return None


@dataclass(frozen=True, slots=True)
class Boundaries:
    """One test: which boundaries it meets for real, and which it replaces. What is in neither is absent."""

    test: str
    real: tuple[str, ...]
    mocked: tuple[str, ...]
    in_process: bool


def boundaries(index: Index) -> Iterator[Boundaries]:
    """The boundaries of every collected test that names any, in source order."""
    suite = Suite.of(index)
    for file, (qualname, _, real, mocked, inside, *_rest) in index.records(ID):
        if (real or mocked) and suite.is_test(file, qualname):
            yield Boundaries(f"{file.path}::{qualname.replace('.', '::')}", tuple(real), tuple(mocked), inside)


def judge(index: Index, policy: Policy) -> Verdict:
    """Findings for tests that replace what they are about; totals in the note."""
    suite = Suite.of(index)
    findings = []
    for file, (qualname, position, real, mocked, inside, marks, fixtures, put_in) in index.records(ID):
        if not suite.is_test(file, qualname):
            continue
        observed = ""
        snippet = f"def {qualname.rpartition('.')[2]}"
        text = f"{_PLACE.sub('', file.path)} {qualname} {marks} {qualname.replace('.', '_')}"
        if mocked and _WHOLE.search(text):
            about = named(f"{qualname} {file.path.rpartition('/')[2]}") & set(mocked)
            remote = [boundary for boundary in mocked if boundary in REMOTE]
            if about:
                observed = f"an integration test of {', '.join(sorted(about))} replaces {', '.join(sorted(about))}"
            elif remote and not real and not inside and not fixtures:
                observed = f"an integration test that replaces every boundary it meets: {', '.join(remote)}"
        if not observed and put_in:
            owner = modules(index).named(file.path, put_in[0])
            if owner.state == "defined" and owner.path in index.files:
                observed = f"the test replaces {put_in[0]}.{put_in[1]} by a value, calls it, and reads the value back"
                snippet = put_in[2]
        if observed:
            findings.append(
                index.finding(
                    ID, SEVERITY, file, position, scope=qualname, observed=observed,
                    expected="the real boundary, or a name that does not promise it", snippet=snippet,
                    data={"real": ",".join(real), "mocked": ",".join(mocked)},
                )
            )  # fmt: skip
    real_count: Counter[str] = Counter()
    mock_count: Counter[str] = Counter()
    for item in boundaries(index):
        real_count.update(item.real)
        mock_count.update(item.mocked)
    totals = [
        f"{boundary} {real_count[boundary]} real, {mock_count[boundary]} mocked"
        for boundary in BOUNDARIES
        if real_count[boundary] or mock_count[boundary]
    ]
    return Verdict.of(ID, suite.functions, findings, "; ".join(totals))


_PATCHED: Final = "import redis\nfrom unittest.mock import patch\n\n\n{}def {}(client):\n    with patch('app.redis.Redis'):\n        assert client.get('x')\n"
_OWN: Final = "from unittest import mock\n\nfrom app import Flow\n\n\ndef test_a(flow):\n    with mock.patch.object(Flow, {}):\n        assert flow.{}() == 1\n"
_APP: Final = {"app.py": "class Flow:\n    def decide(self): ...\n    def start(self): ...\n"}

EXAMPLES: Final = (
    Example("an integration test of Redis without Redis", {
        "tests/test_a.py": _PATCHED.format("", "test_redis_integration"),
    }, fires=1),
    Example("in a folder of end-to-end tests", {"tests/e2e/test_redis.py": _PATCHED.format("", "test_cache")}, fires=1),
    Example("a mark says it", {
        "tests/test_a.py": _PATCHED.format("@pytest.mark.integration\n", "test_redis_cache"),
    }, fires=1),
    Example("nothing is left", {
        "tests/integration/test_a.py": "import requests\n\n\ndef test_a(monkeypatch):\n"
        "    monkeypatch.setattr('app.requests.get', f)\n    assert f()\n",
    }, fires=1),
    Example("what it put in", {**_APP, "test_a.py": _OWN.format("'decide', return_value=1", "decide")}, fires=1),
    Example("a file about end-to-end encryption", {"tests/handlers/test_e2e_keys.py": "import requests\n\n\ndef test_a(monkeypatch):\n    monkeypatch.setattr('app.requests.get', f)\n    assert f()\n"}),
    Example("a unit test may mock", {"tests/unit/test_redis.py": _PATCHED.format("", "test_cache")}),
    Example("an integration test that mocks another boundary", {
        "tests/integration/test_redis.py": "import redis\nimport responses\n\n\n@responses.activate\ndef test_redis_cache(client):\n"
        "    assert redis.Redis().get('x')\n",
    }),
    Example("an integration test of what is real", {
        "tests/integration/test_a.py": "import httpx\n\n\ndef test_a(server):\n    assert httpx.get(server).status_code == 200\n",
    }),
    Example("replaces what the subject calls", {**_APP, "test_a.py": _OWN.format("'decide', return_value=1", "start")}),
    Example("watches and does not replace", {**_APP, "test_a.py": _OWN.format("'decide', wraps=f", "decide")}),
    Example("a class from elsewhere", {
        "test_a.py": _OWN.format("'decide', return_value=1", "decide").replace("from app", "from lib"),
    }),
    Example("no boundary", {"tests/integration/test_a.py": "def test_a():\n    assert f()\n"}),
)  # fmt: skip
