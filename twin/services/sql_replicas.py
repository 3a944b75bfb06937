"""Replicas, clones, fail-over: how one Cloud SQL instance becomes, follows or replaces another.

https://cloud.google.com/sql/docs/mysql/replication
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from twin.kernel import operations, standard
from twin.kernel.errors import ApiError, invalid
from twin.kernel.names import collection_of, last
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply
from twin.services import sql_members


def _named(call: Call, given: str) -> str:
    """The canonical name of an instance that a body names, with or without its project."""
    return f"sqladmin/projects/{call.project}/instances/{given.rpartition(':')[2]}"


def _addressed(call: Call) -> Body:
    """The instance that a custom method is called on."""
    call.name = "/".join(call.name.split("/")[:5])
    return call.need()


def attach(call: Call, body: Body) -> None:
    """Make `body` a replica of the instance that it names."""
    primary = _named(call, body["masterInstanceName"])
    if call.get(primary) is None:
        raise call.engine.missing(primary)
    found = call.copy(primary)
    found["replicaNames"] = [*found.get("replicaNames", []), body["name"]]
    call.put(primary, found)
    body["masterInstanceName"] = f"{call.project}:{last(primary)}"
    body["instanceType"] = "READ_REPLICA_INSTANCE"


def detach(call: Call, body: Body) -> None:
    primary = _named(call, body.get("masterInstanceName", ""))
    if call.get(primary) is None:
        return
    found = call.copy(primary)
    found["replicaNames"] = [name for name in found.get("replicaNames", []) if name != body["name"]]
    if not found["replicaNames"]:
        del found["replicaNames"]
    call.put(primary, found)


def clone(call: Call) -> Body | Reply:
    source = _addressed(call)
    context = call.body.get("cloneContext", {})
    short = context.get("destinationInstanceName", "")
    if not short:
        raise invalid("Missing parameter: cloneContext.destinationInstanceName.", "required")
    target = f"{collection_of(call.name)}/{short}"
    if call.get(target) is not None:
        raise call.engine.semantics(call.api).existing(target)
    body = copy.deepcopy(source)
    body.pop("replicaNames", None)
    body["name"] = short
    body["createTime"] = call.stamp
    for field in ("selfLink", "connectionName"):
        body[field] = body[field].removesuffix(source["name"]) + short
    if context.get("preferredZone"):
        body["gceZone"] = context["preferredZone"]
        body["settings"]["locationPreference"]["zone"] = context["preferredZone"]
    body["settings"]["settingsVersion"] = "1"
    body["etag"] = standard.fingerprint(body)
    call.put(target, body)
    call.name = target
    sql_members.first_members(call, body)
    call.announce("created", target)
    return operations.sql_operation(call, "CLONE", target)


def promote(call: Call) -> Body | Reply:
    body = copy.deepcopy(_addressed(call))
    if body["instanceType"] != "READ_REPLICA_INSTANCE":
        raise invalid("The instance is not a replica.", "invalidOperation")
    detach(call, body)
    body.pop("masterInstanceName")
    body["instanceType"] = "CLOUD_SQL_INSTANCE"
    call.put(call.name, body)
    return operations.sql_operation(call, "PROMOTE_REPLICA", call.name)


def switchover(call: Call) -> Body | Reply:
    """The replica becomes the primary, and the primary its replica."""
    body = copy.deepcopy(_addressed(call))
    if body["instanceType"] != "READ_REPLICA_INSTANCE":
        raise invalid("The instance is not a replica.", "invalidOperation")
    primary = _named(call, body["masterInstanceName"])
    detach(call, body)
    former = call.copy(primary)
    former["instanceType"] = "READ_REPLICA_INSTANCE"
    former["masterInstanceName"] = f"{call.project}:{body['name']}"
    cluster = former.pop("replicationCluster", None)
    body.pop("masterInstanceName")
    body["instanceType"] = "CLOUD_SQL_INSTANCE"
    body["replicaNames"] = [former["name"]]
    if cluster is not None:
        body["replicationCluster"] = {**cluster, "failoverDrReplicaName": former["name"]}
    call.put(primary, former)
    call.put(call.name, body)
    return operations.sql_operation(call, "SWITCHOVER", call.name)


def failover(call: Call) -> Body | Reply:
    """https://cloud.google.com/sql/docs/mysql/high-availability: only an instance with a standby has something to fail over to."""
    body = copy.deepcopy(_addressed(call))
    if body["settings"]["availabilityType"] != "REGIONAL":
        raise ApiError("INVALID_ARGUMENT", "The instance is not highly available.", reason="invalidOperation")
    given = call.body.get("failoverContext", {}).get("settingsVersion")
    if given and given != body["settings"]["settingsVersion"]:
        raise ApiError("CONDITION_NOT_MET", "Settings version is stale.", reason="staleData")
    standby = body.get("secondaryGceZone") or body["region"] + ("-b" if body["gceZone"].endswith("-a") else "-a")
    body["gceZone"], body["secondaryGceZone"] = standby, body["gceZone"]
    call.put(call.name, body)
    call.announce("updated", call.name)
    return operations.sql_operation(call, "FAILOVER", call.name)


def server_cas(call: Call) -> Body:
    certificate = _addressed(call)["serverCaCert"]
    return {
        "kind": "sql#instancesListServerCas",
        "activeVersion": certificate["sha1Fingerprint"],
        "certs": [certificate],
    }


def plain(operation: str) -> Callable[[Call], Body | Reply]:
    """A custom method that only leaves an operation behind."""

    def run(call: Call) -> Body | Reply:
        _addressed(call)
        return operations.sql_operation(call, operation, call.name)

    return run
