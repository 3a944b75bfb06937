"""One discovery-based client for every Google API that is read: paged, parallel, patient with quotas.

Credentials, proxies and certificate authorities come from the process's environment (Application Default Credentials,
HTTPS_PROXY, HTTPLIB2_CA_CERTS), so the same code reads the local twin and Google Cloud. Facts only ever `call` and `pages`;
`change` is for whoever applies a remedy's steps.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

#: Answers worth a second try, with Google's advice on truncated exponential backoff (AIP-194; Cloud IAM "Retry strategy").
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_QUOTA: Final = frozenset({429})
_TRIES: Final = 5
_FIRST_WAIT: Final = 0.25


class CloudError(Exception):
    """An API refused or could not be reached: `403 PERMISSION_DENIED: …`."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Google:
    """Reads Google APIs for one project. Safe in threads: each has its own connections."""

    def __init__(self, project: str, timeout: float = 30.0, sleep: Callable[[float], None] = time.sleep) -> None:
        import google.auth

        self.project = project
        self._timeout, self._sleep = timeout, sleep
        self._idle: list[Any] = []
        self._services: dict[tuple[str, str], Any] = {}
        self._building = threading.Lock()
        try:
            self._credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        except google.auth.exceptions.DefaultCredentialsError as error:
            raise CloudError(f"no credentials: {error}") from None

    def _service(self, api: str, version: str) -> Any:
        """One description of each API for all threads: reading one takes longer than most calls."""
        from googleapiclient.discovery import build

        with self._building:
            if (api, version) not in self._services:
                self._services[api, version] = build(
                    api, version, http=_wire(self._timeout), cache_discovery=False, static_discovery=True
                )
            return self._services[api, version]

    @contextlib.contextmanager
    def _http(self) -> Iterator[Any]:
        """Connections that nobody else uses meanwhile (httplib2 is not safe in threads), kept open for the next call."""
        from google_auth_httplib2 import AuthorizedHttp

        try:
            held = self._idle.pop()
        except IndexError:
            held = AuthorizedHttp(self._credentials, http=_wire(self._timeout))
        try:
            yield held
        except BaseException:
            held.close()  # what is left on its wire nobody knows
            raise
        self._idle.append(held)

    def close(self) -> None:
        """Close the connections that were kept for the next calls."""
        for held in self._idle:
            held.close()
        self._idle.clear()

    def call(self, api: str, version: str, method: str, **parameters: Any) -> dict[str, Any]:
        """Call `projects.locations.services.list`-like methods. Raises CloudError."""
        return self._execute(self._request(api, version, method, parameters))

    def change(self, api: str, version: str, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method that has an effect: only quota answers, which did nothing, are tried again. Raises CloudError."""
        return self._execute(self._request(api, version, method, parameters), _QUOTA)

    def pages(self, api: str, version: str, method: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every item under `key`, page by page; a dict-valued page (aggregated lists) gives its values."""
        token = ""
        while True:
            page = self.call(api, version, method, **parameters, **({"pageToken": token} if token else {}))
            found = page.get(key) or []
            yield from found.values() if isinstance(found, dict) else found
            token = str(page.get("nextPageToken") or "")
            if not token:
                return

    def _request(self, api: str, version: str, method: str, parameters: dict[str, Any]) -> Any:
        at = self._service(api, version)
        *parts, verb = method.split(".")
        for part in parts:
            at = getattr(at, part)()
        return getattr(at, verb)(**parameters)

    def _execute(self, request: Any, again: frozenset[int] = _AGAIN) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError
        from googleapiclient.errors import HttpError
        from httplib2 import HttpLib2Error

        wait = _FIRST_WAIT
        for attempt in range(1, _TRIES + 1):
            try:
                with self._http() as http:
                    found: dict[str, Any] = request.execute(http=http)
                return found
            except HttpError as error:
                status = int(error.resp.status)
                if status not in again or attempt == _TRIES:
                    raise CloudError(_words(status, error.content), status) from None
            except (OSError, HttpLib2Error, GoogleAuthError) as error:
                if attempt == _TRIES or isinstance(error, GoogleAuthError) or again is _QUOTA:
                    raise CloudError(f"no answer: {type(error).__name__}: {error}") from None
            # Full jitter: many readers that were refused together must not come back together.
            self._sleep(wait * (0.5 + random.random() / 2))  # noqa: S311
            wait *= 2
        raise AssertionError("unreachable")


def _wire(timeout: float) -> Any:
    """A connection that trusts who the environment says now: httplib2 itself looks at HTTPLIB2_CA_CERTS when it is imported,
    and would refuse the second twin of one process.
    """
    from httplib2 import Http

    return Http(timeout=timeout, ca_certs=os.environ.get("HTTPLIB2_CA_CERTS"))


def _words(status: int, content: bytes) -> str:
    """`403 PERMISSION_DENIED: message` from Google's error envelope."""
    try:
        error = json.loads(content)["error"]
        return f"{status} {error.get('status', '')}: {error.get('message', '')}".replace("  ", " ")
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{status}: {content[:200].decode(errors='replace')}"
