"""The load balancer: backend services with time-outs and draining where those exist, and the URL map in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import pulumi
from pulumi_gcp import compute

from infra.components.placing import Placing


class BackendSettings(TypedDict, total=False):
    """Seconds. A backend on serverless endpoint groups has neither setting: Cloud Run's request time-out governs there."""

    timeout: int
    draining: int
    cdn: bool
    keep: dict[str, Any]


class UrlMapSettings(TypedDict, total=False):
    """Host rules and path matchers, in the provider's shape."""

    hostRules: list[dict[str, Any]]
    pathMatchers: list[dict[str, Any]]
    keep: dict[str, Any]


class LoadBalancer(pulumi.ComponentResource):
    """Addresses, proxies and certificates are left as they are: nothing that is repaired here stands in them."""

    def __init__(
        self,
        name: str,
        backends: Mapping[str, BackendSettings],
        url_maps: Mapping[str, UrlMapSettings],
        placing: Placing,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("regreen:staging:LoadBalancer", name, None, opts)
        self.backends = {
            key: compute.BackendService(
                key,
                **{"project": placing.project, **placing.arguments("backends", key, settings)},
                opts=placing.options(self, "backends", key),
            )
            for key, settings in backends.items()
        }
        self.url_maps = {
            key: compute.URLMap(
                key,
                **{"project": placing.project, **placing.arguments("urlMaps", key, settings)},
                opts=placing.options(self, "urlMaps", key, depends_on=[*self.backends.values(), *after]),
            )
            for key, settings in url_maps.items()
        }
        self.register_outputs({})
