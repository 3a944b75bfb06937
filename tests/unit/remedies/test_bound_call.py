"""The time-out that the remedy adds really ends a call, and nothing else in the file changes."""

from __future__ import annotations

import ast
import re
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.code import external_calls_bounded
from regreen.facts.source import MemoryTree, survey
from regreen.model import Safety, compose
from regreen.policy import Policy
from remedies.code import bound_call

_LIMIT = 0.1


def _repaired(source: bytes, limit: float = _LIMIT) -> bytes:
    tree = MemoryTree({"a.py": source})
    policy = Policy(call_timeout=limit)
    result = survey(tree, [external_calls_bounded], policy)
    proposal = bound_call.propose(result.diagnosis.verdicts[0].findings, result.index, policy)
    assert proposal.refusals == ()
    assert {change.safety for change in proposal.changes} <= {Safety.UNSAFE}
    edits, waiting = compose(tree, proposal.changes)
    assert waiting == ()
    return edits.get("a.py", source)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize("source", [
    "import requests\n\n\ndef call(url):\n    requests.get(url)\n",
    "import requests\n\n\ndef call(url):\n    with requests.Session() as s:\n        s.post(url, data={})\n",
    "import httpx\n\n\ndef call(url):\n    with httpx.Client(timeout=None) as c:\n        c.get(url)\n",
    "import httpx\n\n\ndef call(url):\n    with httpx.Client(timeout=httpx.Timeout(None)) as c:\n        c.get(url)\n",
    "import urllib.request\n\n\ndef call(url):\n    urllib.request.urlopen(url)\n",
    "import urllib3\n\n\ndef call(url):\n    with urllib3.PoolManager(retries=False) as pool:\n        p = urllib3.PoolManager(retries=False)\n"
    "        p.request('GET', url)\n",
    "import http.client\n\n\ndef call(url):\n    c = http.client.HTTPConnection(url[7:-1])\n    try:\n        c.request('GET', '/')\n"
    "        c.getresponse()\n    finally:\n        c.close()\n",
    "import smtplib\n\n\ndef call(url):\n    smtplib.SMTP(url[7:-1])\n",
    "import aiohttp\nimport asyncio\n\n\nasync def get(url):\n    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as s:\n"
    "        await s.get(url)\n\n\ndef call(url):\n    asyncio.run(get(url))\n",
])  # fmt: skip
def test_a_repaired_call_ends(silent: str, source: str) -> None:
    repaired = _repaired(source.encode())
    assert repaired != source.encode()
    namespace: dict[str, object] = {}
    exec(compile(repaired, "a.py", "exec"), namespace)
    call = namespace["call"]
    assert callable(call)

    started = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)timed? ?out|^$"):
        call(silent)
    assert time.monotonic() - started < 2


_CALLS = (
    "requests.get(url)",
    "requests.post(url, json={'ä': (1)})",
    "requests.get((url))",
    "requests.get(\n    url,  # ä, (\n)",
)


@given(
    st.lists(st.tuples(st.sampled_from(_CALLS), st.sampled_from(["", "  # ü (", "; x = 'é'"])), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_only_the_argument_is_added(calls: list[tuple[str, str]], newline: str, mark: bytes) -> None:
    lines = ["import requests", "", *(f"{call}{rest}" for call, rest in calls)]
    source = mark + newline.join("\n".join(lines).split("\n")).encode()

    repaired = _repaired(source, 30)

    ast.parse(repaired)
    assert repaired.count(b"timeout=30") == len(calls)
    bare = re.sub(rb", timeout=30|^ +timeout=30,\r?\n", b"", repaired, flags=re.MULTILINE)
    assert bare == source
    assert _repaired(repaired, 30) == repaired
