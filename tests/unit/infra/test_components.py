"""Each component, with the engine's own mocks: types, inputs where the provider looks for them, protection, adoption."""

from __future__ import annotations

from typing import Any

import pytest

from infra.components import Placing, RuntimeSecrets, Stores
from tests.unit.infra.graphs import PROJECT, REGION, Graph

RING = f"projects/{PROJECT}/locations/us/keyRings/staging"
KEY = f"{RING}/cryptoKeys/data"
AGENT = "serviceAccount:bq-123@bigquery-encryption.iam.gserviceaccount.com"
READER = "serviceAccount:api-sa@staging-twin.iam.gserviceaccount.com"


# Customer-managed encryption


def encrypted(**more: Any) -> Graph:
    return Graph.of(
        keyRings={"staging": {"location": "us"}},
        keys={"data": {"ring": RING, "rotation": 7776000, "users": [AGENT]}},
        datasets={"market": {"location": "US", "key": KEY, "keep": {"accesses": ACCESSES}}},
        **more,
    )


ACCESSES = [
    {"role": "OWNER", "specialGroup": "projectOwners"},
    {"role": "roles/bigquery.dataViewer", "userByEmail": "auditor@example.com"},
    {"view": {"projectId": "elsewhere", "datasetId": "views", "tableId": "trades"}},
]


def test_a_key_rotates_every_ninety_days_in_its_ring() -> None:
    key = encrypted().one("CryptoKey")

    assert key.inputs == {"keyRing": RING, "name": "data", "rotationPeriod": "7776000s"}


def test_ring_key_and_dataset_are_protected() -> None:
    graph = encrypted()

    assert {item.name: item.protect for item in graph.made if item.name in ("staging", "data", "market")} == {
        "staging": True,
        "data": True,
        "market": True,
    }


def test_whoever_encrypts_gets_a_grant_on_the_key_itself() -> None:
    grant = encrypted().one("CryptoKeyIAMMember")

    assert grant.inputs == {
        "cryptoKeyId": KEY,
        "member": AGENT,
        "role": "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    }
    assert not grant.protect  # an undo takes grants away again


def test_a_dataset_gets_its_key_after_the_grant_and_keeps_every_access_entry() -> None:
    graph = encrypted()
    dataset = graph.one("Dataset")

    assert dataset.inputs == {
        "datasetId": "market",
        "project": PROJECT,
        "location": "US",
        "defaultEncryptionConfiguration": {"kmsKeyName": KEY},
        "accesses": ACCESSES,
    }
    assert {"data", graph.one("CryptoKeyIAMMember").name} <= dataset.after


def test_a_key_comes_after_its_ring() -> None:
    assert "staging" in encrypted().one("CryptoKey").after


# Cloud Run


def service(**settings: Any) -> dict[str, Any]:
    return Graph.of(services={"api": settings}).one("Service").inputs


def test_the_minimum_is_the_services_own_and_the_maximum_the_revisions() -> None:
    inputs = service(minInstances=1, maxInstances=4)

    assert inputs["scaling"] == {"minInstanceCount": 1}
    assert inputs["template"] == {"scaling": {"maxInstanceCount": 4}}


def test_time_out_affinity_and_concurrency_stand_in_the_template() -> None:
    assert service(requestTimeout=300, sessionAffinity=True, concurrency=80, account="a@b")["template"] == {
        "timeout": "300s",
        "sessionAffinity": True,
        "maxInstanceRequestConcurrency": 80,
        "serviceAccount": "a@b",
    }


def test_cpu_always_means_that_it_is_never_idle() -> None:
    (container,) = service(cpuAlways=True, startupBoost=True, limits={"cpu": "2"})["template"]["containers"]

    assert container["resources"] == {"cpuIdle": False, "startupCpuBoost": True, "limits": {"cpu": "2"}}


def test_probes_stand_in_the_first_container() -> None:
    startup = {"httpGet": {"path": "/health"}, "failureThreshold": 24}
    (container,) = service(startupProbe=startup, livenessProbe={"grpc": {"port": 8080}})["template"]["containers"]

    assert container == {"startupProbe": startup, "livenessProbe": {"grpc": {"port": 8080}}}


def test_variables_are_sorted_and_secrets_are_references() -> None:
    inputs = service(env={"Z": "1", "A": 2}, secrets={"KEY": {"secret": "signing-key", "version": "3"}, "U": {"secret": "u"}})  # fmt: skip

    assert inputs["template"]["containers"][0]["envs"] == [
        {"name": "A", "value": "2"},
        {"name": "KEY", "valueSource": {"secretKeyRef": {"secret": "signing-key", "version": "3"}}},
        {"name": "U", "valueSource": {"secretKeyRef": {"secret": "u", "version": "latest"}}},
        {"name": "Z", "value": "1"},
    ]


def test_a_service_keeps_what_is_not_ours_and_the_containers_beside_the_first() -> None:
    kept = {
        "annotations": {"example.com/owner": "somebody"},
        "traffics": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "api-1", "tag": "theirs"}],
        "template": {
            "annotations": {"run.googleapis.com/x": "1"},
            "containers": [{"ports": {"containerPort": 8080}}, {"name": "sidecar", "image": "registry/side:1"}],
        },
    }
    inputs = service(image="registry/api:2", requestTimeout=60, keep=kept)

    assert inputs["annotations"] == kept["annotations"]
    assert inputs["traffics"] == kept["traffics"]
    assert inputs["template"] == {
        "annotations": {"run.googleapis.com/x": "1"},
        "timeout": "60s",
        "containers": [
            {"ports": {"containerPort": 8080}, "image": "registry/api:2"},
            {"name": "sidecar", "image": "registry/side:1"},
        ],
    }


