"""Small services that the generic verbs serve but for a word or two: names, refusals, one computed answer.

Sources: each service's REST reference under https://cloud.google.com/, and k8s-config-connector's recordings.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last, numeric_id, relative, singular, snake
from twin.kernel.semantics import Call, Semantics
from twin.kernel.types import Body, Reply, after, rfc3339


def _spoken(name: str) -> ApiError:
    """`autoscalingPolicy "projects/…" not found`."""
    return not_found(f'{singular(name.rsplit("/", 2)[-2])} "{relative(name)}" not found')


# Cloud DNS: https://cloud.google.com/dns/docs/reference/rest/v1


def _zone(call: Call, body: Body) -> None:
    body["kind"], body["id"] = "dns#managedZone", numeric_id()
    body["creationTime"] = rfc3339(call.now, 3)
    body.setdefault("visibility", "public")
    body.setdefault("cloudLoggingConfig", {}).setdefault("kind", "dns#managedZoneCloudLoggingConfig")
    body["nameServers"] = [f"ns-cloud-a{number}.googledomains.com." for number in range(1, 5)]


def _dns_existing(name: str) -> ApiError:
    text = f"The resource 'entity.{singular(name.rsplit('/', 2)[-2])}' named '{last(name)}' already exists"
    return ApiError("ALREADY_EXISTS", text, reason="alreadyExists")


def _dns_missing(name: str) -> ApiError:
    word = singular(name.rsplit("/", 2)[-2])
    return not_found(f"The 'parameters.{word}' resource named '{last(name)}' does not exist.")


def create_record_set(call: Call) -> Body:
    """A record set is known by name and type: .../rrsets/{name}/{type}."""
    name, kind = str(call.body.get("name", "")), str(call.body.get("type", ""))
    if not name or not kind:
        raise invalid("Required parameter is missing: name, type", "required")
    standard.require_parents(call, call.name)
    path = f"{call.name}/{name}/{kind}"
    if path in call.engine.store:
        raise ApiError(
            "ALREADY_EXISTS",
            f"The resource 'entity.rrset' named '{name} ({kind})' already exists",
            reason="alreadyExists",
        )
    body = {"kind": "dns#resourceRecordSet", "ttl": 0, **call.body}
    return call.put(path, body)


def list_record_sets(call: Call) -> Body:
    standard.require_parents(call, call.name)
    found = [call.need(name) for name in call.engine.store.below(call.name)]
    wanted = {key: call.params[key] for key in ("name", "type") if call.params.get(key)}
    found = [body for body in found if all(body.get(key) == value for key, value in wanted.items())]
    return {"kind": "dns#resourceRecordSetsListResponse", "rrsets": found}


def create_change(call: Call) -> Body:
    """Additions and deletions of record sets, all or none. https://cloud.google.com/dns/docs/records"""
    standard.require_parents(call, call.name)
    zone = call.name.rpartition("/changes")[0]
    for record in call.body.get("deletions", []):
        path = f"{zone}/rrsets/{record.get('name')}/{record.get('type')}"
        if call.get(path) is None:
            said = f"{record.get('name')} ({record.get('type')})"
            raise not_found(f"The 'entity.change.deletions[0]' resource named '{said}' does not exist.")
        call.delete(path)
    for record in call.body.get("additions", []):
        path = f"{zone}/rrsets/{record.get('name')}/{record.get('type')}"
        if call.get(path) is not None:
            said = f"{record.get('name')} ({record.get('type')})"
            text = f"The resource 'entity.change.additions[0]' named '{said}' already exists"
            raise ApiError("ALREADY_EXISTS", text, reason="alreadyExists")
        call.put(path, {"kind": "dns#resourceRecordSet", **record})
    number = str(1 + sum(1 for _ in call.children(call.name)))
    lists = {key: call.body[key] for key in ("additions", "deletions") if call.body.get(key)}
    body = {**lists, "kind": "dns#change", "id": number, "startTime": rfc3339(call.now, 3), "status": "done"}
    return call.put(f"{call.name}/{number}", body)


