"""Cloud SQL Admin: instances, how they are made, changed and deleted.

https://cloud.google.com/sql/docs/mysql/admin-api/rest/v1/instances
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import re

from twin.kernel import operations, standard
from twin.kernel.errors import ApiError, already_exists, invalid, not_found
from twin.kernel.masks import merge_patch
from twin.kernel.names import last
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply, rfc3339
from twin.services import sql_members, sql_replicas, sql_settings

DOCS = "https://cloud.google.com/sql/docs/"


def missing(name: str) -> ApiError:
    if ("/instances/" in name and name.count("/") > 4) or "/operations/" in name:
        return not_found("Not Found")
    return ApiError("NOT_FOUND", "The Cloud SQL instance does not exist.", reason="instanceDoesNotExist")


def existing(name: str) -> ApiError:
    if "/databases/" in name:
        return already_exists(f"Database '{last(name)}' already exists.")
    return ApiError("ALREADY_EXISTS", "The Cloud SQL instance already exists.", reason="instanceAlreadyExists")


def denied(call: Call, permission: str) -> ApiError:
    return ApiError("PERMISSION_DENIED", "The client is not authorized to make this request.", reason="notAuthorized")


def _base(call: Call) -> str:
    version = call.method.document.version
    return "https://sqladmin.googleapis.com/" + ("sql/v1beta4/" if version == "v1beta4" else "v1/")


def insert_instance(call: Call) -> Body | Reply:
    """A replica's operation is called CREATE_REPLICA and names the primary (recorded)."""
    reply = standard.create(call)
    primary = call.body.get("masterInstanceName")
    if primary and isinstance(reply, dict):
        link = f"{_base(call)}projects/{call.project}/instances/{primary}"
        changed = {"operationType": "CREATE_REPLICA", "targetId": primary, "targetLink": link}
        name = f"sqladmin/projects/{call.project}/operations/{reply['name']}"
        call.put(name, {**call.need(name), **changed})
        reply.update(changed)
    return reply


def create_instance(call: Call, body: Body) -> None:
    short = last(call.name)
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,96}[a-z0-9]", short):
        raise ApiError("INVALID_ARGUMENT", f"Invalid request: instance name ({short}).", reason="invalid")
    settings = body.get("settings")
    if not settings or not settings.get("tier"):
        raise ApiError("INVALID_ARGUMENT", "Missing parameter: Tier.", reason="required")
    body["name"] = short
    body.pop("rootPassword", None)
    body["project"] = call.project
    body.setdefault("databaseVersion", "MYSQL_8_0")
    body.setdefault("region", "us-central1")
    body["selfLink"] = f"{_base(call)}projects/{call.project}/instances/{short}"
    body["state"] = "RUNNABLE"
    body["backendType"] = "SECOND_GEN"
    body.setdefault("instanceType", "READ_REPLICA_INSTANCE" if body.get("masterInstanceName") else "CLOUD_SQL_INSTANCE")
    body["connectionName"] = f"{call.project}:{body['region']}:{short}"
    body["createTime"] = call.stamp
    body["serviceAccountEmailAddress"] = f"p{call.number}-{short[:6]}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    body["serverCaCert"] = {
        "kind": "sql#sslCert",
        "certSerialNumber": "0",
        "cert": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "commonName": "Cloud SQL Server CA",
        "sha1Fingerprint": "0" * 40,
        "instance": short,
        "createTime": rfc3339(call.now, 3),
        "expirationTime": rfc3339(call.now.replace(year=call.now.year + 10, day=1), 3),
    }
    body["gceZone"] = settings.get("locationPreference", {}).get("zone") or f"{body['region']}-a"
    sql_settings.describe_versions(body)
    body["sqlNetworkArchitecture"] = "NEW_NETWORK_ARCHITECTURE"
    body["satisfiesPzi"] = True
    sql_settings.fill_settings(body, settings)
    sql_settings.show_features(body)
    sql_settings.show_addresses(body)
    settings["settingsVersion"] = "1"
    key = body.get("diskEncryptionConfiguration", {}).get("kmsKeyName")
    if key and f"/locations/{body['region']}/" not in key:
        raise invalid(f"Invalid request: the KMS key {key} is not in the instance's region {body['region']}.")
    if body.get("masterInstanceName"):
        sql_replicas.attach(call, body)
    sql_members.first_members(call, body)


