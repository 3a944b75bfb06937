"""AuraDB instances: made or found through the Aura API, protected, never deleted from here.

A dynamic provider, because no released provider leaves the password out of the state: it is in the answer to the creation
and nowhere else, and goes from there straight to Secret Manager (`infra.aura.create`).
Source: https://neo4j.com/docs/aura/platform/api/specification/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.components.placing import Placing

#: Changing one of these makes another, empty database.
_REPLACES: Final = ("cloud", "instance", "project", "region", "type", "version")


class GraphSettings(TypedDict, total=False):
    """What `[aura]` of an environment file asks for: `memory` as Aura writes it (`2GB`), `api` the API's address."""

    api: str
    clientSecret: str
    cloud: str
    memory: str
    region: str
    tenant: str
    type: str
    version: str


class AuraProvider(ResourceProvider):
    """Runs in a process of the engine's, with the credentials of the program. Raises StepError with what to do."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        from infra.aura import create

        found = create(*_asked(props))
        return CreateResult(str(found["id"]), {**props, **_seen(found)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        from infra.aura import read

        return ReadResult(id_, {**props, **_seen(read(*_asked(props), id_))})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in _REPLACES if _olds.get(key) != _news.get(key)]
        changes = bool(replaces) or _olds.get("memory") != _news.get("memory")
        return DiffResult(changes, replaces, ["instanceId"], delete_before_replace=False)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        from infra.aura import resize

        return UpdateResult({**_news, **_seen(resize(*_asked(_news), _id))})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        raise RuntimeError(
            f"AuraDB instance {_props.get('instance')} holds data: delete it by hand, in the Aura console"
        )


class AuraInstance(Resource, module="regreen", name="AuraInstance"):
    """One instance. `connectionUrl` is its address, without credentials."""

    connectionUrl: pulumi.Output[str]  # noqa: N815 - the API's spelling, as in the state

    def __init__(self, name: str, settings: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(AuraProvider(), name, {**settings, "instanceId": None, "connectionUrl": None}, opts)


class Graphs(pulumi.ComponentResource):
    """The environment's graphs on AuraDB, by instance name."""

    def __init__(
        self,
        name: str,
        graphs: Mapping[str, GraphSettings],
        placing: Placing,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("regreen:staging:Graphs", name, None, opts)
        self.instances = {
            key: AuraInstance(
                key,
                {"region": placing.region, **settings, "instance": key, "project": placing.project},
                placing.options(self, "aura", key),
            )
            for key, settings in graphs.items()
        }
        self.register_outputs({})


def _asked(props: Mapping[str, Any]) -> tuple[Any, Any]:
    from infra.aura import Wanted
    from regreen.facts.cloud.google import Google

    return Google(str(props["project"])), Wanted.of_properties(props)


def _seen(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instanceId": str(found["id"]),
        "connectionUrl": str(found.get("connection_url", "")),
        "memory": found.get("memory"),
    }
