"""Live resources are adopted, changed, changed by hand, healed and put back, by the real engine, and nothing of theirs is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
import pytest
from pulumi_gcp import bigquery, cloudrunv2, compute, kms, secretmanager

from infra.driver import DriverError
from tests.infra.stage import PROJECT, Stage

pytestmark = pytest.mark.engine

RUN = f"https://run.googleapis.com/v2/projects/{PROJECT}/locations/us-central1/services"
SETS = f"https://bigquery.googleapis.com/bigquery/v2/projects/{PROJECT}/datasets"
COMPUTE = f"https://compute.googleapis.com/compute/v1/projects/{PROJECT}/global"
RINGS = f"https://cloudkms.googleapis.com/v1/projects/{PROJECT}/locations/us/keyRings"
SECRETS = f"https://secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets"
RING = f"projects/{PROJECT}/locations/us/keyRings/adopted"
KEY = f"{RING}/cryptoKeys/data"
BACKEND = f"projects/{PROJECT}/global/backendServices/adopted-backend"
IMAGE = "us-docker.pkg.dev/staging-twin/tidemark/api:1"
READERS = [
    {"role": "OWNER", "specialGroup": "projectOwners"},
    {"role": "READER", "userByEmail": "Some.One@example.com"},
]


@dataclass
class Desired:
    """What a person edits; the rest is as it was found."""

    timeout: str = "300s"
    rotation: str | None = None
    key: str | None = None
    routes: tuple[str, ...] = ("/a/*",)
    readers: tuple[dict[str, str], ...] = (
        {"role": "OWNER", "special_group": "projectOwners"},
        {"role": "READER", "user_by_email": "some.one@example.com"},
    )
    location: str = "US"


def seed(stage: Stage) -> None:
    """Resources that someone made by hand, with things on them that no program of ours knows."""
    call, settled = stage.rest.call, stage.rest.settled
    template = {
        "annotations": {"team.example/cost": "42"},
        "containers": [{"image": IMAGE, "env": [{"name": "A", "value": "1"}]}],
    }
    service = {"annotations": {"team.example/owner": "trading"}, "template": template}
    settled(call("POST", RUN, service, {"serviceId": "adopted"}), "https://run.googleapis.com/v2/")
    reference = {"datasetId": "adopted", "projectId": PROJECT}
    call("POST", SETS, {"datasetReference": reference, "location": "US", "access": READERS})
    backend = {"name": "adopted-backend", "protocol": "HTTP", "loadBalancingScheme": "EXTERNAL_MANAGED"}
    settled(call("POST", f"{COMPUTE}/backendServices", backend), "")
    rule = {"paths": ["/a/*"], "service": BACKEND}
    matcher = {"name": "m", "defaultService": BACKEND, "pathRules": [rule]}
    url_map = {
        "name": "adopted-lb",
        "defaultService": BACKEND,
        "hostRules": [{"hosts": ["x.example"], "pathMatcher": "m"}],
        "pathMatchers": [matcher],
    }
    settled(call("POST", f"{COMPUTE}/urlMaps", url_map), "")
    call("POST", RINGS, {}, {"keyRingId": "adopted"})
    call("POST", f"{RINGS}/adopted/cryptoKeys", {"purpose": "ENCRYPT_DECRYPT"}, {"cryptoKeyId": "data"})
    call("POST", SECRETS, {"replication": {"automatic": {}}}, {"secretId": "adopted"})


def program(desired: Desired) -> Callable[[], None]:
    """Six live resources, imported; all that an edit does not touch is declared as it is."""

    def found(live: str) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(import_=live)

    def declare() -> None:
        kms.CryptoKey("key", name="data", key_ring=RING, rotation_period=desired.rotation, opts=found(KEY))
        container: Any = {"image": IMAGE, "envs": [{"name": "A", "value": "1"}]}
        template: Any = {
            "annotations": {"team.example/cost": "42"},
            "timeout": desired.timeout,
            "containers": [container],
        }
        cloudrunv2.Service(
            "api", name="adopted", project=PROJECT, location="us-central1", deletion_protection=False,
            annotations={"team.example/owner": "trading"}, template=template,
            opts=found(f"projects/{PROJECT}/locations/us-central1/services/adopted"),
        )  # fmt: skip
        encryption: Any = {"kms_key_name": desired.key} if desired.key else None
        bigquery.Dataset(
            "market", dataset_id="adopted", project=PROJECT, location=desired.location, accesses=list(desired.readers),  # type: ignore[arg-type]
            default_encryption_configuration=encryption, opts=found(f"projects/{PROJECT}/datasets/adopted"),
        )  # fmt: skip
        hosts: Any = [{"hosts": ["x.example"], "pathMatcher": "m"}]
        rules: Any = [{"paths": [path], "service": BACKEND} for path in desired.routes]
        matcher: Any = {"name": "m", "defaultService": BACKEND, "pathRules": rules}
        compute.URLMap(
            "lb", name="adopted-lb", project=PROJECT, default_service=BACKEND, path_matchers=[matcher],
            host_rules=hosts, opts=found(f"projects/{PROJECT}/global/urlMaps/adopted-lb"),
        )  # fmt: skip
        secretmanager.Secret(
            "token", secret_id="adopted", project=PROJECT, replication={"auto": {}},
            opts=found(f"projects/{PROJECT}/secrets/adopted"),
        )  # fmt: skip

    return declare


def test_adopted_changed_drifted_healed_and_put_back(stage: Stage) -> None:
    seed(stage)
    driver, call = stage.driver("adoption"), stage.rest.call
    before = {url: call("GET", url) for url in (f"{RUN}/adopted", f"{SETS}/adopted", f"{COMPUTE}/urlMaps/adopted-lb")}

    adoption = driver.preview(program(Desired()))
    assert sorted(item.kind for item in adoption.operations) == ["import"] * 5
    assert [item.properties for item in adoption.operations] == [()] * 5
    driver.up(program(Desired()), adoption)
    assert {url: call("GET", url) for url in before} == before
    assert driver.preview(program(Desired())).changes == ()

    fixed = Desired("3600s", "7776000s", KEY, ("/a/*", "/b/*"))
    change = driver.preview(program(fixed))
    assert {(item.name, item.kind) for item in change.changes} == {
        (name, "update") for name in ("api", "key", "market", "lb")
    }
    driver.up(program(fixed), change)
    service = call("GET", f"{RUN}/adopted")
    assert service["template"]["timeout"] == "3600s"
    assert service["annotations"] == {"team.example/owner": "trading"}
    assert service["template"]["annotations"] == {"team.example/cost": "42"}
    dataset = call("GET", f"{SETS}/adopted")
    assert dataset["defaultEncryptionConfiguration"]["kmsKeyName"] == KEY
    assert dataset["access"] == before[f"{SETS}/adopted"]["access"]
    matchers = call("GET", f"{COMPUTE}/urlMaps/adopted-lb")["pathMatchers"]
    assert [rule["paths"] for rule in matchers[0]["pathRules"]] == [["/a/*"], ["/b/*"]]
    assert call("GET", f"{RINGS}/adopted/cryptoKeys/data")["rotationPeriod"] == "7776000s"

    assert driver.preview(program(fixed)).changes == ()
    assert driver.refresh(program(fixed)) == ()
    call("PATCH", f"{RUN}/adopted", {**service, "template": {**service["template"], "timeout": "5s"}})
    drifted = driver.drift(program(fixed))
    assert [(item.kind, item.name, item.properties) for item in drifted] == [("update", "api", ("template.timeout",))]
    driver.up(program(fixed), driver.preview(program(fixed), refresh=True))
    assert call("GET", f"{RUN}/adopted")["template"]["timeout"] == "3600s"
    assert driver.drift(program(fixed)) == ()

    back = driver.preview(program(Desired("300s", "7776000s", KEY, ("/a/*",))))
    driver.up(program(Desired("300s", "7776000s", KEY, ("/a/*",))), back)
    assert call("GET", f"{RUN}/adopted")["template"]["timeout"] == "300s"
    assert (
        call("GET", f"{COMPUTE}/urlMaps/adopted-lb")["pathMatchers"]
        == before[f"{COMPUTE}/urlMaps/adopted-lb"]["pathMatchers"]
    )

    lossy = Desired("300s", "7776000s", KEY, ("/a/*",), readers=Desired().readers[:1])
    with pytest.raises(DriverError, match=r"take away the access entry .*some\.one@example\.com"):
        driver.up(program(lossy), driver.preview(program(lossy)))
    moved = Desired("300s", "7776000s", KEY, ("/a/*",), location="EU")
    with pytest.raises(DriverError, match="nothing is ever replaced or deleted"):
        driver.up(program(moved), driver.preview(program(moved)))
    assert call("GET", f"{SETS}/adopted")["access"] == before[f"{SETS}/adopted"]["access"]

    assert driver.abandon() == 5
    assert call("GET", f"{RUN}/adopted")["template"]["timeout"] == "300s"


def test_adopting_and_changing_in_one_update_is_shown_as_both(stage: Stage) -> None:
    call = stage.rest.call
    call("POST", SECRETS, {"replication": {"automatic": {}}, "labels": {"team": "x"}}, {"secretId": "both"})

    def declare() -> None:
        secretmanager.Secret(
            "both", secret_id="both", project=PROJECT, labels={"team": "y"}, replication={"auto": {}},
            opts=pulumi.ResourceOptions(import_=f"projects/{PROJECT}/secrets/both"),
        )  # fmt: skip

    driver = stage.driver("both")
    planned = driver.preview(declare)
    assert ("labels.team",) in [item.properties for item in planned.operations]
    driver.up(declare, planned)
    assert call("GET", f"{SECRETS}/both")["labels"] == {"team": "y"}
    assert driver.preview(declare).changes == ()
