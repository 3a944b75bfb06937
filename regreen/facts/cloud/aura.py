"""AuraDB instances through the Aura API (https://neo4j.com/docs/aura/platform/api/): token, list, one read each."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from regreen.facts.cloud.google import CloudError, Google

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.facts.cloud.snapshot import Body


def client_credentials(google: Google, project: str, secret: str) -> str:
    """`ID:SECRET` of the Aura API client: AURA_CLIENT, else the newest version of a secret."""
    if os.environ.get("AURA_CLIENT"):
        return os.environ["AURA_CLIENT"]
    name = f"projects/{project}/secrets/{secret}/versions/latest"
    answer = google.call("secretmanager", "v1", "projects.secrets.versions.access", name=name)
    return base64.b64decode(answer["payload"]["data"]).decode()


def instances(google: Google, environment: Environment) -> Iterable[tuple[str, Body]]:
    """Instances by name. The Aura API never gives a password here."""
    if environment.aura is None:
        return
    credentials = client_credentials(google, environment.project.id, environment.aura.client_secret)
    token = _post_token(environment.aura.api, credentials)
    for item in _get(environment.aura.api, "/v1/instances", token):
        yield item["name"], _get(environment.aura.api, f"/v1/instances/{item['id']}", token)


def address(google: Google, environment: Environment) -> Iterable[tuple[str, Body]]:
    """Where the newest version of the graph's address secret leads: an address, without whatever stands before an `@`."""
    if environment.aura is None:
        return
    secret = environment.aura.uri_secret
    name = f"projects/{environment.project.id}/secrets/{secret}/versions/latest"
    answer = google.call("secretmanager", "v1", "projects.secrets.versions.access", name=name)
    value = base64.b64decode(answer["payload"]["data"]).decode()
    scheme, _, rest = value.strip().partition("://")
    yield secret, {"address": f"{scheme}://{rest.rpartition('@')[2]}"}


def _post_token(api: str, credentials: str) -> str:
    basic = base64.b64encode(credentials.encode()).decode()
    answer = _fetch(
        "POST",
        api + "/oauth/token",
        {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
        "grant_type=client_credentials",
    )
    return str(answer["access_token"])


def _get(api: str, path: str, token: str) -> Any:
    return _fetch("GET", api + path, {"Authorization": f"Bearer {token}"}).get("data")


def _fetch(verb: str, url: str, headers: dict[str, str], body: str | None = None) -> dict[str, Any]:
    import requests

    try:
        answer = requests.request(verb, url, headers=headers, data=body, timeout=30)
    except requests.RequestException as error:
        raise CloudError(f"the Aura API does not answer: {type(error).__name__}") from None
    if answer.status_code >= 300:
        raise CloudError(f"the Aura API says {answer.status_code} to {verb} {url}", answer.status_code)
    found: dict[str, Any] = json.loads(answer.text or "{}")
    return found
