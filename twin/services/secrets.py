"""Secret Manager: secrets, versions, access. Names in answers carry the project's number, as recorded.

https://cloud.google.com/secret-manager/docs/reference/rest
"""

from __future__ import annotations

import base64
import re

from twin.kernel import standard
from twin.kernel.checksums import crc32c
from twin.kernel.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from twin.kernel.masks import overlay
from twin.kernel.names import collection_of, last, letters, relative
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply, after, rfc3339, seconds_of
from twin.services import kms_crypto
from twin.services.usage import agent_of

DOCS = "https://cloud.google.com/secret-manager/docs/"
_LIMIT = 65_536


def _spoken(name: str, number: str) -> str:
    return re.sub(r"^projects/[^/]+", f"projects/{number}", relative(name))


def _missing_for(call: Call, name: str) -> ApiError:
    word = "Secret Version" if "/versions/" in name else "Secret"
    return not_found(f"{word} [{_spoken(name, call.number)}] not found.")


def missing(name: str) -> ApiError:
    word = "Secret Version" if "/versions/" in name else "Secret"
    return not_found(f"{word} [{relative(name)}] not found.")


def _need(call: Call, name: str) -> Body:
    body = call.get(name)
    if body is None:
        raise _missing_for(call, name)
    return body


def create(call: Call) -> Body:
    standard.require_parents(call, call.name)
    identifier = str(call.params.get("secretId", ""))
    if not re.fullmatch(r"[\w-]{1,255}", identifier):
        raise invalid(f"The provided Secret ID [{identifier}] does not match the expected format [[a-zA-Z_0-9]+]")
    body = dict(call.body)
    if "replication" not in body:
        raise invalid("The field [replication] is required, but is not set.")
    name = f"{call.name}/{identifier}"
    if call.get(name) is not None:
        raise already_exists(f"Secret [{_spoken(name, call.number)}] already exists.")
    _check_times(call, body)
    body["name"] = _spoken(name, call.number)
    body["createTime"] = call.stamp
    body["etag"] = f'"{letters(14)}"'
    call.put(name, body)
    call.announce("created", name)
    return standard.visible(call, name, body)


def _check_times(call: Call, body: Body) -> None:
    ttl = body.pop("ttl", None)
    if ttl:
        body["expireTime"] = rfc3339(after(call.now, seconds_of(ttl)))
    if "rotation" in body and not body.get("topics"):
        raise invalid("A Secret with rotation must have at least one topic.")


def get(call: Call) -> Body:
    return standard.visible(call, call.name, _need(call, call.name))


def patch(call: Call) -> Body:
    old = _need(call, call.name)
    if not call.mask:
        raise invalid("The update mask must be specified.")
    if any(path[0] == "replication" for path in call.mask):
        raise invalid("The field [replication] is immutable.")
    _check_etag(call, old)
    new = overlay(old, call.body, call.mask)
    _check_times(call, new)
    new["etag"] = f'"{letters(14)}"'
    call.put(call.name, new)
    return standard.visible(call, call.name, new)


def _check_etag(call: Call, old: Body) -> None:
    given = call.body.get("etag") or call.params.get("etag")
    if given and given.strip('"') != old["etag"].strip('"'):
        raise failed_precondition("The etag provided in the request does not match the resource's current etag.")


def delete(call: Call) -> Body | Reply:
    _check_etag(call, _need(call, call.name))
    for child in call.engine.store.below(call.name):
        call.delete(child)
    call.delete(call.name)
    call.engine.policies.forget(call.name)
    return {}


def _key_of(secret: Body) -> str:
    replication = secret.get("replication", {})
    automatic = replication.get("automatic", {}).get("customerManagedEncryption", {}).get("kmsKeyName")
    if automatic:
        return str(automatic)
    for replica in replication.get("userManaged", {}).get("replicas", []):
        key = replica.get("customerManagedEncryption", {}).get("kmsKeyName")
        if key:
            return str(key)
    return ""


def add_version(call: Call) -> Body:
    secret = _need(call, call.name)
    payload = call.body.get("payload", {})
    data = base64.b64decode(payload.get("data", ""))
    if len(data) > _LIMIT:
        raise invalid("The payload is too large: at most 65536 bytes are accepted.")
    given = payload.get("dataCrc32c")
    if given is not None and int(given) != crc32c(data):
        raise invalid("Invalid payload: the checksum does not match the data.")
    number = int(secret.get("~next", 1))
    name = f"{call.name}/versions/{number}"
    body: Body = {
        "name": _spoken(name, call.number),
        "createTime": call.stamp,
        "state": "ENABLED",
        "replicationStatus": _status(secret),
        "etag": f'"{letters(14)}"',
        "~data": base64.b64encode(data).decode(),
    }
    if given is not None:
        body["clientSpecifiedPayloadChecksum"] = True
    key = _key_of(secret)
    if key:
        _wrap(call, key, body)
    call.put(call.name, {**secret, "~next": number + 1})
    call.put(name, body)
    call.announce("secret-version", name)
    return standard.visible(call, name, body)


def _status(secret: Body) -> Body:
    if "userManaged" in secret.get("replication", {}):
        return {
            "userManaged": {
                "replicas": [
                    {"location": replica.get("location", "")}
                    for replica in secret["replication"]["userManaged"].get("replicas", [])
                ]
            }
        }
    return {"automatic": {}}