def test_a_service_may_be_deployed_beside_the_stack() -> None:
    found = Graph.of(services={"api": {"image": "i"}}).one("Service")

    assert found.ignores == ("client", "clientVersion", "launchStage", "template.revision")
    assert found.inputs["deletionProtection"] is False
    assert (found.inputs["project"], found.inputs["location"]) == (PROJECT, REGION)


def test_an_invoker_is_granted_on_the_service_after_it_is_there() -> None:
    grant = Graph.of(services={"api": {"image": "i", "invokers": [READER]}}).one("ServiceIamMember")

    assert grant.inputs == {
        "name": "api",
        "project": PROJECT,
        "location": REGION,
        "role": "roles/run.invoker",
        "member": READER,
    }
    assert "api" in grant.after


# The load balancer


def test_a_backend_without_time_out_and_draining_declares_neither() -> None:
    serverless = {
        "keep": {"protocol": "HTTPS", "backends": [{"group": "projects/p/regions/r/networkEndpointGroups/n"}]}
    }
    inputs = Graph.of(backends={"web-backend": serverless}).one("BackendService").inputs

    assert inputs == {"name": "web-backend", "project": PROJECT, **serverless["keep"]}


def test_a_backend_with_them_has_them_in_seconds() -> None:
    inputs = Graph.of(backends={"ws": {"timeout": 3600, "draining": 60, "cdn": False}}).one("BackendService").inputs

    assert inputs == {
        "name": "ws",
        "project": PROJECT,
        "timeoutSec": 3600,
        "connectionDrainingTimeoutSec": 60,
        "enableCdn": False,
    }


def test_a_url_map_keeps_the_rules_of_others_and_comes_after_its_backends() -> None:
    matchers = [{"name": "theirs", "defaultService": "x", "pathRules": [{"paths": ["/legacy/*"], "service": "y"}]}]
    hosts = [{"hosts": ["theirs.example"], "pathMatcher": "theirs"}]
    graph = Graph.of(
        backends={"ws": {}},
        urlMaps={"staging-lb": {"pathMatchers": matchers, "hostRules": hosts, "keep": {"defaultService": "x"}}},
    )
    found = graph.one("URLMap")

    assert found.inputs == {
        "name": "staging-lb",
        "project": PROJECT,
        "pathMatchers": matchers,
        "hostRules": hosts,
        "defaultService": "x",
    }
    assert "ws" in found.after


# Static assets


def test_the_cdn_keeps_the_objects_own_headers() -> None:
    graph = Graph.of(
        buckets={"assets": {"keep": {"location": "US", "uniformBucketLevelAccess": True}}},
        backendBuckets={
            "static": {"bucket": "assets", "cdn": True, "cacheMode": "USE_ORIGIN_HEADERS", "keep": {"description": "d"}}
        },
    )
    bucket, backend = graph.one("Bucket"), graph.one("BackendBucket")

    assert backend.inputs == {
        "name": "static",
        "project": PROJECT,
        "bucketName": "assets",
        "enableCdn": True,
        "cdnPolicy": {"cacheMode": "USE_ORIGIN_HEADERS"},
        "description": "d",
    }
    assert "assets" in backend.after
    assert bucket.protect
    assert not backend.protect
    assert graph.types() == [
        "gcp:storage/bucket:Bucket",
        "gcp:compute/backendBucket:BackendBucket",
    ]  # no grant to anybody


def test_times_to_live_are_in_the_policy() -> None:
    settings = {"bucket": "b", "cacheMode": "CACHE_ALL_STATIC", "clientTtl": 1, "defaultTtl": 2, "maxTtl": 3}

    assert Graph.of(backendBuckets={"static": settings}).one("BackendBucket").inputs["cdnPolicy"] == {
        "cacheMode": "CACHE_ALL_STATIC",
        "clientTtl": 1,
        "defaultTtl": 2,
        "maxTtl": 3,
    }


# Runtime secrets