DNS = Semantics(
    api="dns",
    dialect="legacy",
    short_names=True,
    missing=_dns_missing,
    existing=_dns_existing,
    creating={"managedZones": _zone},
    methods={
        "changes.create": create_change,
        "resourceRecordSets.create": create_record_set,
        "resourceRecordSets.list": list_record_sets,
    },
)

# Google Kubernetes Engine: https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1


def _cluster(call: Call, body: Body) -> None:
    place = last(call.name.rpartition("/clusters/")[0])
    body.setdefault("location", place)
    body.setdefault("zone", place)
    body["status"] = "RUNNING"
    for pool in body.get("nodePools", []):
        call.put(f"{call.name}/nodePools/{pool['name']}", {"status": "RUNNING", **pool})


def _pool(_call: Call, body: Body) -> None:
    body.setdefault("status", "RUNNING")


def _container_missing(name: str) -> ApiError:
    # A zonal cluster is named by its zone, whichever path asked for it (recorded).
    path = re.sub(r"/locations/(?=[a-z]+-[a-z]+\d+-[a-z]/)", "/zones/", relative(name))
    return not_found(f"Not found: {path}.")


CONTAINER = Semantics(
    api="container",
    dialect="legacy+status",
    short_names=True,
    missing=_container_missing,
    creating={"clusters": _cluster, "nodePools": _pool},
)

# Pub/Sub: https://cloud.google.com/pubsub/docs/reference/rest


def _pubsub_missing(name: str) -> ApiError:
    if "/schemas/" in name:
        return not_found(f"Resource not found (resource={relative(name)}).")
    return not_found(f"Resource not found (resource={last(name)}).")


def _pubsub_existing(name: str) -> ApiError:
    return ApiError("ALREADY_EXISTS", f"Resource already exists in the project (resource={last(name)}).")


def _topic(_call: Call, body: Body) -> None:
    body.pop("state", None)


def _subscription(call: Call, body: Body) -> None:
    topic = str(body.get("topic", ""))
    if f"pubsub/{topic}" not in call.engine.store:
        raise _pubsub_missing(f"pubsub/{topic}")
    body.setdefault("ackDeadlineSeconds", 10)
    body.setdefault("pushConfig", {})
    body.setdefault("messageRetentionDuration", "604800s")
    body.setdefault("expirationPolicy", {"ttl": "2678400s"})
    body["state"] = "ACTIVE"
    for kind in ("bigqueryConfig", "cloudStorageConfig"):
        if kind in body:
            body[kind]["state"] = "ACTIVE"


def _snapshot(call: Call, body: Body) -> None:
    subscription = call.need(f"pubsub/{body.pop('subscription', '')}")
    body["name"] = relative(call.name)
    body["topic"] = subscription["topic"]
    body["expireTime"] = rfc3339(after(call.now, 7 * 86_400))


def _schema(call: Call, body: Body) -> None:
    # https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.schemas#Schema
    body["revisionId"] = secrets.token_hex(4)
    body["revisionCreateTime"] = call.stamp


PUBSUB = Semantics(
    api="pubsub",
    missing=_pubsub_missing,
    existing=_pubsub_existing,
    creating={"topics": _topic, "subscriptions": _subscription, "snapshots": _snapshot, "schemas": _schema},
)

# Cloud Billing: https://cloud.google.com/billing/docs/reference/rest/v1/projects


def billing_info(call: Call) -> Body:
    project = call.project
    if not call.engine.project_exists(project):
        raise call.engine.missing_project(call, project)
    account = (call.get(f"cloudbilling/projects/{project}/billingInfo") or {}).get("billingAccountName", "")
    return {
        "name": f"projects/{project}/billingInfo",
        "projectId": project,
        "billingAccountName": account,
        "billingEnabled": bool(account),
    }


