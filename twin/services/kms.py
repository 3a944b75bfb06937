"""Cloud KMS: key rings, keys, versions, their states and their rotation. The cryptography is in kms_crypto."""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import copy
import re
from datetime import datetime

from twin.kernel import standard
from twin.kernel.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from twin.kernel.masks import overlay
from twin.kernel.names import collection_of, last, relative, singular, title
from twin.kernel.semantics import Call, Rule, Semantics
from twin.kernel.types import Body, after, parse_rfc3339, rfc3339, seconds_of
from twin.services import kms_crypto, kms_import

DOCS = "https://cloud.google.com/kms/docs/"
REST = DOCS + "reference/rest/v1/projects.locations.keyRings"
DAY = 86_400
_ID = re.compile(r"^[a-zA-Z0-9_-]{1,63}$")
_DEFAULT_ALGORITHM = {
    "ENCRYPT_DECRYPT": "GOOGLE_SYMMETRIC_ENCRYPTION",
    "RAW_ENCRYPT_DECRYPT": "AES_256_GCM",
    "MAC": "HMAC_SHA256",
}


def missing(name: str) -> ApiError:
    """`KeyRing projects/… not found.`, as recorded from the real service."""
    word = title(singular(last(collection_of(name))))
    return not_found(f"{word} {relative(name)} not found.")


def existing(name: str) -> ApiError:
    return already_exists(f"{title(singular(last(collection_of(name))))} {relative(name)} already exists.")


def _check_id(identifier: str) -> None:
    if not _ID.match(identifier):
        raise invalid(
            f"Resource id '{identifier}' is invalid: it must match the regular expression [a-zA-Z0-9_-]{{1,63}}."
        )


def _never_reused(call: Call) -> None:
    if f"deleted/{call.name}" in call.engine.store:
        raise existing(call.name)


def create_key_ring(call: Call, body: Body) -> None:
    _check_id(last(call.name))
    _never_reused(call)
    body.pop("~", None)


def create_key(call: Call, body: Body) -> None:
    _check_id(last(call.name))
    _never_reused(call)
    purpose = body.get("purpose", "")
    if not purpose or purpose == "CRYPTO_KEY_PURPOSE_UNSPECIFIED":
        raise invalid("CryptoKey.purpose must be specified.")
    template = body.setdefault("versionTemplate", {})
    template.setdefault("protectionLevel", "SOFTWARE")
    if not template.get("algorithm"):
        if purpose not in _DEFAULT_ALGORITHM:
            raise invalid(f"CryptoKey.version_template.algorithm must be specified for purpose {purpose}.")
        template["algorithm"] = _DEFAULT_ALGORITHM[purpose]
    body.setdefault("destroyScheduledDuration", "2592000s")
    _check_destroy_duration(body["destroyScheduledDuration"])
    _check_rotation(call, body)
    body.pop("importOnly", None) if body.get("importOnly") is False else None
    if not call.params.get("skipInitialVersionCreation"):
        version = add_version(call, call.name, body)
        if purpose == "ENCRYPT_DECRYPT":
            body["~primary"] = last(version)
    body["~next"] = 2 if not call.params.get("skipInitialVersionCreation") else 1


def _check_destroy_duration(text: str) -> None:
    try:
        seconds = seconds_of(text)
    except ValueError:
        seconds = -1
    if not DAY <= seconds <= 120 * DAY:
        raise invalid("destroy_scheduled_duration must be between 1 day and 120 days.")


def _check_rotation(call: Call, body: Body) -> None:
    period, following = body.get("rotationPeriod"), body.get("nextRotationTime")
    if period is None:
        return
    if body.get("purpose") != "ENCRYPT_DECRYPT":
        raise invalid("Rotation is only supported for keys with purpose ENCRYPT_DECRYPT.")
    if not DAY <= seconds_of(period) <= 876_000 * 3600:
        raise invalid("rotation_period must be at least 1 day and at most 876,000 hours.")
    if following is None:
        raise invalid("next_rotation_time must be specified when rotation_period is set.")
    if parse_rfc3339(following) < call.now:
        raise invalid("next_rotation_time must be in the future.")


