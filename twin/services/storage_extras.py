"""What hangs on a bucket or a project beside objects: notifications, HMAC keys, folders.

https://cloud.google.com/storage/docs/pubsub-notifications, https://cloud.google.com/storage/docs/authentication/hmackeys,
https://cloud.google.com/storage/docs/managed-folders
"""

from __future__ import annotations

import base64
import re
import secrets
import string
from urllib.parse import quote

from twin.kernel import paging, standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply

_BASE = "https://www.googleapis.com/storage/v1/"
_EVENTS = ("OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE", "OBJECT_ARCHIVE")


def _bucket(call: Call) -> str:
    short = str(call.params["bucket"])
    call.need(f"storage/b/{short}")
    return short


# Notifications


def insert_notification(call: Call) -> Body:
    short = _bucket(call)
    topic = str(call.body.get("topic", ""))
    if topic.startswith("projects/"):
        topic = "//pubsub.googleapis.com/" + topic
    if not re.fullmatch(r"//pubsub\.googleapis\.com/projects/[^/]+/topics/[^/]+", topic):
        raise invalid("Required" if not topic else f"Invalid Google Cloud Pub/Sub topic: {topic}", "required")
    payload = call.body.get("payload_format", "")
    if payload not in ("JSON_API_V1", "NONE"):
        raise invalid(f"Invalid argument: payload_format {payload or '(none)'}")
    wrong = [event for event in call.body.get("event_types", []) if event not in _EVENTS]
    if wrong:
        raise invalid(f"Invalid argument: event type {wrong[0]}")
    collection = f"storage/b/{short}/notificationConfigs"
    numbers = [int(body["id"]) for _, body in call.children(collection)]
    identifier = str(max(numbers, default=0) + 1)
    body = {
        **call.body,
        "topic": topic,
        "kind": "storage#notification",
        "id": identifier,
        "selfLink": f"{_BASE}b/{short}/notificationConfigs/{identifier}",
    }
    body["etag"] = identifier
    call.put(f"{collection}/{identifier}", body)
    return body


def notification(call: Call) -> Body | Reply:
    """get and delete."""
    short = _bucket(call)
    name = f"storage/b/{short}/notificationConfigs/{call.params['notification']}"
    body = call.get(name)
    if body is None:
        raise not_found("The specified notification config does not exist.")
    if call.method.kind == "delete":
        call.delete(name)
        return Reply(204)
    return body


def list_notifications(call: Call) -> Body:
    short = _bucket(call)
    items = [body for _, body in call.children(f"storage/b/{short}/notificationConfigs")]
    return {"kind": "storage#notifications", **({"items": items} if items else {})}


# HMAC keys


def create_key(call: Call) -> Body:
    """The secret appears here and nowhere else."""
    project = call.engine.id_of(str(call.params["projectId"]))
    email = str(call.params.get("serviceAccountEmail", ""))
    owner = email.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
    if call.get(f"iam/projects/{owner}/serviceAccounts/{email}") is None:
        raise not_found(f"Service Account '{email}' not found.")
    access = "GOOG1E" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(55))
    body: Body = {
        "kind": "storage#hmacKeyMetadata",
        "id": f"{project}/{access}",
        "selfLink": f"{_BASE}projects/{project}/hmacKeys/{access}",
        "accessId": access,
        "projectId": project,
        "serviceAccountEmail": email,
        "state": "ACTIVE",
        "timeCreated": call.stamp,
        "updated": call.stamp,
    }
    body["etag"] = standard.fingerprint(body)
    secret = base64.b64encode(secrets.token_bytes(30)).decode()
    call.put(f"storage/projects/{project}/hmacKeys/{access}", {**body, "~secret": secret})
    # Found again by its id alone: a signature does not say whose project it is.
    call.put(f"storage-hmac/{access}", {"project": project})
    return {"kind": "storage#hmacKey", "secret": secret, "metadata": body}


def _key(call: Call) -> tuple[str, Body]:
    project = call.engine.id_of(str(call.params["projectId"]))
    name = f"storage/projects/{project}/hmacKeys/{call.params['accessId']}"
    body = call.get(name)
    if body is None:
        raise not_found(f"Access ID not found in project: {project}")
    return name, body