def set_billing_info(call: Call) -> Body:
    billing_info(call)
    account = str(call.body.get("billingAccountName", ""))
    call.put(f"cloudbilling/projects/{call.project}/billingInfo", {"billingAccountName": account})
    return billing_info(call)


BILLING = Semantics(
    api="cloudbilling",
    missing=_spoken,
    methods={"projects.getBillingInfo": billing_info, "projects.updateBillingInfo": set_billing_info},
)


# Words for what is missing, per service


def _dataproc_missing(name: str) -> ApiError:
    word = re.sub(r"[_]", " ", snake(singular(name.rsplit("/", 2)[-2]))).title()
    return not_found(f"Not found: {word} {relative(name)}")


def _entity_missing(_name: str) -> ApiError:
    return not_found("Requested entity was not found.")


def _spanner_missing(name: str) -> ApiError:
    word = singular(name.rsplit("/", 2)[-2])
    return not_found(f"{word[:1].upper()}{word[1:]} not found: {relative(name)}")


def drop_database(call: Call) -> Body:
    call.need()
    call.delete(call.name)
    return {}


def create_database(call: Call) -> Body | Reply:
    """The name stands inside of the statement: CREATE DATABASE `name`."""
    match = re.search(r"(?i)create\s+database\s+[`\"]?([\w-]+)", str(call.body.get("createStatement", "")))
    if match is None:
        raise invalid("Error parsing Spanner DDL statement: Expecting 'CREATE DATABASE'.")
    call.params["databaseId"] = match[1]
    dialect = call.body.get("databaseDialect", "GOOGLE_STANDARD_SQL")
    call.body = {
        "databaseDialect": dialect,
        "versionRetentionPeriod": "1h",
        "~ddl": call.body.get("extraStatements", []),
    }
    return standard.create(call)


SPANNER = Semantics(
    api="spanner",
    missing=_spanner_missing,
    methods={"databases.dropDatabase": drop_database, "databases.create": create_database},
)
DATAPROC = Semantics(api="dataproc", missing=_dataproc_missing)
ARTIFACTS = Semantics(api="artifactregistry", missing=_entity_missing)


def _words(text: str) -> Callable[[str], ApiError]:
    """A sentence with {name} and {id}, as recordings of the service show it."""
    return lambda name: not_found(text.format(name=relative(name), id=last(name)))


def _firestore_missing(name: str) -> ApiError:
    parts = relative(name).split("/")
    if len(parts) == 4:
        return not_found(f"Project '{parts[1]}' or database '{parts[3]}' does not exist.")
    return not_found(f"Resource '{relative(name)}' was not found")


def _reservation_missing(name: str) -> ApiError:
    if name.rsplit("/", 2)[-2] == "capacityCommitments":
        return not_found(f"Not found: CapacityCommitment {relative(name)}")
    return not_found("No reservation found.")


#: Services that differ from the generic ones in how they say that something is missing, and in nothing else yet.
SENTENCES = tuple(
    Semantics(api=api, missing=_words(text))
    for api, text in {
        "apigee": "resource {name} not found",
        "containeranalysis": "Requested entity was not found",
        "vpcaccess": "The connector is not found.",
        "workstations": "Requested entity was not found.",
    }.items()
)
FIRESTORE = Semantics(api="firestore", missing=_firestore_missing)
RESERVATION = Semantics(api="bigqueryreservation", missing=_reservation_missing)
ASSET = Semantics(api="cloudasset", missing=_entity_missing)
ORG_POLICY = Semantics(api="orgpolicy", missing=_entity_missing)
BUILD = Semantics(api="cloudbuild", missing=_entity_missing)

ALL = (
    DNS, CONTAINER, PUBSUB, BILLING, SPANNER, DATAPROC, ARTIFACTS, ASSET, ORG_POLICY, BUILD, FIRESTORE, RESERVATION, *SENTENCES,
)  # fmt: skip