def add_version(call: Call, key: str, body: Body) -> str:
    """A new enabled version; returns its canonical name."""
    number = int(body.get("~next", 1))
    name = f"{key}/cryptoKeyVersions/{number}"
    template = body["versionTemplate"]
    algorithm = template["algorithm"]
    version: Body = {
        "name": relative(name),
        "state": "ENABLED",
        "createTime": call.stamp,
        "protectionLevel": template["protectionLevel"],
        "algorithm": algorithm,
        "generateTime": call.stamp,
        "~material": kms_crypto.generate(algorithm),
        "~states": [{"from": call.stamp, "state": "ENABLED"}],
    }
    call.put(name, version)
    body["~next"] = number + 1
    return name


def view_key(call: Call, name: str, body: Body) -> Body:
    primary = body.get("~primary")
    if primary:
        version = call.get(f"{name}/cryptoKeyVersions/{primary}")
        if version is not None:
            body = {**body, "primary": visible_version(call, version)}
    return body


def visible_version(call: Call, version: Body) -> Body:
    shown = {key: value for key, value in version.items() if key[0] != "~"}
    if shown["state"] == "DESTROY_SCHEDULED" and shown["destroyTime"] <= call.stamp:
        shown["state"] = "DESTROYED"
        shown["destroyEventTime"] = shown.pop("destroyTime")
    return shown


def view_version(call: Call, name: str, body: Body) -> Body:
    return visible_version(call, body)


def felt_state(version: Body, now: datetime) -> str:
    """The state that uses of the key go by: a change takes a while to be felt."""
    stamp = rfc3339(now)
    state = "ENABLED"
    for change in version["~states"]:
        if change["from"] <= stamp:
            state = change["state"]
    if state == "DESTROY_SCHEDULED" and version.get("destroyTime", "9") <= stamp:
        return "DESTROYED"
    return str(state)


def usable(call: Call, name: str) -> Body:
    """The version's body if it may be used now. ApiError FAILED_PRECONDITION when it is not enabled."""
    version = call.need(name)
    state = felt_state(version, call.now)
    if state != "ENABLED":
        raise not_enabled(name, state)
    return version


def not_enabled(name: str, state: str) -> ApiError:
    path = relative(name)
    error = failed_precondition(f"{path} is not enabled, current state is: {state}.")
    error.details = (
        {
            "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
            "violations": [{"type": f"KEY_{state}", "subject": path}],
        },
    )
    return error


def rotate_if_due(call: Call, key: str) -> Body:
    """The key's body after any rotation that its schedule asked for up to now."""
    body = call.need(key)
    due, period = body.get("nextRotationTime"), body.get("rotationPeriod")
    if not due or not period or due > call.stamp:
        return body
    body = copy.deepcopy(body)
    body["~primary"] = last(add_version(call, key, body))
    moment = parse_rfc3339(due)
    seconds = seconds_of(period)
    while moment <= call.now:
        moment = after(moment, seconds)
    body["nextRotationTime"] = rfc3339(moment)
    call.put(key, body)
    return body


def get_key(call: Call) -> Body:
    if call.get(call.name) is not None:
        rotate_if_due(call, call.name)
    return standard.get(call)


def patch_key(call: Call) -> Body:
    old = call.need()
    if not call.mask:
        raise invalid("The request was invalid: update_mask must be specified.")
    new = overlay(old, call.body, call.mask)
    for field in ("purpose", "destroyScheduledDuration", "importOnly", "cryptoKeyBackend"):
        if new.get(field) != old.get(field):
            raise invalid(f"The field {field} of a CryptoKey is immutable.")
    if any(path[0] in ("rotationPeriod", "nextRotationTime") for path in call.mask):
        _check_rotation(call, new)
    call.put(call.name, new)
    return standard.visible(call, call.name, new)


