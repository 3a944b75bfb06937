"""Tokens: what the twin hands out at oauth2.googleapis.com/token, and what it accepts.

An access token names its principal and is sealed with the twin's own secret, so it outlives a restart of the twin but
is worth nothing anywhere else. Google's clients may also send a JWT that they signed with a service account's key
(https://google.aip.dev/auth/4111); those are checked against the keys that the twin made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from twin.frontdoor.authority import write_private
from twin.kernel.engine import Engine
from twin.services.account_keys import hashes_id, key_file

_PREFIX = "ya29.twin."


class Mint:
    """Makes and checks tokens for one twin."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self._engine = engine
        self._key_file = folder / "client.key"
        secret = folder / "token-secret"
        if not secret.exists():
            write_private(secret, secrets.token_bytes(32))
        self._secret = secret.read_bytes()

    # Making an RSA key takes up to half a second: only when somebody needs it.

    @cached_property
    def _pem(self) -> bytes:
        if not self._key_file.exists():
            made = rsa.generate_private_key(65537, 2048)
            pem = made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_private(self._key_file, pem)
        return self._key_file.read_bytes()

    @cached_property
    def private(self) -> rsa.RSAPrivateKey:
        private = serialization.load_pem_private_key(self._pem, None)
        assert isinstance(private, rsa.RSAPrivateKey)
        return private

    @cached_property
    def _public(self) -> rsa.RSAPublicKey:
        return self.private.public_key()

    @cached_property
    def key_id(self) -> str:
        public = self._public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashes_id(public)

    # Making

    def token(self, principal: str, expires: datetime) -> str:
        payload = base64.urlsafe_b64encode(json.dumps([principal, expires.timestamp()]).encode()).decode().rstrip("=")
        return f"{_PREFIX}{payload}.{self._seal(payload)}"

    def _seal(self, payload: str) -> str:
        digest = hmac.new(self._secret, payload.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()

    def id_token(self, email: str, audience: str, now: datetime) -> str:
        claims = {
            "iss": "https://accounts.google.com",
            "aud": audience,
            "sub": email,
            "email": email,
            "email_verified": True,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(hours=1)).timestamp()),
        }
        return self.sign_jwt(claims)

    def sign_jwt(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._pem, algorithm="RS256", headers={"kid": self.key_id})

    def client_file(self, email: str) -> dict[str, Any]:
        """A service-account file that signs with the twin's client key."""
        return key_file(self._engine.settings.project, email, "100000000000000000001", self.key_id, self._pem.decode())

    # Checking

    def principal(self, authorization: str) -> str:
        """The principal behind an Authorization header; '' when it is none of ours."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return ""
        token = token.strip()
        if token.startswith(_PREFIX):
            payload, _, seal = token[len(_PREFIX) :].partition(".")
            if not hmac.compare_digest(seal, self._seal(payload)):
                return ""
            principal, expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return str(principal) if expires > self._engine.now().timestamp() else ""
        if token.count(".") == 2:
            claims = self.verify(token)
            email = str(claims.get("sub") or claims.get("iss") or "")
            return f"serviceAccount:{email}" if email else ""
        return ""

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a JWT signed by one of the twin's service-account keys; empty when it is not."""
        try:
            head = jwt.get_unverified_header(token)
            loose = jwt.decode(token, options={"verify_signature": False})
            options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key_for(str(head.get("kid", "")), str(loose.get("iss", ""))),
                algorithms=["RS256"],
                options=options,
            )
        except (jwt.PyJWTError, LookupError, ValueError):
            return {}
        if float(claims.get("exp", 0)) <= datetime.now(UTC).timestamp():
            return {}
        return claims

    def _key_for(self, kid: str, issuer: str) -> Any:
        if kid == self.key_id:
            return self._public
        project = issuer.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
        body = self._engine.store.get(f"iam/projects/{project}/serviceAccounts/{issuer}/keys/{kid}")
        if body is None or body.get("disabled"):
            raise LookupError(kid)
        return serialization.load_pem_public_key(base64.b64decode(body["publicKeyData"]))

    def public_keys(self, email: str) -> list[Any]:
        """Every key that may sign for a service account: its own, and the twin's for the client file and signBlob."""
        if self._disabled(email):
            return []
        project = email.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
        bodies = self._engine.store.children(f"iam/projects/{project}/serviceAccounts/{email}/keys")
        own = [
            serialization.load_pem_public_key(base64.b64decode(body["publicKeyData"]))
            for _, body in bodies
            if not body.get("disabled")
        ]
        return [self._public, *own]

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The OAuth token endpoint (https://developers.google.com/identity/protocols/oauth2/service-account#httprest)."""
        grant = form.get("grant_type", "")
        now = self._engine.now()
        if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            claims = self.verify(form.get("assertion", ""))
            email = str(claims.get("iss", ""))
            if not email:
                return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            if self._disabled(email):
                return 400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
            if claims.get("target_audience"):
                return 200, {"id_token": self.id_token(email, str(claims["target_audience"]), now)}
            principal = f"serviceAccount:{email}"
        elif grant == "refresh_token":
            principal = self.principal("Bearer " + form.get("refresh_token", ""))
            if not principal:
                return 400, {"error": "invalid_grant", "error_description": "Bad Request"}
        else:
            return 400, {"error": "unsupported_grant_type", "error_description": f"Invalid grant_type: {grant}"}
        token = self.token(principal, now + timedelta(hours=1))
        return 200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def _disabled(self, email: str) -> bool:
        project = email.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
        body = self._engine.store.get(f"iam/projects/{project}/serviceAccounts/{email}")
        return body is None or bool(body.get("disabled"))
