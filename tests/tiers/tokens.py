"""Tokens of the staging api for tests: fetched synchronously or asynchronously, and renewed before they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Door:
    """Where tokens are given out, and the key that opens it. `host` is what the balancer's rules expect."""

    address: str
    host: str
    bypass_key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": self.host, "Authorization": f"Bearer {self.bypass_key}"}


class Refused(Exception):  # noqa: N818 - the api's answer
    """The api gave no token."""


def token(door: Door, subject: str, seconds: int = 3600) -> str:
    """A token for a subject. Raises Refused with what the api said."""
    with httpx.Client(trust_env=False, timeout=10) as client:
        return _taken(client.post(f"{door.address}/api/token", json=_asked(subject, seconds), headers=door.headers))


async def token_async(door: Door, subject: str, seconds: int = 3600) -> str:
    """The same in an event loop."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.post(f"{door.address}/api/token", json=_asked(subject, seconds), headers=door.headers)
        return _taken(answer)


class Renewing:
    """A token that is fetched again before it ends: after half of its time."""

    def __init__(
        self, door: Door, subject: str, seconds: int = 3600, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch: Callable[[], str] = lambda: token(door, subject, seconds)
        self._seconds = seconds
        self._clock = clock
        self._token, self._until = "", 0.0
        self.fetched = 0
        """How many tokens were fetched so far."""

    def current(self) -> str:
        """A token that has half of its time left, at least."""
        now = self._clock()
        if not self._token or now >= self._until:
            self._token, self._until = self._fetch(), now + self._seconds / 2
            self.fetched += 1
        return self._token


def _asked(subject: str, seconds: int) -> dict[str, Any]:
    return {"subject": subject, "seconds": seconds}


def _taken(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        raise Refused(f"{answer.status_code}: {answer.text[:200]}")
    return str(answer.json()["token"])
