"""Where the patient's graph is: on an AuraDB instance or, before the move there, on a machine of its own."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from twin.process import Running, TwinError

if TYPE_CHECKING:
    from twin.staging_cloud import Values
    from twin.staging_faults import Api

AURA: Final = "https://api.neo4j.io/v1"
_USERS: Final = ("writer", "api")
_LIMIT: Final = 60.0


class GraphHome:
    """Makes the instance, and moves the patient's services from it to the machine and back."""

    def __init__(self, twin: Running, api: Api, values: Values, wanted: Mapping[str, str]) -> None:
        self._twin, self._api, self._values, self._wanted = twin, api, values, dict(wanted)
        self._instance = ""

    def make(self) -> None:
        """The instance, running; what its address and its passwords are is known to the placeholders afterwards."""
        client = self._twin.admin("POST", "aura", {})
        body = {**self._wanted, "tenant_id": client["tenant_id"]}
        made = self._api.call("POST", f"{AURA}/instances", body)["data"]
        self._instance = made["id"]
        self._values.plain |= {
            "graph": made["connection_url"],
            "graph_password": made["password"],
            "aura_client": f"{client['client_id']}:{client['client_secret']}",
        }
        end = time.monotonic() + _LIMIT
        while (status := self._status()) != "running":
            if time.monotonic() > end:
                raise TwinError(f"the AuraDB instance {made['name']} is {status} after {_LIMIT:.0f} s")
            time.sleep(0.1)

    def to_machine(self) -> None:
        """The services use the graph of the machine; then there is no instance any more."""
        self._use(self._values.plain["machine_graph"], self._values.plain["machine_graph_password"], "machine")
        self._api.call("DELETE", f"{AURA}/instances/{self._instance}")

    def to_aura(self) -> None:
        """A new instance, and the services use it."""
        self.make()
        self._use(self._values.plain["graph"], self._values.plain["graph_password"], "aura")

    def _status(self) -> str:
        return str(self._api.call("GET", f"{AURA}/instances/{self._instance}")["data"]["status"])

    def _use(self, address: str, password: str, home: str) -> None:
        """New versions of both secrets; revisions that read them, told from the old ones by their label."""
        project = self._twin.project
        for name, value in (("graph-uri", address), ("graph-password", password)):
            url = f"https://secretmanager.googleapis.com/v1/projects/{project}/secrets/{name}:addVersion"
            self._api.call("POST", url, {"payload": {"data": base64.b64encode(value.encode()).decode()}})
        for service in _USERS:
            url = f"https://run.googleapis.com/v2/projects/{project}/locations/us-central1/services/{service}"
            found: dict[str, Any] = self._api.call("GET", url)["template"]
            template = {part: value for part, value in found.items() if part != "revision"}
            template["labels"] = {**template.get("labels", {}), "graph": home}
            self._api.call("PATCH", f"{url}?updateMask=template", {"template": template})
