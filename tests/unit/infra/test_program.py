"""The program, with the engine's own mocks: what would be registered, in the provider's words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest

from infra.program import build


@dataclass
class Recorded(pulumi.runtime.Mocks):
    """Every resource that the program registers."""

    made: list[pulumi.runtime.MockResourceArgs] = field(default_factory=list)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        self.made.append(args)
        return args.name, dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program must not ask for anything while it is planned: {args.token}")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    # The SDK makes event loops, in this thread and in its own, and closes none; another test may have left none behind.
    made: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def kept() -> asyncio.AbstractEventLoop:
        made.append(new_event_loop())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", kept)
    asyncio.set_event_loop(kept())
    mocks = Recorded()
    pulumi.runtime.set_mocks(mocks, project="regreen-staging", stack="twin")
    yield mocks
    asyncio.set_event_loop(None)
    for loop in made:
        loop.close()


def run(recorded: Recorded, **sections: Any) -> list[pulumi.runtime.MockResourceArgs]:
    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        build({"project": "staging-twin", "region": "us-central1", **sections})

    program()
    return recorded.made


def of_type(made: list[pulumi.runtime.MockResourceArgs], token: str) -> pulumi.runtime.MockResourceArgs:
    (found,) = (item for item in made if item.typ == token)
    return found


def test_a_service_is_sized_where_the_provider_looks(recorded: Recorded) -> None:
    made = run(
        recorded,
        services={
            "api": {
                "image": "registry/api:1",
                "minInstances": 1,
                "requestTimeout": 300,
                "env": {"A": "1"},
                "secrets": {"B": {"secret": "b", "version": "2"}},
                "invokers": ["allUsers"],
                "keep": {"traffics": [{"tag": "theirs", "revision": "api-1"}]},
            }
        },
    )
    inputs = of_type(made, "gcp:cloudrunv2/service:Service").inputs
    assert inputs["scaling"] == {"minInstanceCount": 1}
    assert inputs["template"]["timeout"] == "300s"
    assert inputs["traffics"] == [{"tag": "theirs", "revision": "api-1"}]
    assert inputs["template"]["containers"][0]["envs"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "valueSource": {"secretKeyRef": {"secret": "b", "version": "2"}}},
    ]
    grant = of_type(made, "gcp:cloudrunv2/serviceIamMember:ServiceIamMember")
    assert (grant.inputs["role"], grant.inputs["member"]) == ("roles/run.invoker", "allUsers")


def test_no_secret_version_is_ever_part_of_the_program(recorded: Recorded) -> None:
    made = run(recorded, secrets={"stripe-key": {"accessors": ["serviceAccount:a@p.iam.gserviceaccount.com"]}})
    types = {item.typ for item in made}
    assert "gcp:secretmanager/secret:Secret" in types
    assert "gcp:secretmanager/secretVersion:SecretVersion" not in types


def test_a_url_map_keeps_the_rules_of_others(recorded: Recorded) -> None:
    matchers = [{"name": "theirs", "defaultService": "x", "pathRules": [{"paths": ["/legacy/*"], "service": "y"}]}]
    made = run(recorded, urlMaps={"staging-lb": {"pathMatchers": matchers, "keep": {"defaultService": "x"}}})
    found = of_type(made, "gcp:compute/uRLMap:URLMap")
    assert found.inputs["pathMatchers"] == matchers
    assert found.inputs["defaultService"] == "x"


def test_an_adopted_resource_carries_its_import_id(recorded: Recorded) -> None:
    live = "projects/staging-twin/locations/us-central1/services/web"
    made = run(recorded, services={"web": {"image": "registry/web:1"}}, imports={"services/web": live})
    service = of_type(made, "gcp:cloudrunv2/service:Service")
    assert service.resource_id == live
