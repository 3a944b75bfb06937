"""Whatever the layout of a call, a rewrite parses, keeps every other line to the byte, and says what it should."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.code import pools_configured, pydantic_fields_valid, websocket_has_open_timeout, websocket_keyword_current
from regreen.facts.source import CodeCheck, CodeRemedy
from remedies.code import pool_settings, pydantic_current, websocket_keyword, websocket_open_timeout
from tests.unit.remedies.mending import mend

ABOVE = "# ü \u200b kept   \nTEXT = '''timeout=10\n  extra_headers'''\t\n"
BELOW = "\n\nLAST = {'timeout': 10}  # no newline at the end"

OTHERS = st.lists(
    st.sampled_from(
        [
            "ssl=None",
            "max_size=(1 + 2)",
            "origin='ö, (x'",
            "ping_interval=f(1, [2, 3])",
            "user_agent_header=lambda a, b: a",
        ]
    ),
    unique=True,
    max_size=3,
)
GAPS = st.sampled_from(["", " ", "\n        ", "  # why, (\n        ", "\n\n        "])


@st.composite
def calls(draw: st.DrawFn, callee: str, first: str, wanted: tuple[str, ...]) -> str:
    """A call with the wanted keywords among others, in some order and layout."""
    arguments = [first, *draw(st.permutations([*wanted, *draw(OTHERS)]))]
    parts = [
        f"{draw(GAPS)}{argument}{draw(st.sampled_from(['', ' ', chr(10) + '        ']))}" for argument in arguments
    ]
    return f"{callee}({','.join(parts)}{draw(st.sampled_from(['', ',']))}{draw(GAPS)})"


def check_rest(before: bytes, after: bytes, call: bytes) -> ast.Module:
    """The lines around the call are those of before, but for new imports; the whole parses."""
    head, tail = before.split(call)
    assert after.endswith(tail)
    kept = [
        line for line in after[: len(after) - len(tail)].split(b"\n") if not line.startswith((b"import ", b"from "))
    ]
    wanted = [line for line in head.split(b"\n") if not line.startswith((b"import ", b"from "))]
    assert kept[: len(wanted) - 1] == wanted[:-1]
    return ast.parse(after)


def keywords(tree: ast.Module, name: str) -> dict[str | None, str]:
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
    ]
    return {item.arg: ast.unparse(item.value) for item in found[0].keywords}


def run(source: str, newline: str, check: CodeCheck, remedy: CodeRemedy, **more: str) -> tuple[bytes, bytes]:
    before = source.replace("\n", newline).encode()
    files, refusals = mend({"a.py": before, **more}, (check, remedy))
    assert refusals == []
    again, _ = mend({"a.py": files["a.py"], **more}, (check, remedy))
    assert again["a.py"] == files["a.py"]
    return before, files["a.py"]


@settings(max_examples=40, deadline=None)
@given(calls("websockets.connect", "(url)", ("timeout=10",)), st.sampled_from(["\n", "\r\n"]))
def test_open_timeout(call: str, newline: str) -> None:
    source = f"{ABOVE}import websockets\n\n\nasync def f(url):\n    return await {call}{BELOW}"
    before, after = run(source, newline, websocket_has_open_timeout, websocket_open_timeout)

    tree = check_rest(before, after, call.replace("\n", newline).encode())
    old = keywords(ast.parse(before), "connect")
    old["open_timeout"] = old.pop("timeout")
    assert keywords(tree, "connect") == old


@settings(max_examples=40, deadline=None)
@given(
    calls("websockets.connect", "url", ("extra_headers={'a': 'b'}", "open_timeout=30")), st.sampled_from(["\n", "\r\n"])
)
def test_headers(call: str, newline: str) -> None:
    source = f"{ABOVE}import websockets\n\n\nasync def f(url):\n    return await {call}{BELOW}"
    before, after = run(source, newline, websocket_keyword_current, websocket_keyword)

    tree = check_rest(before, after, call.replace("\n", newline).encode())
    old = keywords(ast.parse(before), "connect")
    old["additional_headers"] = old.pop("extra_headers")
    assert keywords(tree, "connect") == old


@settings(max_examples=40, deadline=None)
@given(calls("websockets.connect", "((url))", ("timeout=(t)",)), st.sampled_from(["\n", "\r\n"]))
def test_wait_for(call: str, newline: str) -> None:
    source = f"{ABOVE}import websockets\n\n\nasync def f(url, t):\n    return await {call}{BELOW}"
    before, after = run(
        source, newline, websocket_has_open_timeout, websocket_open_timeout, **{"requirements.txt": "websockets>=9\n"}
    )

    tree = check_rest(before, after, call.replace("\n", newline).encode())
    old = keywords(ast.parse(before), "connect")
    assert keywords(tree, "wait_for") == {"timeout": old.pop("timeout")}
    assert keywords(tree, "connect") == old


@settings(max_examples=40, deadline=None)
@given(calls("sa.create_engine", "(url)", ("pool_size=7",)), st.sampled_from(["\n", "\r\n"]))
def test_pools(call: str, newline: str) -> None:
    source = f"{ABOVE}import sqlalchemy as sa\n\n\ndef f(url):\n    return {call}{BELOW}"
    before, after = run(source, newline, pools_configured, pool_settings)

    tree = check_rest(before, after, call.replace("\n", newline).encode())
    old = keywords(ast.parse(before), "create_engine")
    assert keywords(tree, "create_engine") == old | {"max_overflow": "10", "pool_timeout": "30", "pool_recycle": "3600"}


@settings(max_examples=40, deadline=None)
@given(calls("p.Field", "'x'", ("regex='^a$'", "const=True")), st.sampled_from(["\n", "\r\n"]))
def test_fields(call: str, newline: str) -> None:
    source = f"{ABOVE}import pydantic as p\n\n\nclass M(p.BaseModel):\n    a: str = {call}{BELOW}"
    before, after = run(source, newline, pydantic_fields_valid, pydantic_current)

    tree = check_rest(before, after, call.replace("\n", newline).encode())
    old = keywords(ast.parse(before), "Field")
    old["pattern"] = old.pop("regex")
    del old["const"]
    assert keywords(tree, "Field") == old


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_other_encodings_survive(encoding: str) -> None:
    cookie = f"# -*- coding: {encoding} -*-\n"
    source = f"{cookie}import websockets\n\nNAME = 'Grüße'\n\n\nasync def f(u):\n    x = 'ß'; await websockets.connect(u, timeout=10)  # süß\n"
    before = source.encode(encoding)
    files, _ = mend({"a.py": before}, (websocket_has_open_timeout, websocket_open_timeout))

    expected = (
        source if encoding == "utf-16" else source.replace("timeout=10", "open_timeout=10")
    )  # Python reads no UTF-16
    assert files["a.py"] == expected.encode(encoding)
