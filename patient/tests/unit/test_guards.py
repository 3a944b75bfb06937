from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pybreaker import CircuitBreaker, CircuitBreakerError

from tidemark.runtime.outbound import cached_client


def test_of_ten_threads_one_tries_whether_it_is_back():
    breaker = CircuitBreaker(fail_max=1, reset_timeout=0, name="outside")
    reached: list[str] = []
    here, held = threading.Event(), threading.Event()

    def fail() -> str:
        raise ConnectionError("down")

    def probe() -> str:
        reached.append("asked")
        here.set()
        held.wait(10)
        raise ConnectionError("still down")

    with pytest.raises(CircuitBreakerError):
        breaker.call(fail)
    breaker.reset_timeout = 60
    breaker.half_open()
    with ThreadPoolExecutor(10) as threads:
        calls = [threads.submit(breaker.call, probe) for _ in range(10)]
        assert here.wait(10)
        held.set()
        errors = [call.exception(10) for call in calls]
    assert reached == ["asked"]
    assert all(isinstance(error, CircuitBreakerError) for error in errors)


async def test_a_client_keeps_what_it_may_keep(tmp_path):
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Cache-Control", "max-age=60" if self.path == "/kept" else "no-store")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        async with cached_client(tmp_path, timeout=5) as client:
            for path in ("/kept", "/kept", "/new", "/new"):
                answer = await client.get(f"http://127.0.0.1:{server.server_address[1]}{path}")
                assert answer.status_code == 200
        server.shutdown()
        serving.join()
    assert asked == ["/kept", "/new", "/new"]
