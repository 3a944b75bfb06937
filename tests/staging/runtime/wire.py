"""Requests by hand: no pool, no retry, no redirect, so that a test sees what was sent."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(url: str, path: str = "/", verb: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own. Header names use _ for -."""
    address = url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=30)
    begun = time.monotonic()
    try:
        connection.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        seen = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, seen, content, time.monotonic() - begun)
    finally:
        connection.close()


class Asking(threading.Thread):
    """One request in the background; `answer` (or `error`) is there after `join`."""

    def __init__(self, url: str, path: str, **headers: str) -> None:
        super().__init__(daemon=True)
        self._given = (url, path)
        self._headers = headers
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = ask(*self._given, "GET", None, **self._headers)
        except (OSError, http.client.HTTPException) as error:
            self.error = error

    def result(self, seconds: float = 30) -> Answer:
        self.join(seconds)
        if self.error is not None:
            raise self.error
        assert self.answer is not None, "no answer yet"
        return self.answer


@contextmanager
def load(url: str, path: str = "/", workers: int = 3) -> Iterator[list[Any]]:
    """Requests without a pause while the block runs; yields the list of answers, or of errors, as they come."""
    seen: list[Any] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                seen.append(ask(url, path))
            except (OSError, http.client.HTTPException) as error:
                seen.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
