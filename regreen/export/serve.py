"""Metrics where they are collected from: a file for node-exporter's textfile collector, or an endpoint on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def write(path: Path, content: bytes) -> None:
    """Replace the file in one step: a collector never reads half of it. node-exporter wants a name that ends in `.prom`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.replace(path)


@contextmanager
def serving(collect: Callable[[], bytes], port: int = 0) -> Iterator[str]:
    """Answer `GET /metrics` on loopback while the block lasts, with what `collect` says at that moment; the address.

    Port 0 takes a free one. Raises OSError for a port that is taken.
    """

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """One scrape."""
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, b"only /metrics is here\n")
                return
            try:
                self._answer(200, collect())
            except Exception as error:  # noqa: BLE001 - a scrape that fails is an answer, not an end
                self._answer(500, f"# {type(error).__name__}: {error}\n".encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's names
            """Say nothing: a scrape every few seconds is no news."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Metrics)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
