"""Memorystore for Redis: instances and their defaults. https://cloud.google.com/memorystore/docs/redis/reference/rest"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from typing import Final

from twin.kernel import operations, standard
from twin.kernel.errors import ApiError, already_exists, invalid, not_found
from twin.kernel.names import last, relative, segment_after
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply
from twin.services.usage import agent_of

DOCS = "https://cloud.google.com/memorystore/docs/redis/"
_VERSIONS = ("REDIS_3_2", "REDIS_4_0", "REDIS_5_0", "REDIS_6_X", "REDIS_7_0", "REDIS_7_2")

#: Memory of a node in GB: https://cloud.google.com/memorystore/docs/cluster/cluster-node-specification
_NODE_GB: Final = {
    "REDIS_SHARED_CORE_NANO": 1.4, "REDIS_STANDARD_SMALL": 6.5, "REDIS_HIGHMEM_MEDIUM": 13.0, "REDIS_HIGHMEM_XLARGE": 58.0
}  # fmt: skip
#: What a cluster gets when the request does not say (recorded: replicationrediscluster).
_CLUSTER: Final[Body] = {
    "authorizationMode": "AUTH_MODE_DISABLED",
    "automatedBackupConfig": {"automatedBackupMode": "DISABLED"},
    "persistenceConfig": {"mode": "DISABLED"},
    "transitEncryptionMode": "TRANSIT_ENCRYPTION_MODE_DISABLED",
    "zoneDistributionConfig": {"mode": "MULTI_ZONE"},
}


def missing(name: str) -> ApiError:
    return not_found(f"Resource '{relative(name)}' was not found")


def existing(name: str) -> ApiError:
    return already_exists(f"Resource '{relative(name)}' already exists")


def create(call: Call, body: Body) -> None:
    location = segment_after(call.name, "locations")
    body.setdefault("tier", "BASIC")
    size = int(body.get("memorySizeGb", 0))
    if not 1 <= size <= 300:
        raise invalid(f"Invalid value for memory_size_gb: {size}. It must be between 1 and 300.")
    body.setdefault("redisVersion", "REDIS_7_0")
    body.setdefault("connectMode", "DIRECT_PEERING")
    body.setdefault("transitEncryptionMode", "DISABLED")
    body.setdefault("authorizedNetwork", f"projects/{call.project}/global/networks/default")
    body.setdefault("locationId", f"{location}-a")
    body["currentLocationId"] = body["locationId"]
    if body.get("secondaryIpRange") == "auto":
        body["secondaryIpRange"] = "10.0.0.16/28"
    body["~auth"] = str(uuid.uuid4())
    body["host"], body["port"] = "10.0.0.3", 6379 if body["transitEncryptionMode"] == "DISABLED" else 6378
    body.setdefault("reservedIpRange", "10.0.0.0/29")
    body["persistenceIamIdentity"] = f"serviceAccount:{agent_of('redis.googleapis.com', call.number)}"
    body.setdefault("persistenceConfig", {"persistenceMode": "DISABLED"})
    body["state"] = "READY"
    body["nodes"] = [{"id": "node-0", "zone": body["locationId"]}]
    body.setdefault("readReplicasMode", "READ_REPLICAS_DISABLED")
    if body["tier"] == "STANDARD_HA":
        body.setdefault("alternativeLocationId", f"{location}-b")
        body["nodes"].append({"id": "node-1", "zone": body["alternativeLocationId"]})
    elif body.get("replicaCount"):
        raise invalid("replica_count is only supported for the STANDARD_HA tier.")
    if body.get("customerManagedKey") and f"/locations/{location}/" not in body["customerManagedKey"]:
        raise invalid(f"The key {body['customerManagedKey']} must be in the instance's region {location}.")


def create_cluster(call: Call, body: Body) -> None:
    """https://cloud.google.com/memorystore/docs/cluster/reference/rest/v1/projects.locations.clusters#Cluster"""
    if not body.get("shardCount"):
        raise invalid("shard_count must be specified.")
    body.setdefault("nodeType", "REDIS_HIGHMEM_MEDIUM")
    for field, value in _CLUSTER.items():
        body.setdefault(field, copy.deepcopy(value))
    key = body.get("kmsKey")
    body["encryptionInfo"] = {"encryptionType": "CUSTOMER_MANAGED_ENCRYPTION" if key else "GOOGLE_DEFAULT_ENCRYPTION"}
    body["state"] = "ACTIVE"
    _size(body)


