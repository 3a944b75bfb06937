"""Components of a staging environment, each with one purpose. Importing them does nothing."""

from infra.components.cloud_run import CloudRunService, ServiceSettings
from infra.components.encryption import CustomerManagedEncryption, DatasetSettings, KeyRingSettings, KeySettings
from infra.components.graphs import Graphs, GraphSettings
from infra.components.load_balancer import BackendSettings, LoadBalancer, UrlMapSettings
from infra.components.placing import Placing
from infra.components.runtime_secrets import RuntimeSecrets, SecretSettings
from infra.components.static_assets import BackendBucketSettings, StaticAssets
from infra.components.stores import CacheSettings, DatabaseSettings, Stores

__all__ = [
    "BackendBucketSettings",
    "BackendSettings",
    "CacheSettings",
    "CloudRunService",
    "CustomerManagedEncryption",
    "DatabaseSettings",
    "DatasetSettings",
    "GraphSettings",
    "Graphs",
    "KeyRingSettings",
    "KeySettings",
    "LoadBalancer",
    "Placing",
    "RuntimeSecrets",
    "SecretSettings",
    "ServiceSettings",
    "StaticAssets",
    "Stores",
    "UrlMapSettings",
]
