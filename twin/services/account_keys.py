"""Keys of service accounts: made here or brought along, switched off and on, gone.

https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import base64
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from twin.kernel import standard
from twin.kernel.errors import invalid
from twin.kernel.names import collection_of, relative
from twin.kernel.semantics import Call
from twin.kernel.types import Body, rfc3339
from twin.services.account_names import by_email


def create_key(call: Call) -> Body:
    call.name = by_email(call)
    owner = call.need(collection_of(call.name))
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    identifier = hashes_id(public)
    name = f"{call.name}/{identifier}"
    body: Body = {
        "name": relative(name),
        "validAfterTime": rfc3339(call.now, 0),
        "validBeforeTime": "9999-12-31T23:59:59Z",
        "keyAlgorithm": call.body.get("keyAlgorithm", "KEY_ALG_RSA_2048"),
        "keyOrigin": "GOOGLE_PROVIDED",
        "keyType": "USER_MANAGED",
        "publicKeyData": base64.b64encode(public).decode(),
    }
    call.put(name, body)
    file = key_file(owner["projectId"], owner["email"], owner["uniqueId"], identifier, pem.decode())
    shown = {key: value for key, value in body.items() if key != "publicKeyData"}
    return {
        **shown,
        "privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE",
        "privateKeyData": base64.b64encode(json.dumps(file, indent=2).encode()).decode(),
    }


def key_file(project: str, email: str, client: str, identifier: str, pem: str) -> Body:
    """The JSON that GOOGLE_APPLICATION_CREDENTIALS names."""
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": identifier,
        "private_key": pem,
        "client_email": email,
        "client_id": client,
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email.replace('@', '%40')}",
        "universe_domain": "googleapis.com",
    }


def hashes_id(public: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    return digest.finalize().hex()[:40]


def view_key(call: Call, name: str, body: Body) -> Body:
    if call.params.get("publicKeyType", "TYPE_NONE") == "TYPE_NONE":
        return {key: value for key, value in body.items() if key != "publicKeyData"}
    return body


def list_keys(call: Call) -> Body:
    call.name = by_email(call)
    call.need(collection_of(call.name))
    found = [standard.visible(call, name, body) for name, body in call.children(call.name)]
    return {"keys": found} if found else {}


def get_key(call: Call) -> Body:
    call.name = by_email(call)
    return standard.visible(call, call.name, call.need())


def switch_key(call: Call) -> Body:
    """enable and disable. https://cloud.google.com/iam/docs/keys-disable-enable"""
    call.name = by_email(call)
    old = call.need()
    new = {key: value for key, value in old.items() if key not in ("disabled", "disableReason")}
    if call.method.tail == "disable":
        reason = call.body.get("serviceAccountKeyDisableReason", "SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED")
        new.update(disabled=True, disableReason=reason)
    call.put(call.name, new)
    return {}


def upload_key(call: Call) -> Body:
    """A public key of one's own, in an X.509 certificate. https://cloud.google.com/iam/docs/keys-upload"""
    call.name = by_email(call)
    call.need(collection_of(call.name))
    try:
        certificate = x509.load_pem_x509_certificate(base64.b64decode(call.body.get("publicKeyData", "")))
        public = certificate.public_key()
        if not isinstance(public, rsa.RSAPublicKey):
            raise ValueError("not RSA")
    except ValueError as error:
        raise invalid(
            "Invalid public key: it must be an RSA public key that is wrapped in an X.509 v3 certificate."
        ) from error
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    name = f"{call.name}/{hashes_id(pem)}"
    body: Body = {
        "name": relative(name),
        "validAfterTime": rfc3339(certificate.not_valid_before_utc, 0),
        "validBeforeTime": rfc3339(certificate.not_valid_after_utc, 0),
        "keyAlgorithm": f"KEY_ALG_RSA_{public.key_size}",
        "keyOrigin": "USER_PROVIDED",
        "keyType": "USER_MANAGED",
        "publicKeyData": base64.b64encode(pem).decode(),
    }
    call.put(name, body)
    return {key: value for key, value in body.items() if key != "publicKeyData"}


def delete_key(call: Call) -> Body:
    call.name = by_email(call)
    call.need()
    call.delete(call.name)
    return {}


METHODS = {
    "keys.create": create_key,
    "keys.list": list_keys,
    "keys.get": get_key,
    "keys.delete": delete_key,
    "keys.upload": upload_key,
    "keys.enable": switch_key,
    "keys.disable": switch_key,
}