def update_cluster(_call: Call, _old: Body, new: Body) -> None:
    _size(new)


def _size(body: Body) -> None:
    precise = _NODE_GB.get(str(body["nodeType"]), 13.0) * int(body["shardCount"])
    body["preciseSizeGb"], body["sizeGb"] = precise, int(precise)


def update(call: Call, old: Body, new: Body) -> None:
    for field in (
        "tier",
        "authorizedNetwork",
        "connectMode",
        "transitEncryptionMode",
        "customerManagedKey",
        "locationId",
    ):
        if new.get(field) != old.get(field):
            raise invalid(f"Update mask contains a field that cannot be updated: {field}")
    if new.get("secondaryIpRange") == "auto":
        new["secondaryIpRange"] = old.get("secondaryIpRange", "10.0.0.16/28")
    if not 1 <= int(new["memorySizeGb"]) <= 300:
        raise invalid(f"Invalid value for memory_size_gb: {new['memorySizeGb']}. It must be between 1 and 300.")


def _undone(function: Callable[[Call], Body | Reply]) -> Callable[[Call], Body | Reply]:
    """Memorystore says `done: false` where other APIs leave it out (recorded)."""

    def run(call: Call) -> Body | Reply:
        reply = function(call)
        if isinstance(reply, dict):
            reply.setdefault("done", False)
        return reply

    return run


def auth_string(call: Call) -> Body:
    call.name = call.name.removesuffix("/authString")
    body = call.need()
    return {"authString": body["~auth"]} if body.get("authEnabled") else {}


def upgrade(call: Call) -> Body:
    """https://cloud.google.com/memorystore/docs/redis/upgrade-version: only upwards, only to a version that exists."""
    wanted = str(call.body.get("redisVersion", ""))
    body = call.copy()
    if wanted not in _VERSIONS:
        raise invalid(f"Invalid value for redis_version: {wanted}.")
    if _VERSIONS.index(wanted) < _VERSIONS.index(body["redisVersion"]):
        raise invalid(f"Downgrading from {body['redisVersion']} to {wanted} is not supported.")
    body["redisVersion"] = wanted
    call.put(call.name, body)
    return operations.lro(
        call, "upgrade", call.name, {key: value for key, value in body.items() if key[0] != "~"}, "Instance"
    )


def failover(call: Call) -> Body:
    body = call.copy()
    if body["tier"] != "STANDARD_HA":
        raise ApiError(
            "FAILED_PRECONDITION",
            f"Failover is only supported for STANDARD_HA instances; {last(call.name)} is {body['tier']}.",
        )
    body["currentLocationId"] = (
        body["alternativeLocationId"] if body["currentLocationId"] == body["locationId"] else body["locationId"]
    )
    call.put(call.name, body)
    return operations.lro(
        call, "failover", call.name, {key: value for key, value in body.items() if key[0] != "~"}, "Instance"
    )


SEMANTICS = Semantics(
    api="redis",
    missing=missing,
    existing=existing,
    methods={
        "instances.create": _undone(standard.create),
        "instances.patch": _undone(standard.patch),
        "instances.delete": _undone(standard.delete),
        "instances.getAuthString": auth_string,
        "instances.upgrade": _undone(upgrade),
        "instances.failover": _undone(failover),
    },
    creating={"instances": create, "clusters": create_cluster},
    updating={"instances": update, "clusters": update_cluster},
    packages={"v1": "google.cloud.redis.v1", "v1/clusters": "google.cloud.redis.cluster.v1"},
    rules=(
        Rule(
            "redis.ready",
            "an instance is READY when its operation is done",
            DOCS + "reference/rest/v1/projects.locations.instances#State",
        ),
        Rule(
            "redis.ha-has-two-nodes",
            "STANDARD_HA has a node in a second zone",
            DOCS + "high-availability-for-memorystore-for-redis",
        ),
        Rule("redis.size", "1 to 300 GB", DOCS + "redis-tiers"),
        Rule(
            "redis.immutable",
            "tier, network and key cannot be updated",
            DOCS + "reference/rest/v1/projects.locations.instances/patch",
        ),
        Rule("redis.tls-port", "6378 with in-transit encryption, 6379 without", DOCS + "about-in-transit-encryption"),
    ),
)
