"""Hashed assets behind Cloud CDN: the bucket, and the backend bucket that the balancer sends their path to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import pulumi
from pulumi_gcp import compute, storage

from infra.components.placing import Placing


class BackendBucketSettings(TypedDict, total=False):
    """USE_ORIGIN_HEADERS leaves the year on the objects as it is; CACHE_ALL_STATIC needs a `clientTtl` for that (seconds)."""

    bucket: str
    cdn: bool
    cacheMode: str
    clientTtl: int
    defaultTtl: int
    maxTtl: int
    keep: dict[str, Any]


class StaticAssets(pulumi.ComponentResource):
    """Objects are uploaded by whoever builds the pages: new ones before traffic moves, old ones kept."""

    def __init__(
        self,
        name: str,
        buckets: Mapping[str, Mapping[str, Any]],
        backend_buckets: Mapping[str, BackendBucketSettings],
        placing: Placing,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("regreen:staging:StaticAssets", name, None, opts)
        self.buckets = {
            key: storage.Bucket(
                key,
                **{"project": placing.project, **placing.arguments("buckets", key, settings)},
                opts=placing.options(self, "buckets", key),
            )
            for key, settings in buckets.items()
        }
        self.backend_buckets = {
            key: compute.BackendBucket(
                key,
                **{"project": placing.project, **placing.arguments("backendBuckets", key, settings)},
                opts=placing.options(self, "backendBuckets", key, depends_on=list(self.buckets.values())),
            )
            for key, settings in backend_buckets.items()
        }
        self.register_outputs({})
