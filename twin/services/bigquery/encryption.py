"""CMEK: a table's data key is wrapped by Cloud KMS, asked for as BigQuery's own agent, through IAM.

https://cloud.google.com/bigquery/docs/customer-managed-encryption; domain facts in docs/decisions/twin.md.
"""

from __future__ import annotations

import base64
import os
import re

from twin.kernel.errors import ApiError, invalid
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.usage import agent_of

_KEY = re.compile(r"^projects/[^/]+/locations/([^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+$")
_MULTI_REGION = {"US": "us", "EU": "europe"}


def plain_key(name: str) -> str:
    """A key's name without the version that answers may carry."""
    return name.partition("/cryptoKeyVersions/")[0]


def check_location(key: str, location: str) -> None:
    """ApiError INVALID_ARGUMENT when a key cannot protect data in `location`."""
    match = _KEY.match(plain_key(key))
    if match is None:
        raise invalid(f"Invalid KMS key name: {key}")
    wanted = _MULTI_REGION.get(location.upper(), location.lower())
    if match[1].lower() != wanted:
        raise invalid(
            f"Cloud KMS key location does not match: the key {key} is in {match[1]}, data in {location} needs a key in "
            f"{wanted}. This region is not supported."
        )


def agent(call: Call) -> str:
    return agent_of("bigquery.googleapis.com", call.number)


def _through(call: Call, key: str, method: str, body: Body) -> Body:
    try:
        return call.invoke(
            f"cloudkms.projects.locations.keyRings.cryptoKeys.{method}",
            f"cloudkms/{plain_key(key)}",
            body,
            principal=f"serviceAccount:{agent(call)}",
        )
    except ApiError as error:
        raise denied(call, error) from error


def denied(call: Call, error: ApiError) -> ApiError:
    """BigQuery's sentence around what Cloud KMS said (wording: GoogleCloudPlatform/cdmc issue 19)."""
    message = f"Access Denied: BigQuery BigQuery: Cloud KMS Error: {error.message}"
    if error.status in ("PERMISSION_DENIED", "NOT_FOUND"):
        message += (
            f" Please grant Cloud KMS CryptoKey Encrypter/Decrypter role to BigQuery service account: {agent(call)}"
        )
    return ApiError("PERMISSION_DENIED", message, reason="accessDenied")


def protect(call: Call, body: Body, key: str, location: str) -> None:
    """Put a table under a key: a fresh data key is wrapped by the key's primary version, which stays pinned."""
    check_location(key, location)
    secret = base64.b64encode(os.urandom(32)).decode()
    reply = _through(call, key, "encrypt", {"plaintext": secret})
    body["encryptionConfiguration"] = {"kmsKeyName": plain_key(key)}
    body["~wrapped"] = reply["ciphertext"]
    body["~key_version"] = reply["name"]


def unprotect(body: Body) -> None:
    body.pop("encryptionConfiguration", None)
    body.pop("~wrapped", None)
    body.pop("~key_version", None)


def require_readable(call: Call, body: Body) -> None:
    """ApiError PERMISSION_DENIED when the table's data key cannot be unwrapped now."""
    if body.get("~wrapped"):
        _through(call, body["encryptionConfiguration"]["kmsKeyName"], "decrypt", {"ciphertext": body["~wrapped"]})