def view_instance(call: Call, name: str, body: Body) -> Body:
    """Two lists of the settings are printed even when they are empty (recorded)."""
    settings = body["settings"]
    network = {"authorizedNetworks": [], **settings["ipConfiguration"]}
    return {**body, "settings": {"authorizedGaeApplications": [], **settings, "ipConfiguration": network}}


def patch(call: Call) -> Body | Reply:
    return _changed(call, merge_patch(call.need(), call.body))


def update(call: Call) -> Body | Reply:
    old = call.need()
    new = copy.deepcopy(call.body)
    for key, value in old.items():
        if key != "settings":
            new.setdefault(key, value)
    if sql_settings.engine_of(new) == "POSTGRES" and "settings" in new:
        # A replacement shows it, an insert only together with point-in-time recovery (recorded).
        new["settings"].setdefault("backupConfiguration", {}).setdefault("replicationLogArchivingEnabled", False)
    return _changed(call, new)


def _changed(call: Call, new: Body) -> Body | Reply:
    old = call.need()
    given = call.body.get("settings", {}).get("settingsVersion")
    if given and given != old["settings"]["settingsVersion"]:
        raise ApiError(
            "CONDITION_NOT_MET",
            "Input or retrieved settings version does not match current settings version for this instance.",
            reason="staleData",
        )
    if new.get("region", old["region"]) != old["region"]:
        raise invalid(
            "The incoming request contained invalid data: the region of an instance cannot be changed.",
            "invalidRequest",
        )
    size, before = int(new["settings"].get("dataDiskSizeGb", 0)), int(old["settings"]["dataDiskSizeGb"])
    if size and size < before:
        raise invalid("Invalid request: Disk size cannot be decreased.", "invalidRequest")
    new["name"], new["gceZone"] = old["name"], old["gceZone"]
    # A password goes in and never comes out.
    new.pop("rootPassword", None)
    if "databaseVersion" in new and new["databaseVersion"] != old["databaseVersion"]:
        sql_settings.describe_versions(new)
    sql_settings.fill_settings(new, new["settings"])
    sql_settings.show_features(new)
    sql_settings.show_addresses(new)
    new["settings"]["settingsVersion"] = str(int(old["settings"]["settingsVersion"]) + 1)
    # A stopped instance still says RUNNABLE: only activationPolicy tells (gcloud prints STOPPED from the two together).
    new["state"] = "RUNNABLE"
    new["etag"] = standard.fingerprint(new)
    call.put(call.name, new)
    call.announce("updated", call.name)
    return operations.sql_operation(call, "UPDATE", call.name)


def delete_instance(call: Call, body: Body) -> None:
    if body["settings"].get("deletionProtectionEnabled"):
        raise invalid(
            "The instance is protected. Please disable the deletion protection and try again.", "invalidRequest"
        )
    if body.get("replicaNames"):
        raise invalid("Unable to delete a primary instance with read replicas.", "invalidOperation")
    sql_replicas.detach(call, body)


def restart(call: Call) -> Body | Reply:
    call.name = call.name.removesuffix("/restart")
    if call.need()["state"] != "RUNNABLE":
        raise invalid("Invalid request: the instance is not running.", "invalidState")
    return operations.sql_operation(call, "RESTART", call.name)


def tiers(call: Call) -> Body:
    base = [
        ("db-f1-micro", 644_245_094),
        ("db-g1-small", 1_825_361_100),
        ("db-custom-1-3840", 4_026_531_840),
        ("db-custom-2-7680", 8_053_063_680),
    ]
    return {
        "kind": "sql#tiersList",
        "items": [
            {"kind": "sql#tier", "tier": tier, "RAM": str(ram), "DiskQuota": "3221225472000", "region": ["us-central1"]}
            for tier, ram in base
        ],
    }


