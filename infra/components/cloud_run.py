"""A Cloud Run service, sized, probed and bounded, and who may invoke it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import pulumi
from pulumi_gcp import cloudrunv2

from infra.components.placing import Placing, granted
from infra.config import SECTIONS


class SecretReference(TypedDict):
    """A secret and the version of it that a container gets."""

    secret: str
    version: str


class ServiceSettings(TypedDict, total=False):
    """What is desired of a service. `requestTimeout` is in seconds; probes, `limits` and `keep` are in the provider's shape."""

    image: str
    account: str
    minInstances: int
    maxInstances: int
    requestTimeout: int
    concurrency: int
    sessionAffinity: bool
    cpuAlways: bool
    startupBoost: bool
    limits: dict[str, str]
    startupProbe: dict[str, Any]
    livenessProbe: dict[str, Any]
    env: dict[str, str]
    secrets: dict[str, SecretReference]
    invokers: list[str]
    keep: dict[str, Any]


class CloudRunService(pulumi.ComponentResource):
    """The minimum is the service's own, so that a new revision does not have to be warmed apart from the old one."""

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        placing: Placing,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("regreen:staging:CloudRunService", name, None, opts)
        arguments: dict[str, Any] = {
            "project": placing.project,
            "location": placing.region,
            "deletion_protection": False,
        }
        arguments |= placing.arguments("services", name, settings)
        # What a component depends on, its children do not: the service itself has to wait.
        self.service = cloudrunv2.Service(
            name, **arguments, opts=placing.options(self, "services", name, depends_on=list(after))
        )
        self.invokers = [
            cloudrunv2.ServiceIamMember(
                granted(name, member),
                name=name,
                project=placing.project,
                location=placing.region,
                role=SECTIONS["services"].role,
                member=member,
                opts=pulumi.ResourceOptions.merge(
                    placing.member_options(self, "services", name, member),
                    pulumi.ResourceOptions(depends_on=[self.service]),
                ),
            )
            for member in settings.get("invokers", ())
        ]
        self.register_outputs({"uri": self.service.uri})