def create_version(call: Call) -> Body:
    key = collection_of(call.name)
    body = call.copy(key)
    name = add_version(call, key, body)
    call.put(key, body)
    return visible_version(call, call.need(name))


def update_primary(call: Call) -> Body:
    body = call.copy()
    if body["purpose"] != "ENCRYPT_DECRYPT":
        raise invalid("Only keys with purpose ENCRYPT_DECRYPT have a primary version.")
    number = str(call.body.get("cryptoKeyVersionId", ""))
    usable(call, f"{call.name}/cryptoKeyVersions/{number}")
    body["~primary"] = number
    call.put(call.name, body)
    return standard.visible(call, call.name, body)


def _set_state(call: Call, version: Body, state: str) -> Body:
    felt = rfc3339(after(call.now, call.engine.settings.propagation))
    version["state"] = state
    version["~states"] = [*version["~states"][-5:], {"from": felt, "state": state}]
    call.put(call.name, version)
    call.announce("key-state", collection_of(collection_of(call.name)))
    return visible_version(call, version)


def patch_version(call: Call) -> Body:
    version = call.copy()
    if not call.mask:
        raise invalid("The request was invalid: update_mask must be specified.")
    wanted = call.body.get("state", version["state"])
    if ("state",) in call.mask and wanted != version["state"]:
        current = visible_version(call, version)["state"]
        if wanted not in ("ENABLED", "DISABLED") or current not in ("ENABLED", "DISABLED"):
            raise failed_precondition(
                f"{relative(call.name)} cannot be moved to state {wanted}, current state is: {current}."
            )
        return _set_state(call, version, wanted)
    return visible_version(call, version)


def destroy_version(call: Call) -> Body:
    version = call.copy()
    if visible_version(call, version)["state"] not in ("ENABLED", "DISABLED"):
        raise failed_precondition(
            f"{relative(call.name)} is not enabled or disabled, current state is: {version['state']}."
        )
    key = call.need(collection_of(collection_of(call.name)))
    version["destroyTime"] = rfc3339(after(call.now, seconds_of(key["destroyScheduledDuration"])))
    return _set_state(call, version, "DESTROY_SCHEDULED")


def restore_version(call: Call) -> Body:
    version = call.copy()
    state = visible_version(call, version)["state"]
    if state != "DESTROY_SCHEDULED":
        raise failed_precondition(f"{relative(call.name)} is not scheduled for destruction, current state is: {state}.")
    version.pop("destroyTime", None)
    return _set_state(call, version, "DISABLED")


def create_import_job(call: Call, body: Body) -> None:
    _check_id(last(call.name))
    kms_import.create_job(call, body)


def _busy(name: str) -> ApiError:
    return failed_precondition(f"{relative(name)} cannot be deleted because it still holds resources.")


def remember_deleted(call: Call, body: Body) -> None:
    """Names are never reusable."""
    for child in [*call.engine.store.below(call.name)]:
        call.put(f"deleted/{child}", {"at": call.stamp})
    call.put(f"deleted/{call.name}", {"at": call.stamp})


def delete_key(call: Call, body: Body) -> None:
    for _, version in call.children(f"{call.name}/cryptoKeyVersions"):
        state = visible_version(call, version)["state"]
        if state not in ("DESTROYED", "IMPORT_FAILED", "GENERATION_FAILED"):
            raise failed_precondition(
                f"{relative(call.name)} cannot be deleted: {version['name']} is {state}; destroy all versions first."
            )
    remember_deleted(call, body)


