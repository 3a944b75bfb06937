"""The program of a staging environment: what its stack's configuration describes, and nothing that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.components import (
    CloudRunService,
    CustomerManagedEncryption,
    Graphs,
    LoadBalancer,
    Placing,
    RuntimeSecrets,
    StaticAssets,
    Stores,
)
from infra.live import Resolve


def build(values: Mapping[str, Any], live: Resolve | None = None) -> None:
    """Declare every resource of a configuration (`StackDocument.plain()`), in a running Pulumi program.

    `live` reads plain values that the configuration leaves as they are.
    """

    def of(section: str) -> dict[str, Any]:
        return dict(values.get(section) or {})

    placing = Placing(values["project"], values["region"], of("imports"), live=live)
    secrets = RuntimeSecrets("secrets", of("secrets"), placing) if of("secrets") else None
    if of("keyRings") or of("keys") or of("datasets"):
        CustomerManagedEncryption("encryption", of("keyRings"), of("keys"), of("datasets"), placing)
    if of("aura"):
        Graphs("graphs", of("aura"), placing)
    if of("databases") or of("caches"):
        Stores("stores", of("databases"), of("caches"), placing)
    for name, settings in of("services").items():
        # A service refers to secrets, so it comes after them and their grants.
        CloudRunService(name, settings, placing, [secrets] if secrets else ())
    assets = None
    if of("buckets") or of("backendBuckets"):
        assets = StaticAssets("assets", of("buckets"), of("backendBuckets"), placing)
    if of("backends") or of("urlMaps"):
        # A URL map sends paths to backend buckets as well.
        LoadBalancer("balancer", of("backends"), of("urlMaps"), placing, [assets] if assets else ())
