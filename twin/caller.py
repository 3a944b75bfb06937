"""Calls by hand, through the front door: for tests and measurements, where no official client would send the request.

Needs nothing but the standard library; speaks to the twin only.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from twin.process import Running


class Caller:
    """One principal's calls, one kept connection per host. Answers are (status, body)."""

    def __init__(self, twin: Running, principal: str = "user:owner@example.com") -> None:
        self._twin = twin
        token = twin.admin("POST", "token", {"principal": principal})["accessToken"] if principal else ""
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._context = ssl.create_default_context(cafile=str(twin.folder / "ca.pem"))
        self._connections: dict[str, http.client.HTTPSConnection] = {}

    def __call__(self, verb: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """`url` without its scheme. `body` is JSON, or bytes as they are."""
        status, _, content = self.raw(verb, url, body, headers)
        return status, json.loads(content) if content.strip() else None

    def raw(
        self, verb: str, url: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers with names in lower case, and the bytes of the answer."""
        host, _, path = url.partition("/")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        connection = self._connection(host)
        try:
            connection.request(verb, "/" + path, data, sent)
            answer = connection.getresponse()
            content = answer.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            del self._connections[host]
            raise
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def _connection(self, host: str) -> http.client.HTTPSConnection:
        found = self._connections.get(host)
        if found is None:
            found = http.client.HTTPSConnection("127.0.0.1", self._twin.port, context=self._context, timeout=30)
            found.set_tunnel(host, 443)
            self._connections[host] = found
        return found

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