def get_key(call: Call) -> Body:
    _, body = _key(call)
    return {field: value for field, value in body.items() if field[0] != "~"}


def update_key(call: Call) -> Body:
    name, body = _key(call)
    state = call.body.get("state", body["state"])
    if state not in ("ACTIVE", "INACTIVE"):
        raise invalid(f"Invalid argument: state {state}")
    if call.body.get("etag") and call.body["etag"] != body["etag"]:
        raise ApiError("CONDITION_NOT_MET", "The etag does not match.", reason="conditionNotMet")
    changed = {**body, "state": state, "updated": call.stamp}
    changed["etag"] = standard.fingerprint(changed)
    call.put(name, changed)
    return {field: value for field, value in changed.items() if field[0] != "~"}


def delete_key(call: Call) -> Reply:
    name, body = _key(call)
    if body["state"] == "ACTIVE":
        raise invalid("Cannot delete keys in 'ACTIVE' state. Current state: ACTIVE")
    call.delete(name)
    call.delete(f"storage-hmac/{body['accessId']}")
    return Reply(204)


def list_keys(call: Call) -> Body:
    project = call.engine.id_of(str(call.params["projectId"]))
    email = call.params.get("serviceAccountEmail")
    entries = [
        (name, body)
        for name, body in call.children(f"storage/projects/{project}/hmacKeys")
        if not email or body["serviceAccountEmail"] == email
    ]
    after = paging.position_of(call.params, project)
    chosen, token = paging.page(
        [entry for entry in entries if entry[0] > after], paging.size_of(call.params), None, project
    )
    items = [{field: value for field, value in body.items() if field[0] != "~"} for _, body in chosen]
    return {
        "kind": "storage#hmacKeysMetadata",
        **({"items": items} if items else {}),
        **({"nextPageToken": token} if token else {}),
    }


# Folders and managed folders: their names end with a slash, however they are written


def insert_folder(call: Call) -> Body:
    short = _bucket(call)
    word = call.method.collection[-1]
    if word == "folders" and not call.need(f"storage/b/{short}").get("hierarchicalNamespace", {}).get("enabled"):
        raise ApiError(
            "CONDITION_NOT_MET", "The bucket does not support hierarchical namespace.", reason="conditionNotMet"
        )
    given = str(call.body.get("name", ""))
    if not given:
        raise invalid("Required", "required")
    path = given.rstrip("/") + "/"
    name = _folder_name(short, word, path)
    if call.get(name) is not None:
        raise ApiError("ALREADY_EXISTS", "The specified folder already exists.", reason="conflict")
    body: Body = {
        "kind": "storage#folder" if word == "folders" else "storage#managedFolder",
        "id": f"{short}/{path}",
        "selfLink": f"{_BASE}b/{short}/{word}/{quote(path, safe='')}",
        "name": path,
        "bucket": short,
        "metageneration": "1",
        "createTime": call.stamp,
        "updateTime": call.stamp,
    }
    call.put(name, body)
    return body


def _folder_name(bucket: str, word: str, path: str) -> str:
    return f"storage/b/{bucket}/{word}/{quote(path.rstrip('/') + '/', safe='')}"


def folder(call: Call) -> Body | Reply:
    """get and delete."""
    short = _bucket(call)
    word = call.method.collection[-1]
    path = str(call.params.get("folder") or call.params.get("managedFolder"))
    name = _folder_name(short, word, path)
    body = call.get(name)
    if body is None:
        raise not_found("The specified folder does not exist.")
    if call.method.kind == "delete":
        call.delete(name)
        return Reply(204)
    return body


def list_folders(call: Call) -> Body:
    short = _bucket(call)
    word = call.method.collection[-1]
    prefix = str(call.params.get("prefix", ""))
    items = [body for _, body in call.children(f"storage/b/{short}/{word}") if body["name"].startswith(prefix)]
    kind = "storage#folders" if word == "folders" else "storage#managedFolders"
    return {"kind": kind, **({"items": items} if items else {})}