def _wrap(call: Call, key: str, body: Body) -> None:
    """Encrypt the payload with the customer's key, as Secret Manager's agent."""
    principal = f"serviceAccount:{agent_of('secretmanager.googleapis.com', call.number)}"
    try:
        version, ciphertext = kms_crypto.wrap(call, f"cloudkms/{key}", principal, base64.b64decode(body["~data"]))
    except ApiError as error:
        raise ApiError(
            error.status, f"Error encrypting with the customer-managed encryption key [{key}]: {error.message}"
        ) from error
    body["~data"] = ""
    body["~wrapped"], body["~key"] = ciphertext, key
    body["replicationStatus"] = {"automatic": {"customerManagedEncryption": {"kmsKeyVersionName": version}}}


def _resolve(call: Call) -> str:
    """`latest` and aliases become a number. ApiError NOT_FOUND when there is none."""
    secret_name = collection_of(collection_of(call.name))
    secret = _need(call, secret_name)
    wanted = last(call.name)
    if wanted == "latest":
        numbers = [
            int(last(name)) for name, body in call.children(f"{secret_name}/versions") if body["state"] != "DESTROYED"
        ]
        wanted = str(max(numbers)) if numbers else "latest"
    elif not wanted.isdigit():
        wanted = str(secret.get("versionAliases", {}).get(wanted, wanted))
    name = f"{secret_name}/versions/{wanted}"
    if call.get(name) is None:
        raise not_found(
            f"Secret [{_spoken(secret_name, call.number)}] not found or has no versions."
            if wanted == "latest"
            else _missing_for(call, name).message
        )
    return name


def get_version(call: Call) -> Body:
    name = _resolve(call)
    return standard.visible(call, name, call.need(name))


def list_versions(call: Call) -> Body:
    _need(call, collection_of(call.name))
    found = standard.list_(call)
    versions = sorted(found.get("versions", []), key=lambda body: -int(last(body["name"])))
    total = sum(1 for _ in call.children(call.name))
    return {**found, **({"versions": versions} if versions else {}), "totalSize": total}


def list_secrets(call: Call) -> Body:
    found = standard.list_(call)
    return {**found, "totalSize": sum(1 for _ in call.children(call.name))}


def access(call: Call) -> Body:
    name = _resolve(call)
    body = call.need(name)
    if body["state"] != "ENABLED":
        raise failed_precondition(f"Secret Version [{_spoken(name, call.number)}] is in {body['state']} state.")
    data = base64.b64decode(body["~data"])
    if "~wrapped" in body:
        principal = f"serviceAccount:{agent_of('secretmanager.googleapis.com', call.number)}"
        reply = call.invoke(
            "cloudkms.projects.locations.keyRings.cryptoKeys.decrypt",
            f"cloudkms/{body['~key']}",
            {"ciphertext": body["~wrapped"]},
            principal,
        )
        data = base64.b64decode(reply.get("plaintext", ""))
    return {
        "name": _spoken(name, call.number),
        "payload": {"data": base64.b64encode(data).decode(), "dataCrc32c": str(crc32c(data))},
    }


def _set_state(call: Call, state: str) -> Body:
    name = _resolve(call)
    body = call.copy(name)
    _check_etag(call, body)
    if body["state"] == "DESTROYED" and state != "DESTROYED":
        raise failed_precondition(f"SecretVersion.state is already {body['state']}.")
    body["state"] = state
    body["etag"] = f'"{letters(14)}"'
    if state == "DESTROYED":
        body["destroyTime"] = call.stamp
        body["~data"] = ""
        body.pop("~wrapped", None)
    call.put(name, body)
    call.announce("secret-version", name)
    return standard.visible(call, name, body)


def enable(call: Call) -> Body:
    return _set_state(call, "ENABLED")


def disable(call: Call) -> Body:
    return _set_state(call, "DISABLED")


def destroy(call: Call) -> Body:
    return _set_state(call, "DESTROYED")


SEMANTICS = Semantics(
    api="secretmanager",
    missing=missing,
    methods={
        "secrets.create": create,
        "secrets.get": get,
        "secrets.list": list_secrets,
        "secrets.patch": patch,
        "secrets.delete": delete,
        "secrets.addVersion": add_version,
        "versions.get": get_version,
        "versions.list": list_versions,
        "versions.access": access,
        "versions.enable": enable,
        "versions.disable": disable,
        "versions.destroy": destroy,
    },
    permissions={"secrets.addVersion": "secretmanager.versions.add"},
    rules=(
        Rule(
            "secrets.number-in-names",
            "names in answers carry the project's number",
            "k8s-config-connector recordings, secretmanager _http.log",
        ),
        Rule("secrets.disabled-refuses", "'Secret Version […] is in DISABLED state.'", DOCS + "disable-secret-version"),
        Rule(
            "secrets.destroyed-forever",
            "a destroyed version has no payload and cannot be enabled",
            DOCS + "destroy-secret-version",
        ),
        Rule("secrets.crc", "a wrong dataCrc32c is refused, answers carry one", DOCS + "data-integrity"),
        Rule("secrets.size", "a payload has at most 64 KiB", "https://cloud.google.com/secret-manager/quotas"),
        Rule(
            "secrets.latest",
            "`latest` is the newest version that is not destroyed",
            DOCS + "access-secret-version",
            "assumed",
        ),
        Rule("secrets.replication-immutable", "replication cannot be changed", DOCS + "choosing-replication"),
        Rule("secrets.cmek", "a secret with a customer key asks Cloud KMS as Secret Manager's agent", DOCS + "cmek"),
    ),
)
