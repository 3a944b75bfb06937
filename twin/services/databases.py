"""Cloud SQL Admin: instances, databases, users, their defaults and states.

https://cloud.google.com/sql/docs/mysql/admin-api/rest/v1/instances
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import re

from twin.kernel import operations, standard
from twin.kernel.errors import ApiError, already_exists, invalid, not_found
from twin.kernel.masks import merge_patch
from twin.kernel.names import collection_of, last
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply, rfc3339

DOCS = "https://cloud.google.com/sql/docs/"
_INSTALLED = {
    "MYSQL_5_7": "MYSQL_5_7_44", "MYSQL_8_0": "MYSQL_8_0_41", "MYSQL_8_4": "MYSQL_8_4_7",
    "POSTGRES_13": "POSTGRES_13_23", "POSTGRES_14": "POSTGRES_14_20", "POSTGRES_15": "POSTGRES_15_15",
    "POSTGRES_16": "POSTGRES_16_11", "POSTGRES_17": "POSTGRES_17_7",
}  # fmt: skip


def missing(name: str) -> ApiError:
    if "/databases/" in name or "/users/" in name or "/operations/" in name:
        return not_found("Not Found")
    return ApiError("NOT_FOUND", "The Cloud SQL instance does not exist.", reason="instanceDoesNotExist")


def existing(name: str) -> ApiError:
    if "/databases/" in name:
        return already_exists(f"Database '{last(name)}' already exists.")
    return ApiError("ALREADY_EXISTS", "The Cloud SQL instance already exists.", reason="instanceAlreadyExists")


def _base(call: Call) -> str:
    version = call.method.document.version
    return "https://sqladmin.googleapis.com/" + ("sql/v1beta4/" if version == "v1beta4" else "v1/")


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
    body["ipAddresses"] = [{"type": "PRIMARY", "ipAddress": "203.0.113.10"}]
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
    installed = _INSTALLED.get(body["databaseVersion"], body["databaseVersion"])
    body["databaseInstalledVersion"] = installed
    body["maintenanceVersion"] = f"{installed}.R20251004.01_24"
    body["sqlNetworkArchitecture"] = "NEW_NETWORK_ARCHITECTURE"
    body["satisfiesPzi"] = True
    # Which Gemini features an answer names depends on the engine (recorded).
    postgres = body["databaseVersion"].startswith("POSTGRES")
    shown = ("googleVacuumMgmtEnabled", "oomSessionCancelEnabled") if postgres else ("flagRecommenderEnabled",)
    body["geminiConfig"] = dict.fromkeys(("entitled", "activeQueryEnabled", "indexAdvisorEnabled", *shown), False)
    _default_settings(body, settings)
    settings["settingsVersion"] = "1"
    key = body.get("diskEncryptionConfiguration", {}).get("kmsKeyName")
    if key and f"/locations/{body['region']}/" not in key:
        raise invalid(f"Invalid request: the KMS key {key} is not in the instance's region {body['region']}.")
    for user in _first_users(body):
        call.put(
            f"{call.name}/users/{user['name']}@{user.get('host', '')}",
            {**user, "instance": short, "project": call.project},
        )
    for database in (
        ("postgres",)
        if body["databaseVersion"].startswith("POSTGRES")
        else ("mysql", "information_schema", "performance_schema", "sys")
    ):
        call.put(
            f"{call.name}/databases/{database}",
            _database(call, database, "UTF8" if database == "postgres" else "utf8mb3"),
        )


def _first_users(body: Body) -> list[Body]:
    if body["databaseVersion"].startswith("POSTGRES"):
        return [{"kind": "sql#user", "name": "postgres"}]
    return [{"kind": "sql#user", "name": "root", "host": "%"}]


def _default_settings(body: Body, settings: Body) -> None:
    settings["kind"] = "sql#settings"
    settings.setdefault("activationPolicy", "ALWAYS")
    settings.setdefault("availabilityType", "ZONAL")
    settings.setdefault("pricingPlan", "PER_USE")
    settings.setdefault("replicationType", "SYNCHRONOUS")
    settings.setdefault("dataDiskType", "PD_SSD")
    settings.setdefault("dataDiskSizeGb", "10")
    settings.setdefault("storageAutoResize", True)
    settings.setdefault("storageAutoResizeLimit", "0")
    settings.setdefault("edition", "ENTERPRISE")
    settings.setdefault("connectorEnforcement", "NOT_REQUIRED")
    settings.setdefault("deletionProtectionEnabled", False)
    settings.setdefault("authorizedGaeApplications", [])
    network = settings.setdefault("ipConfiguration", {})
    network.setdefault("ipv4Enabled", True)
    network.setdefault("requireSsl", False)
    network.setdefault("authorizedNetworks", [])
    network.setdefault("sslMode", "ALLOW_UNENCRYPTED_AND_ENCRYPTED")
    backup = settings.setdefault("backupConfiguration", {})
    backup["kind"] = "sql#backupConfiguration"
    backup.setdefault("enabled", False)
    backup.setdefault("startTime", "12:00")
    backup.setdefault("transactionLogRetentionDays", 7)
    backup.setdefault("transactionalLogStorageState", "TRANSACTIONAL_LOG_STORAGE_STATE_UNSPECIFIED")
    backup.setdefault("backupRetentionSettings", {"retentionUnit": "COUNT", "retainedBackups": 7})
    settings.setdefault("locationPreference", {"kind": "sql#locationPreference", "zone": body["gceZone"]})
    settings["locationPreference"].setdefault("kind", "sql#locationPreference")


def patch(call: Call) -> Body | Reply:
    return _changed(call, merge_patch(call.need(), call.body))


def update(call: Call) -> Body | Reply:
    old = call.need()
    new = copy.deepcopy(call.body)
    for key, value in old.items():
        if key != "settings":
            new.setdefault(key, value)
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
    _default_settings(new, new["settings"])
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


def restart(call: Call) -> Body | Reply:
    call.name = call.name.removesuffix("/restart")
    if call.need()["state"] != "RUNNABLE":
        raise invalid("Invalid request: the instance is not running.", "invalidState")
    return operations.sql_operation(call, "RESTART", call.name)


def _database(call: Call, name: str, charset: str, collation: str = "") -> Body:
    instance = call.name if "/databases" not in call.name else call.name.partition("/databases")[0]
    collation = collation or ("en_US.UTF8" if charset == "UTF8" else f"{charset}_general_ci")
    body: Body = {
        "kind": "sql#database",
        "name": name,
        "charset": charset,
        "collation": collation,
        "instance": last(instance),
        "project": call.project,
        "selfLink": f"{_base(call)}projects/{call.project}/instances/{last(instance)}/databases/{name}",
    }
    body["etag"] = standard.fingerprint(body)
    return body


def insert_database(call: Call) -> Body | Reply:
    instance = call.need(collection_of(call.name))
    short = call.body.get("name", "")
    if not short:
        raise invalid("Missing parameter: name.", "required")
    name = f"{call.name}/{short}"
    if call.get(name) is not None:
        raise existing(name)
    charset = call.body.get("charset") or ("UTF8" if instance["databaseVersion"].startswith("POSTGRES") else "utf8mb4")
    call.put(name, _database(call, short, charset, call.body.get("collation", "")))
    return operations.sql_operation(call, "CREATE_DATABASE", name)


def change_database(call: Call) -> Body | Reply:
    old = call.need()
    new = dict(old)
    new.update((key, call.body[key]) for key in ("charset", "collation") if key in call.body)
    new["etag"] = standard.fingerprint(new)
    call.put(call.name, new)
    return operations.sql_operation(call, "UPDATE_DATABASE", call.name)


def delete_database(call: Call) -> Body | Reply:
    call.need()
    call.delete(call.name)
    return operations.sql_operation(call, "DELETE_DATABASE", call.name)


def list_databases(call: Call) -> Body:
    call.need(collection_of(call.name))
    return standard.list_(call)


def list_users(call: Call) -> Body:
    call.need(collection_of(call.name))
    found = [standard.visible(call, name, body) for name, body in call.children(call.name)]
    return {"kind": "sql#usersList", **({"items": found} if found else {})}


def insert_user(call: Call) -> Body | Reply:
    instance = call.need(collection_of(call.name))
    short, host = call.body.get("name", ""), call.body.get("host", "")
    if not short:
        raise invalid("Missing parameter: User.name.", "required")
    if (
        not host
        and instance["databaseVersion"].startswith("MYSQL")
        and not call.body.get("type", "").startswith("CLOUD_IAM")
    ):
        host = "%"
    body: Body = {"kind": "sql#user", "name": short, "instance": instance["name"], "project": call.project}
    if host:
        body["host"] = host
    if call.body.get("type"):
        body["type"] = call.body["type"]
    body["etag"] = standard.fingerprint(body)
    call.put(f"{call.name}/{short}@{host}", body)
    return operations.sql_operation(call, "CREATE_USER", collection_of(call.name), done=True)


def _user(call: Call) -> str:
    name, host = str(call.params.get("name", "")), str(call.params.get("host", ""))
    for key, body in call.children(call.name):
        if body["name"] == name and (not host or body.get("host", "") == host):
            return key
    raise missing(f"{call.name}/x")


def get_user(call: Call) -> Body:
    for _, body in call.children(collection_of(call.name)):
        if body["name"] == last(call.name):
            return body
    raise missing(call.name)


def update_user(call: Call) -> Body | Reply:
    call.need(collection_of(call.name))
    name = str(call.params.get("name", ""))
    host = str(call.params.get("host", ""))
    known = [
        key
        for key, body in call.children(call.name)
        if body["name"] == name and (not host or body.get("host", "") == host)
    ]
    if not known:
        call.body.setdefault("name", name)
        return insert_user(call)
    return operations.sql_operation(call, "UPDATE_USER", collection_of(call.name), done=True)


def delete_user(call: Call) -> Body | Reply:
    call.need(collection_of(call.name))
    call.delete(_user(call))
    return operations.sql_operation(call, "DELETE_USER", collection_of(call.name), done=True)


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
    merge_patch=True,
    short_names=True,
    methods={
        "instances.patch": patch,
        "instances.update": update,
        "instances.restart": restart,
        "databases.insert": insert_database,
        "databases.list": list_databases,
        "databases.patch": change_database,
        "databases.update": change_database,
        "databases.delete": delete_database,
        "users.list": list_users,
        "users.get": get_user,
        "users.insert": insert_user,
        "users.update": update_user,
        "users.delete": delete_user,
        "tiers.list": tiers,
    },
    creating={"instances": create_instance},
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
        Rule("sql.runnable-at-once", "an instance is RUNNABLE as soon as it is made", "", "assumed"),
    ),
)
