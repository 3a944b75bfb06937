"""The rules, on what the real engine shows of a plan: secrets hidden, protection and outputs there."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi_gcp import cloudrunv2, kms

from infra.policies import broken
from tests.infra.stage import PROJECT, Stage

pytestmark = pytest.mark.engine


def declare(hidden: bool = False) -> None:
    kms.KeyRing("bare", name="bare", project=PROJECT, location="us")
    kms.KeyRing("kept", name="kept", project=PROJECT, location="us", opts=pulumi.ResourceOptions(protect=True))
    variables: list[object] = [{"name": "MODE", "value": "fast"}, {"name": "STRIPE_API_KEY", "value": "hunter2"}]
    if hidden:
        variables.append({"name": "SIGNING_KEY", "value": pulumi.Output.secret("hunter3")})
    template: Any = {"containers": [{"image": "registry/ruled:1", "envs": variables}]}
    cloudrunv2.Service(
        "ruled", name="ruled", project=PROJECT, location="us-central1", labels={"stage": "prod"}, template=template
    )  # fmt: skip
    pulumi.export("apiToken", "hunter4")
    pulumi.export("dbPassword", pulumi.Output.secret("hunter5"))


def test_the_rules_see_what_the_engine_plans(stage: Stage) -> None:
    found = broken(stage.driver("rules").preview(declare).planned)

    assert sorted(found) == [
        "KeyRing bare is not protected: to destroy a key destroys the data under it",
        "Service ruled carries the label 'prod', which looks like production",
        "Service ruled: STRIPE_API_KEY would hold a secret in plain text: refer to a secret",
        "Stack regreen-rules-twin: the output apiToken would show a secret",
    ]


def test_a_hidden_value_hides_its_neighbours_which_is_why_the_file_is_looked_at_as_well(stage: Stage) -> None:
    found = stage.driver("rules").preview(lambda: declare(hidden=True)).planned

    assert not any("STRIPE_API_KEY" in said for said in broken(found))
    assert not any("hunter2" in str(item.inputs) or "hunter3" in str(item.inputs) for item in found)