SEMANTICS = Semantics(
    api="cloudkms",
    missing=missing,
    existing=existing,
    methods={
        "cryptoKeys.get": get_key,
        "cryptoKeys.patch": patch_key,
        "cryptoKeys.updatePrimaryVersion": update_primary,
        "cryptoKeyVersions.create": create_version,
        "cryptoKeyVersions.patch": patch_version,
        "cryptoKeyVersions.destroy": destroy_version,
        "cryptoKeyVersions.restore": restore_version,
        "cryptoKeyVersions.import": kms_import.import_version,
        **kms_crypto.METHODS,
    },
    creating={"keyRings": create_key_ring, "cryptoKeys": create_key, "importJobs": create_import_job},
    viewing={"importJobs": kms_import.view_job, "cryptoKeys": view_key, "cryptoKeyVersions": view_version},
    deleting={"keyRings": remember_deleted, "cryptoKeys": delete_key, "cryptoKeyVersions": remember_deleted},
    children_first={"keyRings": _busy},
    permissions={
        "cryptoKeys.encrypt": "cloudkms.cryptoKeyVersions.useToEncrypt",
        "cryptoKeys.decrypt": "cloudkms.cryptoKeyVersions.useToDecrypt",
        "cryptoKeyVersions.asymmetricSign": "cloudkms.cryptoKeyVersions.useToSign",
        "cryptoKeyVersions.asymmetricDecrypt": "cloudkms.cryptoKeyVersions.useToDecrypt",
        "cryptoKeyVersions.macSign": "cloudkms.cryptoKeyVersions.useToSign",
        "cryptoKeyVersions.macVerify": "cloudkms.cryptoKeyVersions.useToVerify",
        "cryptoKeyVersions.rawEncrypt": "cloudkms.cryptoKeyVersions.useToEncrypt",
        "cryptoKeyVersions.rawDecrypt": "cloudkms.cryptoKeyVersions.useToDecrypt",
        "cryptoKeyVersions.getPublicKey": "cloudkms.cryptoKeyVersions.viewPublicKey",
        "cryptoKeyVersions.patch": "cloudkms.cryptoKeyVersions.update",
        "cryptoKeys.updatePrimaryVersion": "cloudkms.cryptoKeys.update",
        "locations.generateRandomBytes": "cloudkms.locations.generateRandomBytes",
    },
    rules=(
        *kms_import.RULES,
        Rule(
            "kms.rotation-at-least-a-day", "rotationPeriod is 24 hours to 876,000 hours", REST + ".cryptoKeys#CryptoKey"
        ),
        Rule(
            "kms.rotation-needs-next-time", "rotationPeriod requires nextRotationTime", REST + ".cryptoKeys#CryptoKey"
        ),
        Rule("kms.rotation-symmetric-only", "only ENCRYPT_DECRYPT keys rotate by themselves", DOCS + "key-rotation"),
        Rule(
            "kms.destroy-is-scheduled",
            "a destroyed version can be restored for destroyScheduledDuration (default 30 days)",
            DOCS + "destroy-restore",
        ),
        Rule("kms.restored-is-disabled", "a restored version is DISABLED", DOCS + "destroy-restore"),
        Rule(
            "kms.disabled-refuses",
            "a version that is not ENABLED cannot be used: '… is not enabled, current state is: DISABLED.'",
            DOCS + "enable-disable",
        ),
        Rule(
            "kms.state-takes-time",
            "a change of state is felt within a minute, exceptionally three hours",
            DOCS + "consistency",
        ),
        Rule(
            "kms.names-never-reused",
            "a deleted key ring's or key's name cannot be used again",
            DOCS + "delete-kms-resources",
        ),
        Rule(
            "kms.children-first",
            "a key ring with children, or a key with live versions, is not deleted",
            DOCS + "delete-kms-resources",
        ),
        Rule(
            "kms.destroy-duration-immutable",
            "destroyScheduledDuration cannot be changed",
            REST + ".cryptoKeys#CryptoKey",
        ),
        Rule(
            "kms.not-found-words",
            "'KeyRing projects/… not found.'",
            "k8s-config-connector recordings, kmskeyring _http.log",
        ),
        Rule("kms.wording-of-refusals", "the sentences for a bad rotation or an immutable field", "", "assumed"),
    ),
)
