"""An instance's environment, built from nothing: the mapping's values, the template's, and its secrets."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

from twin.frontdoor.authority import write_private
from twin.frontdoor.mint import Mint
from twin.kernel.engine import Engine
from twin.kernel.types import Request
from twin.runtime.images import Image
from twin.runtime.template import Revision, Variable


class UnresolvedError(Exception):
    """The environment cannot be made; the message is Cloud Run's, as it stands in the revision's condition."""


class Surroundings:
    """Makes environments. `port` says where the front door is (known only once it listens)."""

    def __init__(self, engine: Engine, mint: Mint, folder: Path, port: Callable[[], int]) -> None:
        self._engine, self._mint, self._folder, self._port = engine, mint, folder, port

    def make(self, revision: Revision, image: Image, port: int) -> dict[str, str]:
        """The whole environment of one instance. UnresolvedError when a secret cannot be read."""
        home = self._folder / "runtime" / "homes" / revision.service
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            **image.env,
        }
        if image.google:
            env.update(self._google(revision))
        for variable in revision.variables:
            env[variable.name] = self._secret(revision, variable) if variable.secret else variable.value
        return {
            **env,
            "PORT": str(port),
            "K_SERVICE": revision.service,
            "K_REVISION": revision.short,
            "K_CONFIGURATION": revision.service,
        }

    def _secret(self, revision: Revision, variable: Variable) -> str:
        """Read as the template's service account, through IAM, each time an instance starts."""
        secret = variable.secret
        path = secret if secret.startswith("projects/") else f"projects/{revision.project}/secrets/{secret}"
        request = Request("GET", "secretmanager.googleapis.com", f"/v1/{path}/versions/{variable.version}:access")
        reply = self._engine.handle(request, f"serviceAccount:{revision.account}")
        if reply.status != 200 or reply.body is None:
            spoken = f"{path}/versions/{variable.version}"
            field = f"spec.template.spec.containers[0].env[{variable.name}].value_from.secret_key_ref.name"
            if reply.status == 403:
                raise UnresolvedError(
                    f"{field}: Permission denied on secret: {spoken} for Revision service account {revision.account}. "
                    "The service account used must be granted the 'Secret Manager Secret Accessor' role "
                    "(roles/secretmanager.secretAccessor) at the secret, project or higher level."
                )
            message = (reply.body or {}).get("error", {}).get("message", "")
            raise UnresolvedError(f"{field}: Secret {spoken} was not found or cannot be used: {message}")
        return base64.b64decode(reply.body["payload"]["data"]).decode()

    def _google(self, revision: Revision) -> dict[str, str]:
        credentials = self._folder / "runtime" / "credentials"
        credentials.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = credentials / f"{revision.account}.json"
        if not file.exists():
            write_private(file, json.dumps(self._mint.client_file(revision.account)).encode())
        bundle, proxy = str(self._folder / "ca-bundle.pem"), f"http://127.0.0.1:{self._port()}"
        return {
            "https_proxy": proxy,
            "HTTPS_PROXY": proxy,
            "no_proxy": "localhost,127.0.0.1",
            "NO_PROXY": "localhost,127.0.0.1",
            "GOOGLE_APPLICATION_CREDENTIALS": str(file),
            "GOOGLE_CLOUD_PROJECT": revision.project,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            "HTTPLIB2_CA_CERTS": bundle,
            "SSL_CERT_FILE": bundle,
            "NO_GCE_CHECK": "true",
        }
