"""IAM: service accounts, their keys, custom roles; and the credentials service that acts for them."""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import base64
import json
import re

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from twin.kernel import standard
from twin.kernel.errors import ApiError, already_exists, invalid, not_found
from twin.kernel.masks import overlay
from twin.kernel.names import collection_of, last, numeric_id, relative, segment_after
from twin.kernel.roles import ROLES
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, Reply, after, parse_rfc3339, rfc3339, seconds_of
from twin.services import account_keys
from twin.services.account_names import by_email

DOCS = "https://cloud.google.com/iam/docs/"
_KEPT_SECONDS = 30 * 86_400
_ACCOUNT = re.compile(r"^[a-z](?:[-a-z0-9]{4,28}[a-z0-9])$")


def missing(name: str) -> ApiError:
    path = relative(name)
    if "/serviceAccounts/" in path and "/keys/" in path:
        return not_found(f"Service account key {last(path)} does not exist.")
    if "/serviceAccounts/" in path:
        # Both wordings are recorded; GET and DELETE answer this one.
        return not_found("Unknown service account")
    if "/roles/" in path:
        return not_found(f"The role named {path} was not found.")
    return not_found(f"Resource '{path}' was not found")


def existing(name: str) -> ApiError:
    identifier = last(name)
    if "/serviceAccounts/" in name:
        project = segment_after(name, "projects")
        return already_exists(
            f"Service account {identifier.partition('@')[0]} already exists within project projects/{project}."
        )
    return already_exists(
        f"A role named {identifier} in {relative(collection_of(collection_of(name)))} already exists."
    )


def account(project: str, identifier: str, number: str, display: str = "", description: str = "") -> Body:
    email = f"{identifier}@{project}.iam.gserviceaccount.com"
    body: Body = {
        "name": f"projects/{project}/serviceAccounts/{email}",
        "projectId": project,
        "uniqueId": number,
        "email": email,
        "oauth2ClientId": number,
    }
    if display:
        body["displayName"] = display
    if description:
        body["description"] = description
    body["etag"] = standard.fingerprint(body)
    return body


def create_account(call: Call) -> Body:
    identifier = call.body.get("accountId", "")
    if not _ACCOUNT.match(identifier):
        raise invalid(
            f'The account ID "{identifier}" does not have a length between 6 and 30.'
            if not 6 <= len(identifier) <= 30
            else f"Invalid account id: {identifier}"
        )
    standard.require_parents(call, call.name)
    given = call.body.get("serviceAccount", {})
    body = account(call.project, identifier, numeric_id(21), given.get("displayName", ""), given.get("description", ""))
    name = "iam/" + body["name"]
    if call.get(name) is not None:
        raise existing(name)
    return call.put(name, body)


def get_account(call: Call) -> Body:
    call.name = by_email(call)
    return standard.get(call)


def delete_account(call: Call) -> Body | Reply:
    call.name = by_email(call)
    body = call.need()
    call.put(f"iam-deleted/{body['uniqueId']}", {"name": call.name, "body": body, "at": rfc3339(call.now)})
    return standard.delete(call)


def undelete_account(call: Call) -> Body:
    """Within 30 days, by the unique id, and only while nobody has made another of that name.

    https://cloud.google.com/iam/docs/service-accounts-delete-undelete
    """
    identifier = segment_after(call.name, "serviceAccounts")
    kept = call.get(f"iam-deleted/{identifier}")
    if kept is None or after(parse_rfc3339(kept["at"]), _KEPT_SECONDS) < call.now:
        raise not_found(f"Service account {identifier} does not exist.")
    if call.get(kept["name"]) is not None:
        raise existing(kept["name"])
    call.delete(f"iam-deleted/{identifier}")
    return {"restoredAccount": standard.visible(call, kept["name"], call.put(kept["name"], kept["body"]))}


def patch_account(call: Call) -> Body:
    call.name = by_email(call)
    old = call.need()
    given = call.body.get("serviceAccount", {})
    paths = [(part.strip(),) for part in str(call.body.get("updateMask", "")).split(",") if part.strip()]
    new = overlay(old, given, [("displayName",) if path == ("display_name",) else path for path in paths])
    new["etag"] = standard.fingerprint(new)
    call.put(call.name, new)
    # Recorded: the answer holds the name and what was updated, nothing else.
    return {"name": new["name"], **{path[0]: new[path[0]] for path in paths if path[0] in new}}


