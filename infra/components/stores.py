"""Database and cache settings: instances that run always, of the tier that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import pulumi
from pulumi_gcp import redis, sql

from infra.components.placing import Placing


class DatabaseSettings(TypedDict, total=False):
    """`activationPolicy` ALWAYS or NEVER; `flags` are the engine's own (`max_connections`)."""

    activationPolicy: str
    tier: str
    flags: list[dict[str, str]]
    keep: dict[str, Any]


class CacheSettings(TypedDict, total=False):
    """`tier` cannot be changed in place: another one replaces the instance, so a person must decide. `memory` in GB."""

    tier: str
    memory: int
    keep: dict[str, Any]


class Stores(pulumi.ComponentResource):
    """Both are protected: to delete one deletes its data."""

    def __init__(
        self,
        name: str,
        databases: Mapping[str, DatabaseSettings],
        caches: Mapping[str, CacheSettings],
        placing: Placing,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("regreen:staging:Stores", name, None, opts)
        self.databases = {
            key: sql.DatabaseInstance(
                key,
                **{
                    "project": placing.project,
                    "region": placing.region,
                    **placing.arguments("databases", key, settings),
                },
                opts=placing.options(self, "databases", key),
            )
            for key, settings in databases.items()
        }
        self.caches = {
            key: redis.Instance(
                key,
                **{"project": placing.project, "region": placing.region, **placing.arguments("caches", key, settings)},
                opts=placing.options(self, "caches", key),
            )
            for key, settings in caches.items()
        }
        self.register_outputs({})
