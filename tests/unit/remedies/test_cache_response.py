"""A repaired client asks a real server once for what it may keep, and again for what it may not."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from checks.code import responses_cached
from remedies.code import cache_response
from tests.unit.remedies.mending import mend

_NET: Final = """import httpx
from hishel import SqliteStorage
from hishel.httpx import CacheClient

FOLDER = None


def kept(**options) -> httpx.Client:
    return CacheClient(storage=SqliteStorage(database_path=FOLDER / "cache.db"), rfc=True, **options)
"""
_CLIENT: Final = """import httpx


class Prices:
    def __init__(self, client=None):
        self.client = client or httpx.Client(timeout=5)
"""
_POLICY: Final = '[tool.regreen]\ncached-clients = ["prices.Prices -> net.kept"]\n'


@pytest.fixture
def served() -> Iterator[tuple[str, Counter[str]]]:
    """A server that lets /kept be kept for a minute; how often each path was asked for."""
    asked: Counter[str] = Counter()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] += 1
            self.send_response(200)
            self.send_header("Cache-Control", "max-age=60" if self.path == "/kept" else "no-store")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_what_may_be_kept_is_asked_for_once(
    served: tuple[str, Counter[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = served
    files, refusals = mend(
        {"prices.py": _CLIENT, "net.py": _NET, "pyproject.toml": _POLICY}, (responses_cached, cache_response)
    )
    assert refusals == []
    loaded = {}
    for name in ("net", "prices"):
        loaded[name] = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, loaded[name])
        exec(compile(files[f"{name}.py"], f"{name}.py", "exec"), loaded[name].__dict__)
    monkeypatch.setattr(loaded["net"], "FOLDER", tmp_path)

    with loaded["prices"].Prices().client as client:
        assert client.timeout.read == 5
        answers = [client.get(f"{url}{path}").content for path in ("/kept", "/kept", "/new", "/new")]

    assert answers == [b"ok"] * 4
    assert asked == {"/kept": 1, "/new": 2}