def test_a_secret_has_accessors_and_no_value() -> None:
    graph = Graph.of(secrets={"stripe-key": {"accessors": [READER]}})

    assert graph.types() == [
        "gcp:secretmanager/secret:Secret",
        "gcp:secretmanager/secretIamMember:SecretIamMember",
    ]
    assert graph.one("Secret").inputs == {"secretId": "stripe-key", "project": PROJECT, "replication": {"auto": {}}}
    assert graph.one("Secret").protect
    assert graph.one("SecretIamMember").inputs == {
        "secretId": "stripe-key",
        "project": PROJECT,
        "role": "roles/secretmanager.secretAccessor",
        "member": READER,
    }


def test_a_secret_stays_where_it_was_replicated() -> None:
    replication = {"userManaged": {"replicas": [{"location": "europe-west1"}]}}

    assert Graph.of(secrets={"s": {"replication": replication}}).one("Secret").inputs["replication"] == replication


def test_grants_to_two_members_of_one_name_are_two_resources() -> None:
    members = ["user:ann@example.com", "user:ann@example.org"]
    found = Graph.of(secrets={"s": {"accessors": members}}).all("SecretIamMember")

    assert [item.inputs["member"] for item in found] == members
    assert len({item.name for item in found}) == 2


# Database and cache


def test_stores_are_protected_and_in_the_region() -> None:
    graph = Graph.of(
        databases={
            "db": {
                "activationPolicy": "ALWAYS",
                "tier": "db-f1-micro",
                "flags": [{"name": "max_connections", "value": "120"}],
                "keep": {"databaseVersion": "POSTGRES_16", "settings": {"diskSize": 10}},
            }
        },
        caches={"cache": {"tier": "STANDARD_HA", "memory": 1}},
    )
    database, cache = graph.one("DatabaseInstance"), graph.one("Instance")

    assert database.inputs == {
        "name": "db",
        "project": PROJECT,
        "region": REGION,
        "databaseVersion": "POSTGRES_16",
        "settings": {
            "activationPolicy": "ALWAYS",
            "tier": "db-f1-micro",
            "databaseFlags": [{"name": "max_connections", "value": "120"}],
            "diskSize": 10,
        },
    }
    assert database.ignores == ("settings.version",)
    assert cache.inputs == {
        "name": "cache",
        "project": PROJECT,
        "region": REGION,
        "tier": "STANDARD_HA",
        "memorySizeGb": 1,
    }
    assert database.protect
    assert cache.protect


# Adoption


@pytest.mark.parametrize(
    ("section", "name", "settings", "type_"),
    [
        ("services", "api", {"image": "i"}, "Service"),
        ("backends", "ws", {}, "BackendService"),
        ("urlMaps", "staging-lb", {}, "URLMap"),
        ("buckets", "assets", {"keep": {"location": "US"}}, "Bucket"),
        ("backendBuckets", "static", {"bucket": "assets"}, "BackendBucket"),
        ("keyRings", "staging", {"location": "us"}, "KeyRing"),
        ("keys", "data", {"ring": RING}, "CryptoKey"),
        ("datasets", "market", {"location": "US"}, "Dataset"),
        ("secrets", "s", {}, "Secret"),
        ("databases", "db", {"keep": {"databaseVersion": "POSTGRES_16"}}, "DatabaseInstance"),
        ("caches", "cache", {"memory": 1}, "Instance"),
    ],
)
def test_import_ids_are_there_while_adopting_and_not_after(
    section: str, name: str, settings: dict[str, Any], type_: str
) -> None:
    taking = Graph.of(**{section: {name: settings}, "imports": {f"{section}/{name}": "its/live/id"}})
    after = Graph.of(**{section: {name: settings}})

    assert taking.one(type_).import_id == "its/live/id"
    assert after.one(type_).import_id == ""
    assert taking.one(type_).inputs == after.one(type_).inputs


@pytest.mark.parametrize(
    ("section", "name", "settings", "word", "type_"),
    [
        ("services", "api", {"image": "i"}, "invokers", "ServiceIamMember"),
        ("keys", "data", {"ring": RING}, "users", "CryptoKeyIAMMember"),
        ("secrets", "s", {}, "accessors", "SecretIamMember"),
    ],
)
def test_only_the_grants_that_are_live_are_imported(
    section: str, name: str, settings: dict[str, Any], word: str, type_: str
) -> None:
    live = f"its/live/id some-role {READER}"
    graph = Graph.of(
        **{section: {name: {**settings, word: [READER, AGENT]}}, "imports": {f"{section}/{name}/{word}/{READER}": live}}
    )

    assert {item.inputs["member"]: item.import_id for item in graph.all(type_)} == {READER: live, AGENT: ""}


# Protection is a choice of the placing, and every resource has its component as its parent


def test_a_throw_away_environment_may_leave_protection_out() -> None:
    graph = Graph(lambda: Stores("stores", {}, {"c": {"memory": 1}}, Placing(PROJECT, REGION, protect=False)))

    assert not graph.one("Instance").protect


def test_resources_stand_below_their_component() -> None:
    graph = Graph(lambda: RuntimeSecrets("runtime", {"s": {"accessors": [READER]}}, Placing(PROJECT, REGION)))

    assert [item.parent for item in graph.made[1:]] == ["runtime", "runtime"]
