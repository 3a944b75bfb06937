"""Bearer tokens, and the key that lets end-to-end tests in on staging and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Literal

from tidemark.runtime.clock import Clock, SystemClock

Environment = Literal["development", "staging", "production"]


class Denied(Exception):
    """Who asks may not."""


class Tokens:
    """Signs and verifies tokens with one key; a token names its bearer and its end."""

    def __init__(
        self,
        key: str,
        environment: Environment = "development",
        bypass_key: str = "",
        clock: Clock | None = None,
    ) -> None:
        if not key:
            raise ValueError("no signing key: set TIDEMARK_SIGNING_KEY")
        if bypass_key and environment == "production":
            raise ValueError("a bypass key in production: remove TIDEMARK_E2E_BYPASS_KEY")
        self._key = key.encode()
        self._bypass = bypass_key if environment == "staging" else ""
        self._clock = clock or SystemClock()
        self._revoked: set[str] = set()

    def issue(self, subject: str, seconds: int = 3600) -> str:
        """A token for a bearer."""
        claims = {"sub": subject, "exp": int(self._clock.now().timestamp()) + seconds}
        body = base64.urlsafe_b64encode(json.dumps(claims, sort_keys=True).encode()).decode()
        return f"{body}.{self._sign(body)}"

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token. Raises Denied when it is forged, too old or revoked."""
        if self._bypass and hmac.compare_digest(token, self._bypass):
            return {"sub": "e2e", "bypass": True}
        body, _, signature = token.partition(".")
        if not hmac.compare_digest(signature, self._sign(body)):
            raise Denied("the token is not ours")
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body))
        if claims["exp"] <= self._clock.now().timestamp():
            raise Denied("the token has ended")
        if await self.is_revoked(claims["sub"]):
            raise Denied(f"{claims['sub']} was locked out")
        return claims

    async def is_revoked(self, subject: str) -> bool:
        """Whether a bearer was locked out."""
        return subject in self._revoked

    async def revoke(self, subject: str) -> None:
        """Lock a bearer out, whatever tokens it holds."""
        self._revoked.add(subject)

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()