def update_account(call: Call) -> Body:
    call.name = by_email(call)
    new = dict(call.need())
    new.update((key, call.body[key]) for key in ("displayName", "description") if key in call.body)
    new["etag"] = standard.fingerprint(new)
    return call.put(call.name, new)


def disable(call: Call) -> Body:
    call.name = by_email(call)
    call.put(call.name, {**call.need(), "disabled": True})
    return {}


def enable(call: Call) -> Body:
    call.name = by_email(call)
    call.put(call.name, {key: value for key, value in call.need().items() if key != "disabled"})
    return {}


def create_role(call: Call) -> Body:
    identifier = call.body.get("roleId", "")
    if not re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", identifier):
        raise invalid(f"The role ID must be 3 to 64 letters, digits, underscores and periods, got '{identifier}'.")
    name = f"{call.name}/{identifier}"
    if call.get(name) is not None:
        raise existing(name)
    body: Body = {"name": relative(name), **call.body.get("role", {})}
    body["name"] = relative(name)
    body["etag"] = standard.fingerprint(body)
    return call.put(name, body)


def get_role(call: Call) -> Body:
    if "/projects/" not in call.name and "/organizations/" not in call.name:
        role = relative(call.name)
        if role not in ROLES:
            raise not_found(f"The role named {role} was not found.")
        return {"name": role, "title": last(role), "stage": "GA", "etag": "AA=="}
    return standard.get(call)


def list_roles(call: Call) -> Body:
    if "/projects/" not in call.name and "/organizations/" not in call.name:
        return {"roles": [{"name": role, "title": last(role), "etag": "AA=="} for role in sorted(ROLES)]}
    roles = [body for _, body in call.children(call.name) if not body.get("deleted") or call.params.get("showDeleted")]
    if call.params.get("view") != "FULL":
        roles = [{key: value for key, value in body.items() if key != "includedPermissions"} for body in roles]
    return {"roles": roles} if roles else {}


def patch_role(call: Call) -> Body:
    new = overlay(call.need(), call.body, call.mask or [(key,) for key in call.body if key not in ("name", "etag")])
    new["etag"] = standard.fingerprint(new)
    return call.put(call.name, new)


def delete_role(call: Call) -> Body:
    return call.put(call.name, {**call.need(), "deleted": True})


def undelete_role(call: Call) -> Body:
    return call.put(call.name, {key: value for key, value in call.need().items() if key != "deleted"})


def query_grantable(call: Call) -> Body:
    return {"roles": [{"name": role, "title": last(role)} for role in sorted(ROLES)]}


def account_policy(call: Call) -> Body:
    call.name = by_email(call)
    call.need()
    return call.engine.policies.read(call.name)


def set_account_policy(call: Call) -> Body:
    call.name = by_email(call)
    call.need()
    return call.engine.policies.write(call.name, call.body.get("policy", {}), call.now)


IAM = Semantics(
    api="iam",
    dialect="legacy+status",
    missing=missing,
    existing=existing,
    methods={
        "serviceAccounts.create": create_account,
        "serviceAccounts.get": get_account,
        "serviceAccounts.delete": delete_account,
        "serviceAccounts.patch": patch_account,
        "serviceAccounts.update": update_account,
        "serviceAccounts.disable": disable,
        "serviceAccounts.enable": enable,
        "serviceAccounts.getIamPolicy": account_policy,
        "serviceAccounts.setIamPolicy": set_account_policy,
        "serviceAccounts.undelete": undelete_account,
        **account_keys.METHODS,
        "roles.create": create_role,
        "roles.get": get_role,
        "roles.list": list_roles,
        "roles.patch": patch_role,
        "roles.delete": delete_role,
        "roles.undelete": undelete_role,
        "roles.queryGrantableRoles": query_grantable,
    },
    viewing={"keys": account_keys.view_key},
    permissions={
        "keys.create": "iam.serviceAccountKeys.create",
        "keys.list": "iam.serviceAccountKeys.list",
        "keys.get": "iam.serviceAccountKeys.get",
        "keys.delete": "iam.serviceAccountKeys.delete",
        "keys.upload": "iam.serviceAccountKeys.create",
        "keys.enable": "iam.serviceAccountKeys.enable",
        "keys.disable": "iam.serviceAccountKeys.disable",
        "roles.queryGrantableRoles": "",
    },
    rules=(
        Rule("iam.account-id", "6 to 30 lower-case letters, digits, hyphens", DOCS + "service-accounts-create"),
        Rule("iam.key-once", "the private key appears only in the answer to create", DOCS + "keys-create-delete"),
        Rule(
            "iam.conditions",
            "conditions on time, name, type and service decide; one that needs what the twin cannot know does not hold",
            DOCS + "conditions-attribute-reference",
        ),
        Rule("iam.key-disabled", "a disabled key signs nobody in", DOCS + "keys-disable-enable"),
        Rule(
            "iam.undelete",
            "a deleted account comes back by its unique id for 30 days, unless its name was taken",
            DOCS + "service-accounts-delete-undelete",
        ),
        Rule(
            "iam.patch-answers-partially",
            "PATCH of a service account answers name and updated fields only",
            "k8s-config-connector recordings, iam service account _http.log",
        ),
        Rule(
            "iam.account-disabled",
            "a disabled service account gets no tokens",
            DOCS + "service-accounts-disable-enable",
        ),
    ),
)


