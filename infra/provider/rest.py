"""Calls of Google's REST APIs with the credentials and the proxy of the environment. Bodies are never logged or shown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import google.auth
import google.auth.transport.requests

_OPERATION_LIMIT: Final = 1200.0
_TRIES: Final = 6


class CallError(Exception):
    """A call was refused. `code` is the HTTP status; the message is the API's own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait between looks at an operation, in seconds; replaced in tests."""

    first: float = 0.05
    most: float = 2.0
    sleep: Callable[[float], None] = time.sleep


class Rest:
    """One authorised session for each thread."""

    def __init__(self, waiting: Waiting | None = None) -> None:
        self._credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        self._local = threading.local()
        self._waiting = waiting or Waiting()

    def call(
        self,
        verb: str,
        url: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer's object. Raises CallError; busy answers (429, 503) are tried again with growing pauses."""
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        pause = self._waiting.first
        for attempt in range(_TRIES):
            answer = self._session().request(
                verb, quote(url, safe="/:?&=%+~@,"), data=raw, params=query, headers=sent, timeout=60
            )
            if answer.status_code in (429, 503) and attempt + 1 < _TRIES:
                self._waiting.sleep(pause)
                pause = min(pause * 2, self._waiting.most)
                continue
            break
        if answer.status_code >= 400:
            raise CallError(answer.status_code, _message(answer.text) or f"HTTP {answer.status_code}")
        if not answer.content:
            return {}
        found = answer.json()
        return found if isinstance(found, dict) else {"value": found}

    def settled(self, answer: dict[str, Any], base: str) -> dict[str, Any]:
        """Wait for what a call started. Raises CallError for an operation that failed."""
        began, pause = time.monotonic(), self._waiting.first
        while True:
            link = _operation(answer, base)
            if link is None or _done(answer):
                _raise_failed(answer)
                return answer
            if time.monotonic() - began > _OPERATION_LIMIT:
                raise CallError(504, f"the operation {link} did not end in {_OPERATION_LIMIT:.0f} s; look at it there")
            self._waiting.sleep(pause)
            pause = min(pause * 2, self._waiting.most)
            answer = self.call("GET", link)

    def _session(self) -> Any:
        found = getattr(self._local, "session", None)
        if found is None:
            found = google.auth.transport.requests.AuthorizedSession(self._credentials)  # type: ignore[no-untyped-call]
            self._local.session = found
        return found


def _operation(answer: Mapping[str, Any], base: str) -> str | None:
    if str(answer.get("kind", "")).endswith("#operation"):
        return str(answer["selfLink"])
    name = str(answer.get("name", ""))
    return f"{base}{name}" if "operations/" in name and ("done" in answer or "metadata" in answer) else None


def _done(answer: Mapping[str, Any]) -> bool:
    return bool(answer.get("done")) or answer.get("status") == "DONE"


def _raise_failed(answer: Mapping[str, Any]) -> None:
    error = answer.get("error")
    if not isinstance(error, Mapping) or not _done(answer):
        return
    inner = error.get("errors") or [error]
    raise CallError(
        int(answer.get("httpErrorStatusCode") or 400), "; ".join(str(item.get("message", item)) for item in inner)
    )


def _message(text: str) -> str:
    try:
        error = json.loads(text)["error"]
        return str(error["message"]) if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        return text[:300]
