"""A receiver of web hooks on this machine, and addresses of each shape that lead to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from apprise.plugins import pagerduty, slack


@dataclass
class Receiver:
    """What came in: paths and JSON bodies. `status` is the answer; 500 plays a service that is down."""

    port: int = 0
    status: int = 200
    got: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def webhook(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    seen = Receiver()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.got.append((self.path, json.loads(body)))
            self.send_response(seen.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    seen.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    home = f"http://127.0.0.1:{seen.port}"
    monkeypatch.setattr(slack.NotifySlack, "webhook_url", f"{home}/services")
    monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", f"{home}/v2/enqueue")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield seen
    server.shutdown()
    thread.join()
    server.server_close()