SEMANTICS = Semantics(
    api="sqladmin",
    dialect="legacy",
    missing=missing,
    existing=existing,
    denied=denied,
    merge_patch=True,
    short_names=True,
    methods={
        "instances.patch": patch,
        "instances.update": update,
        "instances.restart": restart,
        "databases.insert": sql_members.insert_database,
        "databases.list": sql_members.list_databases,
        "databases.patch": sql_members.change_database,
        "databases.update": sql_members.change_database,
        "backupRuns.insert": sql_members.insert_backup,
        "backupRuns.list": sql_members.list_backups,
        "backupRuns.delete": sql_members.delete_backup,
        "flags.list": sql_members.flags,
        "connect.get": sql_members.connect_settings,
        "instances.insert": insert_instance,
        "instances.clone": sql_replicas.clone,
        "instances.switchover": sql_replicas.switchover,
        "instances.promoteReplica": sql_replicas.promote,
        "instances.failover": sql_replicas.failover,
        "instances.startReplica": sql_replicas.plain("START_REPLICA"),
        "instances.stopReplica": sql_replicas.plain("STOP_REPLICA"),
        "instances.restoreBackup": sql_replicas.plain("RESTORE_VOLUME"),
        "instances.truncateLog": sql_replicas.plain("TRUNCATE_LOG"),
        "instances.resetSslConfig": sql_replicas.plain("UPDATE"),
        "instances.rotateServerCa": sql_replicas.plain("UPDATE"),
        "instances.addServerCa": sql_replicas.plain("UPDATE"),
        "instances.listServerCas": sql_replicas.server_cas,
        "instances.export": sql_replicas.plain("EXPORT"),
        "instances.import": sql_replicas.plain("IMPORT"),
        "databases.delete": sql_members.delete_database,
        "users.list": sql_members.list_users,
        "users.get": sql_members.get_user,
        "users.insert": sql_members.insert_user,
        "users.update": sql_members.update_user,
        "users.delete": sql_members.delete_user,
        "tiers.list": tiers,
    },
    creating={"instances": create_instance},
    viewing={"instances": view_instance},
    deleting={"instances": delete_instance},
    rules=(
        Rule(
            "sql.stopped-by-policy",
            "a stopped instance has activationPolicy NEVER and still says RUNNABLE",
            DOCS + "mysql/start-stop-restart-instance",
        ),
        Rule(
            "sql.settings-version",
            "a stale settingsVersion is refused with 412",
            DOCS + "mysql/admin-api/rest/v1/instances/update",
        ),
        Rule("sql.disk-grows-only", "the disk cannot shrink", DOCS + "mysql/instance-settings"),
        Rule("sql.deletion-protection", "a protected instance is not deleted", DOCS + "mysql/deletion-protection"),
        Rule(
            "sql.root-user",
            "a MySQL instance starts with root@%, a PostgreSQL one with postgres",
            DOCS + "mysql/create-manage-users",
        ),
        Rule("sql.defaults", "PD_SSD, 10 GB, auto resize, ZONAL, ENTERPRISE", DOCS + "mysql/instance-settings"),
        Rule(
            "sql.edition-tier",
            "'Invalid Tier (…) for (ENTERPRISE) Edition.' for a machine of the Enterprise Plus edition",
            "https://github.com/GoogleCloudPlatform/k8s-config-connector/tree/master/mockgcp/mocksql/testdata/instance/mysql84",
        ),
        Rule(
            "sql.replicas",
            "a primary names its replicas and cannot be deleted while it has any; switchover exchanges the two",
            DOCS + "mysql/replication/manage-replicas",
        ),
        Rule("sql.no-data", "import, export, restore and clone take state along, no rows", "", "assumed"),
        Rule("sql.runnable-at-once", "an instance is RUNNABLE as soon as it is made", "", "assumed"),
    ),
)
