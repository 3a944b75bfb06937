"""What belongs to a Cloud SQL instance: databases, users, backups; flags and how to connect.

https://cloud.google.com/sql/docs/mysql/admin-api/rest/v1/databases
"""

from __future__ import annotations

from twin.kernel import operations, standard
from twin.kernel.errors import already_exists, invalid
from twin.kernel.names import collection_of, last, numeric_id
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply
from twin.services import sql_settings

_FLAGS = (
    ("max_connections", ("POSTGRES_13", "POSTGRES_14", "POSTGRES_15", "POSTGRES_16", "POSTGRES_17"), 14, 262143, True),
    ("max_connections", ("MYSQL_5_7", "MYSQL_8_0", "MYSQL_8_4"), 10, 100000, False),
    ("wait_timeout", ("MYSQL_5_7", "MYSQL_8_0", "MYSQL_8_4"), 1, 31536000, False),
    (
        "idle_in_transaction_session_timeout",
        ("POSTGRES_13", "POSTGRES_14", "POSTGRES_15", "POSTGRES_16"),
        0,
        2147483647,
        False,
    ),
)


def base(call: Call) -> str:
    version = call.method.document.version
    return "https://sqladmin.googleapis.com/" + ("sql/v1beta4/" if version == "v1beta4" else "v1/")


def user(instance: str, project: str, given: Body) -> Body:
    """A user as lists show it."""
    body: Body = {
        "kind": "sql#user",
        **given,
        "instance": instance,
        "project": project,
        "iamStatus": "IAM_STATUS_UNSPECIFIED",
        "passwordPolicy": {"status": {}},
    }
    body["etag"] = standard.fingerprint(body)
    return body


def first_members(call: Call, body: Body) -> None:
    """The users and databases that a new instance starts with."""
    for given in sql_settings.first_users(body):
        call.put(f"{call.name}/users/{given['name']}@{given['host']}", user(body["name"], call.project, given))
    names, charset = sql_settings.first_databases(body)
    for name in names:
        call.put(f"{call.name}/databases/{name}", database(call, name, charset))


def database(call: Call, name: str, charset: str, collation: str = "") -> Body:
    instance = call.name.partition("/databases")[0]
    collation = collation or ("en_US.UTF8" if charset == "UTF8" else f"{charset}_general_ci" if charset else "")
    body: Body = {
        "kind": "sql#database",
        "name": name,
        "charset": charset,
        "collation": collation,
        "instance": last(instance),
        "project": call.project,
        "selfLink": f"{base(call)}projects/{call.project}/instances/{last(instance)}/databases/{name}",
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
        raise already_exists(f"Database '{short}' already exists.")
    charset = call.body.get("charset") or ("UTF8" if instance["databaseVersion"].startswith("POSTGRES") else "utf8mb4")
    call.put(name, database(call, short, charset, call.body.get("collation", "")))
    return operations.sql_operation(call, "CREATE_DATABASE", name, done=True, whole_link=True)


def change_database(call: Call) -> Body | Reply:
    old = call.need()
    new = dict(old)
    new.update((key, call.body[key]) for key in ("charset", "collation") if key in call.body)
    new["etag"] = standard.fingerprint(new)
    call.put(call.name, new)
    return operations.sql_operation(call, "UPDATE_DATABASE", call.name, whole_link=True)


def delete_database(call: Call) -> Body | Reply:
    call.need()
    call.delete(call.name)
    return operations.sql_operation(call, "DELETE_DATABASE", call.name, whole_link=True)


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
    body = user(instance["name"], call.project, {"name": short, "host": host})
    if call.body.get("type"):
        body["type"] = call.body["type"]
    if call.body.get("passwordPolicy"):
        body["passwordPolicy"] = {**call.body["passwordPolicy"], "status": {}}
    body["etag"] = standard.fingerprint(body)
    call.put(f"{call.name}/{short}@{host}", body)
    return operations.sql_operation(call, "CREATE_USER", collection_of(call.name), done=True)


def _user(call: Call) -> str:
    name, host = str(call.params.get("name", "")), str(call.params.get("host", ""))
    for key, body in call.children(call.name):
        if body["name"] == name and (not host or body.get("host", "") == host):
            return key
    raise call.engine.missing(f"{call.name}/x")


def get_user(call: Call) -> Body:
    for _, body in call.children(collection_of(call.name)):
        if body["name"] == last(call.name):
            return body
    raise call.engine.missing(call.name)


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
    body = call.copy(known[0])
    for field in ("databaseRoles", "sqlserverUserDetails"):
        if field in call.body:
            body[field] = call.body[field]
    if "passwordPolicy" in call.body:
        body["passwordPolicy"] = {**call.body["passwordPolicy"], "status": body["passwordPolicy"].get("status", {})}
    body["etag"] = standard.fingerprint(body)
    call.put(known[0], body)
    return operations.sql_operation(call, "UPDATE_USER", collection_of(call.name), done=True)


def delete_user(call: Call) -> Body | Reply:
    call.need(collection_of(call.name))
    call.delete(_user(call))
    return operations.sql_operation(call, "DELETE_USER", collection_of(call.name), done=True)


# Backups


def insert_backup(call: Call) -> Body | Reply:
    """An on-demand backup: https://cloud.google.com/sql/docs/mysql/backup-recovery/backing-up"""
    instance = call.need(collection_of(call.name))
    identifier = numeric_id(13)
    body: Body = {
        "kind": "sql#backupRun",
        "id": identifier,
        "instance": instance["name"],
        "status": "SUCCESSFUL",
        "type": "ON_DEMAND",
        "backupKind": "SNAPSHOT",
        "location": call.body.get("location") or instance["region"].partition("-")[0],
        "windowStartTime": call.stamp,
        "enqueuedTime": call.stamp,
        "startTime": call.stamp,
        "endTime": call.stamp,
        "selfLink": f"{base(call)}projects/{call.project}/instances/{instance['name']}/backupRuns/{identifier}",
    }
    if call.body.get("description"):
        body["description"] = call.body["description"]
    call.put(f"{call.name}/{identifier}", body)
    return operations.sql_operation(call, "BACKUP_VOLUME", collection_of(call.name))


def list_backups(call: Call) -> Body:
    call.need(collection_of(call.name))
    return standard.list_(call)


def delete_backup(call: Call) -> Body | Reply:
    call.need()
    call.delete(call.name)
    return operations.sql_operation(call, "DELETE_BACKUP", collection_of(collection_of(call.name)))


# What can be looked up


def flags(call: Call) -> Body:
    """The flags that staging systems set; Google's list is longer. https://cloud.google.com/sql/docs/postgres/flags"""
    wanted = call.params.get("databaseVersion")
    items = [
        {
            "kind": "sql#flag",
            "name": name,
            "type": "INTEGER",
            "appliesTo": list(versions),
            "minValue": str(low),
            "maxValue": str(high),
            "requiresRestart": restart,
        }
        for name, versions, low, high, restart in _FLAGS
        if not wanted or wanted in versions
    ]
    return {"kind": "sql#flagsList", **({"items": items} if items else {})}


def connect_settings(call: Call) -> Body:
    """What the connectors ask for before they dial."""
    body = call.need(collection_of(call.name))
    return {
        "kind": "sql#connectSettings",
        "serverCaCert": body["serverCaCert"],
        "ipAddresses": body["ipAddresses"],
        "region": body["region"],
        "databaseVersion": body["databaseVersion"],
        "backendType": body["backendType"],
    }
