"""Repaired clients really wait for permits and really stay away from a service that is down: one trial, however many ask."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any, Final

import httpx
import pybreaker
import pytest

from checks.code import external_calls_bounded
from remedies.code import break_circuit, limit_client
from tests.unit.remedies.mending import mend

_POLICY: Final = """[tool.regreen]
limited-clients = ["client.Client -> guards.LIMITER"]
breaker-clients = ["client.Client -> guards.BREAKER"]
"""
_THREADS: Final = """import urllib.request


class Client:
    def get(self, url):
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
"""
_TASKS: Final = """import httpx


class Client:
    def __init__(self):
        self._client = httpx.AsyncClient()

    async def get(self, url):
        return await self._client.get(url)
"""
_LIMITER: Final = "from pyrate_limiter import Duration, Limiter, Rate\n\nLIMITER = Limiter(Rate({}, Duration.HOUR))\n"
_PYBREAKER: Final = (
    "import pybreaker\n\nBREAKER = pybreaker.CircuitBreaker(fail_max=1, reset_timeout={}, name='outside')\n"
)


class _Server:
    """Answers, and counts; `held` keeps an answer back while it is set. Closed, it refuses connections."""

    def __init__(self) -> None:
        self.asked = 0
        self.counting = threading.Lock()
        self.held = threading.Event()
        self.held.set()
        self.reached = threading.Event()


@contextmanager
def _served(state: _Server, port: int = 0) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with state.counting:
                state.asked += 1
            state.reached.set()
            state.held.wait(10)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def repaired(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """Repair a client, and load it with its guards."""

    def load(source: str, guards: str) -> ModuleType:
        files, refusals = mend(
            {"client.py": source, "guards.py": guards, "pyproject.toml": _POLICY},
            (external_calls_bounded, limit_client), (external_calls_bounded, break_circuit),
        )  # fmt: skip
        assert {refusal.remedy for refusal in refusals} <= {limit_client.ID}  # of what the other one closed
        loaded = {}
        for name in ("guards", "client"):
            loaded[name] = ModuleType(name)
            monkeypatch.setitem(sys.modules, name, loaded[name])
            exec(compile(files[f"{name}.py"], f"{name}.py", "exec"), loaded[name].__dict__)
        return loaded["client"]

    return load


def test_no_more_calls_than_permits(repaired: Callable[[str, str], ModuleType]) -> None:
    module = repaired(_THREADS, _LIMITER.format(3) + _PYBREAKER.format(60))
    state = _Server()
    with _served(state) as port, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(module.Client().get, f"http://127.0.0.1:{port}/") for _ in range(3)]
        assert [call.result(10) for call in calls] == [b"ok"] * 3
    limiter = sys.modules["guards"].LIMITER

    assert not limiter.try_acquire("client.Client", blocking=False)
    assert state.asked == 3


def test_of_ten_threads_one_tries_whether_it_is_back(repaired: Callable[[str, str], ModuleType]) -> None:
    module = repaired(_THREADS, _LIMITER.format(1000) + _PYBREAKER.format(0))
    client, port, state = module.Client(), _free_port(), _Server()
    url = f"http://127.0.0.1:{port}/"
    with pytest.raises(pybreaker.CircuitBreakerError):
        client.get(url)  # opens: nobody listens
    state.held.clear()
    with _served(state, port), ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(client.get, url) for _ in range(10)]
        assert state.reached.wait(10)
        during = state.asked
        state.held.set()
        assert [call.result(10) for call in calls] == [b"ok"] * 10

    assert during == 1
    assert module.BREAKER.current_state == "closed"


def test_ten_threads_find_it_still_down_by_one_call(
    repaired: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = repaired(_THREADS, _LIMITER.format(1000) + _PYBREAKER.format(60))
    url = f"http://127.0.0.1:{_free_port()}/"
    with pytest.raises(pybreaker.CircuitBreakerError):
        module.Client().get(url)
    tried: list[str] = []
    real = urllib.request.urlopen

    def counted(address: str, timeout: float) -> Any:
        tried.append(address)
        return real(address, timeout=timeout)

    monkeypatch.setattr(urllib.request, "urlopen", counted)
    module.BREAKER.half_open()
    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(module.Client().get, url) for _ in range(10)]
        errors = [call.exception(10) for call in calls]

    assert len(tried) == 1
    assert all(isinstance(error, pybreaker.CircuitBreakerError) for error in errors)


def test_a_repaired_coroutine_is_made_by_its_breaker(repaired: Callable[[str, str], ModuleType]) -> None:
    own = "class Breaker:\n    seen = 0\n\n    async def call(self, attempt):\n        self.seen += 1\n        return await attempt()\n\n\nBREAKER = Breaker()\n"
    module = repaired(_TASKS, _LIMITER.format(1000) + own)
    state = _Server()

    async def ask(url: str) -> list[httpx.Response]:
        client = module.Client()
        get: Callable[[str], Awaitable[httpx.Response]] = client.get
        answers = await asyncio.gather(*(get(url) for _ in range(5)))
        await client._client.aclose()
        return answers

    with _served(state) as port:
        answers = asyncio.run(ask(f"http://127.0.0.1:{port}/"))

    assert [answer.status_code for answer in answers] == [200] * 5
    assert (module.BREAKER.seen, state.asked) == (5, 5)
