"""Customer-managed encryption: key ring, rotated key, grants to service agents, and the datasets' default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import pulumi
from pulumi_gcp import bigquery, kms

from infra.components.placing import Placing, granted
from infra.config import SECTIONS


class KeyRingSettings(TypedDict, total=False):
    """`location` is Cloud KMS's: `us` for datasets in US, `europe` for EU, else the region itself."""

    location: str
    keep: dict[str, Any]


class KeySettings(TypedDict, total=False):
    """`ring` is the ring's full name, `rotation` in seconds, `users` the members that encrypt and decrypt."""

    ring: str
    rotation: int
    users: list[str]
    keep: dict[str, Any]


class DatasetSettings(TypedDict, total=False):
    """`key` covers tables made from then on. `keep` holds every access entry: the provider takes away what is not declared."""

    location: str
    key: str
    keep: dict[str, Any]


class CustomerManagedEncryption(pulumi.ComponentResource):
    """Destroying a key destroys the data under it, and its name can never be used again: rings and keys are protected."""

    def __init__(
        self,
        name: str,
        rings: Mapping[str, KeyRingSettings],
        keys: Mapping[str, KeySettings],
        datasets: Mapping[str, DatasetSettings],
        placing: Placing,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("regreen:staging:CustomerManagedEncryption", name, None, opts)
        self.rings = {
            key: kms.KeyRing(
                key,
                **{"project": placing.project, **placing.arguments("keyRings", key, settings)},
                opts=placing.options(self, "keyRings", key),
            )
            for key, settings in rings.items()
        }
        self.keys: dict[str, kms.CryptoKey] = {}
        self.grants: list[kms.CryptoKeyIAMMember] = []
        for key, key_settings in keys.items():
            made = kms.CryptoKey(
                key,
                **placing.arguments("keys", key, key_settings),
                opts=placing.options(self, "keys", key, depends_on=list(self.rings.values())),
            )
            self.keys[key] = made
            self.grants += [
                kms.CryptoKeyIAMMember(
                    granted(key, member),
                    crypto_key_id=f"{key_settings['ring']}/cryptoKeys/{key}",
                    role=SECTIONS["keys"].role,
                    member=member,
                    opts=pulumi.ResourceOptions.merge(
                        placing.member_options(self, "keys", key, member), pulumi.ResourceOptions(depends_on=[made])
                    ),
                )
                for member in key_settings.get("users", ())
            ]
        self.datasets = {
            key: bigquery.Dataset(
                key,
                **{"project": placing.project, **placing.arguments("datasets", key, settings)},
                opts=placing.options(self, "datasets", key, depends_on=[*self.keys.values(), *self.grants]),
            )
            for key, settings in datasets.items()
        }
        self.register_outputs({})
