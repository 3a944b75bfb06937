"""Values that a stack's file must not hold: plain secrets in variables of services that were adopted.

The file says `(as it is live)`; the program asks the service for the value when it runs, and hands it to the engine as a
secret, so that the state holds it encrypted and no plan, event or report shows it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from regreen.facts.cloud.reading import containers, field

if TYPE_CHECKING:
    from regreen.facts.cloud.google import Google

LIVE: Final = "(as it is live)"
#: A service's name, the container's number, a variable: its value.
Resolve = Callable[[str, int, str], str]


class LiveError(Exception):
    """A value that the stack leaves as it is cannot be read any more."""


def reader(google: Google, project: str, region: str) -> Resolve:
    """Reads each service once. What was moved to Secret Manager meanwhile is read there, so that an older file still applies."""
    held: dict[str, Mapping[str, Any]] = {}

    def value(service: str, container: int, variable: str) -> str:
        if service not in held:
            name = f"projects/{project}/locations/{region}/services/{service}"
            held[service] = google.call("run", "v2", "projects.locations.services.get", name=name)
        found = containers(held[service])
        listed = found[container].get("env", ()) if len(found) > container else ()
        entry = next((item for item in listed if item["name"] == variable), None)
        if entry is None:
            raise LiveError(
                f"services/{service}: {variable} is left as it is live, and the service has no such variable: "
                "set it in the stack's file, or remove it there"
            )
        reference = field(entry, "valueSource", "secretKeyRef")
        if not reference:
            return str(entry.get("value", ""))
        secret = str(reference["secret"])
        whole = secret if secret.startswith("projects/") else f"projects/{project}/secrets/{secret}"
        answer = google.call(
            "secretmanager",
            "v1",
            "projects.secrets.versions.access",
            name=f"{whole}/versions/{reference.get('version', 'latest')}",
        )
        return base64.b64decode(answer["payload"]["data"]).decode()

    return value


def filled(inputs: dict[str, Any], service: str, resolve: Resolve, hide: Callable[[str], Any]) -> dict[str, Any]:
    """A service's inputs with every value that is left as it is live put in, through `hide`."""
    for number, container in enumerate((inputs.get("template") or {}).get("containers") or ()):
        for variable in container.get("envs") or ():
            if variable.get("value") == LIVE:
                variable["value"] = hide(resolve(service, number, variable["name"]))
    return inputs