# The credentials service


def _target(call: Call) -> Body:
    identifier = segment_after(call.name, "serviceAccounts")
    project = identifier.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
    name = f"iam/projects/{project}/serviceAccounts/{identifier}"
    body = call.get(name)
    if body is None:
        raise not_found("Not found; Gaia id not found for email " + identifier)
    if not call.context.internal and not call.engine.policies.allowed(
        call.context.principal, f"iam.serviceAccounts.{_ACTION[call.method.tail]}", name, call.now
    ):
        raise ApiError(
            "PERMISSION_DENIED",
            f"Permission 'iam.serviceAccounts.{_ACTION[call.method.tail]}' denied on resource (or it may not exist).",
        )
    if body.get("disabled"):
        raise ApiError("FAILED_PRECONDITION", "Service account is disabled.")
    return body


_ACTION = {
    "generateAccessToken": "getAccessToken",
    "generateIdToken": "getOpenIdToken",
    "signBlob": "signBlob",
    "signJwt": "signJwt",
}


def generate_access_token(call: Call) -> Body:
    body = _target(call)
    seconds = seconds_of(call.body.get("lifetime", "3600s"))
    expires = after(call.now, seconds)
    mint = call.engine.parts["mint"]
    return {"accessToken": mint.token(f"serviceAccount:{body['email']}", expires), "expireTime": rfc3339(expires, 0)}


def generate_id_token(call: Call) -> Body:
    body = _target(call)
    return {"token": call.engine.parts["mint"].id_token(body["email"], call.body.get("audience", ""), call.now)}


def sign_blob(call: Call) -> Body:
    _target(call)
    mint = call.engine.parts["mint"]
    signature = mint.private.sign(base64.b64decode(call.body.get("payload", "")), padding.PKCS1v15(), hashes.SHA256())
    return {"keyId": mint.key_id, "signedBlob": base64.b64encode(signature).decode()}


def sign_jwt(call: Call) -> Body:
    _target(call)
    mint = call.engine.parts["mint"]
    return {"keyId": mint.key_id, "signedJwt": mint.sign_jwt(json.loads(call.body.get("payload", "{}")))}


def allowed_locations(call: Call) -> Body:
    # google-auth asks for trust boundaries before using a service account: no restriction is 0x0.
    return {"locations": [], "encodedLocations": "0x0"}


CREDENTIALS = Semantics(
    api="iamcredentials",
    methods={
        "serviceAccounts.generateAccessToken": generate_access_token,
        "serviceAccounts.generateIdToken": generate_id_token,
        "serviceAccounts.signBlob": sign_blob,
        "serviceAccounts.signJwt": sign_jwt,
        "serviceAccounts.getAllowedLocations": allowed_locations,
        "workforcePools.getAllowedLocations": allowed_locations,
        "workloadIdentityPools.getAllowedLocations": allowed_locations,
    },
    permissions={
        "serviceAccounts.generateAccessToken": "",
        "serviceAccounts.generateIdToken": "",
        "serviceAccounts.signBlob": "",
        "serviceAccounts.signJwt": "",
        "serviceAccounts.getAllowedLocations": "",
    },
    rules=(
        Rule(
            "credentials.need-token-creator",
            "acting for a service account needs getAccessToken on it",
            "https://cloud.google.com/iam/docs/create-short-lived-credentials-direct",
        ),
    ),
)
