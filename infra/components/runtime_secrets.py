"""Runtime secrets: the secret and who may read it. Its versions are added outside, so that no value is ever in the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import pulumi
from pulumi_gcp import secretmanager

from infra.components.placing import Placing, granted
from infra.config import SECTIONS


class SecretSettings(TypedDict, total=False):
    """`replication` in the provider's shape (automatic by default); `accessors` are IAM members."""

    replication: dict[str, Any]
    accessors: list[str]
    keep: dict[str, Any]


class RuntimeSecrets(pulumi.ComponentResource):
    """`secret_data_wo` would still be stored by the engine (pulumi-terraform-bridge 3201), hence no versions here."""

    def __init__(
        self,
        name: str,
        secrets: Mapping[str, SecretSettings],
        placing: Placing,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("regreen:staging:RuntimeSecrets", name, None, opts)
        self.secrets: dict[str, secretmanager.Secret] = {}
        self.grants: list[secretmanager.SecretIamMember] = []
        for key, settings in secrets.items():
            arguments: dict[str, Any] = {"project": placing.project, "replication": {"auto": {}}}
            made = secretmanager.Secret(
                key,
                **(arguments | placing.arguments("secrets", key, settings)),
                opts=placing.options(self, "secrets", key),
            )
            self.secrets[key] = made
            self.grants += [
                secretmanager.SecretIamMember(
                    granted(key, member),
                    secret_id=key,
                    project=placing.project,
                    role=SECTIONS["secrets"].role,
                    member=member,
                    opts=pulumi.ResourceOptions.merge(
                        placing.member_options(self, "secrets", key, member), pulumi.ResourceOptions(depends_on=[made])
                    ),
                )
                for member in settings.get("accessors", ())
            ]
        self.register_outputs({})
